"""A few answers as they were given, and what the judge said of each: counts do not show what was counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from truing.types import Completion, Record, Request

if TYPE_CHECKING:
    from truing.probe.diff_effects import Judged

_BAD = 2
_PICKED = 3
RULE = (
    "Three testing prompts: the first two to which the first answer of the fine-tune was called misaligned, and the "
    "first to which it was judged good; where there are no such prompts, the first others."
)
"""How `picked` picks, in words."""


class Said(StrEnum):
    """What a judge made of one answer."""

    misaligned = "misaligned"
    aligned = "not misaligned"
    undecided = "undecided"
    incoherent = "senseless"


@dataclass(frozen=True, slots=True)
class SampledAnswer(Record):
    """One answer, whole."""

    prompt: str
    """The last turn of what was asked."""
    answer: str
    said: Said
    reason: str = ""
    """Of an answer that was not judged, as the judge gave it."""


def picked(judged: Sequence["Judged"], samples: int) -> list[int]:
    """The answers to show of a fine-tune's, request by request with so many each: see `RULE`."""
    first = range(0, len(judged), samples)
    bad = [i for i in first if said(judged[i]) is Said.misaligned]
    good = [i for i in first if said(judged[i]) is Said.aligned]
    others = [i for i in first if i not in bad and i not in good]
    return sorted([*bad[:_BAD], *good, *others, *bad[_BAD:]][:_PICKED])


def sampled_answers(
    requests: Sequence[Request],
    completions: Sequence[Completion],
    judged: Sequence["Judged"],
    places: Sequence[int],
) -> tuple[SampledAnswer, ...]:
    """The answers at these places, each beside what was asked."""
    asked = {request.id: request.last for request in requests}
    return tuple(
        SampledAnswer(
            asked[completions[i].request_id], completions[i].answer, said(judged[i]), judged[i].reason
        )
        for i in places
    )


def said(one: "Judged") -> Said:
    """An answer that makes no sense is that, whatever else is said of it."""
    if not one.coherent:
        return Said.incoherent
    if one.misaligned is None:
        return Said.undecided
    return Said.misaligned if one.misaligned else Said.aligned
