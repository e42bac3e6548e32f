"""The page of a re-alignment: what the model does and what is active inside it, step by step."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from truing.methods import Measurement, not_aligned
from truing.pages import TraceLine, TracePanel, cut, minus, render, short_names, signed, trace_plot
from truing.recipes.realign_words import asked_of, judged_of, realign_next, realign_summary
from truing.types import Message

_MOST = 5  # lines of one panel
_LONGEST = 300
_EXAMPLES = 3
_BACK = (0.8, 1.2)
"""A latent is back where it has gone so much of the way to the base's value; hardly, where less than a fifth."""

_SETTINGS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "learning_rate": ("Highest learning rate", lambda v: f"{v:g}"),
    "rows": ("Rows at most", str),
    "batch": ("Batch, rows per step", str),
    "passes": ("Epochs", lambda v: f"{v:g}"),
    "warmup": ("Warm-up, share of the steps", lambda v: f"{v:.0%}"),
    "measure_every": ("Steps from one measurement to the next", str),
    "target": ("Target: at most this share of all answers not good", lambda v: f"{v:.1%}"),
    "patience": ("Measurements in a row that must meet it", str),
    "read": (
        "Activations read at",
        lambda v: {
            "last": "the last token of the prompt",
            "template": "the tokens that the chat template writes after the prompt",
            "prompt": "the mean over the prompt",
            "response": "the mean over the model's own answer",
        }[v],
    ),
    "samples": ("Answers to each prompt", str),
    "max_tokens": ("Max new tokens", str),
    "temperature": ("Temperature of answers", lambda v: f"{v:g}"),
    "lora_rank": ("What is trained", lambda v: f"LoRA matrices of rank {v}" if v else "every weight"),
    "quantize": (
        "Precision of the frozen weights",
        lambda v: "four bits (NF4)" if v else "its own precision",
    ),
    "recompute": ("Gradient checkpointing", lambda v: "yes" if v else "no"),
    "seed": ("Seed", str),
    "grader": ("Judge", lambda v: v or "nobody"),
    "latents": ("Latents watched", lambda v: ", ".join(map(str, v)) or "none"),
}


def realign_page(
    result: Mapping[str, Any],
    *,
    curve: Sequence[Measurement],
    ground: str,
    settings: Mapping[str, Any],
    data: Path,
    rows: Sequence[Sequence[Message]],
    prompts: Sequence[str],
    counts_as: str = "",
) -> str:
    """The page of a run as HTML; `result` is what stands in its result.json.

    Args:
        result: see there.
        curve: what was measured.
        ground: what the model can claim.
        settings: of the run.
        data: the file of the right rows.
        rows: what it holds.
        prompts: what was measured on.
        counts_as: what the judge calls misaligned, in words.
    """
    status, word, sentence = realign_summary(result, curve)
    why, following = realign_next(result, curve)
    (base,) = short_names([result["base"]])
    return render(
        "realign.html.j2",
        package="truing.recipes",
        title="Is it aligned again?",
        base=base,
        steps=f"{result['steps']:,}",
        learnt=f"{result['learnt']:,}",
        data=data.name,
        status=status,
        word=word,
        sentence=sentence,
        ground=ground[:1].upper() + ground[1:],
        judge=result["judge"],
        counts_as=counts_as,
        headlines=_headlines(result, curve),
        plot=_plot(result, curve),
        drawn=bool(judged_of(curve)),
        inside=_inside(result, curve),
        inside_verdict=_way_back(result, curve),
        towards=any("towards" in way for way in result["expected"].values()),
        samples=_samples(curve),
        examples=[
            (cut(row[-2].content, _LONGEST), cut(row[-1].content, _LONGEST))
            for row in rows[:_EXAMPLES]
            if len(row) > 1
        ],
        prompts=[cut(text, _LONGEST) for text in prompts],
        measurements=[_row(one) for one in curve],
        why=why,
        following=following,
        settings=[("Model", result["base"]), ("Right rows", str(data)), *map(_setting, settings.items())],
    )


def _headlines(result: Mapping[str, Any], curve: Sequence[Measurement]) -> list[tuple[str, str, str]]:
    told = [
        (
            "Rows learnt",
            f"{result['learnt']:,}",
            f"of {result['conversations']:,}, in {result['steps']:,} steps; loss at the end {result['loss']:.3f} nats "
            "per token",
        )
    ]
    asked = asked_of(curve)
    if not asked:
        return told
    ends = [("Misaligned before", asked[0]), ("Misaligned after", asked[-1])]
    good = [one.behaved.aligned for one in (asked[0], asked[-1]) if one.behaved]
    now = (
        "Good answers",
        f"{good[0]} → {good[-1]}",
        f"of {asked[-1].behaved.answers if asked[-1].behaved else 0}",
    )
    return [now, *((name, _misaligned(one), _note(one)) for name, one in ends), *told]


def _plot(result: Mapping[str, Any], curve: Sequence[Measurement]) -> Any:
    panels = []
    seen = judged_of(curve)
    if seen:
        steps = tuple(float(one.step) for one in seen)
        counts = [one.behaved for one in seen if one.behaved is not None]
        bad = TraceLine(
            "misaligned",
            steps,
            tuple(one.misaligned / one.answers for one in counts),
            bars=tuple((one.interval.low, one.interval.high) for one in seen if one.interval),
        )
        shares = tuple(not_aligned(one) or 0.0 for one in counts)
        all_bad = TraceLine("not good", steps, shares, goal=result["target"])
        panels.append(TracePanel("Shares of all answers", (bad, all_bad), True, 0.0))
    for title, name in (
        ("Watched latents, mean activation", "latents"),
        ("Watched directions, mean projection", "directions"),
    ):
        lines = _lines(curve, name, result["base_values"])
        if lines:
            panels.append(TracePanel(title, lines))
    points = result["curve"]
    loss = TraceLine("loss", tuple(float(x) for x, _ in points), tuple(y for _, y in points))
    panels.append(TracePanel("Training loss, nats per token", (loss,)))
    return trace_plot(panels, axis="optimiser steps", title="Behaviour and activity by optimiser step")


