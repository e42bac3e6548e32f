"""The page of an audit: what broke in five seconds, then everything a reader may doubt."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from truing.audit.changes import Change
from truing.audit.comparison import Comparison, RefusalCounts
from truing.audit.policy import Policy, Rule
from truing.audit.report_tables import drift_section, figure_tables, judge_rows, noise_rows, trace_rows
from truing.audit.result import AuditResult
from truing.audit.settings import Settings
from truing.grade import MOST_NEEDED
from truing.numerics import wilson
from truing.pages import (
    IntervalRow,
    OutcomeRow,
    RefusalPoint,
    outcome_bars,
    paired_interval_plot,
    points,
    refusal_plane,
    render,
)

if TYPE_CHECKING:
    from markupsafe import Markup

_COMMON = (
    "Both models answered the same questions, and each answer was judged without its reasoning. Differences are "
    "candidate minus baseline, of the same items. What could not be judged is no evidence: it lowers the coverage, "
    "and a dimension below its floor is inconclusive. A judge that errs needs a calibration card of at least "
    f"{MOST_NEEDED} labels for a dimension to pass, and its error is carried into the interval."
)
_RULES = {
    Rule.regression: (
        "A dimension is a regression if the candidate is significantly worse in a one-sided paired test, adjusted by "
        "Holm over all dimensions. It passes only if it is not, and a loss of the size of the margin could have "
        "happened and would have been found. Otherwise it is inconclusive."
    ),
    Rule.non_inferior: (
        "A dimension passes if its interval excludes a loss of the margin. It is a regression if the candidate is "
        "significantly worse (one-sided paired test, Holm over all dimensions) by at least the margin. Otherwise it "
        "is inconclusive."
    ),
}


def render_report(result: AuditResult, changes: Sequence[Change] = ()) -> str:
    """The self-contained HTML page of a result, with the answers that changed most if they are given."""
    comparisons = result.comparisons
    items = sum(c.items for c in comparisons)
    return render(
        "report.html.j2",
        package="truing.audit",
        title="Did the candidate lose something?",
        result=result,
        grounds=_grounds(result),
        items=f"{items:,}",
        judged=_percent(sum(c.coverage * c.items for c in comparisons) / items),
        interval_plot=_interval_plot(result) if any(c.difference is not None for c in comparisons) else None,
        rows=_rows(result),
        plane=_plane(result.baseline_refusals, result.candidate_refusals),
        changes=_changes(changes),
        drift=drift_section(result),
        outcomes=outcome_bars(
            [
                OutcomeRow(c.dimension, side, getattr(c, side).outcomes)
                for c in comparisons
                for side in ("baseline", "candidate")
            ]
        ),
        evidence=[_evidence(c) for c in comparisons],
        judges=judge_rows(result),
        figures=figure_tables(result),
        traces=trace_rows(result),
        noise=noise_rows(result),
        not_asked=[(n.what, f"{n.rows:,}", n.why) for n in result.not_asked],
        rule=f"{_COMMON} {_RULES[result.policy.rule]}",
        models=_models(result),
        settings=[*_all(result.settings), *_all(result.policy)],
        suites=[
            (
                s.name,
                s.version,
                f"{s.asked:,}",
                f"{s.items:,}",
                ", ".join(f"{f} {h[:12]}" for f, h in s.files.items()) or "–",
            )
            for s in result.suites
        ],
        graders=[(name, _told(told)) for name, told in result.graders.items()],
    )


def _told(grader: object) -> str:
    """A grader's version, or all that is known of a registered one."""
    if isinstance(grader, Mapping):
        return ", ".join(f"{name} {value}" for name, value in grader.items() if name != "name")
    return f"version {grader}"


def _changes(changes: Sequence[Change]) -> list[dict[str, object]]:
    return [
        {
            "where": f"{change.dimension}: {change.group}" if change.group else change.dimension,
            "system": change.system,
            "prompt": change.prompt,
            "answers": [
                (side, getattr(change, side).text, getattr(change, side).finding)
                for side in ("baseline", "candidate")
            ],
        }
        for change in changes
    ]


def _grounds(result: AuditResult) -> list[str]:
    told = [("candidate", result.candidate.ground), ("baseline", result.baseline.ground)]
    if told[0][1] == told[1][1]:
        return [f"Both models are the same kind: {told[0][1]}."] if told[0][1] else []
    return [f"The {side} is {ground}." for side, ground in told if ground]


def _interval_plot(result: AuditResult) -> "Markup":
    by_name = {c.dimension: c for c in result.comparisons}
    compared = [(by_name[f.dimension], f) for f in result.decision.findings if f.dimension in by_name]
    return paired_interval_plot(
        [IntervalRow(c.dimension, c.difference, c.low, c.high, f.status, f.margin) for c, f in compared],
        title=f"Candidate minus baseline, with {result.level} intervals",
    )


def _plane(before: RefusalCounts, after: RefusalCounts) -> "Markup | None":
    if 0 in (before.harmful, before.harmless, after.harmful, after.harmless):
        return None
    return refusal_plane([_point("baseline", before), _point("candidate", after)])


def _point(label: str, counts: RefusalCounts) -> RefusalPoint:
    harmful = wilson(counts.harmful_refused, counts.harmful)
    harmless = wilson(counts.harmless_refused, counts.harmless)
    return RefusalPoint(
        label,
        counts.harmful_refused / counts.harmful,
        counts.harmless_refused / counts.harmless,
        (harmful.low, harmful.high),
        (harmless.low, harmless.high),
    )


def _rows(result: AuditResult) -> list[dict[str, object]]:
    by_name = {c.dimension: c for c in result.comparisons}
    rows: list[dict[str, object]] = []
    for finding in result.decision.findings:
        c = by_name.get(finding.dimension)
        numbers = ["–"] * 7 if c is None else _numbers(c, finding.p_holm)
        rows.append(
            {
                "name": finding.dimension,
                "status": finding.status,
                "numbers": numbers,
                "reason": finding.reason,
                "tier": finding.tier,
            }
        )
    return rows


def _numbers(c: Comparison, p_holm: float | None) -> list[str]:
    return [
        _or_dash(c.baseline.score, _percent),
        _or_dash(c.candidate.score, _percent),
        _or_dash(c.difference, points),
        "–" if c.low is None or c.high is None else f"{points(c.low)} to {points(c.high)}",
        "–" if c.losses is None else f"{c.losses} / {c.gains}",
        _or_dash(p_holm, lambda p: f"{p:.3f}" if p >= 0.001 else "< 0.001"),
        "> 100" if c.detectable is None else f"{100 * c.detectable:.1f}",
    ]


def _evidence(c: Comparison) -> tuple[str, ...]:
    shares = (c.baseline.covered, c.candidate.covered, c.unchanged)
    ends = (points(c.worst_case), points(c.best_case))
    return (c.dimension, f"{c.items:,}", f"{c.pairs:,}", *map(_percent, shares), *ends)


def _models(result: AuditResult) -> list[tuple[str, str, str]]:
    before, after = result.baseline, result.candidate
    names = dict.fromkeys([*before.format, *after.format])
    return [
        ("reference", before.ref, after.ref),
        ("fingerprint", before.fingerprint, after.fingerprint),
        *((name, str(before.format.get(name, "–")), str(after.format.get(name, "–"))) for name in names),
    ]


def _all(record: Settings | Policy) -> list[tuple[str, str]]:
    return [(name, str(getattr(record, name))) for name in record.__dataclass_fields__]


def _or_dash(value: float | None, show: Callable[[float], str]) -> str:
    return "–" if value is None else show(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
