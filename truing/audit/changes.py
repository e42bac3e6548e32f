"""The answers that changed most, side by side: what a loss looks like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truing.audit.collect import Judged, keys_of
from truing.run import Journal
from truing.types import Completion, Item, Outcome, Record, Role, Verdict

_LONGEST = 1200
"""Characters of a text that are shown."""
_SIDES = ("baseline", "candidate")


@dataclass(frozen=True)
class Answered(Record):
    """What one model said, and what was made of it."""

    text: str
    finding: str


@dataclass(frozen=True)
class Change(Record):
    """One item whose score fell, under both models."""

    id: str
    dimension: str
    group: str
    system: str
    prompt: str
    baseline: Answered
    candidate: Answered


def most_changed(
    items: Sequence[Item],
    judged: Mapping[str, Sequence[Judged]],
    journals: Mapping[str, Journal],
    *,
    order: Sequence[str],
    count: int,
) -> list[Change]:
    """Up to `count` items whose score fell most, dealt evenly over the dimensions in the given order.

    Within a dimension the groups take turns too, so that the page shows kinds of loss rather than one
    kind many times. Of several answers to an item the worst is shown.
    """
    lost: dict[str, list[tuple[float, str, int]]] = {}
    for i, item in enumerate(items):
        before, after = (judged[side][i].verdict for side in _SIDES)
        # As in the comparison: what nobody can read counts as 0, what is missing is no loss.
        score = 0.0 if after.outcome is Outcome.unparsed else after.score
        if before.score is not None and score is not None and score < before.score:
            lost.setdefault(item.dimension, []).append((score - before.score, item.group, i))
    chosen = _dealt([_by_group(lost.get(name, [])) for name in order], count)
    shown = {side: {i: _telling(items[i], judged[side][i]) for i in chosen} for side in _SIDES}
    texts = {side: _texts(journals[side], {key for key, _ in shown[side].values()}) for side in _SIDES}
    return [_change(items[i], *(_answered(texts[s], *shown[s][i]) for s in _SIDES)) for i in chosen]


def _by_group(lost: Sequence[tuple[float, str, int]]) -> list[int]:
    piles: dict[str, list[int]] = {}
    for _, group, i in sorted(lost):
        piles.setdefault(group, []).append(i)
    return _dealt(list(piles.values()), len(lost))


def _dealt(piles: Sequence[Sequence[int]], count: int) -> list[int]:
    """One of each pile in turn."""
    longest = max((len(pile) for pile in piles), default=0)
    return [pile[k] for k in range(longest) for pile in piles if k < len(pile)][:count]


def _telling(item: Item, judged: Judged) -> tuple[str, Verdict]:
    """The key and the verdict of the answer that stands for the item: of several the worst."""
    keys = keys_of(item, greedy=len(judged.verdicts) == 1)
    return min(zip(keys, judged.verdicts, strict=True), key=lambda answer: answer[1].score or 0.0)


def _texts(journal: Journal, keys: set[str]) -> dict[str, Completion]:
    return {key: Completion.from_json(row) for key, row in journal.rows() if key in keys}


def _answered(found: Mapping[str, Completion], key: str, verdict: Verdict) -> Answered:
    completion = found[key]
    label = verdict.label or verdict.outcome.value
    said = label if verdict.reason in ("", label) else f"{label}: {verdict.reason}"
    return Answered(_shortened(completion.answer or completion.text), said)


def _change(item: Item, baseline: Answered, candidate: Answered) -> Change:
    turns = item.request.messages
    system = " ".join(turn.content for turn in turns if turn.role is Role.system)
    return Change(
        item.id,
        item.dimension,
        item.group,
        _shortened(system),
        _shortened(item.request.last),
        baseline,
        candidate,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
