"""Random rows of token ids for the training tests."""

from dataclasses import dataclass

import numpy as np

from truing.train import TokenRows


@dataclass(frozen=True)
class Row:
    ids: tuple[int, ...]
    mask: tuple[bool, ...]


def random_row(seed: int, length: int, *, trained_from: int = 1, vocabulary: int = 400) -> Row:
    """A row of random ids that is trained on from the given place."""
    ids = np.random.default_rng([seed, length]).integers(5, vocabulary, length)
    return Row(tuple(map(int, ids)), tuple(i >= trained_from for i in range(length)))


def random_rows(lengths: tuple[int, ...], *, trained_from: int = 1) -> TokenRows:
    return TokenRows.of(random_row(i, n, trained_from=trained_from) for i, n in enumerate(lengths))
