"""The result of an audit: what `audit.json` holds and what the terminal shows."""

from dataclasses import dataclass, fields
from typing import Any

from truing.audit.comparison import Comparison, RefusalCounts
from truing.audit.drift import Drift
from truing.audit.figures import Figure
from truing.audit.gate import Decision, Finding
from truing.audit.policy import Policy
from truing.audit.settings import Settings
from truing.audit.traces import TraceSafety
from truing.types import FrozenDict, Record, thaw


@dataclass(frozen=True)
class SuiteRecord(Record):
    """A suite as it was used: `files` maps file names to SHA-256, `asked` counts after the limit."""

    name: str
    version: str
    asked: int
    items: int
    files: FrozenDict


@dataclass(frozen=True)
class NotAsked(Record):
    """Rows of a suite that were not measured, and why."""

    what: str
    rows: int
    why: str


@dataclass(frozen=True)
class ModelRecord(Record):
    """A model as it was used. `ground` says what a result on it can claim; empty where nothing is known."""

    ref: str
    fingerprint: str
    format: FrozenDict
    ground: str = ""


@dataclass(frozen=True)
class Described(Record):
    """Of one model on one dimension: its published figures, and how its reasoning ended (`Trace` -> answers)."""

    dimension: str
    model: str
    figures: tuple[Figure, ...]
    traces: FrozenDict


@dataclass(frozen=True)
class Noise(Record):
    """The baseline compared with itself on one dimension: of `pairs` compared, `flipped` changed their score."""

    dimension: str
    pairs: int
    flipped: int
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class AuditResult(Record):
    """Everything a reader needs to judge the verdict; no clock, and no path but the references that were given."""

    truing: str
    decision: Decision
    candidate: ModelRecord
    baseline: ModelRecord
    settings: Settings
    policy: Policy
    graders: FrozenDict
    suites: tuple[SuiteRecord, ...]
    comparisons: tuple[Comparison, ...]
    baseline_refusals: RefusalCounts
    candidate_refusals: RefusalCounts
    described: tuple[Described, ...] = ()
    noise: tuple[Noise, ...] = ()
    traces: tuple[TraceSafety, ...] = ()
    drift: tuple[Drift, ...] = ()
    not_asked: tuple[NotAsked, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `Record.to_json`, with every setting and all of the policy: evidence names its defaults, too."""
        return Record.to_json(self) | {"settings": _whole(self.settings), "policy": _whole(self.policy)}

    @property
    def drawn(self) -> str:
        """How answers were drawn, in two words at most."""
        return "greedy" if self.settings.temperature == 0 else f"T = {self.settings.temperature:g}"

    @property
    def level(self) -> str:
        """The level of the intervals of the differences, for people."""
        return f"{100 * self.policy.level:g}%"

    @property
    def decoding(self) -> str:
        """How answers were drawn, in words."""
        s = self.settings
        if s.temperature == 0:
            return f"greedy, at most {s.max_tokens} tokens"
        cut = "".join(
            [f", top-p {s.top_p:g}" if s.top_p < 1 else "", f", top-k {s.top_k}" if s.top_k else ""]
        )
        return f"sampled at temperature {s.temperature:g}{cut}, at most {s.max_tokens} tokens, seed {s.seed}"

    def finding(self, dimension: str) -> Finding:
        """The finding of a dimension."""
        return next(f for f in self.decision.findings if f.dimension == dimension)

    def lines(self) -> list[str]:
        """The result for a terminal: a table, then the verdict."""
        width = max([len("dimension"), *(len(f.dimension) for f in self.decision.findings)])
        lines = [
            f"{'dimension':<{width}}  baseline  candidate  {f'difference ({self.level})':<22}  items  judged  status"
        ]
        by_name = {c.dimension: c for c in self.comparisons}
        for finding in self.decision.findings:
            c = by_name.get(finding.dimension)
            numbers = " " * 47 if c is None else _numbers(c)
            lines.append(f"{finding.dimension:<{width}}  {numbers}  {finding.status}: {finding.reason}")
        return [*lines, "", f"{self.decision.status}: {self.decision.reason}"]


def _numbers(c: Comparison) -> str:
    if c.difference is None or c.low is None or c.high is None:
        return f"{'-':>8}  {'-':>9}  {'-':<22}  {c.items:>5}  {c.coverage:>6.0%}"
    interval = f"{100 * c.difference:+.1f} [{100 * c.low:+.1f}, {100 * c.high:+.1f}]"
    return f"{c.baseline.score:>8.1%}  {c.candidate.score:>9.1%}  {interval:<22}  {c.items:>5}  {c.coverage:>6.0%}"


def _whole(record: Record) -> dict[str, Any]:
    """Every field, those that hold their default included."""
    told = record.to_json()
    return {field.name: told.get(field.name, thaw(getattr(record, field.name))) for field in fields(record)}  # type: ignore[arg-type]
