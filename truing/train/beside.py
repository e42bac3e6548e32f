"""Rows beside those that a loop learns from: a few of them in every step, with a loss of their own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from truing.model import PackedForward
from truing.train.parts import Part, Reader
from truing.train.rollout import drawn
from truing.train.rows import TokenRows

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class Beside:
    """A further loss of every step, on rows of its own: the mean over the trained tokens of some of them."""

    rows: TokenRows
    """What goes through the model; the mask says what carries the loss."""
    rows_per_step: int
    """So many of them in every step, in passes over all of them, each in an order of its own."""
    loss: Callable[[Part, float], Tensor]
    """Back-propagates to `hidden` the loss of a part, summed over its trained tokens and times the number."""


class BesideRows:
    """The rows beside, as the loop goes through them."""

    def __init__(self, net: "PreTrainedModel", beside: Beside, *, key: int, forward: PackedForward) -> None:
        """`forward` is that of the net.

        Raises:
            InputError: a row does not fit the model.
        """
        self._beside, self._key = beside, key
        self.reader = Reader(net, beside.rows, np.arange(len(beside.rows) + 1), forward=forward)
        self.loss = beside.loss

    def step(self, number: int) -> NDArray[np.int64]:
        """The rows of a step, counted from 0: a function of the key and the number, each of them once."""
        count = self._beside.rows_per_step
        return np.unique(drawn(self._key, "beside", number * count, count, len(self._beside.rows)))

    def tokens(self, rows: NDArray[np.int64]) -> float:
        """How many tokens of the rows carry loss."""
        return float(self._beside.rows.trained[rows].sum())
