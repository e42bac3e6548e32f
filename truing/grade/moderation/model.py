"""The moderation model as numbers: a weight for each head and bucket, and what turns a margin into a probability."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import expit

from truing.data import reading
from truing.grade.moderation.features import HALF, counts, weighed, words
from truing.run import replace_file
from truing.types import InputError, dumps

SHIPPED = Path(__file__).with_name("weights.npz")
WINDOW, STEP = 400, 200
"""Words: a longer text is read in windows of so many that begin so far apart, and counts as its worst."""
_FORMAT = 1  # moves when the features or the file do
_AT_ONCE = 1000  # windows
_ARRAYS = ("frequency", "weights", "intercept", "slope", "offset", "threshold")

Table = NDArray[np.float64]


class Reads(StrEnum):
    """What a model was fitted on, and so what it is shown."""

    answer = "answer"
    exchange = "exchange"
    """The prompt and the answer, with an empty line between them."""


@dataclass(frozen=True)
class ModerationModel:
    """H heads, of which one called `a/b` is part of the head `a`.

    `frequency` [F] are inverse frequencies, `weights` [H, F] and `intercept` [H] give a head's margin,
    `slope` and `offset` [H] its probability, `threshold` [H] what is flagged. `unlearned` names heads
    that were asked for, but had too few texts of either kind to learn from.
    """

    heads: tuple[str, ...]
    unlearned: tuple[str, ...]
    reads: Reads
    frequency: NDArray[np.float16]
    weights: NDArray[np.float16]
    intercept: Table
    slope: Table
    offset: Table
    threshold: Table

    def margins(self, texts: Sequence[str]) -> Table:
        """The linear score of each head, of a text's worst window: `[N, H]`."""
        return self.of_words([words(text) for text in texts])

    def of_words(self, texts: Sequence[list[str]]) -> Table:
        """The same of texts that are given as their words."""
        split, owner = windows(texts)
        found = np.concatenate(
            [np.zeros((0, len(self.heads)))]
            + [self.of_counts(counts(split[at : at + _AT_ONCE])) for at in range(0, len(split), _AT_ONCE)]
        )
        return worst(found, owner)

    def of_counts(self, table: csr_array) -> Table:
        """The linear scores of texts that are given as counts `[N, F]`: `[N, H]`."""
        margins: Table = weighed(table, self._frequency) @ self._weights + self.intercept
        return margins

    def probabilities(self, texts: Sequence[str]) -> Table:
        """How probable each category is: `[N, H]`; a part is never more probable than the whole."""
        return self.calibrated(self.margins(texts))

    def calibrated(self, margins: Table) -> Table:
        """The probabilities of margins `[N, H]`."""
        return nested(expit(margins * self.slope + self.offset), self.heads)

    def flags(self, probabilities: Table) -> NDArray[np.bool_]:
        """What is flagged: `[N, H]`; where a part is, the whole is, too."""
        return flagged(probabilities, self.threshold, self.heads)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all numbers and names, however the file is packed."""
        found = hashlib.sha256(dumps([self.heads, self.unlearned, self.reads]).encode("ascii"))
        for name in _ARRAYS:
            array = getattr(self, name)
            found.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return found.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the model as arrays of numbers; the file is whole or as before.

        Raises:
            StorageError: the disk refuses.
        """
        data = io.BytesIO()
        values: dict[str, Any] = {field.name: np.array(getattr(self, field.name)) for field in fields(self)}
        np.savez_compressed(data, format=np.array(_FORMAT), **values)
        replace_file(Path(path), data.getvalue())

    @cached_property
    def _frequency(self) -> Table:
        return self.frequency.astype(np.float64)

    @cached_property
    def _weights(self) -> Table:
        return np.ascontiguousarray(self.weights.T.astype(np.float64))


def read_moderation_model(path: str | Path) -> ModerationModel:
    """Read the model that `ModerationModel.save` wrote.

    Raises:
        InputError: no such file, or no model of this version.
    """
    with reading(path) as file:
        data = io.BytesIO(file.read())
    try:
        with np.load(data) as found:
            values: dict[str, Any] = {name: found[name] for name in found.files}
        if int(values.pop("format")) != _FORMAT:
            raise ValueError("another format")
        for name in ("heads", "unlearned"):
            values[name] = tuple(values[name].tolist())
        model = ModerationModel(**values | {"reads": Reads(values["reads"].item())})
        _check(model)
    except Exception as why:
        raise InputError(
            f"is no moderation model ({why})", file=path, mend="make one with truing judge train"
        ) from None
    return model


@cache
def shipped_model() -> ModerationModel:
    """The model in the package; docs/moderation.md says what it was fitted on."""
    return read_moderation_model(SHIPPED)


def windows(texts: Sequence[list[str]]) -> tuple[list[list[str]], NDArray[np.int64]]:
    """The windows of N texts, given as their words, and the number of the text of each."""
    split, owner = [], []
    for number, text in enumerate(texts):
        for start in range(0, max(len(text) - STEP, 1), STEP):
            split.append(text[start : start + WINDOW] if len(text) > WINDOW else text)
            owner.append(number)
            if len(text) <= WINDOW:
                break
    return split, np.array(owner, dtype=np.int64)


def worst(found: Table, owner: NDArray[np.int64]) -> Table:
    """The largest of the rows of each owner; every owner has some, and they stand together."""
    if not len(owner):
        return found
    largest: Table = np.maximum.reduceat(found, np.flatnonzero(np.diff(owner, prepend=-1)), axis=0)
    return largest


def nested(probabilities: Table, heads: Sequence[str]) -> Table:
    """`[N, H]` with that of a part cut to that of the whole."""
    found = probabilities.copy()
    for part, whole in _parts(heads):
        found[:, part] = np.minimum(found[:, part], found[:, whole])
    return found


def flagged(probabilities: Table, threshold: Table, heads: Sequence[str]) -> NDArray[np.bool_]:
    """At least its threshold `[N, H]`; the whole is flagged where a part is."""
    found = probabilities >= threshold
    for part, whole in reversed(_parts(heads)):
        found[:, whole] |= found[:, part]
    return found


def whole_of(head: str) -> str:
    """The head that `head` is a part of by its name, or nothing."""
    return head.rpartition("/")[0]


def _parts(heads: Sequence[str]) -> list[tuple[int, int]]:
    """(part, whole) by number, wholes of wholes first."""
    pairs = [(head, whole_of(head)) for head in sorted(heads, key=lambda head: head.count("/"))]
    return [(heads.index(part), heads.index(whole)) for part, whole in pairs if whole in heads]


def _check(model: ModerationModel) -> None:
    shapes = {"frequency": (2 * HALF,), "weights": (len(model.heads), 2 * HALF)}
    for name in _ARRAYS:
        array, shape = getattr(model, name), shapes.get(name, (len(model.heads),))
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name} is no array of {shape} numbers")
