"""Answers that were compared: the rows of one prompt's answers side by side, with their ranks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

import numpy as np
from numpy.typing import NDArray

from truing.train.rows import Row, TokenRows
from truing.types import InputError


@dataclass(frozen=True, eq=False)
class ComparedRows:
    """The answers of G prompts, N in all, each a row of its own that begins with its prompt.

    The answers of a prompt are one element of a batch and never split over steps (Ouyang et al. 2022,
    section 3.5): of K answers each is read once for all its pairs, and no pair comes back in another step.
    """

    rows: TokenRows
    """Every answer, rendered with its prompt; the mask is true at the answer's tokens."""
    groups: NDArray[np.int64]
    """The answers of prompt g are the rows groups[g] : groups[g + 1]; [G + 1]."""
    ranks: NDArray[np.int64]
    """1 is the best answer of its prompt, equal is a tie [N]."""
    shared: NDArray[np.int64]
    """So many tokens all rows of a prompt begin with; the last token of a row is not among them [G]."""

    @classmethod
    def of(cls, groups: Iterable[tuple[Sequence[Row], Sequence[int]]]) -> Self:
        """Lay out prompts, each as its answers' rows (such as `Rendered`) and their ranks.

        What all rows of a prompt begin with carries no loss here: it adds the same to each of them
        and cancels where they are compared.

        Raises:
            InputError: there are no prompts, or all answers of one are tied or alike; prompts count from 1.
        """
        rows: list[Row] = []
        sizes: list[int] = []
        ranks: list[int] = []
        shared: list[int] = []
        for number, (answers, places) in enumerate(groups, start=1):
            if len(answers) != len(places):
                raise ValueError(f"prompt {number} has {len(answers)} answers and {len(places)} ranks")
            if len(set(places)) < 2:
                raise InputError(f"prompt {number} has no two answers of different rank", mend="leave it out")
            common = _common(answers, number)
            rows += [_Answer(row.ids, [*[False] * common, *row.mask[common:]]) for row in answers]
            shared.append(common)
            ranks += places
            sizes.append(len(answers))
        if not rows:
            raise InputError("there are no comparisons to train on")
        numbers = (np.cumsum([0, *sizes]), np.array(ranks), np.array(shared))
        return cls(TokenRows.of(rows), *(x.astype(np.int64) for x in numbers))

    def __len__(self) -> int:
        return len(self.groups) - 1

    @property
    def digest(self) -> str:
        """SHA-256 of the rows, which of them belong together, and their ranks."""
        parts = (self.groups.astype("<i8").tobytes(), self.ranks.astype("<i8").tobytes())
        return sha256(b"".join([self.rows.digest.encode(), *parts])).hexdigest()


@dataclass(frozen=True)
class _Answer:
    ids: Sequence[int]
    mask: Sequence[bool]


def _common(answers: Sequence[Row], number: int) -> int:
    ids = [answer.ids for answer in answers]
    shortest = min(map(len, ids))
    common = next((i for i in range(shortest) if len({row[i] for row in ids}) > 1), shortest)
    if all(len(row) == common for row in ids):
        raise InputError(f"the answers of prompt {number} are all alike", mend="leave it out")
    return min(common, shortest - 1)
