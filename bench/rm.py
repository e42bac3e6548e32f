"""Training a reward model against TRL's `RewardTrainer`: prompts with two answers, of 24 to 320 tokens.

First both sides take the same steps and their losses are compared, then each trains one pass with eight
prompts a step. The peer reads pairs only; of K answers it would read K - 1 times as many rows as ours.
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
    same_curve,
    scalar,
    settings,
    silence,
    tokenizer,
)
from truing.train import RewardConfig, reward_modelling

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
        found.append((compare(f"a reward model on {PROMPTS} pairs, peer: TRL {name}", tokens, sides), least))
    return finish(off, found)


def ours(count: int, batch: int, passes: int) -> Callable[[], list[float]]:
    """Our loop on so many prompts, with so many of them in a step."""
    data, net = groups(count), scalar()
    config = RewardConfig(prompts_per_step=batch, passes=passes, **OURS)

    def train() -> list[float]:
        with silence():
            return [loss for _, loss in reward_modelling(net, data, config, what="bench").curve]

    return train


def trl(count: int, batch: int, passes: int, *, checkpointing: bool = True) -> Callable[[], list[float]]:
    """TRL's on the same pairs."""
    from trl import RewardConfig, RewardTrainer

    ends = (1,)
    columns = [
        {"chosen_ids": prompt + better + ends, "rejected_ids": prompt + worse + ends}
        for prompt, better, worse in compared(count)
    ]
    options = settings(batch, passes, checkpointing=checkpointing)
    with silence():
        trainer = RewardTrainer(
            scalar(), RewardConfig(**options), train_dataset=dataset(columns), processing_class=tokenizer()
        )
    return partial(losses, trainer)


if __name__ == "__main__":
    sys.exit(main())
