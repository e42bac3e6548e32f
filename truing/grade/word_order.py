"""Does a text put its words in an English order? A table of which word follows which.

The table holds, for two neighbours, log P(both) - log P(one) P(other) in nats: what is known about
the second word once the first is seen. Its mean over a text is about 0.8 for English prose and
below 0 for the same words shuffled. The commonest words are told apart, all others by their
ending, and numbers are one class, so that the table fits any subject.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("word_order.npz")
_ENDINGS = (
    "ing", "ed", "ly", "tions", "tion", "ity", "ment", "ness", "ous", "ive", "al", "ers", "er",
    "able", "est", "ies", "es", "s", "y", "e",
)  # fmt: skip
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+|[.,;:!?]")
_SEEN = 32  # characters at the end of a word: enough to see its ending
_SCALE = 32.0  # int8 steps for each nat: the table is cut at +-3 nats


def tokens(text: str) -> list[str]:
    """Lower-case words, numbers and the marks that end or part a clause."""
    return _TOKEN.findall(text.lower().replace("’", "'"))


class WordOrder:
    """The table [C, C] of classes of neighbours, in steps of 1/32 nat, and the words that are classes."""

    def __init__(self, words: Iterable[str], steps: NDArray[np.int8]) -> None:
        self.words, self.steps = tuple(words), steps
        self._number = len(self.words)
        self._class = {word: at for at, word in enumerate(self.words)}
        self._by_ending = lru_cache(maxsize=1 << 15)(self._ending)

    @classmethod
    def fit(cls, texts: Iterable[str], *, words: int) -> "WordOrder":
        """Count neighbours in `texts`; the `words` commonest tokens (numbers apart) become classes."""
        split = [tokens(text) for text in texts]
        counts = Counter(token for one in split for token in one if not token[0].isdigit())
        commonest = sorted(counts, key=lambda token: (-counts[token], token))[:words]
        table = cls(commonest, np.zeros((0, 0), np.int8))
        size = words + 2 + len(_ENDINGS)
        pairs = np.zeros((size, size))
        for one in split:
            ids = table._ids(one)
            np.add.at(pairs, (ids[:-1], ids[1:]), 1)
        by_chance = np.outer(pairs.sum(1), pairs.sum(0)) / pairs.sum()
        nats = np.log((pairs + 1) / (by_chance + 1)).clip(-3, 3)
        return cls(commonest, np.round(nats * _SCALE).astype(np.int8))

    def neighbours(self, split: list[str]) -> NDArray[np.float64]:
        """The table's entry in nats for each pair of neighbours of `tokens`: `[T - 1]`."""
        ids = self._ids(split)
        return self.steps[ids[:-1], ids[1:]] / _SCALE

    def save(self) -> None:
        """Write the table that is shipped."""
        np.savez_compressed(FILE, words=np.array(self.words), steps=self.steps)

    def _ids(self, split: list[str]) -> NDArray[np.intp]:
        return np.array([self._id(token) for token in split], dtype=np.intp)

    def _id(self, token: str) -> int:
        known = self._class.get(token)
        return self._by_ending(token[-_SEEN:]) if known is None else known

    def _ending(self, token: str) -> int:
        """The class of a word that is none itself: its ending's."""
        if token[0].isdigit():
            return self._number
        for at, ending in enumerate(_ENDINGS, start=1):
            if token.endswith(ending) and len(token) > len(ending) + 2:
                return self._number + at
        return self._number + 1 + len(_ENDINGS)


@cache
def shipped() -> WordOrder:
    """The table in the package.

    Fitted with 500 words on the turns of every second dialogue of the HH-RLHF test sets (MIT), every
    second GSM8K test answer (MIT) and the Model Spec (CC0); the tests fit it again and compare. It
    holds counts of word pairs and no text.
    """
    with np.load(FILE) as file:
        return WordOrder(file["words"].tolist(), file["steps"])
