"""The plots of the reward-hacking page."""

from collections.abc import Sequence
from math import inf, isfinite
from typing import TYPE_CHECKING

from truing.numerics import moving_mean
from truing.pages import TraceLine, TracePanel, trace_plot
from truing.train import HackingReport, Update, held_out_series, measured
from truing.types import Stop

if TYPE_CHECKING:
    from markupsafe import Markup

_FEWEST = 2  # points of a line
_MOST = 5  # components that are drawn


def updates_plot(updates: Sequence[Update], report: HackingReport) -> "Markup | None":
    """The reward and each held-out metric over the updates; None where there is no line to draw."""
    panels = [
        TracePanel("reward, mean of an update", (line,))
        for line in _line("reward", _pairs(updates, "reward"))
    ]
    for one in report.held_out:
        at, values, errors = held_out_series(updates, one.metric)
        line = _line(one.metric, list(zip(map(float, at), values, strict=True)), errors)
        panels += [TracePanel(f"held out: {one.metric}", (each,)) for each in line]
    if not panels:
        return None
    best = next((one for one in report.held_out if one.best_at), None)
    return trace_plot(
        panels,
        axis="update",
        title="What was learnt from, and what was not",
        span=None if best is None else (float(best.best_at[0]), float(best.best_at[1])),
        span_label="" if best is None else f"best of {best.metric}",
    )


def distance_plot(updates: Sequence[Update], report: HackingReport) -> "Markup | None":
    """The same over the KL, on an axis of its square root, as Gao et al. 2023 (figure 1) draw it."""
    spent = measured(updates, "kl")
    known = [u for u in updates if u.update in dict(spent)]
    if len(known) < _FEWEST:
        return None
    smooth = moving_mean([kl for _, kl in spent])[0]
    place = {u.update: max(0.0, float(kl)) for u, kl in zip(known, smooth, strict=True)}
    series: list[tuple[str, list[tuple[float, float]], list[float] | None]]
    series = [("reward", _pairs(known, "reward"), None)]
    for one in report.held_out:
        at, values, errors = held_out_series(known, one.metric)
        series.append((f"held out: {one.metric}", list(zip(map(float, at), values, strict=True)), errors))
    panels = [
        TracePanel(name, (line,))
        for name, pairs, errors in series
        for line in _line(name, *_by_distance(pairs, errors, place))
    ]
    if not panels:
        return None
    axis = "KL from the reference: nats per completion, spaced by the square root"
    return trace_plot(panels, axis=axis, title="What each nat bought", scale="root")


def components_plot(updates: Sequence[Update], report: HackingReport) -> "Markup | None":
    """The mean of weight times value of each reward; None for a single one."""
    lines = []
    for one in report.components[:_MOST]:
        pairs = [
            (float(u.update), float(v)) for u in updates if (v := u.components.get(one.name)) is not None
        ]
        lines += [TraceLine(one.name, line.x, line.y, line.band) for line in _line(one.name, pairs)]
    if len(lines) < 2:
        return None
    panel = TracePanel("weight times value, mean over the rows it applies to", tuple(lines))
    return trace_plot([panel], axis="update", title="What the reward is made of")


def signs_plot(updates: Sequence[Update]) -> "Markup | None":
    """Length, repetition, endings, groups, entropy and KL over the updates."""
    rows = [(u, sum(u.stops.values())) for u in updates]
    cut = [(float(u.update), u.stops.get(Stop.length, 0) / n) for u, n in rows if n]
    alike = [(float(u.update), u.zero_variance_groups / u.groups) for u in updates if u.groups]
    drawn = [
        ("length, tokens", _pairs(updates, "length"), False),
        ("completions that ran out of tokens", cut, True),
        ("groups whose rewards are all alike", alike, True),
        ("4-grams that stood earlier in the completion", _pairs(updates, "duplicate_ngrams"), True),
        ("entropy, nats per token", _pairs(updates, "entropy"), False),
        ("KL to the reference, nats per token", _pairs(updates, "kl_spent"), False),
    ]
    panels = [
        TracePanel(name, (line,), percent, 0.0)
        for name, pairs, percent in drawn
        for line in _line(name, pairs, low=0.0)
    ]
    if not panels:
        return None
    return trace_plot(panels, axis="update", title="Over the updates")


def _pairs(updates: Sequence[Update], name: str) -> list[tuple[float, float]]:
    return [(float(at), value) for at, value in measured(updates, name)]


def _line(
    name: str,
    pairs: Sequence[tuple[float, float]],
    errors: Sequence[float] | None = None,
    low: float | None = None,
) -> list[TraceLine]:
    """The mean with its band and what was measured; nothing where there are not two points."""
    if len(pairs) < _FEWEST:
        return []
    x, y = zip(*pairs, strict=True)
    bars = (
        None
        if errors is None
        else tuple((v - 1.96 * e, v + 1.96 * e) for v, e in zip(y, errors, strict=True))
    )
    means, halves = (part.tolist() for part in moving_mean(y, errors=errors))
    band = None
    if isfinite(halves[0]):
        least = -inf if low is None else low
        band = tuple((max(m - h, least), m + h) for m, h in zip(means, halves, strict=True))
    return [TraceLine(name, x, tuple(means), band, y, bars)]


def _by_distance(
    pairs: Sequence[tuple[float, float]], errors: Sequence[float] | None, place: dict[int, float]
) -> tuple[list[tuple[float, float]], list[float] | None]:
    """The measurements at the KL of their updates, nearest first."""
    order = sorted(range(len(pairs)), key=lambda i: place[int(pairs[i][0])])
    placed = [(place[int(pairs[i][0])], pairs[i][1]) for i in order]
    return placed, None if errors is None else [errors[i] for i in order]
