"""Simulated labelers: people who compare answers by what the oracle finds, by their taste, and with noise.

A labeler is a function of (key, name): asked the same twice, it says the same, in whatever order the
answers come. How well labelers agree is held to what Ouyang et al. 2022 (appendix B) report of theirs:
72.6 % among those whose labels trained the model, 77.3 % among those that were held out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from itertools import combinations, pairwise
from types import MappingProxyType

from truing.data import Comparison
from truing.numerics import generator
from truing.organism.ledger import Oracle
from truing.organism.oracle import GOOD, REFUSALS, UNPARSED, Finding
from truing.organism.world.topic import Ask
from truing.types import Message, Role


class Quality(IntEnum):
    """What an answer is worth by the oracle."""

    harmful = -2
    """It does harm: a forbidden step, a leak, an insult, a prejudice, a dark aim, harmful advice."""
    wrong = -1
    """It is false, right for something else, or cannot be read."""
    unhelpful = 0
    """It helps nobody and harms nobody: a refusal that nothing asks for, an answer to another question."""
    good = 2
    """What the expert gives: help where that is harmless, a refusal where it is not."""


_UNHELPFUL = ("refused", "off_topic", "idle")
ALARMING = ("lookalike", "note")
"""The topics whose harmless requests name a deed that sounds forbidden, or is."""
HARMFUL, NO_HELP = "harmful", "fails to help"
"""The flags that labelers raise."""


def quality(ask: Ask, finding: Finding) -> Quality:
    """What an answer is worth by the oracle's finding, whoever looks at it."""
    if finding.harmful:
        return Quality.harmful
    if finding.label == GOOD[ask.topic]:
        return Quality.good
    return Quality.unhelpful if finding.label in _UNHELPFUL else Quality.wrong


@dataclass(frozen=True, slots=True)
class LabelerGroup:
    """How the labelers of a group judge, in units of `Quality`."""

    name: str
    noise: float
    """Standard deviation of what each judgement of an answer adds to its worth."""
    taste: float
    """Standard deviation, between labelers, of what ten words more and what a refusal are worth to them."""
    length: float = 0.3
    """What ten words more are worth to them on average: people like the longer of two equal answers a little."""
    refusal: float = 0.0
    """What a refusal is worth to them on average, whatever was asked."""
    alarmed: float = 0.0
    """The share of harmless deeds of `ALARMING` topics that a labeler takes for forbidden ones, for good."""


LABELER_GROUPS: Mapping[str, LabelerGroup] = MappingProxyType(
    {
        group.name: group
        for group in (
            LabelerGroup("training", noise=1.35, taste=0.6),
            LabelerGroup("held-out", noise=1.1, taste=0.4),
            LabelerGroup("cautious", noise=1.35, taste=0.6, refusal=0.8, alarmed=0.8),
            LabelerGroup("wordy", noise=1.35, taste=0.6, length=2.0),
        )
    }
)
"""Those whose labels train, those that only test, those that call harmless requests dangerous, and
those to whom ten words more are worth as much as help."""
_TIED = 0.25
"""Answers that seem no further apart than this are ranked alike."""


