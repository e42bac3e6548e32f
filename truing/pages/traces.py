"""What changed in the course of a run: panels one above the other over one axis, lines with their bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any, Literal

from truing.pages.svg import add_axes, colour, draw, short
from truing.pages.words import minus

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _NO_NAMES, _TOP, _BOTTOM, _PANEL, _GAP = 0.75, 1.6, 0.2, 0.45, 0.65, 1.3, 0.55  # inches
_COLOURS = ("accent", "inconclusive", "pass", "regression", "muted")
_LINE = 0.17  # inches between names at the end of lines


@dataclass(frozen=True)
class TraceLine:
    """One line: its points (x, y), the band around each, None where there is none, and single measurements."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    band: tuple[tuple[float, float], ...] | None = None
    dots: tuple[float, ...] | None = None
    """At the same x, what was measured, where the line is a mean of it."""
    bars: tuple[tuple[float, float], ...] | None = None
    """The interval of each measurement."""
    goal: float | None = None
    """Where it should come to: a dashed line in its colour."""


@dataclass(frozen=True)
class TracePanel:
    """The lines that share a y axis; `floor` is a value that the axis reaches down to."""

    title: str
    lines: tuple[TraceLine, ...]
    percent: bool = False
    floor: float | None = None


def trace_plot(
    panels: Sequence[TracePanel],
    *,
    axis: str,
    title: str,
    scale: Literal["linear", "root"] = "linear",
    span: tuple[float, float] | None = None,
    span_label: str = "",
) -> "Markup":
    """The panels over one x axis; `root` spaces it by the square root; `span` is shaded in all of them.

    Raises:
        ValueError: there is no line, a line is empty or its lists differ in length, a number is not finite, or an x
            is negative on an axis of roots.
    """
    for line in (line for panel in panels for line in panel.lines):
        _check(line, scale)
    if not panels or not all(panel.lines for panel in panels):
        raise ValueError("a plot of traces has panels, and each has lines")
    right = _RIGHT if any(len(panel.lines) > 1 for panel in panels) else _NO_NAMES
    height = _TOP + _BOTTOM + len(panels) * (_PANEL + _GAP)

    def paint(figure: "Figure") -> None:
        xs = [x for panel in panels for line in panel.lines for x in line.x]
        for number, panel in enumerate(panels):
            top = _TOP + _GAP + number * (_PANEL + _GAP)
            axes = add_axes(figure, left=_LEFT, right=right, top=top, bottom=height - top - _PANEL)
            _frame(axes, panel, (min(xs), max(xs)), scale, last=number == len(panels) - 1)
            figure.text(0, 1 - (top - 0.34) / height, panel.title, va="top", fontsize=11)
            if span is not None:
                _paint_span(axes, span, span_label if number == 0 else "")
            for index, line in enumerate(panel.lines):
                _paint_line(axes, line, colour(_COLOURS[index % len(_COLOURS)]))
            if len(panel.lines) > 1:
                _paint_names(axes, panel)
            if number == len(panels) - 1:
                axes.set_xlabel(axis)

    words = "; ".join(_words(panel.title, line) for panel in panels for line in panel.lines)
    return draw(height, paint, title=title, description=f"{words}.")


def _check(line: TraceLine, scale: str) -> None:
    lists = [line.y, *(part for part in (line.band, line.dots, line.bars) if part is not None)]
    ends = [end for part in (line.band, line.bars) if part for pair in part for end in pair]
    if not line.x or any(len(part) != len(line.x) for part in lists):
        raise ValueError(f"the line {line.label!r} is empty, or its lists differ in length")
    goal = () if line.goal is None else (line.goal,)
    if not all(map(isfinite, (*line.x, *line.y, *(line.dots or ()), *ends, *goal))):
        raise ValueError(f"the line {line.label!r} holds a number that is not finite")
    if scale == "root" and min(line.x) < 0:
        raise ValueError(f"the line {line.label!r} has a negative x on an axis of roots")


