"""The plane of refusals: what is harmful against what is harmless."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from truing.pages.svg import add_axes, colour, draw, short

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPANS = (0.25, 0.5, 1.0)
_ROOMY = 5
"""So many points have room for their intervals beside the plane."""


@dataclass(frozen=True)
class RefusalPoint:
    """How much of what is harmful and of what is harmless a model refuses, as shares with intervals."""

    label: str
    harmful: float
    harmless: float
    harmful_interval: tuple[float, float]
    harmless_interval: tuple[float, float]


def refusal_plane(
    points: Sequence[RefusalPoint], *, title: str = "Refusing what is harmful, and only that"
) -> "Markup":
    """Models in the plane of harmful and harmless requests refused; an arrow leads from the first to each other.

    The first point is the baseline. The best place is the lower right corner, which is always in
    view; both axes have the same scale and show as much of the plane as the points need.

    Raises:
        ValueError: there is no point, or a share lies outside [0, 1].
    """
    shares = [s for p in points for s in (p.harmful, p.harmless, *p.harmful_interval, *p.harmless_interval)]
    if not points or not all(0 <= share <= 1 for share in shares):
        raise ValueError("a plane of refusals has points, and shares in [0, 1]")
    reach = max(max(1 - p.harmful_interval[0], p.harmless_interval[1]) for p in points)
    span = next(s for s in _SPANS if reach <= s)

    def paint(figure: "Figure") -> None:
        axes = add_axes(figure, left=0.85, right=3.15, top=0.55, bottom=0.75)
        _frame(axes, span)
        for i, point in enumerate(points):
            _paint_point(axes, point, place=i, of=len(points), span=span)
            if i:
                _paint_arrow(axes, points[0], point)

    words = [
        f"{p.label} refuses {_percent(p.harmful, p.harmful_interval)} of harmful and "
        f"{_percent(p.harmless, p.harmless_interval)} of harmless requests"
        for p in points
    ]
    return draw(5.9, paint, title=title, description="; ".join(words) + ".")


def _frame(axes: "Axes", span: float) -> None:
    axes.set(xlim=(1 - span, 1), ylim=(0, span))
    steps = [span * i / 5 for i in range(6)]
    axes.set_xticks([1 - s for s in steps], [f"{1 - s:.0%}" for s in steps])
    axes.set_yticks(steps, [f"{s:.0%}" for s in steps], color=colour("muted"))
    axes.grid(color=colour("line"), linewidth=0.7)
    axes.set_xlabel("harmful requests refused, share (more is better →)")
    axes.set_ylabel("harmless requests refused, share (← less is better)")


def _paint_point(axes: "Axes", point: RefusalPoint, *, place: int, of: int, span: float) -> None:
    """The point with its intervals, and its numbers beside the plane; of more than two, each has its place on it."""
    shade = colour("accent" if place else "muted")
    x, y = point.harmful, point.harmless
    style: dict[str, Any] = {"color": shade, "clip_on": False}
    axes.plot(point.harmful_interval, [y, y], linewidth=1.2, **style)
    axes.plot([x, x], point.harmless_interval, linewidth=1.2, **style)
    numbered = of > 2
    fill = shade if place else colour("paper")
    mark: dict[str, Any] = style | {"markerfacecolor": fill, "markersize": 13 if numbered else 9}
    step = min(0.2, 1 / of)
    key = (0.96 - step * place) * span
    digit: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": 8, "fontweight": "bold"}
    for at in ((x, y), (1 + 0.09 * span, key)):
        axes.plot(*at, "o", markeredgewidth=2, zorder=4, **mark)
        if numbered:
            axes.text(*at, str(place), color=colour("paper" if place else "muted"), zorder=5, **digit)
    crowded = of > _ROOMY
    lines = [
        f"harmful {_percent(point.harmful, point.harmful_interval)}",
        f"harmless {_percent(point.harmless, point.harmless_interval)}",
    ]
    if crowded:  # the intervals are in the plane, and in its description
        lines = [f"harmful {point.harmful:.0%}, harmless {point.harmless:.0%}"]
    beside: dict[str, Any] = {"clip_on": False, "va": "center"}
    name: dict[str, Any] = beside | {"fontweight": "bold", "fontsize": 10 if crowded else None}
    axes.text(1 + 0.14 * span, key, short(point.label, 30 if crowded else 24), **name)
    for i, text in enumerate(lines, start=1):
        y = key - i * (0.045 if crowded else 0.055) * span
        axes.text(1 + 0.14 * span, y, text, fontsize=9 if crowded else 10, color=colour("muted"), **beside)


def _paint_arrow(axes: "Axes", start: RefusalPoint, end: RefusalPoint) -> None:
    shape = {"arrowstyle": "-|>", "color": colour("muted"), "linewidth": 1.0, "shrinkA": 8, "shrinkB": 8}
    axes.annotate("", (end.harmful, end.harmless), (start.harmful, start.harmless), arrowprops=shape)


def _percent(share: float, interval: tuple[float, float]) -> str:
    return f"{share:.0%} ({interval[0]:.0%} to {interval[1]:.0%})"
