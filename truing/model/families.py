"""Sequences that begin alike: which of them should read their common beginning once."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

Ids = tuple[int, ...]

_OVERHEAD = 32
"""What it takes to read a beginning by itself and to copy its keys and values, in tokens."""


@dataclass(slots=True)
class Family:
    """Different rows in order, of which the first `common` tokens are equal; no row ends there.

    A row that shares too little with any other is a family of its own, with `common` 0.
    """

    rows: list[Ids]
    common: int = 0

    @property
    def rest(self) -> int:
        """Tokens of the longest row after what is common."""
        return max(map(len, self.rows)) - self.common

    def parts(self, size: int) -> list["Family"]:
        """The family in families of at most `size` rows."""
        return [Family(self.rows[at : at + size], self.common) for at in range(0, len(self.rows), size)]


def families(rows: Sequence[Ids]) -> list[Family]:
    """Rows, sorted and different, in families of neighbours, by which few tokens are read.

    Beginnings nest (questions about one answer, answers to one prompt, prompts under one template); of
    each chain of nested families the level is chosen at which the fewest are read. Where rows begin each other,
    a cut that is no such level may save a token more; to look for it takes all pairs of rows.
    """
    if not rows:
        return []
    open: list[_Beginning] = []
    for i, row in enumerate(rows):
        done = _Beginning(0, [row], len(row), len(row), [Family([row])])
        common = _shared(row, rows[i + 1]) if i + 1 < len(rows) else -1
        while open and open[-1].common > common:
            open[-1].add(done)
            done = open.pop()
        if common < 0:
            break
        if not open or open[-1].common < common:
            open.append(_Beginning(common))
        open[-1].add(done)
    return done.families


@dataclass(slots=True)
class _Beginning:
    """All rows with the same first `common` tokens, and what it takes to read them in parts that share more."""

    common: int
    rows: list[Ids] = field(default_factory=list)
    tokens: int = 0
    apart: int = 0
    parts: list[Family] = field(default_factory=list)

    def add(self, part: "_Beginning") -> None:
        """Take in neighbours that share more, or a row."""
        self.rows += part.rows
        self.tokens += part.tokens
        self.apart += min(part.apart, part.together)
        self.parts += part.families

    @property
    def together(self) -> int:
        """What it takes to read all rows as one family, in tokens."""
        return self.tokens - self.common * (len(self.rows) - 1) + _OVERHEAD

    @property
    def families(self) -> list[Family]:
        """The better of both."""
        return [Family(self.rows, self.common)] if self.together < self.apart else self.parts


def _shared(a: Ids, b: Ids) -> int:
    """How many first tokens are equal; one at least of each stays over."""
    most = min(len(a), len(b)) - 1
    return bisect_left(range(most), True, key=lambda at: a[: at + 1] != b[: at + 1])
