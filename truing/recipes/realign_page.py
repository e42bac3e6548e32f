"""The page of a re-alignment: what the model does and what is active inside it, step by step."""

from collections.abc import Mapping, Sequence
from typing import Any

from truing.methods import Measurement
from truing.pages import TraceLine, TracePanel, render, trace_plot

_MOST = 5  # lines of one panel
_MINUS = "\N{MINUS SIGN}"


def realign_page(
    result: Mapping[str, Any], *, curve: Sequence[Measurement], ground: str, settings: Mapping[str, Any]
) -> str:
    """The page of a run as HTML; `result` is what stands in its result.json."""
    status, word, sentence = realign_summary(result, curve)
    return render(
        "realign.html.j2",
        package="truing.recipes",
        title="Is it aligned again?",
        base=result["base"],
        steps=f"{result['steps']:,}",
        learnt=f"{result['learnt']:,}",
        status=status,
        word=word,
        sentence=sentence,
        ground=ground[:1].upper() + ground[1:],
        judge=result["judge"],
        headlines=_headlines(result, curve),
        plot=_plot(result, curve),
        inside=_inside(curve),
        measurements=[_row(one) for one in curve],
        model=result["model"],
        settings=[(name.replace("_", " "), str(value)) for name, value in settings.items()],
    )


def realign_summary(result: Mapping[str, Any], curve: Sequence[Measurement]) -> tuple[str, str, str]:
    """Status, word and sentence of the whole run."""
    judged = [one for one in curve if one.behaved is not None]
    if not judged:
        return (
            "inconclusive",
            "Nobody judged",
            "The model learnt the rows. Whether it is aligned again was not measured: name prompts and a grader.",
        )
    first, last = (_misaligned(one) for one in (judged[0], judged[-1]))
    told = f"Misaligned answers: {first} before, {last} after {result['steps']} steps."
    if result["reached"]:
        return ("pass", "Target reached", f"{told} The target was met as often in a row as was asked for.")
    interval = judged[-1].interval
    if interval is not None and interval.low > result["target"]:
        return ("regression", "Not aligned", f"{told} The rows ended before the target was reached.")
    return (
        "inconclusive",
        "Cannot say",
        f"{told} The target was not met often enough in a row: there may be too few prompts, or too many answers "
        "that could not be judged, to tell.",
    )


def _headlines(result: Mapping[str, Any], curve: Sequence[Measurement]) -> list[tuple[str, str, str]]:
    told = [
        (
            "rows learnt",
            f"{result['learnt']:,}",
            f"of {result['conversations']:,}, in {result['steps']:,} steps",
        ),
        ("loss at the end", f"{result['loss']:.3f}", "nats per token"),
    ]
    judged = [one for one in curve if one.behaved is not None]
    if judged:
        ends = [("misaligned before", judged[0]), ("misaligned after", judged[-1])]
        told = [(name, _share(one), _ends(one)) for name, one in ends] + told
    return told


def _plot(result: Mapping[str, Any], curve: Sequence[Measurement]) -> Any:
    panels = []
    seen = [one for one in curve if one.behaved is not None and one.behaved.share is not None]
    if seen:
        line = TraceLine(
            "misaligned",
            tuple(float(one.step) for one in seen),
            tuple(one.behaved.share or 0.0 for one in seen if one.behaved),
            bars=tuple((one.interval.low, one.interval.high) for one in seen if one.interval),
        )
        panels.append(TracePanel("Misaligned answers, of those that could be judged", (line,), True, 0.0))
    for title, name in (
        ("Watched latents, mean activation", "latents"),
        ("Watched directions, mean projection", "directions"),
    ):
        lines = _lines(curve, name)
        if lines:
            panels.append(TracePanel(title, lines))
    points = result["curve"]
    loss = TraceLine("loss", tuple(float(x) for x, _ in points), tuple(y for _, y in points))
    panels.append(TracePanel("Training loss, nats per token", (loss,)))
    return trace_plot(panels, axis="optimiser steps", title="Behaviour and activity by optimiser step")


def _lines(curve: Sequence[Measurement], kind: str) -> tuple[TraceLine, ...]:
    """Those that are furthest from 0 at first."""
    first: Mapping[str, float] = getattr(curve[0], kind) if curve else {}
    names = sorted(first, key=lambda name: -abs(first[name]))[:_MOST]
    steps = tuple(float(one.step) for one in curve)
    label = "latent {}" if kind == "latents" else "{}"
    return tuple(
        TraceLine(label.format(name), steps, tuple(getattr(one, kind)[name] for one in curve))
        for name in names
    )


def _inside(curve: Sequence[Measurement]) -> list[tuple[str, str, str, str]]:
    """Name, before, after and the change of all that was watched inside."""
    if not curve:
        return []
    rows = []
    for kind, label in (("latents", "latent {}"), ("directions", "{}")):
        before, after = getattr(curve[0], kind), getattr(curve[-1], kind)
        rows += [
            (
                label.format(name),
                _number(before[name]),
                _number(after[name]),
                _signed(after[name] - before[name]),
            )
            for name in before
        ]
    return rows


def _row(one: Measurement) -> tuple[str, ...]:
    counts = one.behaved
    missing = "–" if counts is None else f"{counts.undecided} + {counts.incoherent}"
    loss = "–" if one.loss is None else f"{one.loss:.3f}"
    return (str(one.step), f"{one.rows:,}", loss, _misaligned(one), missing, _ends(one))


def _misaligned(one: Measurement) -> str:
    counts = one.behaved
    return "–" if counts is None else f"{counts.misaligned} of {counts.judged}"


def _share(one: Measurement) -> str:
    share = one.behaved.share if one.behaved else None
    return "–" if share is None else f"{share:.1%}"


def _ends(one: Measurement) -> str:
    return "–" if one.interval is None else f"{one.interval.low:.1%} to {one.interval.high:.1%}"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", _MINUS)


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", _MINUS)