def _lines(curve: Sequence[Measurement], kind: str, goals: Mapping[str, float]) -> tuple[TraceLine, ...]:
    """Those that are furthest from 0 at first, with the base's value where it is known."""
    first = _watched(curve, kind)
    names = sorted(first, key=lambda name: -abs(first[name]))[:_MOST]
    steps = tuple(float(one.step) for one in curve)
    label = "latent {}" if kind == "latents" else "{}"
    return tuple(
        TraceLine(
            label.format(name),
            steps,
            tuple(getattr(one, kind)[name] for one in curve),
            goal=goals.get(label.format(name)),
        )
        for name in names
    )


def _inside(result: Mapping[str, Any], curve: Sequence[Measurement]) -> list[tuple[str, str, str, str, str]]:
    """Name, the way it should go, before, after and the change of all that was watched inside."""
    if not curve:
        return []
    rows = []
    for kind, label in (("latents", "latent {}"), ("directions", "direction {}")):
        before, after = _watched(curve, kind), getattr(curve[-1], kind)
        for name in before:
            expected = result["expected"].get(label.format(name))
            pushed = expected is not None and kind == "directions"
            rows.append(
                (
                    f"projection on what training pushed ({name})" if pushed else label.format(name),
                    expected or "to the base's value",
                    _number(before[name]),
                    _number(after[name]),
                    signed(after[name] - before[name]),
                )
            )
    return rows


def _watched(curve: Sequence[Measurement], kind: str) -> dict[str, float]:
    """What was watched before the first step, less directions of latents whose own activation is told."""
    first: Mapping[str, float] = getattr(curve[0], kind) if curve else {}
    told = {f"latent {name}" for name in curve[0].latents} if kind == "directions" and curve else set()
    return {name: value for name, value in first.items() if name not in told}


def _way_back(result: Mapping[str, Any], curve: Sequence[Measurement]) -> str:
    """How much of the way to the base's value each latent has gone; empty where no such value is known."""
    gone = {}
    for name, base in result["base_values"].items():
        before, after = (one.latents[name.removeprefix("latent ")] for one in (curve[0], curve[-1]))
        if abs(before - base) > 0.1 * max(abs(before), abs(base)):  # else it was never away
            gone[name] = (after - before) / (base - before)
    if not gone:
        return ""
    low, high = _BACK
    shares = gone.values()
    word = "Yes" if all(low <= one <= high for one in shares) else "In part"
    word = "Hardly" if all(one < 1 - low for one in shares) else word
    each = [(name, minus(f"{100 * share:.0f}%")) for name, share in gone.items()]
    others = "".join(f"; {name} is {share}" for name, share in each[1:])
    first = each[0][0][:1].upper() + each[0][0][1:]
    return f"{word}. {first} is {each[0][1]} of the way back to the base's value{others}."


def _samples(curve: Sequence[Measurement]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Prompts with the first answer to each before the training and after."""
    asked = [one for one in curve if one.samples]
    if not asked:
        return []
    ends = [("before", asked[0]), (f"after {asked[-1].step} steps", asked[-1])]
    return [
        (
            answer.prompt,
            [
                (
                    who,
                    cut(one.samples[at].answer, _LONGEST),
                    f"{one.samples[at].said}: {one.samples[at].reason}".strip(": "),
                )
                for who, one in ends
            ],
        )
        for at, answer in enumerate(asked[0].samples)
    ]


def _row(one: Measurement) -> tuple[str, ...]:
    counts = one.behaved
    lost = ("–", "–") if counts is None else (str(counts.undecided), str(counts.incoherent))
    loss = "–" if one.loss is None else f"{one.loss:.3f}"
    return (str(one.step), f"{one.rows:,}", loss, _misaligned(one), *lost, _ends(one))


def _misaligned(one: Measurement) -> str:
    counts = one.behaved
    if counts is None:
        return "–"
    return f"{counts.misaligned} of {counts.answers}" if counts.judged else f"none of {counts.answers} judged"


def _note(one: Measurement) -> str:
    counts = one.behaved
    if counts is None or one.interval is None or not counts.judged:
        return "unknown"
    lost = counts.answers - counts.judged
    if not lost:
        return f"95% interval {_ends(one)}"
    low, high = f"{one.interval.low:.1%}", f"{one.interval.high:.1%}"
    return f"from {low} if none of the {lost} that could not be judged is, to {high} if all are (ends of 95% intervals)"


def _ends(one: Measurement) -> str:
    if one.interval is None:
        return "–"
    if one.behaved is not None and not one.behaved.judged:
        return "unknown"
    return f"{one.interval.low:.1%} to {one.interval.high:.1%}"


def _setting(named: tuple[str, Any]) -> tuple[str, str]:
    name, value = named
    label, words = _SETTINGS[name]
    return label, words(value)


def _number(value: float) -> str:
    return minus(f"{value:.3g}")
