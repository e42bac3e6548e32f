"""How probably a model's answer is each of a few words, over all spellings of it that its vocabulary has."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from truing.grade.first_token import (
    MIN_MASS,
    NEGLIGIBLE,
    Meaning,
    Read,
    each,
    from_tops,
    local_model,
    prefixes,
    vocabulary,
)
from truing.types import Request, Sampler

if TYPE_CHECKING:
    from truing.model import ChatFormat, LocalModel

_MOST_TOKENS = 5
"""A word is followed over so many tokens; a vocabulary of bytes needs three for `yes`, and may begin with a space."""
_LITTLE = 1e-3
"""Beginnings that together have less than this share of what whole words have are not followed."""
_Begun = tuple[int, tuple[int, ...], str, float]
"""A beginning of a word: its row, the token ids up to it, what has been said of the word, its probability."""
_BEFORE, _BEHIND = " \t\r\n\"'`*_#“‘", " \t\r\n\"'`*_.,;:!?)”’"


def spelled(model: Sampler, requests: Sequence[Request], words: Sequence[str]) -> list[Read[str]]:
    """The probability of each word as the beginning of the answer to each request.

    A token says a word in any case, with white space, quotes or asterisks before it and punctuation
    behind. A model in this process that has no token of its own for each word, small and capitalised
    (a vocabulary of bytes, say), is followed over the tokens that spell it; an endpoint is read at
    its likeliest first tokens. No token after a whole word is looked at: `no` counts where the
    model would go on to `no one`.
    """
    says = saying(words)
    local = local_model(model)
    if local is None:
        return from_tops(model, requests, says)
    spelling = _spelling(local, tuple(words))
    lacking = "" if spelling.starts else "no token of this model begins one of the words"

    def walk(rows: Sequence[tuple[int, ...]]) -> list[Mapping[str, float]]:
        return spelling.walk(local, rows)

    return each(prefixes(local, local.chat, requests), walk, lacking=lacking)


def saying(words: Sequence[str]) -> Meaning[str]:
    """Of the words, the one that a text is, whatever its case and the marks around it."""

    def meaning(text: str) -> str | None:
        said = text.lstrip(_BEFORE).rstrip(_BEHIND).lower()
        return said if said in words else None

    return meaning


class _Spelling:
    """For the texts of a vocabulary: which tokens lead from one beginning of a word to the next, or complete it.

    A beginning is what has been said so far in lower case without the marks before it; "" is where
    all start.
    """

    def __init__(self, texts: Sequence[str], words: Sequence[str]) -> None:
        self._texts, self._words = texts, words
        self._says = saying(words)
        known = set(texts)
        self._whole = all({word, word.capitalize()} <= known for word in words)

    @cached_property
    def starts(self) -> dict[int, str]:
        """Token -> the word that it says, or the beginning of one where some word has no token."""
        return self._after("")

    @cached_property
    def _steps(self) -> dict[str, dict[int, str]]:
        """Beginning -> token -> what has been said with it."""
        return {word[:n]: self._after(word[:n]) for word in self._words for n in range(1, len(word))}

    def _after(self, said: str) -> dict[int, str]:
        found = {}
        for id, text in enumerate(self._texts):
            # Most tokens of a large vocabulary are told from a word by their length.
            if text and len(text) <= 16 and (now := self._now(said + text)) is not None:
                found[id] = now
        return found

    def _now(self, text: str) -> str | None:
        """The word or the beginning that a text is; None: neither."""
        if word := self._says(text):
            return word
        said = text.lstrip(_BEFORE).lower()
        begins = not self._whole and any(word.startswith(said) for word in self._words)
        return said if begins else None

    def walk(self, model: "LocalModel", rows: Sequence[tuple[int, ...]]) -> list[Mapping[str, float]]:
        """The probability of each word after each row of token ids."""
        masses: list[dict[str, float]] = [defaultdict(float) for _ in rows]
        begun: list[_Begun] = [(row, ids, "", 1.0) for row, ids in enumerate(rows)]
        for _ in range(_MOST_TOKENS):
            now, begun = self._worth_following(masses, begun), []
            if not now:
                break
            steps = {said: self._steps[said] if said else self.starts for _, _, said, _ in now}
            candidates = sorted({id for after in steps.values() for id in after})
            dists = model.next_token([ids for _, ids, _, _ in now], candidates)
            for (row, ids, said, before), dist in zip(now, dists, strict=True):
                for id, logprob in zip(dist.token_ids, dist.logprobs, strict=True):
                    new = steps[said].get(id)
                    if new is None or not dist.covered:
                        continue
                    p = before * math.exp(logprob)
                    if new in self._words:
                        masses[row][new] += p
                    else:
                        begun.append((row, (*ids, id), new, p))
        return list(masses)

    @staticmethod
    def _worth_following(masses: Sequence[Mapping[str, float]], begun: list[_Begun]) -> list[_Begun]:
        """Of the beginnings those that could change something: together, of what their row has, and alone."""
        whole = [sum(mass.values()) for mass in masses]
        left = [0.0] * len(masses)
        for row, _, _, p in begun:
            left[row] += p
        follow = [p >= _LITTLE * q and p + q >= MIN_MASS for p, q in zip(left, whole, strict=True)]
        return [one for one in begun if follow[one[0]] and one[3] > NEGLIGIBLE]


_SPELLINGS: "WeakKeyDictionary[ChatFormat, dict[tuple[str, ...], _Spelling]]" = WeakKeyDictionary()


def _spelling(model: "LocalModel", words: tuple[str, ...]) -> _Spelling:
    known = _SPELLINGS.setdefault(model.chat, {})
    if words not in known:
        known[words] = _Spelling(vocabulary(model.chat), words)
    return known[words]
