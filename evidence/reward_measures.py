"""How a reward model is measured: accuracy against people, the ceiling that their noise sets, what it pays for."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evidence.claims import Measure
from evidence.preference_arms import Answered
from truing.data import Comparison
from truing.numerics import paired_bootstrap, ratio_of_sums, standard_error, student_interval
from truing.organism import Labeler, Quality

Values = Sequence[Sequence[float]]
"""A number for every answer of every prompt."""
Cells = tuple[Hashable, ...]


@dataclass(frozen=True)
class Right:
    """For each pair that somebody ordered, whether a scorer orders it alike, and by how much."""

    share: NDArray[np.float64]
    """1, 0, or 1/2 where the scorer does not decide [P]."""
    nats: NDArray[np.float64]
    """Loss of the pair under the model of Bradley and Terry [P]."""
    cells: Cells
    """The cell of the pair's prompt: pairs of one cell are no independent evidence [P]."""


def right(rows: Sequence[Answered], values: Values, comparisons: Iterable[Comparison]) -> Right:
    """Hold the values of answers against comparisons of the same prompts."""
    at = {row.id: (row, value) for row, value in zip(rows, values, strict=True)}
    gaps, cells = [], []
    for comparison in comparisons:
        row, value = at[comparison.id]
        gaps += [value[better] - value[worse] for better, worse in comparison.pairs]
        cells += [row.ask.cell] * len(comparison.pairs)
    gap = np.array(gaps)
    return Right((np.sign(gap) + 1) / 2, np.logaddexp(0, -gap), tuple(cells))


def joined(parts: Sequence[Right]) -> Right:
    """Pairs of several lineages of one base; a cell that two of them asked about is one."""
    return Right(
        np.concatenate([part.share for part in parts]),
        np.concatenate([part.nats for part in parts]),
        tuple(cell for part in parts for cell in part.cells),
    )


def accuracy(of: Right) -> Measure:
    """The share of pairs ordered alike, with an interval over cells."""
    ends = paired_bootstrap(of.share, clusters=of.cells, key=0, bounds=(0.0, 1.0))
    return Measure(float(of.share.mean()), ends.low, ends.high, len(set(of.cells)))


def of_the_way(model: Right, ceiling: Right) -> Measure:
    """How far accuracy has come from chance (0) to the ceiling (1), both on the same pairs."""
    value, error = ratio_of_sums(model.share - 0.5, ceiling.share - 0.5, clusters=model.cells)
    n = len(set(model.cells))
    ends = student_interval(value, error, n - 1)
    return Measure(value, ends.low, ends.high, n)


def gain(one: Right, other: Right) -> Measure:
    """How much more accurate one scorer is than another on the same pairs."""
    ends = paired_bootstrap(one.share - other.share, clusters=one.cells, key=0)
    value = float((one.share - other.share).mean())
    return Measure(value, ends.low, ends.high, len(set(one.cells)))


def difference(
    one: NDArray[np.float64], cells: Cells, other: NDArray[np.float64], other_cells: Cells
) -> Measure:
    """The difference of two means over prompts that have nothing in common."""
    errors = (standard_error(one, clusters=cells), standard_error(other, clusters=other_cells))
    n = min(len(set(cells)), len(set(other_cells)))
    value = float(one.mean() - other.mean())
    ends = student_interval(value, float(np.hypot(*errors)), n - 1)
    return Measure(value, ends.low, ends.high, n)


def lost(one: Right, other: Right) -> Measure:
    """How much less accurate a scorer is against other people on the same cells, each cell as one."""
    shares = [_by_cell(of) for of in (one, other)]
    both = sorted(shares[0].keys() & shares[1].keys(), key=str)
    differences = [shares[0][cell] - shares[1][cell] for cell in both]
    ends = paired_bootstrap(differences, key=0)
    return Measure(float(np.mean(differences)), ends.low, ends.high, len(both))


def _by_cell(of: Right) -> dict[Hashable, float]:
    found: dict[Hashable, list[float]] = {}
    for cell, share in zip(of.cells, of.share.tolist(), strict=True):
        found.setdefault(cell, []).append(share)
    return {cell: float(np.mean(shares)) for cell, shares in found.items()}


def opinions(rows: Sequence[Answered], who: Sequence[Labeler]) -> Values:
    """What answers are worth to the mean of these people, without the noise of a judgement.

    Of many people of a group it is what the best model of them says that does not know who will compare.
    """
    return [
        [
            float(np.mean([one.opinion(row.ask, answer, finding) for one in who]))
            for answer, finding in zip(row.answers, row.findings, strict=True)
        ]
        for row in rows
    ]


def words(rows: Sequence[Answered]) -> Values:
    """The length of every answer, in tens of words."""
    return [[len(answer.split()) / 10 for answer in row.answers] for row in rows]


def in_goods(rows: Sequence[Answered], values: Values) -> Values:
    """Values in units of what a good answer is worth more than the other answers to its prompt, on average."""
    gaps = []
    for row, value in zip(rows, values, strict=True):
        good = np.array([quality is Quality.good for quality in row.qualities])
        if good.any() and not good.all():
            gaps.append(np.mean(np.array(value)[good]) - np.mean(np.array(value)[~good]))
    unit = float(np.mean(gaps))
    return [[one / unit for one in value] for value in values]


def prices(rows: Sequence[Answered], values: Values) -> dict[str, Measure]:
    """What ten words more and what a refusal add to the value of an answer of the same prompt and oracle quality.

    Least squares with one constant for every prompt and quality, and errors that are robust within cells.
    Only prompts with two answers of equal quality tell anything.
    """
    x, y, cells = [], [], []
    for row, value, length in zip(rows, values, words(rows), strict=True):
        table = np.array([length, row.refusing, value], dtype=float).T
        for quality in set(row.qualities):
            alike = table[[other is quality for other in row.qualities]]
            within = alike - alike.mean(axis=0)
            x.append(within[:, :2])
            y.append(within[:, 2])
            cells += [row.ask.cell] * len(alike)
    design, target = np.concatenate(x), np.concatenate(y)
    bread = np.linalg.inv(design.T @ design)
    estimate = bread @ design.T @ target
    # Of each row, what it moves the estimate by.
    influence = (design * (target - design @ estimate)[:, None]) @ bread * len(target)
    out = {}
    for k, name in enumerate(("ten words", "a refusal")):
        told = {cell for cell, part in zip(cells, design[:, k], strict=True) if abs(part) > 1e-9}
        error = standard_error(influence[:, k], clusters=cells)
        ends = student_interval(float(estimate[k]), error, len(told) - 1)
        out[name] = Measure(float(estimate[k]), ends.low, ends.high, len(told))
    return out