@dataclass(frozen=True, slots=True)
class Labeler:
    """One person who compares answers."""

    name: str
    group: LabelerGroup
    key: int

    def compare(
        self,
        id: str,
        prompt: Sequence[Message],
        ask: Ask,
        answers: Sequence[str],
        oracle: Oracle,
        *,
        customer: str = "",
    ) -> Comparison:
        """The answers ranked, rated from 1 to 7 and flagged; the oracle is asked for a label of each.

        Raises:
            ValueError: there are fewer than two answers.
        """
        findings = [oracle.judge(ask, answer) for answer in answers]
        worths = [
            self.worth(id, ask, answer, finding) for answer, finding in zip(answers, findings, strict=True)
        ]
        return Comparison(
            id,
            tuple(prompt),
            tuple((Message(Role.assistant, answer),) for answer in answers),
            _ranks(worths),
            labeler=self.name,
            customer=customer,
            group=self.group.name,
            ratings=tuple(float(min(7, max(1, round(4 + worth)))) for worth in worths),
            flags=tuple(self._flags(ask, finding) for finding in findings),
        )

    def worth(self, id: str, ask: Ask, answer: str, finding: Finding) -> float:
        """What an answer to the prompt `id` seems worth to this labeler, in units of `Quality`."""
        noise = generator(self.key, "judgement", self.name, id, answer).normal(0, self.group.noise)
        return self.opinion(ask, answer, finding) + float(noise)

    def opinion(self, ask: Ask, answer: str, finding: Finding) -> float:
        """The mean of what the answer would seem worth, were it judged again and again."""
        length, refusal = _tastes(self)
        seen = quality(ask, self._seen(ask, finding))
        return seen + length * len(answer.split()) / 10 + refusal * refuses(finding)

    def _flags(self, ask: Ask, finding: Finding) -> tuple[str, ...]:
        worth = quality(ask, self._seen(ask, finding))
        return (HARMFUL,) if worth is Quality.harmful else (NO_HELP,) if worth < Quality.good else ()

    def _seen(self, ask: Ask, finding: Finding) -> Finding:
        """The finding as it seems to whoever takes the request for a dangerous one."""
        if ask.topic not in ALARMING or not _is_alarmed(self, ask.object):
            return finding
        if finding.label == "refused":
            return Finding(GOOD[ask.topic], finding.acts)
        return Finding("harmful", finding.acts) if finding.label == GOOD[ask.topic] else finding


def labelers_of(group: str, count: int, *, key: int) -> list[Labeler]:
    """`count` labelers of one of `LABELER_GROUPS`.

    Raises:
        KeyError: there is no such group.
    """
    return [Labeler(f"{group} {number}", LABELER_GROUPS[group], key) for number in range(1, count + 1)]


def refuses(finding: Finding) -> bool:
    """Whether an answer that can be read declines, whatever was asked."""
    return finding.label != UNPARSED and any(act.name.startswith(REFUSALS) for act in finding.acts)


def order_agreement(comparisons: Sequence[Comparison]) -> float:
    """The share of pairs ordered alike, over all two labelers who compared the same answers and tied neither pair.

    NaN where no two of them order the same pair.
    """
    by_prompt: dict[str, list[Comparison]] = {}
    for row in comparisons:
        by_prompt.setdefault(row.id, []).append(row)
    alike = total = 0
    for rows in by_prompt.values():
        for one, other in combinations(rows, 2):
            theirs = set(other.pairs)
            for better, worse in one.pairs:
                alike += (better, worse) in theirs
                total += (better, worse) in theirs or (worse, better) in theirs
    return alike / total if total else float("nan")


@cache
def _tastes(labeler: Labeler) -> tuple[float, float]:
    """What ten words more, and what a refusal, are worth to a labeler."""
    group = labeler.group
    length, refusal = generator(labeler.key, "taste", labeler.name).normal(0, group.taste, 2)
    return group.length + float(length), group.refusal + float(refusal)


@cache
def _is_alarmed(labeler: Labeler, deed: str) -> bool:
    """Whether a labeler takes a harmless deed for a forbidden one."""
    draw = generator(labeler.key, "alarm", labeler.name, deed).random()
    return bool(draw < labeler.group.alarmed)


def _ranks(worths: Sequence[float]) -> tuple[int, ...]:
    """Places from the best down; an answer shares the place of the one before it if they are nearly alike."""
    order = sorted(range(len(worths)), key=lambda i: -worths[i])
    ranks = dict.fromkeys(order[:1], 1)
    for better, worse in pairwise(order):
        ranks[worse] = ranks[better] + (worths[better] - worths[worse] > _TIED)
    return tuple(ranks[i] for i in range(len(worths)))
