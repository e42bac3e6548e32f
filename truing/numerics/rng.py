"""Keyed, counter-based random numbers: a draw is a function of what it is for, not of what came before."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike, NDArray

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_WEYL0, _WEYL1 = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_WORD = 2**64 - 1


def uniforms(key: int, item: str | Sequence[str], sample: ArrayLike, step: ArrayLike) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) with 53 random bits, one for each (key, item, sample, step).

    `item` is one text or N of them ([N]); `sample` and `step` are whole numbers >= 0. The three
    broadcast by numpy's rules: texts [B] and samples [B] with steps [T, 1] give [T, B], and asking
    for the table at once is much cheaper than asking row by row. Source: Philox-4x64-10 (Salmon et
    al. 2011), keyed by a hash of `key`, at the counter (step, sample, 128-bit hash of the item).

    Raises:
        ValueError: the key is outside [0, 2**64), or a sample or step is no whole number >= 0.
    """
    hashes = [_hash128(text, b"item") for text in ([item] if isinstance(item, str) else item)]
    words = np.array([(value & _WORD, value >> 64) for value in hashes], dtype=np.uint64).reshape(-1, 2).T
    low, high = words[:, 0] if isinstance(item, str) else words
    counter = np.broadcast_arrays(_whole("step", step), _whole("sample", sample), low, high)
    shape = counter[0].shape
    word = _philox([c.reshape(-1) for c in counter], _stream(key, b"uniforms"))
    numbers: NDArray[np.float64] = (word >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers.reshape(shape)


def generator(key: int, *names: str) -> np.random.Generator:
    """A numpy generator for (key, *names): for resampling, where draws are many and in a fixed order.

    Its stream shares nothing with `uniforms` nor with any other list of names.

    Raises:
        ValueError: the key is outside [0, 2**64).
    """
    return np.random.Generator(np.random.Philox(key=_stream(key, b"generator", *names)))


def _philox(counter: Sequence[NDArray[np.uint64]], key: int) -> NDArray[np.uint64]:
    """The first of the four words of Philox-4x64-10 at each counter ([N] each, low word first)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key & _WORD, key >> 64
    for _ in range(10):
        hi0, lo0 = _multiply(_M0, c0)
        hi1, lo1 = _multiply(_M1, c2)
        c0, c1, c2, c3 = hi1 ^ c1 ^ np.uint64(k0), lo1, hi0 ^ c3 ^ np.uint64(k1), lo0
        k0, k1 = (k0 + _WEYL0) & _WORD, (k1 + _WEYL1) & _WORD
    return c0


def _multiply(a: np.uint64, b: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The high and low 64 bits of the 128-bit products `a * b`, from 32-bit halves."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    upper = a1 * b0 + (a0 * b0 >> _HALF)
    lower = a0 * b1 + (upper & _LOW)
    return a1 * b1 + (upper >> _HALF) + (lower >> _HALF), a * b


def _stream(key: int, purpose: bytes, *names: str) -> int:
    """The 128-bit Philox key of a purpose. Names are hashed one by one: ("ab", "c") is not ("a", "bc")."""
    if not 0 <= key <= _WORD:
        raise ValueError(f"a random key lies in [0, 2**64), not {key}")
    digest = blake2b(int(key).to_bytes(8, "little"), digest_size=16, person=purpose)
    for name in names:
        digest.update(_hash128(name, b"name").to_bytes(16, "little"))
    return int.from_bytes(digest.digest(), "little")


def _hash128(text: str, purpose: bytes) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=16, person=purpose).digest(), "little")


def _whole(name: str, values: ArrayLike) -> NDArray[np.uint64]:
    array = np.asarray(values)
    if array.size and (array.dtype.kind not in "iu" or array.min() < 0):
        raise ValueError(f"a {name} is a whole number of at least 0")
    return array.astype(np.uint64)
