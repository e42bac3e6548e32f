"""How harmful a text sounds: a logistic regression of the parts of its words, hashed, read without scikit-learn.

A feature is a bucket of a checksum of three to five characters of a word, so the file holds numbers and no words.
"""

import re
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("harmful_weights.npz")
BUCKETS = 1 << 14
_PARTS = (3, 4, 5)
_READ = 8_000  # characters of a text
_LONGEST = 32  # characters of a word
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


@lru_cache(maxsize=1 << 15)
def _parts(word: str) -> tuple[int, ...]:
    """The buckets of the parts of a word, the space before and after it counted in."""
    spaced = f" {word} "
    found = {spaced[at : at + n] for n in _PARTS for at in range(len(spaced) - n + 1)}
    return tuple(sorted({zlib.crc32(part.encode("utf-8", "replace")) % BUCKETS for part in found}))


def buckets(text: str) -> NDArray[np.int64]:
    """The buckets that a text has, each once, sorted."""
    words = {word[:_LONGEST] for word in _WORD.findall(text[:_READ].lower().replace("’", "'"))}
    return np.array(sorted({bucket for word in words for bucket in _parts(word)}), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class HarmWeights:
    """`rarity` and `weights` of each bucket, an intercept, and how the sound of a text becomes a probability.

    The probability is at even odds: that of an answer taken from as many harmful as harmless ones.
    """

    rarity: NDArray[np.floating]
    weights: NDArray[np.floating]
    intercept: float
    slope: float = 1.0
    offset: float = 0.0

    def sound(self, text: str) -> float:
        """Log-odds that a request worded like this is harmful; 0 words give the intercept."""
        found = buckets(text)
        rarity = self.rarity[found].astype(np.float64)
        length = float(np.sqrt(rarity @ rarity)) or 1.0
        return float(rarity @ self.weights[found].astype(np.float64)) / length + self.intercept

    def of_exchange(self, asked: str, answer: str) -> float:
        """The probability that a question and what helps with it are harmful, by how both sound."""
        sound = (self.sound(asked) + self.sound(answer)) / 2
        return float(1 / (1 + np.exp(-(self.slope * sound + self.offset))))

    def save(self, path: Path = FILE) -> None:
        """Write the file that is shipped, in half precision."""
        numbers = np.array([self.intercept, self.slope, self.offset])
        np.savez_compressed(
            path,
            rarity=self.rarity.astype(np.float16),
            weights=self.weights.astype(np.float16),
            numbers=numbers,
        )


@cache
def shipped_harm_weights() -> HarmWeights:
    """The weights in the package; `tools/train_harmful.py` makes them again."""
    with np.load(FILE) as file:
        return HarmWeights(file["rarity"], file["weights"], *file["numbers"].tolist())
