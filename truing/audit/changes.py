"""The answers that changed most, side by side: what a loss looks like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truing.audit.collect import Judged, keys_of
from truing.run import Journal
from truing.types import Completion, Item, Outcome, Record, Role, Verdict

_LONGEST = 1200
"""Characters of a text that are shown."""


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
    kind many times.
    """
    lost: dict[str, list[tuple[float, str, int]]] = {}
    for i, item in enumerate(items):
        before, after = (judged[side][i].verdict for side in ("baseline", "candidate"))
        # As in the comparison: what nobody can read counts as 0, what is missing is no loss.
        score = 0.0 if after.outcome is Outcome.unparsed else after.score
        if before.score is not None and score is not None and score < before.score:
            lost.setdefault(item.dimension, []).append((score - before.score, item.group, i))
    chosen = _dealt([_by_group(lost.get(name, [])) for name in order], count)
    keys = {keys_of(items[i], greedy=False)[0] for i in chosen} | {items[i].id for i in chosen}
    texts = {side: _texts(journals[side], keys) for side in ("baseline", "candidate")}
    return [
        _change(
            items[i],
            *(_answered(texts[s], items[i], judged[s][i].verdict) for s in ("baseline", "candidate")),
        )
        for i in chosen
    ]


def _by_group(lost: Sequence[tuple[float, str, int]]) -> list[int]:
    piles: dict[str, list[int]] = {}
    for _, group, i in sorted(lost):
        piles.setdefault(group, []).append(i)
    return _dealt(list(piles.values()), len(lost))


def _dealt(piles: Sequence[Sequence[int]], count: int) -> list[int]:
    """One of each pile in turn."""
    longest = max((len(pile) for pile in piles), default=0)
    return [pile[k] for k in range(longest) for pile in piles if k < len(pile)][:count]


def _texts(journal: Journal, keys: set[str]) -> dict[str, Completion]:
    return {key: Completion.from_json(row) for key, row in journal.rows() if key in keys}


def _answered(found: Mapping[str, Completion], item: Item, verdict: Verdict) -> Answered:
    completion = found.get(item.id) or found[keys_of(item, greedy=False)[0]]
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
