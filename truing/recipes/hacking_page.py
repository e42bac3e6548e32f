"""The page that every policy run leaves: was the reward hacked, what was bought with it, and what it looks like."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from truing.numerics import Change
from truing.pages import minus, render, signed
from truing.recipes.hacking_plots import (
    components_plot,
    distance_plot,
    signs_plot,
    updates_plot,
)
from truing.train import (
    HackingReport,
    Sample,
    Sign,
    Update,
    best_and_worst,
    most_changed,
    read_hacking,
)

_STATUS = {
    Sign.alarm: "regression",
    Sign.warning: "inconclusive",
    Sign.unknown: "inconclusive",
    Sign.fine: "pass",
}
_LONGEST = 1500  # characters of one text that are shown


def policy_page(
    updates: Sequence[Update],
    samples: Sequence[Sample],
    *,
    method: str,
    ground: str,
    settings: Mapping[str, Any],
    reward: str = "",
    stopped: str = "",
) -> str:
    """The page of a policy run as HTML, from what it journalled, in order of the updates.

    Args:
        updates: a row for each update.
        samples: what was sampled, all or some of it; without any, the page says what it cannot tell.
        method: the word after `truing align`.
        ground: what results on this model can claim.
        settings: name -> value, for the reader.
        reward: what the reward was made of, in words.
        stopped: why the run ended early, if it did.

    Raises:
        ValueError: a held-out measurement is neither a number nor an object of value, low and high.
    """
    report = read_hacking(updates, samples)
    best, worst = best_and_worst(updates, samples)
    changed = most_changed(updates, samples)
    return render(
        "hacking.html.j2",
        package="truing.recipes",
        title="Was the reward hacked?",
        method=method,
        lede=f"{_updates(len(updates))}, {sum(u.tokens for u in updates):,} sampled tokens",
        status=_STATUS[report.sign],
        word=report.word,
        sentence=report.sentence,
        ground=ground[:1].upper() + ground[1:],
        reward=reward,
        stopped=stopped,
        metrics=[one.metric for one in report.held_out],
        headlines=_headlines(report),
        findings=[
            (f.name, _STATUS[f.sign], f.word, f.sentence)
            for f in (*(one.finding for one in report.held_out), *report.findings)
        ],
        over_updates=updates_plot(updates, report),
        over_distance=distance_plot(updates, report),
        components=[_component(one) for one in report.components],
        component_means=components_plot(updates, report),
        signs=signs_plot(updates),
        best=[_shown(s) for s in best],
        worst=[_shown(s) for s in worst],
        changed=[(_shown(c.early), _shown(c.late), signed(c.change)) for c in changed],
        referenced=report.kl is not None,
        kept=len(samples),
        settings=[(name.replace("_", " "), str(value)) for name, value in settings.items()],
    )


def hacking_summary(report: HackingReport) -> str:
    """The verdict in a few sentences, for a model card."""
    looked = [f.sentence for f in report.findings if f.sign is Sign.warning]
    return " ".join([f"{report.word}. {report.sentence}", *(f"{sentence}." for sentence in looked)])


def _headlines(report: HackingReport) -> list[tuple[str, str, str]]:
    out = [("reward", *_moved(report.reward))]
    out += [(f"held out: {one.metric}", *_moved(one.gain)) for one in report.held_out[:2]]
    if not report.held_out:
        out.append(("held-out metric", "none", "hacking cannot be told"))
    if report.kl is None or report.kl_per_token is None:
        out.append(("KL spent", "–", "no reference"))
    else:
        token = f"nats per completion; {_plain(report.kl_per_token)} per token"
        out.append(("KL spent", _plain(report.kl), token))
    if report.length is not None:
        out.append(("length", f"{report.length.after:.0f}", f"tokens; {report.length.before:.0f} at first"))
    return out


def _moved(one: Change | None) -> tuple[str, str]:
    if one is None:
        return "–", "too few measurements"
    return signed(one.value), f"{signed(one.low)} to {signed(one.high)}"


def _component(one: Any) -> tuple[str, ...]:
    share = "–" if one.share is None else _percent(one.share)
    ends = f"{_percent(one.low)} to {_percent(one.high)}" if isfinite(one.low) else "–"
    rise = ("–", "–", "–", "–")
    if one.rise is not None:
        rise = (_plain(one.rise.before), _plain(one.rise.after), *_moved(one.rise))
    return (one.name, share, ends, *rise)


def _shown(sample: Sample) -> dict[str, Any]:
    more = len(sample.text) - _LONGEST
    parts = [f"{name} {signed(value)}" for name, value in sample.components.items()]
    facts = [
        f"update {sample.update}",
        "no reward applied" if sample.reward is None else f"reward {signed(sample.reward)}",
        *(parts if len(parts) > 1 else []),
        f"{sample.length} tokens",
        *([f"{_plain(sample.kl)} nats"] if sample.kl is not None and isfinite(sample.kl) else []),
        f"ended by {sample.stop}",
    ]
    return {
        "prompt": [(str(m.role), _cut(m.content)) for m in sample.messages],
        "text": _cut(sample.text),
        "facts": ", ".join(facts),
        "more": max(0, more),
    }


def _cut(text: str) -> str:
    over = len(text) - _LONGEST
    return text if over <= 0 else f"{text[:_LONGEST]}… ({over:,} more characters)"


def _percent(share: float) -> str:
    told = f"{share:.0%}"
    return "0%" if told == "-0%" else minus(told)


def _plain(value: float) -> str:
    return minus(f"{value:.3g}")


def _updates(n: int) -> str:
    return f"{n:,} update" + ("" if n == 1 else "s")
