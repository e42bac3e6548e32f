"""The page of an audit: what broke in five seconds, then everything a reader may doubt."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from truing.audit.comparison import Comparison, RefusalCounts
from truing.audit.result import AuditResult
from truing.numerics import wilson
from truing.pages import (
    IntervalRow,
    OutcomeRow,
    RefusalPoint,
    outcome_bars,
    paired_interval_plot,
    refusal_plane,
    render,
)

if TYPE_CHECKING:
    from markupsafe import Markup

_RULE = (
    "Both models answered the same questions, and each answer was judged without its reasoning. A dimension is "
    "a regression if the candidate is significantly worse in a one-sided paired test, adjusted by Holm over all "
    "dimensions. It passes only if it is not, enough items were judged for both models, and a loss of the size of "
    "the margin could have happened and would have been found. Otherwise it is inconclusive. Differences are "
    "candidate minus baseline."
)


def render_report(result: AuditResult) -> str:
    """The self-contained HTML page of a result. It shows no text of any item or answer."""
    comparisons = result.comparisons
    return render(
        "report.html.j2",
        package="truing.audit",
        title="Did the candidate lose something?",
        result=result,
        grounds=_grounds(result),
        items=f"{sum(c.items for c in comparisons):,}",
        judged=_percent(sum(c.coverage * c.items for c in comparisons) / sum(c.items for c in comparisons)),
        interval_plot=_interval_plot(result) if any(c.difference is not None for c in comparisons) else None,
        rows=_rows(result),
        plane=_plane(result.baseline_refusals, result.candidate_refusals),
        outcomes=outcome_bars(
            [
                OutcomeRow(c.dimension, side, getattr(c, side).outcomes)
                for c in comparisons
                for side in ("baseline", "candidate")
            ]
        ),
        evidence=[_evidence(c) for c in comparisons],
        not_asked=[(n.what, f"{n.rows:,}", n.why) for n in result.not_asked],
        rule=_RULE,
        models=_models(result),
        settings=[(name, str(value)) for name, value in _all_settings(result)],
        suites=[
            (
                s.name,
                s.version,
                f"{s.asked:,}",
                f"{s.items:,}",
                ", ".join(f"{f} {h[:12]}" for f, h in s.files.items()),
            )
            for s in result.suites
        ],
        graders=[(name, f"version {version}, uncalibrated") for name, version in result.graders.items()],
    )


def _grounds(result: AuditResult) -> list[str]:
    told = [("candidate", result.candidate.ground), ("baseline", result.baseline.ground)]
    if told[0][1] == told[1][1]:
        return [f"Both models are the same kind: {told[0][1]}."] if told[0][1] else []
    return [f"The {side} is {ground}." for side, ground in told if ground]


def _interval_plot(result: AuditResult) -> "Markup":
    by_name = {c.dimension: c for c in result.comparisons}
    compared = [(by_name[f.dimension], f.status) for f in result.decision.findings if f.dimension in by_name]
    rows = [IntervalRow(c.dimension, c.difference, c.low, c.high, status) for c, status in compared]
    return paired_interval_plot(rows, margin=result.settings.margin)


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
            }
        )
    return rows


def _numbers(c: Comparison, p_holm: float | None) -> list[str]:
    return [
        _or_dash(c.baseline.score, _percent),
        _or_dash(c.candidate.score, _percent),
        _or_dash(c.difference, _change),
        "–" if c.low is None or c.high is None else f"{_change(c.low)} to {_change(c.high)}",
        "–" if c.losses is None else f"{c.losses} / {c.gains}",
        _or_dash(p_holm, lambda p: f"{p:.3f}" if p >= 0.001 else "< 0.001"),
        "> 100" if c.detectable is None else f"{100 * c.detectable:.1f}",
    ]


def _evidence(c: Comparison) -> tuple[str, ...]:
    shares = (c.baseline.covered, c.candidate.covered, c.unchanged)
    return (c.dimension, f"{c.items:,}", f"{c.pairs:,}", *map(_percent, shares), _change(c.worst_case))


def _models(result: AuditResult) -> list[tuple[str, str, str]]:
    before, after = result.baseline, result.candidate
    names = dict.fromkeys([*before.format, *after.format])
    return [
        ("reference", before.ref, after.ref),
        ("fingerprint", before.fingerprint, after.fingerprint),
        *((name, str(before.format.get(name, "–")), str(after.format.get(name, "–"))) for name in names),
    ]


def _all_settings(result: AuditResult) -> list[tuple[str, object]]:
    return [(name, getattr(result.settings, name)) for name in result.settings.__dataclass_fields__]


def _or_dash(value: float | None, show: Callable[[float], str]) -> str:
    return "–" if value is None else show(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _change(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
