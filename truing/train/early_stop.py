"""When to stop for the sake of a held-out metric: a decision that anyone can make again from the journal."""

from collections.abc import Sequence
from dataclasses import dataclass

from truing.numerics import look, stop_threshold
from truing.train.hacking import held_out_series
from truing.train.policy_records import Update
from truing.types import Record


@dataclass(frozen=True, slots=True)
class EarlyStop(Record):
    """Stop when a metric, of which more is better, has fallen since its best."""

    metric: str
    measurements: int
    """How many there will be at most in the whole run."""
    patience: int = 3
    """Measurements that are averaged before they count, at the best and now."""
    least: float = 0.0
    """The smallest fall that matters, in units of the metric."""
    level: float = 0.95
    """The share of runs with a flat metric that no look stops, over all looks together."""

    def check(self) -> None:
        """Every value lies in its range."""
        if self.patience < 1 or self.measurements < max(6, 2 * self.patience):
            raise ValueError(
                "an early stop needs a patience of at least 1, and 6 measurements or twice the patience"
            )
        if self.least < 0 or not 0 < self.level < 1:
            raise ValueError("least is at least 0, and the level lies in (0, 1)")

    def decide(self, updates: Sequence[Update]) -> "StopDecision":
        """Whether to stop after the updates so far, with the reason.

        Raises:
            ValueError: a measurement is no number.
        """
        at, values, errors = held_out_series(updates, self.metric)
        seen = look(values, self.patience, errors)
        if seen is None:
            return StopDecision(False, f"{self.metric} was measured {len(values)} times: too few to stop for")
        first, fall, error = seen
        best = at[first + self.patience - 1]
        real = fall > stop_threshold(self.measurements, self.patience, self.level) * error
        told = f"{self.metric} is {fall:.3g} below its best mean of {self.patience}, up to update {best}"
        if real and fall >= self.least:
            return StopDecision(True, f"{told}, which is more than noise", best)
        return StopDecision(
            False, f"{told}, which {'is too little to matter' if real else 'may be noise'}", best
        )


@dataclass(frozen=True, slots=True)
class StopDecision(Record):
    """Stop or go on, and why."""

    stop: bool
    reason: str
    best: int | None = None
    """The last update of the best window: the checkpoint to go back to."""
