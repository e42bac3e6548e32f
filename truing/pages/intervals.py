"""The forest plot: differences with their intervals against a margin."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from truing.pages.svg import WIDTH, across, add_axes, colour, draw, short
from truing.pages.words import points, signed

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _PITCH = 2.35, 1.95, 0.5  # inches
_MARKS = {"pass": "o", "regression": "v", "inconclusive": "o"}


@dataclass(frozen=True)
class IntervalRow:
    """One difference with its interval, as shares in [-1, 1]; None where nothing was measured.

    `status` is `pass`, `regression` or `inconclusive`, `margin` the loss that matters in this row.
    """

    label: str
    estimate: float | None
    low: float | None
    high: float | None
    status: str
    margin: float

    @property
    def words(self) -> str:
        """The difference and its interval in points."""
        if self.estimate is None or self.low is None or self.high is None:
            return "not measured"
        return f"{points(self.estimate)} [{points(self.low)}, {points(self.high)}]"


def paired_interval_plot(
    rows: Sequence[IntervalRow], *, title: str = "Candidate minus baseline, with 95% intervals"
) -> "Markup":
    """A forest plot of differences, candidate minus baseline, in percentage points, each against its margin.

    A disc is a pass, a triangle a regression, a ring inconclusive.

    Raises:
        ValueError: an estimate is not finite, or a status unknown.
    """
    for row in rows:
        if not all(v is None or isfinite(v) for v in (row.estimate, row.low, row.high)):
            raise ValueError(f"the interval of {row.label!r} is not finite")
        if row.status not in _MARKS:
            raise ValueError(f"{row.status!r} is none of {', '.join(_MARKS)}")

    def paint(figure: "Figure") -> None:
        axes = add_axes(figure, left=_LEFT, right=_RIGHT, top=0.75, bottom=0.65)
        _frame(axes, rows)
        for y, row in enumerate(rows):
            _paint_row(axes, y, row)

    words = "; ".join(f"{row.label}: {row.words}, margin {points(-row.margin)}, {row.status}" for row in rows)
    description = f"Differences in percentage points, with intervals. {words}."
    return draw(
        1.4 + _PITCH * max(1, len(rows)),
        paint,
        title=title,
        description=description,
    )


def _frame(axes: "Axes", rows: Sequence[IntervalRow]) -> None:
    margin = max((row.margin for row in rows), default=0.05)
    ends = [abs(100 * v) for row in rows for v in (row.low, row.high) if v is not None]
    reach = min(100.0, 1.1 * max([160 * margin, *ends]))
    axes.set(xlim=(-reach, reach), ylim=(max(1, len(rows)) - 0.5, -0.5), yticks=[])
    axes.xaxis.set_major_formatter(lambda x, _: signed(x, "g") if x else "0")
    axes.grid(axis="x", color=colour("line"), linewidth=0.7)
    axes.set_xlabel("difference in percentage points")
    axes.axvline(0, color=colour("ink"), linewidth=1)
    small: dict[str, Any] = {
        "transform": axes.get_xaxis_transform(),
        "va": "bottom",
        "fontsize": 10,
        "color": colour("muted"),
    }
    first = rows[0].margin if rows else margin
    axes.text(-100 * first, 1.02, f"margin {points(-first)}", ha="right", **small)
    axes.text(0, 1.02, " better →", ha="left", **small)


def _paint_row(axes: "Axes", y: int, row: IntervalRow) -> None:
    shade, right = colour(row.status), 1 - (_RIGHT - 0.25) / WIDTH
    wide: dict[str, Any] = {"transform": across(axes), "clip_on": False}
    axes.plot([0, 1], [y + 0.5, y + 0.5], color=colour("line"), linewidth=0.7, **wide)
    axes.text(0, y, short(row.label, 26), va="center", **wide)
    axes.text(right, y - 0.17, row.status.capitalize(), va="center", color=shade, fontweight="bold", **wide)
    axes.text(right, y + 0.2, row.words, va="center", color=colour("muted"), fontsize=10, **wide)
    dashed: dict[str, Any] = {"color": colour("muted"), "linewidth": 1.2, "dashes": (4, 3)}
    axes.plot([-100 * row.margin, -100 * row.margin], [y - 0.5, y + 0.5], **dashed)
    if row.estimate is None or row.low is None or row.high is None:
        return
    axes.plot([100 * row.low, 100 * row.high], [y, y], color=shade, linewidth=2.2, solid_capstyle="round")
    face = colour("paper") if row.status == "inconclusive" else shade
    style: dict[str, Any] = {"markerfacecolor": face, "markersize": 8, "markeredgewidth": 2}
    axes.plot(100 * row.estimate, y, _MARKS[row.status], color=shade, **style)
