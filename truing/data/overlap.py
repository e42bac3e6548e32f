"""Finding held-out rows that the training rows contain."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from truing.types import Record

# Scripts written without spaces count by the character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Leak(Record):
    """A held-out row (index `heldout`) that was found in the training rows.

    `train` is the first training row that is equal (`exact`), or the one that holds most of what was
    found, where each n-gram counts for the first row that has it. `share` is the part of the
    held-out row's distinct n-grams that occur in any training row.
    """

    heldout: int
    train: int
    exact: bool
    share: float


def leaks(
    train_texts: Sequence[str], heldout_texts: Sequence[str], *, ngram: int = 8, containment: float = 0.5
) -> list[Leak]:
    """The held-out rows that are equal to a training row, or mostly contained in the training rows.

    Compared are words, without case, punctuation and spacing. Contained means that at least
    `containment` of a row's distinct n-grams of `ngram` words occur in training rows; the defaults are
    in the manner of Tulu 3 (Lambert et al. 2024). Rows shorter than `ngram` words are only found when
    equal.
    Time and memory grow with the words of the texts, not with the pairs.

    Raises:
        ValueError: `ngram` is below 1, or `containment` outside (0, 1].
    """
    if ngram < 1 or not 0 < containment <= 1:
        raise ValueError(
            f"n-grams have at least 1 word and containment lies in (0, 1], not {ngram}, {containment}"
        )
    asked = [words(text) for text in heldout_texts]
    wanted = {gram for row in asked for gram in _grams(row, ngram)}
    equal: dict[tuple[str, ...], int] = {}
    holder: dict[tuple[str, ...], int] = {}
    for index, text in enumerate(train_texts):
        row = words(text)
        equal.setdefault(row, index)
        for gram in _grams(row, ngram):
            if gram in wanted:
                holder.setdefault(gram, index)
    found = (_leak(index, row, ngram, equal, holder) for index, row in enumerate(asked))
    return [leak for leak in found if leak and (leak.exact or leak.share >= containment)]


def words(text: str) -> tuple[str, ...]:
    """The words of a text, compatibility forms and case folded; of a text without words, its characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return tuple(_WORD.findall(folded)) or tuple(folded.split())


def _leak(
    index: int,
    row: tuple[str, ...],
    ngram: int,
    equal: dict[tuple[str, ...], int],
    holder: dict[tuple[str, ...], int],
) -> Leak | None:
    if row in equal:
        return Leak(index, equal[row], True, 1.0) if row else None
    grams = set(_grams(row, ngram))
    holders = Counter(holder[gram] for gram in grams if gram in holder)
    if not holders:
        return None
    train = min(holders, key=lambda held: (-holders[held], held))
    return Leak(index, train, False, holders.total() / len(grams))


def _grams(row: tuple[str, ...], ngram: int) -> Iterator[tuple[str, ...]]:
    return (row[start : start + ngram] for start in range(len(row) - ngram + 1))
