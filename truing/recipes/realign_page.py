"""The page of a re-alignment: what the model does and what is active inside it, step by step."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from truing.methods import Measurement
from truing.pages import TraceLine, TracePanel, render, short_names, trace_plot
from truing.types import Message

_MOST = 5  # lines of one panel
_LONGEST = 300
_EXAMPLES = 3
_MINUS = "\N{MINUS SIGN}"

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
        towards=any("towards" in way for way in result["expected"].values()),
        samples=_samples(curve),
        examples=[(_cut(row[-2].content), _cut(row[-1].content)) for row in rows[:_EXAMPLES] if len(row) > 1],
        prompts=[_cut(text) for text in prompts],
        measurements=[_row(one) for one in curve],
        why=why,
        following=following,
        settings=[("Model", result["base"]), ("Right rows", str(data)), *map(_setting, settings.items())],
    )


def realign_summary(result: Mapping[str, Any], curve: Sequence[Measurement]) -> tuple[str, str, str]:
    """Status, word and sentence of the whole run."""
    asked = [one for one in curve if one.behaved is not None]
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
    first, last = (_misaligned(one) for one in (asked[0], asked[-1]))
    told = f"Misaligned answers: {first} before, {last} after {result['steps']} steps."
    if result["reached"]:
        return ("pass", "Target reached", f"{told} The target was met as often in a row as was asked for.")
    interval = asked[-1].interval
    if interval is not None and interval.low > result["target"]:
        return ("regression", "Not aligned", f"{told} The rows ended before the target was reached.")
    return ("inconclusive", "Cannot say", f"{told} {_why(asked[-1])}")


def realign_next(result: Mapping[str, Any], curve: Sequence[Measurement]) -> tuple[str, str]:
    """What to do next and the command for it: an audit tells nothing where the judge can judge nothing."""
    if _unreadable(curve):
        return (
            "Let the judge judge answers of which you know what they are, before anything else is made of this model:",
            f"truing judge calibrate {result['judge']} --labels LABELLED_ANSWERS.jsonl",
        )
    return (
        "The prompts above are a sample, and nothing else was measured, such as skills or refusals that may have "
        "suffered. Compare the model with what it was before the narrow tuning, on everything that matters:",
        f"truing audit {result['model']} --baseline BEFORE_THE_NARROW_TUNING --suite ...",
    )


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
    asked = [one for one in curve if one.behaved is not None]
    if asked:
        ends = [("misaligned before", asked[0]), ("misaligned after", asked[-1])]
        told = [(name, _share(one), _note(one)) for name, one in ends] + told
    return told


def _plot(result: Mapping[str, Any], curve: Sequence[Measurement]) -> Any:
    panels = []
    seen = _judged(curve)
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


def _inside(result: Mapping[str, Any], curve: Sequence[Measurement]) -> list[tuple[str, str, str, str, str]]:
    """Name, the way it should go, before, after and the change of all that was watched inside."""
    if not curve:
        return []
    rows = []
    for kind, label in (("latents", "latent {}"), ("directions", "direction {}")):
        before, after = getattr(curve[0], kind), getattr(curve[-1], kind)
        rows += [
            (
                label.format(name),
                result["expected"].get(label.format(name), "to the base's value"),
                _number(before[name]),
                _number(after[name]),
                _signed(after[name] - before[name]),
            )
            for name in before
        ]
    return rows


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
                    _cut(one.samples[at].answer),
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
    return f"{counts.misaligned} of {counts.judged}" if counts.judged else f"none of {counts.answers} judged"


def _share(one: Measurement) -> str:
    share = one.behaved.share if one.behaved else None
    return "unknown" if share is None else f"{share:.1%}"


def _note(one: Measurement) -> str:
    if one.behaved is not None and not one.behaved.judged:
        return _misaligned(one)
    return f"{_misaligned(one)} judged; of all {_ends(one)}"


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


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", _MINUS)


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", _MINUS)