def _frame(axes: "Axes", panel: TracePanel, ends: tuple[float, float], scale: str, *, last: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = ends
    if scale == "root":
        axes.set_xscale("function", functions=(lambda x: abs(x) ** 0.5, lambda r: r**2))
        axes.set_xlim(0, high * 1.02 or 1.0)
        steps = _round_steps(high)
        axes.set_xticks(steps, [f"{step:g}" for step in steps])
    else:
        room = 0.015 * (high - low) or 0.5
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.minorticks_off()
    values = [
        v for line in panel.lines for v in (*line.y, *(line.dots or ()), *_flat(line.band), *_flat(line.bars))
    ]
    values += [line.goal for line in panel.lines if line.goal is not None]
    if panel.floor is not None:
        values.append(panel.floor)
    bottom, top = min(values), max(values)
    room = 0.08 * (top - bottom) or 0.08 * abs(top) or 0.5
    axes.set_ylim(bottom if bottom == panel.floor else bottom - room, top + room)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(lambda y, _: _number(y, panel.percent))
    axes.tick_params(axis="y", colors=colour("muted"))
    axes.tick_params(axis="x", labelbottom=last)
    axes.grid(color=colour("line"), linewidth=0.7)


def _round_steps(high: float) -> list[float]:
    """0 and round numbers up to `high` whose roots lie well apart."""
    if not high > 0:
        return [0.0]
    power = floor(log10(high))
    rounds = [m * 10.0**e for e in (power - 1, power) for m in (1, 2, 5)]
    steps = [0.0]
    for step in rounds:
        if step <= high and step**0.5 - steps[-1] ** 0.5 >= 0.1 * high**0.5:
            steps.append(step)
    return steps


def _flat(pairs: Sequence[tuple[float, float]] | None) -> list[float]:
    return [end for pair in pairs or () for end in pair]


def _paint_span(axes: "Axes", span: tuple[float, float], label: str) -> None:
    axes.axvspan(*span, color=colour("line"), linewidth=0, alpha=0.55, zorder=0)
    if label:
        wide: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(
            label,
            (sum(span) / 2, 1),
            (0, 4),
            ha="center",
            va="bottom",
            fontsize=9,
            color=colour("muted"),
            **wide,
        )


def _paint_line(axes: "Axes", line: TraceLine, shade: str) -> None:
    if line.band is not None:
        lows, highs = zip(*line.band, strict=True)
        axes.fill_between(line.x, lows, highs, color=shade, alpha=0.18, linewidth=0)
    if line.bars is not None:
        lows, highs = zip(*line.bars, strict=True)
        axes.vlines(line.x, lows, highs, color=shade, linewidth=1, alpha=0.6)
    if line.goal is not None:
        axes.axhline(line.goal, color=shade, linewidth=1.2, dashes=(4, 3), zorder=1)
    if line.dots is not None:
        axes.plot(line.x, line.dots, "o", color=shade, markersize=2.6, alpha=0.55, markeredgewidth=0)
    style: dict[str, Any] = {"color": shade, "linewidth": 1.8, "solid_capstyle": "round"}
    if len(line.x) < 12:
        style |= {"marker": "o", "markersize": 4}
    axes.plot(line.x, line.y, **style)


def _paint_names(axes: "Axes", panel: TracePanel) -> None:
    """The name of each line right of its end, apart from the others."""
    low, high = axes.get_ylim()
    gap = _LINE / _PANEL * (high - low)
    order = sorted(range(len(panel.lines)), key=lambda i: panel.lines[i].y[-1])
    at: list[float] = []
    for i in order:
        at.append(max(panel.lines[i].y[-1], at[-1] + gap) if at else panel.lines[i].y[-1])
    over = max(0.0, at[-1] - high)
    for i, y in zip(order, at, strict=True):
        axes.annotate(
            short(panel.lines[i].label, 18),
            (1, y - over),
            (8, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=colour(_COLOURS[i % len(_COLOURS)]),
            annotation_clip=False,
        )


def _words(title: str, line: TraceLine) -> str:
    name = title if line.label in ("", title) else f"{title}, {line.label}"
    goal = "" if line.goal is None else f", where it should come to {_number(line.goal)}"
    ends = f"from {_number(line.y[0])} at {line.x[0]:.3g} to {_number(line.y[-1])} at {line.x[-1]:.3g}"
    return f"{name}: {ends}{goal}"


def _number(y: float, percent: bool = False) -> str:
    return minus(f"{100 * y:g} %" if percent else f"{y:.3g}")
