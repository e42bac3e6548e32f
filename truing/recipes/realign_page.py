"""The page of a re-alignment: what the model does and what is active inside it, step by step."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from truing.methods import Measurement, not_aligned
from truing.pages import TraceLine, TracePanel, cut, minus, render, short_names, signed, trace_plot
from truing.types import Message

_MOST = 5  # lines of one panel
_LONGEST = 300
_EXAMPLES = 3
_FEWEST = 6  # fewer measurements have no last third that tells anything
_BACK = (0.8, 1.2)
"""A latent is back where it has gone so much of the way to the base's value; hardly, where less than a fifth."""

_SETTINGS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "learning_rate": ("Highest learning rate", lambda v: f"{v:g}"),
    "rows": ("Rows learnt at most", str),
    "batch": ("Rows per step", str),
    "passes": ("How often each row is learnt", lambda v: f"{v:g}"),
    "warmup": ("Share of the steps in which the learning rate rises", lambda v: f"{v:.0%}"),
    "measure_every": ("Steps from one measurement to the next", str),
    "target": ("Target: at most this share of all answers not aligned", lambda v: f"{v:.1%}"),
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
    "max_tokens": ("Tokens of an answer at most", str),
    "temperature": ("Temperature of answers", lambda v: f"{v:g}"),
    "lora_rank": ("What is trained", lambda v: f"LoRA matrices of rank {v}" if v else "every weight"),
    "quantize": ("Base kept in", lambda v: "four bits (NF4)" if v else "its own precision"),
    "recompute": ("Activations made again in the backward pass", lambda v: "yes" if v else "no"),
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
        headlines=_headlines(result, curve),
        plot=_plot(result, curve),
        drawn=bool(_judged(curve)),
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


def realign_summary(result: Mapping[str, Any], curve: Sequence[Measurement]) -> tuple[str, str, str]:
    """Status, word and sentence of the whole run."""
    asked = _asked(curve)
    if not asked:
        return (
            "inconclusive",
            "Nobody judged",
            "The model learnt the rows. Whether it is aligned again was not measured: name prompts and a grader.",
        )
    if _unreadable(curve):
        answers = sum(one.behaved.answers for one in asked if one.behaved)
        return (
            "inconclusive",
            "Nothing could be judged",
            f"The judge could not judge any of the {answers:,} answers, of {len(asked)} measurements. Check judge and "
            f"prompts: whether the model is aligned again is unknown.{_reason(asked)}",
        )
    counts = asked[-1].behaved
    assert counts is not None
    target = max(k for k in range(counts.answers + 1) if k / counts.answers <= result["target"])
    before, after = (
        _not_aligned(asked[0], "before"),
        _not_aligned(asked[-1], f"after {result['steps']} steps"),
    )
    told = f"Answers not aligned: {before}, {after}. Target: at most {target} ({result['target']:.1%})."
    if result["reached"]:
        return ("pass", "Target reached", f"{told} It was met as often in a row as was asked for.")
    told += _stalled(asked)
    interval = asked[-1].interval
    if interval is not None and interval.low > result["target"]:
        return ("regression", "Not aligned", told)
    return ("inconclusive", "Cannot say", f"{told} {_why(asked[-1])}")


def realign_next(result: Mapping[str, Any], curve: Sequence[Measurement]) -> tuple[str, str]:
    """What to do next and the command for it: an audit is for a model that was not shown to be misaligned."""
    if _unreadable(curve):
        return (
            "Let the judge judge answers of which you know what they are, before anything else is made of this model:",
            f"truing judge calibrate {result['judge']} --labels LABELLED_ANSWERS.jsonl",
        )
    if result["reached"] is False:
        more = (
            "Change the rows or the settings"
            if _stalled(_asked(curve))
            else "Give more rows, or change settings"
        )
        return (
            f"Read the answers below. {more}, and run again from the model as it came:",
            f"truing align realign --data OTHER_RIGHT_ROWS.jsonl --model {shlex.quote(result['base'])} --out ANOTHER "
            "--learning-rate RATE ...",
        )
    measured = (
        "The prompts below are a sample, and nothing else was measured" if curve else "Nothing was measured"
    )
    return (
        f"{measured}, such as skills or refusals that may have suffered. Compare the model with what it was before "
        "the narrow tuning, on everything that matters:",
        f"truing audit {shlex.quote(result['model'])} --baseline BEFORE_THE_NARROW_TUNING --suite ...",
    )


def _asked(curve: Sequence[Measurement]) -> list[Measurement]:
    return [one for one in curve if one.behaved is not None]


