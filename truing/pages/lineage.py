"""Scores of several models side by side: what was lost on the way, and what came back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from truing.pages.svg import across, add_axes, colour, draw, short

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _PITCH = 1.75, 0.3, 0.62  # inches
_LOOKS = (
    ("o", "paper", "muted"),
    ("v", "regression", "regression"),
    ("o", "accent", "accent"),
    ("s", "paper", "ink"),
)
"""Mark, fill and edge of the first model, the second, and so on: told apart without colour."""


@dataclass(frozen=True)
class LineageRow:
    """One dimension: a share in [0, 1] for each model, None where it was not measured."""

    label: str
    scores: tuple[float | None, ...]


def lineage_plot(
    rows: Sequence[LineageRow], models: Sequence[str], *, title: str = "Share of good answers"
) -> "Markup":
    """A dot for each model in every row; the first model is what the others came from.

    Raises:
        ValueError: a row has not one score for each model, a score lies outside [0, 1], or there are
            more than four models.
    """
    if not 0 < len(models) <= len(_LOOKS):
        raise ValueError(f"one to {len(_LOOKS)} models are shown side by side, not {len(models)}")
    for row in rows:
        if len(row.scores) != len(models) or not all(s is None or 0 <= s <= 1 for s in row.scores):
            raise ValueError(f"the row {row.label!r} has not one share in [0, 1] for each model")

    def paint(figure: "Figure") -> None:
        axes = add_axes(figure, left=_LEFT, right=_RIGHT, top=0.85, bottom=0.65)
        _frame(axes, len(rows))
        for y, row in enumerate(rows):
            _paint_row(axes, y, row)
        _paint_legend(figure, models)

    words = "; ".join(
        f"{row.label}: "
        + ", ".join(
            f"{m} {'not measured' if s is None else f'{s:.0%}'}"
            for m, s in zip(models, row.scores, strict=True)
        )
        for row in rows
    )
    return draw(1.5 + _PITCH * max(1, len(rows)), paint, title=title, description=f"{words}.")


def _words(row: LineageRow, models: Sequence[str]) -> str:
    told = ["not measured" if score is None else f"{score:.0%}" for score in row.scores]
    return ", ".join(f"{model} {score}" for model, score in zip(models, told, strict=True))


def _frame(axes: "Axes", rows: int) -> None:
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    axes.set(xlim=(0, 1), ylim=(max(1, rows) - 0.5, -0.5), yticks=[])
    axes.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
    axes.grid(axis="x", color=colour("line"), linewidth=0.7)
    axes.set_xlabel("good answers, share of those that could be compared")


def _paint_row(axes: "Axes", y: int, row: LineageRow) -> None:
    wide: dict[str, Any] = {"transform": across(axes), "clip_on": False}
    axes.plot([0, 1], [y + 0.5, y + 0.5], color=colour("line"), linewidth=0.7, **wide)
    axes.text(0, y, short(row.label, 20), va="center", **wide)
    known = [score for score in row.scores if score is not None]
    if known:
        axes.plot([min(known), max(known)], [y, y], color=colour("line"), linewidth=2.2)
    for i, score in reversed(list(enumerate(row.scores))):  # the first model lies on top
        if score is not None:
            # Models that agree would hide each other.
            axes.plot(score, y + 0.13 * (i - (len(row.scores) - 1) / 2), **_look(i))


def _look(i: int) -> dict[str, Any]:
    mark, face, edge = _LOOKS[i]
    return {
        "marker": mark,
        "linestyle": "",
        "markersize": 8,
        "markeredgewidth": 2,
        "color": colour(edge),
        "markerfacecolor": colour(face),
        "clip_on": False,
        "zorder": 4,
    }


def _paint_legend(figure: "Figure", models: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=short(name, 24), **_look(i)) for i, name in enumerate(models)]
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, 1 - 0.32 / figure.get_figheight())}
    figure.legend(
        handles=handles, ncols=len(models), frameon=False, fontsize=10, borderaxespad=0, borderpad=0, columnspacing=2.2,
        handletextpad=0.2, **place,
    )  # fmt: skip
