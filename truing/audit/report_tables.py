"""The tables of an audit's page below the verdict: judges, figures, reasoning, noise, drift."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from truing.audit.drift import OVERALL, Drift, DriftMean
from truing.audit.figures import Figure
from truing.audit.result import AuditResult
from truing.pages import DriftPoint, drift_plot, minus, points

if TYPE_CHECKING:
    from markupsafe import Markup

Cells = tuple[str, ...]


def judge_rows(result: AuditResult) -> list[Cells]:
    """Each judge that errs: where, on how many pairs, its labels, its J, and the difference before and after."""
    return [
        (
            note.grader,
            c.dimension,
            f"{note.pairs:,}",
            f"{note.labels:,}" if note.labels else "uncalibrated",
            _with_ends(note.youden, note.youden_low, note.youden_high, "{:.2f}"),
            "–" if c.judged_difference is None else points(c.judged_difference),
            "–" if c.judged_difference is None or c.difference is None else points(c.difference),
        )
        for c in result.comparisons
        for note in c.judges
    ]


def figure_tables(result: AuditResult) -> list[tuple[str, list[Cells]]]:
    """For each dimension its published figures: name, baseline, candidate, items, what it is of."""
    tables = []
    for c in result.comparisons:
        found = {
            d.model: {f.name: f for f in d.figures} for d in result.described if d.dimension == c.dimension
        }
        names = dict.fromkeys(name for figures in found.values() for name in figures)
        rows = []
        for name in names:
            before, after = (found.get(side, {}).get(name) for side in ("baseline", "candidate"))
            told = before or after
            n = " / ".join(f"{figure.n:,}" if figure else "–" for figure in (before, after))
            rows.append((name, _value(before), _value(after), n, told.note if told else ""))
        traces = _traces(result, c.dimension)
        if rows or traces:
            tables.append((c.dimension, [*rows, *traces]))
    return tables


def _traces(result: AuditResult, dimension: str) -> list[Cells]:
    """How reasoning ended, where any model reasons at all."""
    counts: dict[str, dict[str, int]] = {
        d.model: dict(d.traces) for d in result.described if d.dimension == dimension
    }
    states = sorted({state for traces in counts.values() for state in traces})
    if states in ([], ["none"]):
        return []
    rows = []
    for state in states:
        of = [counts.get(side, {}).get(state, 0) for side in ("baseline", "candidate")]
        totals = [sum(counts.get(side, {}).values()) for side in ("baseline", "candidate")]
        shares = [f"{100 * k / n:.1f}%" if n else "–" for k, n in zip(of, totals, strict=True)]
        note = "of the answers" + ("; never a refusal" if state == "unclosed" else "")
        rows.append((f"reasoning: {state}", *shares, " / ".join(f"{n:,}" for n in totals), note))
    return rows


def trace_rows(result: AuditResult) -> list[Cells]:
    """Is the reasoning less safe than the answer after it?"""
    return [
        (
            t.dimension,
            t.model,
            f"{t.n:,} of {t.n + t.missing:,}" if t.missing else f"{t.n:,}",
            *("–" if share is None else f"{100 * share:.1f}%" for share in (t.trace, t.answer)),
            "–"
            if t.difference is None or t.low is None or t.high is None
            else _with_ends(100 * t.difference, 100 * t.low, 100 * t.high, "{:+.1f}"),
        )
        for t in result.traces
    ]


def noise_rows(result: AuditResult) -> list[Cells]:
    """The baseline against itself."""
    return [
        (
            n.dimension,
            f"{n.pairs:,}",
            f"{100 * n.flipped / n.pairs:.1f}%" if n.pairs else "–",
            "–"
            if n.difference is None or n.low is None or n.high is None
            else _with_ends(100 * n.difference, 100 * n.low, 100 * n.high, "{:+.1f}"),
        )
        for n in result.noise
    ]


@dataclass(frozen=True)
class DriftSection:
    """The plot, a row for each dimension, and what a reader must know."""

    plot: "Markup | None"
    rows: list[Cells]
    flags: list[str]


def drift_section(result: AuditResult) -> DriftSection | None:
    """Drift against damage; None where it was not asked for."""
    if not result.drift:
        return None
    by_name = {c.dimension: c for c in result.comparisons}
    marks = []
    for drift in result.drift:
        c, per_token = by_name.get(drift.dimension), drift.whole.exact_per_token
        if c is not None and c.difference is not None and c.low is not None and c.high is not None:
            if per_token.value is None:
                continue
            ends = (
                None if per_token.low is None or per_token.high is None else (per_token.low, per_token.high)
            )
            marks.append(DriftPoint(c.dimension, per_token.value, -c.difference, ends, (-c.high, -c.low)))
    flags = [f"{d.dimension}: {flag}" for d in result.drift if d.dimension == OVERALL for flag in d.flags]
    return DriftSection(drift_plot(marks) if marks else None, [_drift_row(d) for d in result.drift], flags)


def _drift_row(d: Drift) -> Cells:
    return (
        d.dimension,
        f"{d.prompts:,}",
        _mean(d.whole.exact),
        _mean(d.whole.exact_per_token, "{:.3g}"),
        _mean(d.trace.exact),
        _mean(d.answer.exact),
        _mean(d.whole.k1),
        _mean(d.whole.k3),
        "–" if d.p95 is None else f"{d.p95:.3g}",
    )


def _mean(mean: DriftMean, form: str = "{:.3g}") -> str:
    return _with_ends(mean.value, mean.low, mean.high, form)


def _value(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{100 * figure.value:.1f}"
    return _with_ends(100 * figure.value, 100 * figure.low, 100 * figure.high, "{:.1f}")


def _with_ends(value: float | None, low: float | None, high: float | None, form: str) -> str:
    if value is None:
        return "–"
    if low is None or high is None:
        return minus(form.format(value))
    return minus(f"{form.format(value)} ({form.format(low)} to {form.format(high)})")
