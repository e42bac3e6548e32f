"""How values are spread, kind by kind, before and after something was changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from truing.pages.svg import WIDTH, across, add_axes, colour, draw, short
from truing.pages.words import minus

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _GAP, _RIGHT, _TOP, _BOTTOM, _PITCH = 1.7, 0.35, 0.15, 0.8, 0.75, 0.72  # inches
_ALONE = 1.6
"""The pitch, in inches, of a single row without another column: there is room for what is rare."""
_BINS = 40
_TALLEST = 0.78
"""Of the pitch, how high the tallest bar of a row is."""


@dataclass(frozen=True)
class HistogramRow:
    """Values of one kind; those before and those after need not be of the same number."""

    label: str
    before: tuple[float, ...]
    after: tuple[float, ...]


def histogram_plot(
    rows: Sequence[HistogramRow],
    *,
    before: str,
    after: str,
    axis: str,
    title: str,
    mark: tuple[float, str] | None = None,
) -> "Markup":
    """A row of two histograms for each kind, all on one scale, with a line at 0; heights are shares of the kind.

    The share of the tallest bar of each stands beside it. Where `before` is empty there is one histogram for each
    kind, of the values after. `mark` is a value with a line and a name of its own; what lies above it has its colour.

    Raises:
        ValueError: there is no row, a value is not finite, or none has a value.
    """
    every = np.array([v for row in rows for v in (*row.before, *row.after)], dtype=np.float64)
    if not len(every) or not np.isfinite(every).all():
        raise ValueError("a plot of histograms has rows, and finite values")
    # A few far values must not squeeze all others into one bar: they stand in the outermost.
    low, high = np.quantile(every, (0.005, 0.995))
    seen = [0.0, *([mark[0]] if mark is not None else [])]
    low, high = min(float(low), *seen), max(float(high), *seen)
    room = 0.04 * (high - low) or 0.5
    edges = np.linspace(low - room, high + room, _BINS + 1)
    if mark is not None:  # no bar stands on both sides of it
        edges += mark[0] - edges[np.abs(edges - mark[0]).argmin()]
    shares = [[_shares(values, edges) for values in (row.before, row.after)] for row in rows]
    pitch = _ALONE if len(rows) == 1 and not before else _PITCH
    height = _TOP + pitch * len(rows) + _BOTTOM

    def paint(figure: "Figure") -> None:
        for column, name in enumerate((before, after)):
            if name:
                place = (column, 2) if before else (0, 1)
                above = None if mark is None else mark[0]
                axes = _paint_column(figure, edges, [one[column] for one in shares], place, name, above)
                if mark is not None:
                    _paint_mark(axes, *mark)
        for y, row in enumerate(rows):
            axes.text(0, 0.1 - y, short(row.label, 20), va="bottom", transform=across(axes), clip_on=False)
        figure.text(
            (_LEFT + WIDTH - _RIGHT) / 2 / WIDTH,
            0.1 / height,
            axis,
            ha="center",
            va="bottom",
            color=colour("muted"),
        )

    words = "; ".join(
        f"{row.label}: "
        + ", ".join(
            f"{_words(values)} with {name}"
            for values, name in ((row.before, before), (row.after, after))
            if name
        )
        for row in rows
    )
    return draw(height, paint, title=title, description=f"{words}.")


def _shares(values: Sequence[float], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the values in each bin; those beyond the ends are in the first and the last."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    found: NDArray[np.float64] = counts / max(1, len(values))
    return found


def _paint_column(
    figure: "Figure",
    edges: NDArray[np.float64],
    shares: Sequence[NDArray[np.float64]],
    place: tuple[int, int],
    name: str,
    above: float | None,
) -> "Axes":
    """One axes for a column; row y stands on the line -y, and its highest bar takes most of the pitch."""
    column, of = place
    width = (WIDTH - _LEFT - (of - 1) * _GAP - _RIGHT) / of
    left = _LEFT + column * (width + _GAP)
    axes = add_axes(figure, left=left, right=WIDTH - left - width, top=_TOP, bottom=_BOTTOM)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0.85 - len(shares), 0.9))
    # Each kind has a scale of its own: its tallest bar, numbered.
    tops = [float(heights.max()) for heights in shares]
    axes.set_yticks([_TALLEST - y for y in range(len(tops))], [f"{100 * top:.0f} %" for top in tops])
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=colour("muted"))
    axes.xaxis.set_major_formatter(lambda x, _: minus(f"{x:g}"))
    axes.xaxis.set_major_locator(_few_ticks())
    axes.set_title(short(name, 40), loc="left", fontsize=11, color=colour("muted"))
    axes.axvline(0, color=colour("ink"), linewidth=1, dashes=(4, 3), zorder=1)
    plain = colour("accent" if column == of - 1 else "muted")
    middles = (edges[:-1] + edges[1:]) / 2
    shades = [colour("regression") if above is not None and x > above else plain for x in middles]
    for y, heights in enumerate(shares):
        axes.axhline(-y, color=colour("line"), linewidth=0.7, zorder=1)
        tallest = float(heights.max()) or 1.0
        axes.bar(
            edges[:-1],
            _TALLEST * heights / tallest,
            width=np.diff(edges),
            linewidth=0,
            bottom=-y,
            align="edge",
            color=shades,
            zorder=2,
        )
    return axes


def _paint_mark(axes: "Axes", at: float, label: str) -> None:
    axes.axvline(at, color=colour("regression"), linewidth=1.2, zorder=3)
    axes.annotate(
        label,
        (at, 1),
        (4, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=9,
        color=colour("regression"),
    )


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(6)


def _words(values: Sequence[float]) -> str:
    if not values:
        return "nothing"
    low, middle, high = np.quantile(np.array(values), (0.05, 0.5, 0.95))
    return minus(f"median {middle:.2f}, nine in ten from {low:.2f} to {high:.2f}")
