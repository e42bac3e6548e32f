"""The page about what was learnt from comparisons: a reward model, a linear reward, or a policy by DPO."""

from collections.abc import Mapping
from typing import Any

from truing.grade import PairShare, RewardFigures
from truing.methods import DPOFigures, Shift
from truing.pages import ShareRow, points, reliability_plot, render, share_plot, signed

_CHANCE = 0.5
_MOST = 24  # rows of one plot


def preference_page(
    result: Mapping[str, Any],
    *,
    figures: RewardFigures,
    ground: str,
    settings: Mapping[str, Any],
    moved: DPOFigures | None = None,
) -> str:
    """The page of a run as HTML.

    `result` is what stands in the run's result.json; `moved` is there for a policy.
    """
    own, over = figures.accuracy, figures.over_length
    return render(
        "preferences.html.j2",
        package="truing.recipes",
        title="What do people prefer?",
        method=result["method"],
        lede=f"{result['base'] or 'Words and style, no language model'}, from {result['comparisons']:,} comparisons",
        status=_status(figures),
        sentence=f"It is {figures.sentence}.",
        ground=ground[:1].upper() + ground[1:],
        warning=moved.warning if moved else "",
        by=settings["by"],
        headlines=[
            ("agrees with people", f"{own.value:.1%}", f"{own.low:.1%} to {own.high:.1%}"),
            ("over length alone", points(over.value), f"{points(over.low)} to {points(over.high)} points"),
            ("loss on held-out pairs", f"{figures.loss:.3f}", "nats; 0.693 knows nothing"),
            ("held-out pairs", f"{own.pairs:,}", f"{own.prompts:,} prompts"),
        ],
        shares=share_plot(
            [_row(one) for one in _shown(figures)],
            chance=_CHANCE,
            axis="pairs in which the preferred answer has the higher reward",
            title="Held-out accuracy",
        ),
        calibration=reliability_plot(figures.calibration.bins, low=_CHANCE),
        error=f"{figures.calibration.error:.3f}",
        by_chance=f"{figures.calibration.by_chance:.3f}",
        length=_length(figures),
        pays=[(name, signed(weight, ".3f")) for name, weight in _largest(result.get("pays", {}))],
        moved=[] if moved is None else _moved(moved),
        skipped=[(why, f"{n:,}") for why, n in result["skipped"].items()],
        settings=[(name.replace("_", " "), str(value)) for name, value in settings.items()],
    )


def _status(figures: RewardFigures) -> str:
    """Above length for sure, below it for sure, or neither."""
    if figures.over_length.low > 0 and figures.accuracy.low > _CHANCE:
        return "pass"
    return "regression" if figures.over_length.high < 0 else "inconclusive"


def _shown(figures: RewardFigures) -> list[PairShare]:
    return [figures.accuracy, figures.length, *figures.groups, *figures.labelers][:_MOST]


def _row(one: PairShare) -> ShareRow:
    return ShareRow(one.name, one.value, one.low, one.high, one.pairs, muted="is better" in one.name)


def _length(figures: RewardFigures) -> str:
    if figures.length_correlation is None:
        return "Its correlation with length is undefined: answers or rewards do not differ."
    more = "longer" if figures.length_correlation > 0 else "shorter"
    return (
        f"Within pairs, reward and length have a rank correlation of {figures.length_correlation:+.2f}: it pays for "
        f"{more} answers, and a policy that maximises it will write {more} ones."
    )


def _largest(pays: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(pays.items(), key=lambda pair: -abs(pair[1]))


def _moved(moved: DPOFigures) -> list[tuple[str, str, str]]:
    rows = [
        ("reward of the better answer minus the worse one's (beta times nats)", moved.margin),
        ("log-probability of better answers, against the reference", moved.better_shift),
        ("log-probability of worse answers, against the reference", moved.worse_shift),
    ]
    told = [(name, f"{one.value:+.3f}", _ends(one)) for name, one in rows]
    return [*told, ("log-probability of all of them, per token", f"{moved.per_token:+.4f}", "–")]


def _ends(one: Shift) -> str:
    return "–" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}"
