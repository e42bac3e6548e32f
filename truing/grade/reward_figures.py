"""How far a reward can be trusted: measured on comparisons that it was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from truing.data import Comparison
from truing.grade.style import said
from truing.numerics import Reliability, paired_bootstrap, reliability, spearman
from truing.types import Record, digest

Table = NDArray[np.float64]
Rewards = Sequence[Sequence[float] | None]
"""The rewards of the answers of each comparison; None for one that could not be scored."""


@dataclass(frozen=True, slots=True)
class PairShare(Record):
    """A share of pairs, or a difference of two, with its 95 % interval over prompts."""

    name: str
    pairs: int
    prompts: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RewardFigures(Record):
    """What a reward does on held-out pairs of answers of which one is better."""

    accuracy: PairShare
    """How often the better answer has the higher reward; equal rewards count half."""
    length: PairShare
    """How often the rule on length alone is right, on the same pairs."""
    length_rule: str
    """`longer` or `shorter` is better: whichever does better where the reward was trained."""
    over_length: PairShare
    """The accuracy minus that of length."""
    labelers: tuple[PairShare, ...]
    """The accuracy for each labeler, where the rows say who compared."""
    groups: tuple[PairShare, ...]
    """The accuracy for each group of labelers."""
    loss: float
    """Mean -log P(better), in nats; without knowledge it is log 2 = 0.693."""
    calibration: Reliability
    """How often the answer with the higher reward is the better one, against P = sigmoid(difference)."""
    length_correlation: float | None
    """Spearman's correlation of rewards and lengths within pairs; None where it is undefined."""
    unscored: int
    """Comparisons left out because an answer could not be scored."""

    @property
    def sentence(self) -> str:
        """The accuracy beside that of length, in words."""
        own, length, over = self.accuracy, self.length, self.over_length
        return (
            f"right on {own.value:.1%} [{own.low:.1%}, {own.high:.1%}] of {own.pairs:,} held-out pairs, where "
            f"'{length.name}' is right on {length.value:.1%}: {100 * over.value:+.1f} points "
            f"[{100 * over.low:+.1f}, {100 * over.high:+.1f}]"
        )


def longer_is_better(rows: Sequence[Comparison]) -> bool:
    """Whether the longer answer is the better one more often than the shorter one."""
    lengths = [[len(said(answer)) for answer in row.answers] for row in rows]
    signs = [np.sign(k[i] - k[j]) for row, k in zip(rows, lengths, strict=True) for i, j in row.pairs]
    return bool(sum(signs) >= 0)


def measure_reward(
    rows: Sequence[Comparison], rewards: Rewards, *, longer: bool, key: int = 0
) -> RewardFigures:
    """Measure rewards on comparisons.

    Args:
        rows: held-out comparisons.
        rewards: for each, the rewards of its answers.
        longer: which rule on length it has to beat (see `longer_is_better`, of the training side).
        key: draws the resamples of the intervals; prompts are resampled whole.

    Raises:
        ValueError: there is not one reward for each answer, or no comparison has rewards.
    """
    pairs, margins, lengths = _pairs(rows, rewards)
    if not pairs:
        raise ValueError("no comparison was scored")
    right, rule = _won(margins), _won(lengths if longer else -lengths)
    prompts = [digest([m.to_json() for m in row.prompt]) for row in pairs]
    chosen = np.arange(len(pairs))

    def share(name: str, values: Table, of: NDArray[np.int64], low: float = 0.0) -> PairShare:
        clusters = [prompts[i] for i in of]
        ends = paired_bootstrap(values[of], clusters=clusters, key=key, bounds=(low, 1.0))
        return PairShare(name, len(of), len(set(clusters)), float(values[of].mean()), ends.low, ends.high)

    def each(names: Sequence[str]) -> tuple[PairShare, ...]:
        column = np.array(names)
        return tuple(share(str(n), right, np.flatnonzero(column == n)) for n in sorted(set(names) - {""}))

    word = "longer" if longer else "shorter"
    # Both ways round, so that it does not matter which of two answers comes first.
    both = [np.concatenate([column, -column]) for column in (margins, lengths)]
    correlation = spearman(*both).value
    return RewardFigures(
        accuracy=share("the reward", right, chosen),
        length=share(f"{word} is better", rule, chosen),
        length_rule=word,
        over_length=share("the reward over length", right - rule, chosen, low=-1.0),
        labelers=each([row.labeler for row in pairs]),
        groups=each([row.group for row in pairs]),
        loss=float(np.logaddexp(0, -margins).mean()),
        calibration=reliability(expit(np.abs(margins)), margins > 0),
        length_correlation=None if np.isnan(correlation) else correlation,
        unscored=sum(found is None for found in rewards),
    )


def _pairs(rows: Sequence[Comparison], rewards: Rewards) -> tuple[list[Comparison], Table, Table]:
    """For each pair its comparison, and by how much reward and length of the better answer are above the other's."""
    of, margins, lengths = [], [], []
    for row, found in zip(rows, rewards, strict=True):
        if found is None:
            continue
        if len(found) != len(row.answers) or not np.isfinite(found).all():
            raise ValueError(f"the comparison {row.id} has no finite reward for each answer")
        sizes = [len(said(answer)) for answer in row.answers]
        for i, j in row.pairs:
            of.append(row)
            margins.append(float(found[i]) - float(found[j]))
            lengths.append(sizes[i] - sizes[j])
    return of, np.array(margins), np.array(lengths, dtype=np.float64)


def _won(differences: Table) -> Table:
    won: Table = (differences > 0) + 0.5 * (differences == 0)
    return won
