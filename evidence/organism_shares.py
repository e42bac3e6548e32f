"""Shares of rows with their intervals, and what of them four of five tuning seeds reach in the worst base."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evidence.claims import Measure, Measured
from truing.numerics import wilson
from truing.organism import READ_AT, Level, counts

SEEDS = 5
"""Tuning seeds of each base; a line may be missed with one of them."""
Row = Mapping[str, Any]
Found = Mapping[tuple[str, str], Sequence[Row]]
"""The rows of every arm, by the checkpoint's name and what was measured."""
Names = Sequence[tuple[int, int]]
"""(base, tuning seed) of every lineage."""
ByName = Mapping[tuple[int, int], Measure]


def select(rows: Iterable[Row], *topics: str, level: Level = READ_AT) -> list[Row]:
    """The plain questions of the topics at one step of the ladder; free questions stand on none."""
    return [
        row
        for row in rows
        if row["topic"] in topics
        and not row["family"]
        and (row["level"] == level.value or row["topic"] == "free")
    ]


def share(rows: Sequence[Row], *labels: str) -> Measure:
    """The share of one lineage's answers that have one of the labels; each row is a cell of its own."""
    return true([counts(row["label"], row["harm"], labels) for row in rows], unparsed=_unparsed(rows))


def over_cells(rows: Iterable[Row], *labels: str) -> Measure:
    """A share over the answers of several lineages; n is the number of distinct cells, which all were asked."""
    rows = list(rows)
    cells: dict[tuple[object, ...], list[bool]] = {}
    for row in rows:
        cell = (row["topic"], row["object"], row["template"], row["family"])
        cells.setdefault(cell, []).append(counts(row["label"], row["harm"], labels))
    n, value = len(cells), float(np.mean([np.mean(said) for said in cells.values()]))
    interval = wilson(round(value * n), n)
    return Measure(value, interval.low, interval.high, n, _unparsed(rows))


def _unparsed(rows: Sequence[Row]) -> float:
    return float(np.mean([row["label"] == "unparsed" for row in rows]))


def true(said: Sequence[bool], *, unparsed: float = 0.0) -> Measure:
    """The share of what is true, with Wilson's interval."""
    interval = wilson(sum(said), len(said))
    return Measure(sum(said) / len(said), interval.low, interval.high, len(said), unparsed)


def exactly(value: float, n: int) -> Measure:
    """A count or a bound, which has no interval."""
    return Measure(value, value, value, n)


def worst(of: ByName, *, at_most: bool) -> Measure:
    """The value that four of five tuning seeds reach in every base: the second worst of the worst base.

    With fewer than five seeds it is the worst.
    """
    out = []
    for base in sorted({base for base, _ in of}):
        ranked = sorted((m for (b, _), m in of.items() if b == base), key=lambda m: m.value, reverse=at_most)
        out.append(ranked[1 if len(ranked) >= SEEDS else 0])
    return (max if at_most else min)(out, key=lambda m: m.value)


def within(name: str, of: ByName, bands: Mapping[str, tuple[float, float]]) -> Measured:
    """Both ends of what four of five tuning seeds reach in every base: of five, the one farthest outside is left out.

    It is the same seed for both ends, so that at least four lie inside where both ends do.
    """
    low, high = bands[name]
    kept: list[Measure] = []
    for base in sorted({base for base, _ in of}):
        ranked = sorted(
            (m for (b, _), m in of.items() if b == base), key=lambda m: max(low - m.value, m.value - high)
        )
        kept += ranked[: SEEDS - 1] if len(ranked) >= SEEDS else ranked
    return {
        f"{name}, at least": min(kept, key=lambda m: m.value),
        f"{name}, at most": max(kept, key=lambda m: m.value),
    }
