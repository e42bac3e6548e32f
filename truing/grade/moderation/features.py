"""What the moderation model sees of a text: counts of its words, pairs of words and parts of words, hashed.

A feature is a bucket, the first bits of a 64-bit hash of its characters: no vocabulary is kept, and none
can be read off a model. The words of many texts are hashed at once, by whole-number arithmetic that gives
the same buckets everywhere.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

HALF = 1 << 15
"""Buckets of words and of pairs of words together; as many more are those of parts of words."""
PARTS = (3, 4, 5)
"""Lengths in characters of the parts of words; the space before and after a word counts as one."""
_LONGEST = 40  # characters of a word; what follows is not read
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_BASE = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


def words(text: str) -> list[str]:
    """The words and numbers of a text in lower case, in order."""
    return [word[:_LONGEST] for word in _WORD.findall(text.lower().replace("’", "'"))]


def counts(texts: Sequence[Sequence[str]]) -> csr_array:
    """How often each feature is in each of N texts, given as their words: `[N, 2 * HALF]`.

    A word's bucket is the hash of its characters, a pair's that of both hashes, a part's that of its
    characters and its length.
    """
    number: dict[str, int] = {}
    word = np.array([number.setdefault(word, len(number)) for text in texts for word in text], dtype=np.int64)
    row = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    if not len(word):
        return csr_array((len(texts), 2 * HALF), dtype=np.float32)
    whole, parts, starts = _hashed(list(number))
    pair = np.flatnonzero(row[1:] == row[:-1])
    pairs = _mixed(whole[word[pair]] * _BASE + whole[word[pair + 1]])
    keys, times = np.unique(row * len(number) + word, return_counts=True)  # each word of a text once
    row_of, word_of = np.divmod(keys, len(number))
    many = np.diff(starts)[word_of]
    each = ranges(starts[word_of], many)
    rows = np.concatenate([row_of, row[pair], np.repeat(row_of, many)])
    buckets = np.concatenate([_bucket(whole[word_of]), _bucket(pairs), HALF + _bucket(parts[each])])
    found = np.concatenate([times, np.ones(len(pair), np.int64), np.repeat(times, many)]).astype(np.float32)
    table = csr_array((found, (rows.astype(np.int32), buckets.astype(np.int32))), (len(texts), 2 * HALF))
    table.sum_duplicates()
    return table


def documents(table: csr_array) -> NDArray[np.float64]:
    """In how many texts each feature is: `[2 * HALF]`."""
    return np.bincount(table.indices, minlength=2 * HALF).astype(np.float64)


def inverse_frequency(table: csr_array) -> NDArray[np.float64]:
    """log((1 + N) / (1 + texts with the feature)) + 1, of each feature: `[2 * HALF]`."""
    frequency: NDArray[np.float64] = np.log((1 + table.shape[0]) / (1 + documents(table))) + 1
    return frequency


def weighed(table: csr_array, frequency: NDArray[np.float64]) -> csr_array:
    """(1 + log count) * inverse frequency, each half of a row (words, parts) scaled to length 1: `[N, 2 * HALF]`."""
    value = (1 + np.log(table.data)) * frequency[table.indices]
    row = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    half = 2 * row + (table.indices >= HALF)
    lengths = np.sqrt(np.bincount(half, weights=value * value, minlength=2 * table.shape[0]))
    return csr_array((value / lengths[half], table.indices, table.indptr), table.shape)


def ranges(starts: Places, many: Places) -> Places:
    """start, start + 1, ... of each range, `many` of it, one range after the other."""
    ranges: Places = np.arange(many.sum()) + np.repeat(starts - (np.cumsum(many) - many), many)
    return ranges


def _hashed(vocabulary: Sequence[str]) -> tuple[Hashes, Hashes, Places]:
    """The hash of each of V words; those of the parts of all words, and where each word's begin `[V + 1]`."""
    code = _characters(f" {word} " for word in vocabulary)
    lengths = np.array([len(word) + 2 for word in vocabulary])
    starts = np.cumsum(lengths) - lengths
    place = np.arange(len(code)) - np.repeat(starts, lengths)
    power = np.cumprod(np.full(_LONGEST + 2, _BASE))
    whole = _mixed(np.add.reduceat(code * power[place], starts))
    parts, owners = [], []
    for n in PARTS:
        at = np.flatnonzero(place + n <= np.repeat(lengths, lengths))
        rolled = np.full(len(at), np.uint64(n))
        for k in range(n):
            rolled = rolled * _BASE + code[at + k]
        parts.append(_mixed(rolled))
        owners.append(np.repeat(np.arange(len(lengths)), lengths)[at])
    owner = np.concatenate(owners)
    begin = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(lengths)))])
    return whole, np.concatenate(parts)[np.argsort(owner, kind="stable")], begin


def _characters(padded: Iterable[str]) -> Hashes:
    return np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)


def _mixed(value: Hashes) -> Hashes:
    """Each bit of the result depends on all of the value (the finaliser of MurmurHash3)."""
    value = (value ^ (value >> _SHIFT)) * _M1
    value = (value ^ (value >> _SHIFT)) * _M2
    return value ^ (value >> _SHIFT)


def _bucket(value: Hashes) -> Places:
    return (value >> np.uint64(65 - HALF.bit_length())).astype(np.int64)
