"""Input reduction: which words of a text did it?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from truing.grade.moderation.features import counts, words
from truing.grade.moderation.model import STEP, WINDOW, ModerationModel, windows
from truing.types import Record


@dataclass(frozen=True, slots=True)
class Reduced(Record):
    """`words` are few that are flagged by themselves, in the order of the text, `at` their places among its words.

    `p` is their probability, `whole` that of all that was read. Both are empty where the text is not flagged.
    """

    words: tuple[str, ...]
    at: tuple[int, ...]
    p: float
    whole: float


def reduce_input(model: ModerationModel, text: str, head: str) -> Reduced:
    """Take words away as long as what is left stays flagged, each time those that the head misses least.

    A quarter of the words is tried first, then half as many, down to a single one. Of a long text its
    worst window is reduced. No further word can be taken away at the end; a smaller set that was not on the
    way may exist. Source: input reduction (Feng et al. 2018, arXiv 1804.07781), which Markov et al. 2022
    use on moderation; they keep p >= 0.8, here the head's threshold counts.

    Raises:
        ValueError: the model has no such head.
    """
    h = model.heads.index(head)
    split = words(text)
    left = _worst_window(model, split, h)
    whole = p = _p(model, split, [left], h)[0]
    if p < model.threshold[h]:
        return Reduced((), (), whole, whole)
    many = len(left) // 4
    while len(left) > 1:
        alone = np.array(_p(model, split, [left[:at] + left[at + 1 :] for at in range(len(left))], h))
        least = np.argsort(-alone, kind="stable")  # without these the head is surest
        while many := max(min(many, len(left) - 1), 1):
            dropped = set(least[:many].tolist())
            rest = [place for at, place in enumerate(left) if at not in dropped]
            p_rest = _p(model, split, [rest], h)[0]
            if p_rest >= model.threshold[h]:
                left, p = rest, p_rest
                break
            if many == 1:
                return _reduced(split, left, p, whole)
            many //= 2
    return _reduced(split, left, p, whole)


def word_effects(model: ModerationModel, text: str, head: str) -> tuple[tuple[str, float], ...]:
    """How much the head's log-odds fall without each word, wherever it stands; the largest fall first.

    Of a long text its worst window is looked at.

    Raises:
        ValueError: the model has no such head.
    """
    h = model.heads.index(head)
    split = words(text)
    window = _worst_window(model, split, h)
    kinds = list(dict.fromkeys(split[at] for at in window))
    rest = [[split[at] for at in window if split[at] != kind] for kind in kinds]
    odds = model.of_counts(counts([[split[at] for at in window], *rest]))[:, h] * model.slope[h]
    falls = (odds[0] - odds[1:]).tolist()
    return tuple(sorted(zip(kinds, falls, strict=True), key=lambda one: -one[1]))


def _reduced(split: Sequence[str], left: Sequence[int], p: float, whole: float) -> Reduced:
    return Reduced(tuple(split[at] for at in left), tuple(left), p, whole)


def _worst_window(model: ModerationModel, split: list[str], head: int) -> list[int]:
    start = STEP * int(np.argmax(model.of_counts(counts(windows([split])[0]))[:, head]))
    return list(range(len(split)))[start : start + WINDOW] if len(split) > WINDOW else list(range(len(split)))


def _p(
    model: ModerationModel, split: Sequence[str], chosen: Sequence[Sequence[int]], head: int
) -> list[float]:
    """The head's probability of each choice of words, whatever the other heads say."""
    texts = [[split[at] for at in places] for places in chosen]
    margins = model.of_counts(counts(texts))[:, head]
    p: list[float] = expit(margins * model.slope[head] + model.offset[head]).tolist()
    return p
