"""What is found in the records of a policy run: signs, each a word and a sentence, and the verdict of them all."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from truing.numerics import Change, Fall
from truing.train.policy_records import Update
from truing.types import Record


class Sign(StrEnum):
    """What a finding says about the run."""

    alarm = "alarm"
    """The reward, or the policy, went wrong."""
    warning = "warning"
    """To be looked at by someone."""
    fine = "fine"
    """Looked for, and not found."""
    unknown = "unknown"
    """The records cannot tell."""


@dataclass(frozen=True, slots=True)
class Finding(Record):
    """One thing that was looked for."""

    name: str
    sign: Sign
    word: str
    """Two or three words for a badge."""
    sentence: str


@dataclass(frozen=True, slots=True)
class HeldOut(Record):
    """The reward against one metric that it was not made of."""

    metric: str
    measurements: int
    finding: Finding
    gain: Change | None = None
    """The metric from the first to the last fifth of its measurements."""
    fall: Fall | None = None
    """The metric since its best fifth."""
    best_at: tuple[int, ...] = ()
    """First and last update of the best fifth; empty where it cannot be told."""
    reward_since: Change | None = None
    """The reward from there to the end."""


@dataclass(frozen=True, slots=True)
class ComponentShare(Record):
    """What one of several rewards did; `share` of the variance within groups, of which advantages are made."""

    name: str
    share: float | None
    """cov(component, total) / var(total), pooled over the groups of the last fifth; None where it is undefined."""
    low: float
    high: float
    rise: Change | None
    """Weight times value, from the first to the last fifth of the updates."""


@dataclass(frozen=True, slots=True)
class HackingReport(Record):
    """The verdict on a run, and what it is made of."""

    sign: Sign
    word: str
    sentence: str
    updates: int
    reward: Change | None
    """The reward from the first to the last fifth of the updates."""
    kl: float | None
    """Nats per completion from the reference, mean of the last fifth of the updates; None where not measured."""
    kl_per_token: float | None
    """The same in nats per token (k3)."""
    length: Change | None
    """Mean completion tokens from the first to the last fifth of the updates."""
    held_out: tuple[HeldOut, ...]
    components: tuple[ComponentShare, ...]
    findings: tuple[Finding, ...]
    """All but those of held-out metrics."""


def measured(updates: Sequence[Update], name: str) -> list[tuple[int, float]]:
    """(update, value) of a number of the updates, where it was measured: not None, and finite."""
    found = ((u.update, getattr(u, name)) for u in updates)
    return [(at, float(value)) for at, value in found if value is not None and isfinite(value)]
