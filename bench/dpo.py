"""Direct preference optimisation against TRL's `DPOTrainer`: prompts with two answers, of 24 to 320 tokens.

First both sides take the same steps and their losses are compared, then each trains one pass with eight
prompts a step. On our side the reference's log-probabilities are computed within the measured time, once;
the peer computes them at every step, which is its default.
"""

import sys
from collections.abc import Callable
from functools import partial

import torch

from bench.training_part import (
    BATCH,
    CURVE_STEPS,
    OURS,
    Sides,
    compare,
    compared,
    dataset,
    finish,
    groups,
    losses,
    policy,
    same_curve,
    settings,
    silence,
    tokenizer,
    words,
)
from truing.train import DPOConfig, dpo, sequence_logprobs

PEERS: tuple[tuple[str, float, dict[str, bool]], ...] = (
    ("without gradient checkpointing", 0.0, {"checkpointing": False}),
    ("as it comes", 2.0, {}),
)
"""Of each, so many times as fast is promised."""
PROMPTS = 48


def main() -> int:
    torch.set_num_threads(1)
    off = same_curve(Sides(*(partial(side, 2 * BATCH, 2 * BATCH, CURVE_STEPS) for side in (ours, trl))))
    tokens = len(groups(PROMPTS).rows.ids)
    found = []
    for name, least, options in PEERS:
        sides = Sides(partial(ours, PROMPTS, BATCH, 1), partial(trl, PROMPTS, BATCH, 1, **options))
        found.append((compare(f"DPO on {PROMPTS} pairs, peer: TRL {name}", tokens, sides), least))
    return finish(off, found)


def ours(count: int, batch: int, passes: int) -> Callable[[], list[float]]:
    """Our loop on so many prompts, with so many of them in a step."""
    data, net = groups(count), policy()
    config = DPOConfig(prompts_per_step=batch, passes=passes, **OURS)

    def train() -> list[float]:
        with silence():
            reference = sequence_logprobs(net, data)
            return [loss for _, loss in dpo(net, data, config, reference=reference, what="bench").curve]

    return train


def trl(count: int, batch: int, passes: int, *, checkpointing: bool = True) -> Callable[[], list[float]]:
    """TRL's on the same pairs."""
    from trl import DPOConfig, DPOTrainer

    columns = [
        {"prompt": words(prompt).removesuffix(" <end>"), "chosen": words(better), "rejected": words(worse)}
        for prompt, better, worse in compared(count)
    ]
    options = settings(batch, passes, checkpointing=checkpointing)
    with silence():
        trainer = DPOTrainer(
            policy(), ref_model=policy(), args=DPOConfig(**options), train_dataset=dataset(columns),
            processing_class=tokenizer(),
        )  # fmt: skip
    return partial(losses, trainer)


if __name__ == "__main__":
    sys.exit(main())
