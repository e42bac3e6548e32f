"""A reward that is a weighted sum: of how an answer is made, and of its words, pairs and parts of words, hashed.

It needs no language model, is fitted in seconds, and can be read. It is what a reward model has to beat.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from truing.data import reading
from truing.grade.moderation.features import HALF, counts, weighed, words
from truing.grade.style import STYLE, answer_style, said
from truing.run import replace_file
from truing.types import InputError, Message

FILE = "linear_reward.npz"
"""The file in a reward's folder."""
_FORMAT = 1  # moves when the features or the file do

Turns = Sequence[Message]
Table = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Described:
    """N answers as numbers: what is counted in their words [N, F], and their style [N, S]."""

    counted: csr_array
    style: Table

    @classmethod
    def of(cls, answers: Sequence[tuple[Turns, Turns]]) -> "Described":
        """Describe answers, each given with the conversation before it."""
        style = np.array([answer_style(*one) for one in answers]).reshape(len(answers), len(STYLE))
        return cls(counts([words(said(answer)) for _, answer in answers]), style)

    def part(self, rows: NDArray[np.int64]) -> "Described":
        """Those answers alone."""
        return Described(self.counted[rows], self.style[rows])


@dataclass(frozen=True, eq=False)
class LinearReward:
    """R = style / scale @ style_weights + words (see `weighed`) @ word_weights + bias."""

    frequency: NDArray[np.float32]
    """Inverse frequency of each hashed feature [F]."""
    word_weights: NDArray[np.float32]
    """[F]"""
    scale: Table
    """The spread of each number of style over the answers that it was fitted on [S]."""
    style_weights: Table
    """[S]"""
    bias: float = 0.0

    def score(self, answers: Sequence[tuple[Turns, Turns]]) -> Table:
        """The reward of each answer, given with the conversation before it [N]."""
        return self.score_described(Described.of(answers))

    def score_described(self, answers: Described) -> Table:
        """The same of answers that were described before [N]."""
        table = design(answers, self.frequency.astype(np.float64), self.scale)
        weights = np.concatenate([self.word_weights.astype(np.float64), self.style_weights])
        found: Table = table @ weights + self.bias
        return found

    def save(self, folder: Path) -> None:
        """Write it into a folder as arrays of numbers.

        Raises:
            StorageError: the disk refuses.
        """
        data = io.BytesIO()
        values: dict[str, Any] = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        np.savez_compressed(data, format=np.array(_FORMAT), **values)
        replace_file(folder / FILE, data.getvalue())


def read_linear_reward(folder: str | Path) -> LinearReward:
    """Read what `LinearReward.save` wrote.

    Raises:
        InputError: there is none, or it is none of this version.
    """
    file = Path(folder) / FILE
    with reading(file) as stream:
        data = io.BytesIO(stream.read())
    try:
        with np.load(data) as found:
            values = {name: found[name] for name in found.files}
        if int(values.pop("format")) != _FORMAT:
            raise ValueError("another format")
        bias = float(values.pop("bias"))
        reward = LinearReward(**values, bias=bias)
        shapes = [
            getattr(reward, name).shape for name in ("frequency", "word_weights", "scale", "style_weights")
        ]
        if shapes != [(2 * HALF,)] * 2 + [(len(STYLE),)] * 2:
            raise ValueError("other features")
    except Exception as why:
        mend = "make one with truing align rm --features linear"
        raise InputError(f"is no linear reward ({why})", file=file, mend=mend) from None
    return reward


def design(answers: Described, frequency: Table, scale: Table) -> csr_array:
    """What the weights are for: words, weighed, beside style in its units of spread [N, F + S]."""
    table = hstack([weighed(answers.counted, frequency), csr_array(answers.style / scale)], format="csr")
    table.indices, table.indptr = table.indices.astype(np.int32), table.indptr.astype(np.int32)
    return table
