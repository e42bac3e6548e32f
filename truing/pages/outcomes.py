"""Stacked bars: how the judging of answers ended, missing evidence included."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from truing.pages.svg import across, add_axes, colour, draw, short
from truing.types import Outcome

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FILLS = {
    Outcome.decided: ("accent", "accent", ""),
    Outcome.refused: ("accent-soft", "accent", "//"),
    Outcome.unparsed: ("paper", "inconclusive", "xx"),
    Outcome.truncated: ("paper", "muted", "||"),
    Outcome.abstained: ("paper", "muted", "--"),
    Outcome.error: ("paper", "regression", "++"),
}
"""Outcome -> fill, edge and pattern: told apart without colour."""
_LABELLED = 0.08  # the smallest share with room for its number


@dataclass(frozen=True)
class OutcomeRow:
    """How often each outcome (`truing.types.Outcome`) came up for one model on one dimension."""

    dimension: str
    model: str
    counts: Mapping[str, int]


def outcome_bars(rows: Sequence[OutcomeRow], *, title: str = "How the judging of answers ended") -> "Markup":
    """Stacked shares of outcomes, one bar for each row; rows of one dimension that follow each other stand together.

    Raises:
        ValueError: a count is negative or belongs to no outcome.
    """
    for row in rows:
        if min(row.counts.values(), default=0) < 0 or not set(row.counts) <= set(Outcome):
            raise ValueError(f"{dict(row.counts)!r} are no counts of outcomes")
    places = _places(rows)

    def paint(figure: "Figure") -> None:
        axes = add_axes(figure, left=3.3, right=0.3, top=0.5, bottom=1.05)
        _frame(axes, max(places, default=0))
        for i, row in enumerate(rows):
            if not i or row.dimension != rows[i - 1].dimension:
                axes.text(0, places[i], short(row.dimension, 26), va="center", transform=across(axes))
            _paint_bar(axes, places[i], row)
        _paint_legend(figure, [o for o in Outcome if any(row.counts.get(o) for row in rows)])

    words = [
        f"{row.dimension}, {row.model}: "
        + (", ".join(f"{n} {name}" for name, n in row.counts.items() if n) or "no items")
        for row in rows
    ]
    height = 1.55 + 0.29 * (max(places, default=0) + 1)
    return draw(height, paint, title=title, description="; ".join(words) + ".")


def _places(rows: Sequence[OutcomeRow]) -> list[float]:
    """The height of each bar, with a gap before another dimension."""
    places: list[float] = []
    for i, row in enumerate(rows):
        gap = 0.6 if i and row.dimension != rows[i - 1].dimension else 0.0
        places.append(places[-1] + 1 + gap if places else 0.0)
    return places


def _frame(axes: "Axes", last: float) -> None:
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set(xlim=(0, 1), ylim=(last + 0.6, -0.6), yticks=[])
    axes.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
    axes.grid(axis="x", color=colour("line"), linewidth=0.7)
    axes.set_xlabel("share of the answers")


def _paint_bar(axes: "Axes", y: float, row: OutcomeRow) -> None:
    total, left = sum(row.counts.values()), 0.0
    small: dict[str, Any] = {"va": "center", "fontsize": 10}
    axes.text(-0.02, y, short(row.model, 12), ha="right", color=colour("muted"), **small)
    if not total:
        axes.text(0.01, y, "no items", color=colour("muted"), **small)
    for outcome, (fill, edge, pattern) in _FILLS.items():
        share = row.counts.get(outcome, 0) / max(total, 1)
        if share:
            look: dict[str, Any] = {"color": colour(fill), "edgecolor": colour(edge), "hatch": pattern}
            axes.barh(y, share, left=left, height=0.74, linewidth=1, **look)
        if share >= _LABELLED:
            ink = colour("paper" if outcome is Outcome.decided else "ink")
            box = {"facecolor": colour(fill), "edgecolor": "none", "pad": 1.5}
            axes.text(left + share / 2, y, f"{share:.0%}", ha="center", color=ink, bbox=box, **small)
        left += share


def _paint_legend(figure: "Figure", outcomes: Sequence[Outcome]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour(fill), edgecolor=colour(edge), hatch=pattern, label=outcome.value)
        for outcome in outcomes
        for fill, edge, pattern in [_FILLS[outcome]]
    ]
    corner: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (0, 0),
        "borderaxespad": 0,
        "borderpad": 0,
    }
    figure.legend(handles=handles, ncols=len(_FILLS), frameon=False, fontsize=10, **corner)
