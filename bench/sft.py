"""Supervised fine-tuning against TRL's `SFTTrainer`, as it is and with its packing: real tokens per second.

Rows of 16 to 256 tokens, about half of each a prompt without loss. First both sides take the same steps
and their losses are compared, then each trains one pass with eight rows a step.
"""

import sys
from collections.abc import Callable
from functools import partial

import torch

from bench.training_part import (
    BATCH,
    CURVE_STEPS,
    LONGEST,
    OURS,
    Row,
    Sides,
    answer,
    compare,
    dataset,
    finish,
    losses,
    policy,
    same_curve,
    settings,
    silence,
    text,
    tokenizer,
)
from truing.numerics import generator
from truing.train import SupervisedConfig, TokenRows, supervised

PEERS: tuple[tuple[str, float, dict[str, bool]], ...] = (
    ("without gradient checkpointing", 0.0, {"checkpointing": False}),
    ("with packing, without gradient checkpointing", 0.0, {"packing": True, "checkpointing": False}),
    ("with packing", 2.0, {"packing": True}),
    ("as it comes", 3.5, {}),
)
"""Of each, so many times as fast is promised."""
ROWS = 64


def main() -> int:
    torch.set_num_threads(1)
    off = same_curve(Sides(*(partial(side, 2 * BATCH, 2 * BATCH, CURVE_STEPS) for side in (ours, trl))))
    tokens = sum(len(row.ids) for row in rows(ROWS))
    found = []
    for name, least, options in PEERS:
        sides = Sides(partial(ours, ROWS, BATCH, 1), partial(trl, ROWS, BATCH, 1, **options))
        found.append(
            (compare(f"supervised fine-tuning on {ROWS} rows, peer: TRL {name}", tokens, sides), least)
        )
    return finish(off, found)


def rows(count: int) -> list[Row]:
    """Prompts with an answer."""
    made = []
    for i in range(count):
        whole = text("sft", str(i), 16, LONGEST)
        prompt = max(1, round(len(whole) * generator(0, "share", str(i)).uniform(0.2, 0.8)))
        made.append(answer(whole[:prompt], whole[prompt:-1]))
    return made


def ours(count: int, batch: int, passes: int) -> Callable[[], list[float]]:
    """Our loop on so many rows, with so many of them in a step on average."""
    data, net = TokenRows.of(rows(count)), policy()
    per_step = round(batch * data.lengths.mean())
    config = SupervisedConfig(tokens_per_step=per_step, passes=passes, **OURS)

    def train() -> list[float]:
        with silence():
            return [loss for _, loss in supervised(net, data, config, what="bench").curve]

    return train


def trl(
    count: int, batch: int, passes: int, *, packing: bool = False, checkpointing: bool = True
) -> Callable[[], list[float]]:
    """TRL's; packed, its rows have as many tokens as eight of ours on average, one a step."""
    from trl import SFTConfig, SFTTrainer

    made = rows(count)
    columns = [{"input_ids": row.ids, "completion_mask": [int(m) for m in row.mask]} for row in made]
    options = settings(batch, passes, checkpointing=checkpointing) | {"completion_only_loss": True}
    if packing:
        mean = sum(len(row.ids) for row in made) // len(made)
        options |= {"packing": True, "per_device_train_batch_size": 1, "max_length": batch * mean}
    with silence():
        trainer = SFTTrainer(
            policy(), SFTConfig(**options), train_dataset=dataset(columns), processing_class=tokenizer()
        )
    return partial(losses, trainer)


if __name__ == "__main__":
    sys.exit(main())
