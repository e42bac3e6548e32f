"""The calibration plot: predicted probabilities against how often they came true."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from truing.numerics import ReliabilityBin
from truing.pages.svg import add_axes, colour, draw

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 5.2


def reliability_plot(
    bins: Sequence[ReliabilityBin], *, low: float = 0.0, title: str = "Do its probabilities come true?"
) -> "Markup":
    """Bins with their intervals, predicted against observed; on the diagonal every probability is right.

    Args:
        bins: what `truing.numerics.reliability` found.
        low: where both axes begin; they end at 1.
        title: the figure's title.

    Raises:
        ValueError: a prediction is below `low`.
    """
    if any(one.predicted < low - 1e-9 for one in bins):
        raise ValueError(f"a bin is predicted below {low}")
    floor = min([low, *(one.low for one in bins)])

    def paint(figure: "Figure") -> None:
        axes = add_axes(figure, left=0.85, right=3.4, top=0.55, bottom=0.75)
        _frame(axes, low, floor)
        for one in bins:
            shade: dict[str, Any] = {"color": colour("accent"), "clip_on": False, "zorder": 4}
            axes.plot([one.predicted] * 2, [one.low, one.high], linewidth=1.6, **shade)
            axes.plot(one.predicted, one.observed, "o", markersize=7, **shade)
        note: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 10, "color": colour("muted")}
        axes.text(1.05, 0.9, "Above the line: right more\noften than it says (unsure).", va="top", **note)
        axes.text(1.05, 0.7, "Below: right less often\nthan it says (overconfident).", va="top", **note)

    words = "; ".join(
        f"predicted {one.predicted:.0%}, observed {one.observed:.0%} ({one.low:.0%} to {one.high:.0%}) of {one.n}"
        for one in bins
    )
    return draw(_HEIGHT, paint, title=title, description=f"{words or 'nothing was predicted'}.")


def _frame(axes: "Axes", low: float, floor: float) -> None:
    axes.set(xlim=(low, 1), ylim=(floor, 1))
    for which, start in ((axes.set_xticks, low), (axes.set_yticks, floor)):
        ticks = [tick / 10 for tick in range(11) if tick / 10 >= start - 1e-9]
        which(ticks, [f"{tick:.0%}" for tick in ticks])
    axes.tick_params(axis="y", colors=colour("muted"))
    axes.grid(color=colour("line"), linewidth=0.7)
    axes.plot([low, 1], [low, 1], color=colour("ink"), linewidth=1, dashes=(4, 3))
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("came true, share")
