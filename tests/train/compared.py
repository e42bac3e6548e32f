"""Random comparisons for the training tests."""

from collections.abc import Sequence

from train.rows import Row, random_row

from truing.train import ComparedRows

RANKINGS = ((1, 2), (2, 1, 3), (1, 1, 2, 3), (2, 1), (1, 2, 2), (3, 2, 1), (1, 2), (2, 1))
"""The ranks of the answers of eight prompts, ties among them."""


def random_prompt(number: int, ranks: Sequence[int]) -> tuple[list[Row], list[int]]:
    """A prompt of up to 30 tokens and its answers, none of equal length and all with loss on the answer."""
    prompt = random_row(number, 4 + 13 * number % 27).ids
    rows = []
    for k in range(len(ranks)):
        answer = random_row(1000 + 10 * number + k, 2 + (5 * number + 7 * k) % 19).ids
        rows.append(Row(prompt + answer, (False,) * len(prompt) + (True,) * len(answer)))
    return rows, list(ranks)


def random_comparisons(rankings: Sequence[Sequence[int]] = RANKINGS, *, first: int = 0) -> ComparedRows:
    return ComparedRows.of(random_prompt(first + i, ranks) for i, ranks in enumerate(rankings))