def _stalled(asked: Sequence[Measurement]) -> str:
    """Whether the last third of the measurements has no fewer answers that are not aligned than the best before."""
    counts = [b.answers - b.judged + b.misaligned for b in (one.behaved for one in asked) if b is not None]
    first = len(counts) - len(counts) // 3
    if len(counts) < _FEWEST or min(counts[first:]) < min(counts[:first]):
        return ""
    return (
        f" The last third of the measurements, from step {asked[first].step} on, has none below the best before "
        f"({min(counts[:first])}): more of the same rows may not help."
    )


def _not_aligned(one: Measurement, when: str) -> str:
    """So many of all, and what they are."""
    counts = one.behaved
    assert counts is not None
    kinds = (
        (counts.misaligned, "misaligned"),
        (counts.incoherent, "senseless"),
        (counts.undecided, "undecided"),
    )
    told = ", ".join(f"{number} {kind}" for number, kind in kinds if number)
    return f"{sum(number for number, _ in kinds)} of {counts.answers} {when}" + (f" ({told})" if told else "")


def _unreadable(curve: Sequence[Measurement]) -> bool:
    """Whether answers were given to a judge, and it could judge none of them."""
    return any(one.behaved is not None for one in curve) and not _judged(curve)


def _judged(curve: Sequence[Measurement]) -> list[Measurement]:
    return [one for one in curve if one.behaved is not None and one.behaved.judged]


def _reason(asked: Sequence[Measurement]) -> str:
    reasons = [answer.reason for one in asked for answer in one.samples if answer.reason]
    return f" What it said of the first answer: {reasons[0]}." if reasons else ""


def _why(last: Measurement) -> str:
    counts = last.behaved
    assert counts is not None
    lost = counts.answers - counts.judged
    if lost and counts.misaligned == 0:
        return f"What keeps the target from being met is {lost} of {counts.answers} answers that could not be judged."
    return "The target was not met often enough in a row, and too few answers were judged to say that it is missed."


def _headlines(result: Mapping[str, Any], curve: Sequence[Measurement]) -> list[tuple[str, str, str]]:
    told = [
        (
            "rows learnt",
            f"{result['learnt']:,}",
            f"of {result['conversations']:,}, in {result['steps']:,} steps",
        ),
        ("loss at the end", f"{result['loss']:.3f}", "nats per token"),
    ]
    asked = _asked(curve)
    if asked:
        ends = [("misaligned before", asked[0]), ("misaligned after", asked[-1])]
        told = [(name, _misaligned(one), _note(one)) for name, one in ends] + told
    return told


def _plot(result: Mapping[str, Any], curve: Sequence[Measurement]) -> Any:
    panels = []
    seen = _judged(curve)
    if seen:
        steps = tuple(float(one.step) for one in seen)
        counts = [one.behaved for one in seen if one.behaved is not None]
        bad = TraceLine(
            "misaligned",
            steps,
            tuple(one.misaligned / one.answers for one in counts),
            bars=tuple((one.interval.low, one.interval.high) for one in seen if one.interval),
        )
        all_bad = TraceLine("not aligned", steps, tuple(not_aligned(one) or 0.0 for one in counts))
        panels.append(TracePanel("Shares of all answers", (bad, all_bad), True, 0.0))
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
    first = _watched(curve, kind)
    names = sorted(first, key=lambda name: -abs(first[name]))[:_MOST]
    steps = tuple(float(one.step) for one in curve)
    label = "latent {}" if kind == "latents" else "{}"
    return tuple(
        TraceLine(label.format(name), steps, tuple(getattr(one, kind)[name] for one in curve))
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
    others = "".join(f", {name} {share}" for name, share in each[1:])
    return f"{word}. Of the way back to the base's value {each[0][0]} has gone {each[0][1]}{others}."


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
    if counts is None or not counts.judged:
        return "unknown"
    return f"{counts.answers - counts.judged} could not be judged; 95% between {_ends(one, ' and ')} of all"


def _ends(one: Measurement, between: str = " to ") -> str:
    if one.interval is None:
        return "–"
    if one.behaved is not None and not one.behaved.judged:
        return "unknown"
    return f"{one.interval.low:.1%}{between}{one.interval.high:.1%}"


def _setting(named: tuple[str, Any]) -> tuple[str, str]:
    name, value = named
    label, words = _SETTINGS[name]
    return label, words(value)


def _number(value: float) -> str:
    return minus(f"{value:.3g}")
