"""What a fit of a rule-based reward did, as figures and as a page: order, spread, and what pays for what."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from truing.methods import (
    RBR_ALONE,
    RM_ALONE,
    RM_AND_RBR,
    RuleFit,
    TypeFit,
    Violations,
    centred_rewards,
    feature_contributions,
    order_violations,
    reward_signals,
)
from truing.pages import HistogramRow, histogram_plot, render, signed

_AXIS = "reward, less the mean of the ideal answers to the same prompt"


def figures_of(fit: RuleFit, *, key: int) -> list[dict[str, Any]]:
    """For each response type what stands in result.json: sizes, losses, order violations, contributions.

    `centred` holds the 5 %, 50 % and 95 % quantiles of the rewards by signal and kind.
    """
    return [_figures(one, key) for one in fit.types]


def _figures(one: TypeFit, key: int) -> dict[str, Any]:
    parts = {"trained on": one.trained, "held out": one.held_out}
    return {
        "response_type": one.weights.response_type,
        "prompts": len(set(one.trained.prompts)),
        "held_out_prompts": len(set(one.held_out.prompts)),
        "pairs": len(one.trained.pairs),
        "loss": one.loss,
        "held_out_loss": one.held_out_loss,
        "violations": {
            part: {
                signal: asdict(order_violations(table, rewards, key=key))
                for signal, rewards in reward_signals(table, one.weights).items()
            }
            for part, table in parts.items()
            if (table.ranks[table.pairs[:, 0]] == 1).any()
        },
        "centred": {
            signal: {kind: _quantiles(values) for kind, values in of.items() if values}
            for signal, of in _spread(one).items()
        },
        "contributions": [asdict(c) for c in feature_contributions(one.trained, one.weights)],
    }


def rule_rewards_page(result: Mapping[str, Any], *, fit: RuleFit, settings: Mapping[str, Any]) -> str:
    """The page of a run as HTML; `result` is what stands in its result.json."""
    with_rm = bool(result["other_reward"])
    prompts = sum(of["prompts"] + of["held_out_prompts"] for of in result["types"])
    answers = sum(len(one.trained.kinds) + len(one.held_out.kinds) for one in fit.types)
    return render(
        "rule_rewards.html.j2",
        package="truing.recipes",
        title="What do the rules pay for?",
        lede=f"{answers:,} answers to {prompts:,} prompts, read by {result['judge']}",
        ground=result["ground"],
        written=bool(result["rejects"] or result["short"]),
        sections=[
            _section(one, of, with_rm=with_rm) for one, of in zip(fit.types, result["types"], strict=True)
        ],
        rejects=[(why, f"{n:,}") for why, n in result["rejects"].items()],
        short=[(kind, f"{n:,}") for kind, n in result["short"].items()],
        undecided=[(why, f"{n:,}") for why, n in result["undecided"].items()],
        settings=[(name.replace("_", " "), str(value)) for name, value in settings.items()],
    )


def _section(one: TypeFit, of: Mapping[str, Any], *, with_rm: bool) -> dict[str, Any]:
    signals = (RM_ALONE, RM_AND_RBR, RBR_ALONE) if with_rm else (RBR_ALONE,)
    kinds = list(of["contributions"][0]["paid"])
    return {
        "name": one.weights.response_type,
        "loss": f"{one.loss:.3f}",
        "held_out_loss": "–" if one.held_out_loss is None else f"{one.held_out_loss:.3f}",
        "headlines": _headlines(of, with_rm=with_rm),
        "violations": [
            (f"{signal}, {part}", *_cells(Violations(**found[signal])))
            for part, found in of["violations"].items()
            for signal in signals
        ],
        "histogram": _histogram(one, with_rm=with_rm),
        "kinds": kinds,
        "contributions": [
            (c["feature"], *_weight(c), *(_signed(c["paid"][kind]) for kind in kinds))
            for c in of["contributions"]
        ],
    }


def _headlines(of: Mapping[str, Any], *, with_rm: bool) -> list[tuple[str, str, str]]:
    beaten = ("–", "no prompt has an ideal answer and another")
    if of["violations"]:
        part, found = list(of["violations"].items())[-1]
        before = (
            f"{found[RM_ALONE]['value']:.1%} with the other reward alone" if with_rm else "the rules alone"
        )
        own = found[RM_AND_RBR if with_rm else RBR_ALONE]["value"]
        beaten = (f"{own:.1%}", f"{before}; prompts {part}")
    return [
        ("an answer beats the ideal one", *beaten),
        ("prompts", f"{of['prompts']:,}", f"and {of['held_out_prompts']:,} held out"),
        ("pairs", f"{of['pairs']:,}", "to learn from"),
    ]


def _cells(found: Violations) -> tuple[str, str, str]:
    return (
        f"{found.value:.1%}",
        f"{found.low:.1%} to {found.high:.1%}",
        f"{found.pairs:,} of {found.prompts:,} prompts",
    )


def _weight(c: Mapping[str, Any]) -> tuple[str, str]:
    known = (c["low"], c["high"]) != (c["weight"], c["weight"])
    return _signed(c["weight"]), f"{_signed(c['low'])} to {_signed(c['high'])}" if known else "–"


def _signed(value: float) -> str:
    """Two digits with a sign; what rounds to 0 has none."""
    told = signed(value, ".2f")
    return "0.00" if told[1:] == "0.00" else told


def _histogram(one: TypeFit, *, with_rm: bool) -> object:
    """The rewards of every answer, trained on or not; None where no prompt has an ideal answer."""
    before, after = (RM_ALONE, RM_AND_RBR) if with_rm else ("", RBR_ALONE)
    spread = _spread(one)
    rows = [
        HistogramRow(kind, tuple(spread[before][kind]) if before else (), tuple(values))
        for kind, values in spread[after].items()
    ]
    if not any(row.after for row in rows):
        return None
    title = f"{one.weights.response_type}: what each kind of answer is paid"
    return histogram_plot(rows, before=before, after=after, axis=_AXIS, title=title)


def _spread(one: TypeFit) -> dict[str, dict[str, list[float]]]:
    """Signal -> kind -> rewards of all answers, less the mean of the ideal ones to the same prompt."""
    out: dict[str, dict[str, list[float]]] = {}
    for table in (one.trained, one.held_out):
        if not table.kinds:
            continue
        for signal, rewards in reward_signals(table, one.weights).items():
            for kind, values in centred_rewards(table, rewards).items():
                out.setdefault(signal, {}).setdefault(kind, []).extend(values.tolist())
    return out


def _quantiles(values: list[float]) -> dict[str, float]:
    low, middle, high = np.quantile(np.array(values), (0.05, 0.5, 0.95)).tolist()
    return {"answers": len(values), "low": low, "median": middle, "high": high}
