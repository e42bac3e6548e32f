"""Drift against damage: how far each dimension moved, and what it lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

from truing.pages.svg import WIDTH, add_axes, colour, draw, short
from truing.pages.words import points, signed

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 5.4, 0.85, 0.3, 0.85, 0.75  # inches
_WIDE, _HIGH, _ASIDE, _DISC, _THIN = 0.088, 0.2, 0.1, 0.09, 0.02
"""Inches: a character, a line, from a point to its name, half a mark, half a bar."""
_NOTE = "Descriptive: drift tells that something moved, not that it harms."


@dataclass(frozen=True)
class DriftPoint:
    """One dimension: drift in nats per token, and loss (baseline minus candidate) as a share in [-1, 1].

    Each has its interval, None where there is none.
    """

    label: str
    drift: float
    loss: float
    drift_interval: tuple[float, float] | None = None
    loss_interval: tuple[float, float] | None = None


def drift_plot(
    points: Sequence[DriftPoint], *, title: str = "How far it moved, and what it lost"
) -> "Markup":
    """Dimensions in the plane of drift (nats per token, logarithmic, with a place for 0) and loss (points).

    Raises:
        ValueError: a number is not finite, or a drift is negative.
    """
    for p in points:
        drifts, losses = (p.drift, *(p.drift_interval or ())), (p.loss, *(p.loss_interval or ()))
        if not all(map(isfinite, (*drifts, *losses))) or min(drifts) < 0:
            raise ValueError(f"the point of {p.label!r} is not finite, or its drift is negative")

    def paint(figure: "Figure") -> None:
        axes = add_axes(figure, left=_LEFT, right=_RIGHT, top=_TOP, bottom=_BOTTOM)
        figure.text(0, 1 - 0.3 / _HEIGHT, _NOTE, va="top", fontsize=10, color=colour("muted"))
        _frame(axes, points)
        for point in points:
            _paint_point(axes, point)
        _paint_labels(axes, points)

    words = "; ".join(_words(point) for point in points) or "no dimension"
    return draw(_HEIGHT, paint, title=title, description=f"Drift and loss. {_NOTE} {words}.")


def _frame(axes: "Axes", points: Sequence[DriftPoint]) -> None:
    ends = [end for p in points for end in (p.drift, *(p.drift_interval or ()))]
    least, most = min((end for end in ends if end > 0), default=0.01), max([0.01, *ends])
    # Below the least drift the axis is linear, down to 0.
    decade = max(floor(log10(least)), floor(log10(most)) - 5)
    axes.set_xscale("symlog", linthresh=10.0**decade, linscale=0.5)
    axes.set_xlim(-(10.0**decade) * 0.1, 1.25 * most)
    last = floor(log10(1.25 * most))
    step = -(-(last - decade + 1) // 6)
    ticks = [10.0**e for e in range(decade, last + 1, step)]
    axes.set_xticks([0.0, *ticks], ["0", *(f"{tick:g}" for tick in ticks)])
    axes.minorticks_off()
    losses = [100 * end for p in points for end in (p.loss, *(p.loss_interval or ()))]
    low, high = min([-2.0, *losses]), max([2.0, *losses])
    room = 0.08 * (high - low)
    axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_formatter(lambda y, _: signed(y, "g") if y else "0")
    axes.tick_params(axis="y", colors=colour("muted"))
    axes.grid(color=colour("line"), linewidth=0.7)
    axes.axhline(0, color=colour("ink"), linewidth=1)
    axes.set_xlabel("drift: KL(candidate || baseline), nats per token")
    axes.set_ylabel("loss in percentage points (worse →)")


def _paint_point(axes: "Axes", point: DriftPoint) -> None:
    x, y = point.drift, 100 * point.loss
    style: dict[str, Any] = {"color": colour("accent"), "linewidth": 1.2}
    if point.drift_interval is not None:
        axes.plot(point.drift_interval, [y, y], **style)
    if point.loss_interval is not None:
        axes.plot([x, x], [100 * end for end in point.loss_interval], **style)
    axes.plot(x, y, "o", color=colour("accent"), markersize=7, zorder=4, clip_on=False)


def _paint_labels(axes: "Axes", points: Sequence[DriftPoint]) -> None:
    """Each name as near to its point as other names, points and bars leave room; farther off with a line to it."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    inches = axes.transData + figure.dpi_scale_trans.inverted()
    taken = [box for p in points for box in _marks(p, inches)]
    place: dict[str, Any] = {"textcoords": figure.dpi_scale_trans, "va": "center", "annotation_clip": False}
    thin = {"arrowstyle": "-", "color": colour("muted"), "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4}
    for point in points:
        name, at = short(point.label, 26), (point.drift, 100 * point.loss)
        x, y = map(float, inches.transform(at))
        places = list(_places(x, y, _WIDE * max(1, len(name))))
        box = min(places, key=lambda box: _outside(box) + sum(_overlap(box, other) for other in taken))
        taken.append(box)
        near = abs(box.y0 + _HIGH / 2 - y) < 1.5 * _HIGH
        axes.annotate(
            name, at, (box.x0, box.y0 + _HIGH / 2), fontsize=10, arrowprops=None if near else thin, **place
        )


@dataclass(frozen=True)
class _Box:
    """A rectangle in inches from the lower left corner of the figure."""

    x0: float
    y0: float
    x1: float
    y1: float


def _marks(point: DriftPoint, inches: "Transform") -> list[_Box]:
    """What a point and its bars cover."""
    x, y = point.drift, 100 * point.loss
    x_ends = point.drift_interval or (x, x)
    y_ends = [100 * end for end in point.loss_interval] if point.loss_interval else [y, y]
    (x0, y0), (x1, y1), (mx, my) = inches.transform([(x_ends[0], y_ends[0]), (x_ends[1], y_ends[1]), (x, y)])
    covered = [
        (x0, my - _THIN, x1, my + _THIN),
        (mx - _THIN, y0, mx + _THIN, y1),
        (mx - _DISC, my - _DISC, mx + _DISC, my + _DISC),
    ]
    return [_Box(*map(float, box)) for box in covered]


def _places(x: float, y: float, width: float) -> Iterator[_Box]:
    """Where the name of the point at (x, y) may stand, nearest first."""
    for step in (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6):
        bottom = y + _HIGH * (step - 0.5)
        yield _Box(x + _ASIDE, bottom, x + _ASIDE + width, bottom + _HIGH)
        yield _Box(x - _ASIDE - width, bottom, x - _ASIDE, bottom + _HIGH)


def _overlap(a: _Box, b: _Box) -> float:
    """Square inches that both cover."""
    return max(0.0, min(a.x1, b.x1) - max(a.x0, b.x0)) * max(0.0, min(a.y1, b.y1) - max(a.y0, b.y0))


def _outside(box: _Box) -> float:
    """Square inches of the box that lie outside the plane."""
    plane = _Box(_LEFT, _BOTTOM, WIDTH - _RIGHT, _HEIGHT - _TOP)
    return (box.x1 - box.x0) * (box.y1 - box.y0) - _overlap(box, plane)


def _words(point: DriftPoint) -> str:
    drift, loss = f"{point.drift:.3g}", points(point.loss)
    if point.drift_interval is not None:
        drift += f" [{point.drift_interval[0]:.3g}, {point.drift_interval[1]:.3g}]"
    if point.loss_interval is not None:
        loss += " [{}, {}]".format(*map(points, point.loss_interval))
    return f"{point.label}: {drift} nats per token, loss {loss} points"
