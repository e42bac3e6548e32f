"""Shares with their intervals, one above the other, against what chance gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from truing.pages.svg import WIDTH, across, add_axes, colour, draw, short

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _PITCH = 2.75, 2.0, 0.4  # inches


@dataclass(frozen=True)
class ShareRow:
    """One share in [0, 1] with its interval; `muted` is what the others are compared with."""

    label: str
    value: float
    low: float
    high: float
    n: int
    muted: bool = False

    @property
    def words(self) -> str:
        """The share and its interval in percent."""
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


def share_plot(
    rows: Sequence[ShareRow], *, chance: float | None = None, axis: str, title: str, unit: str = "pairs"
) -> "Markup":
    """A row for each share; a dashed line where chance would be.

    Raises:
        ValueError: a number lies outside [0, 1], or there is no row.
    """
    ends = [end for row in rows for end in (row.value, row.low, row.high)]
    if not rows or not all(0 <= end <= 1 for end in ends):
        raise ValueError("a plot of shares has rows, with numbers in [0, 1]")
    around = [*ends, *([] if chance is None else [chance])]
    low, high = max(0.0, min(around) - 0.03), min(1.0, max(around) + 0.03)

    def paint(figure: "Figure") -> None:
        axes = add_axes(figure, left=_LEFT, right=_RIGHT, top=0.55, bottom=0.65)
        axes.set(xlim=(low, high), ylim=(len(rows) - 0.5, -0.5), yticks=[])
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        axes.grid(axis="x", color=colour("line"), linewidth=0.7)
        axes.set_xlabel(axis)
        if chance is not None:
            axes.axvline(chance, color=colour("ink"), linewidth=1, dashes=(4, 3))
        for y, row in enumerate(rows):
            _paint_row(axes, y, row, unit)

    words = "; ".join(f"{row.label}: {row.words} of {row.n} {unit}" for row in rows)
    return draw(1.3 + _PITCH * len(rows), paint, title=title, description=f"{words}.")


def _paint_row(axes: "Axes", y: int, row: ShareRow, unit: str) -> None:
    shade = colour("muted" if row.muted else "accent")
    wide: dict[str, Any] = {"transform": across(axes), "clip_on": False}
    axes.text(0, y, short(row.label, 28), va="center", **wide)
    small: dict[str, Any] = {"va": "center", "fontsize": 10, "color": colour("muted")}
    axes.text(1 - (_RIGHT - 0.2) / WIDTH, y - 0.16, row.words, **small, **wide)
    axes.text(1 - (_RIGHT - 0.2) / WIDTH, y + 0.2, f"{row.n:,} {unit}", **small, **wide)
    axes.plot([row.low, row.high], [y, y], color=shade, linewidth=2.2, solid_capstyle="round")
    face = colour("paper") if row.muted else shade
    axes.plot(row.value, y, "o", color=shade, markersize=8, markeredgewidth=2, markerfacecolor=face, zorder=4)
