"""Folds for cross-validation of rare labels: what is nearly the same text stays together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from truing.grade.moderation.features import words
from truing.grade.moderation.rows import Truth
from truing.numerics import uniforms

_SAME = 50
"""Characters at the beginning or the end in which copies with small changes agree."""


def draw_folds(texts: Sequence[str], truth: Truth, number: int, *, key: int) -> NDArray[np.int64]:
    """A fold for each of N texts: near copies in one, and the positives of each head spread over all: `[N]`.

    Groups of copies come in the order drawn by `key`, those of the rarest head first, and each goes
    where that head has the fewest (iterative stratification, Sechidis et al. 2011).
    """
    group = near_copies(texts)
    names = [texts[row] for row in np.unique(group)]
    positive = np.zeros((len(texts), truth.shape[1]), np.int64)
    np.maximum.at(positive, group, truth == 1)  # of a group, at its first row
    order = np.unique(group)[np.argsort(uniforms(key, names, 0, 0), kind="stable")]
    held, size = np.zeros((number, truth.shape[1]), np.int64), np.zeros(number, np.int64)
    home = np.full(len(texts), -1)
    for head in [*np.argsort(positive.sum(0), kind="stable"), None]:
        for row in order:
            if home[row] >= 0 or (head is not None and not positive[row, head]):
                continue
            crowd = size if head is None else held[:, head] * (len(texts) + 1) + size
            fold = int(np.argmin(crowd))
            home[row], held[fold], size[fold] = fold, held[fold] + positive[row], size[fold] + 1
    return home[group]


def near_copies(texts: Sequence[str]) -> NDArray[np.int64]:
    """For each text the first row of its group: texts that begin or end with the same words, marks apart."""
    parent = np.arange(len(texts))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    seen: dict[tuple[str, str], int] = {}
    for row, text in enumerate(texts):
        plain = " ".join(words(text))
        for name in (("begins", plain[:_SAME]), ("ends", plain[-_SAME:])):
            one, other = sorted((root(row), root(seen.setdefault(name, row))))
            parent[other] = one
    return np.array([root(row) for row in range(len(texts))], dtype=np.int64)
