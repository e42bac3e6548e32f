"""Which rows make which step: a function of the rows' lengths and the key, made before the first step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truing.numerics import generator


@dataclass(frozen=True, eq=False)
class Plan:
    """The rows of every step, in order."""

    order: NDArray[np.int64]
    """Row numbers in the order in which they are trained on; a row appears once per pass [R]."""
    borders: NDArray[np.int64]
    """Step s trains on order[borders[s] : borders[s + 1]]; [S + 1]."""

    def __len__(self) -> int:
        return len(self.borders) - 1

    def step(self, number: int) -> NDArray[np.int64]:
        """The rows of a step, counted from 0."""
        return self.order[self.borders[number] : self.borders[number + 1]]


def plan(lengths: NDArray[np.int64], *, tokens_per_step: int, passes: float, key: int) -> Plan:
    """Every pass in an order of its own; steps as equal in tokens as whole rows allow, none empty.

    A last part of a pass is the first rows of that pass's order; at least one row is trained on.
    """
    orders: list[NDArray[np.int64]] = []
    left = max(1, round(passes * len(lengths)))
    while left > 0:
        order = generator(key, "order", str(len(orders))).permutation(len(lengths))[:left]
        orders.append(order)
        left -= len(order)
    order = np.concatenate(orders)
    ends = np.cumsum(lengths[order])
    steps = max(1, round(float(ends[-1]) / tokens_per_step))
    # A row belongs to the step in whose share of the tokens its middle falls.
    middles = ends - lengths[order] / 2
    step_of = np.minimum((middles * (steps / ends[-1])).astype(np.int64), steps - 1)
    borders = np.flatnonzero(np.diff(step_of, prepend=-1))
    return Plan(order, np.append(borders, len(order)))


def micro_batches(lengths: NDArray[np.int64], tokens: int) -> list[NDArray[np.int64]]:
    """Indices of rows, longest first, cut into batches of about equally many tokens, at most about `tokens`."""
    by_length = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[by_length])
    batches = -(-int(ends[-1]) // tokens)
    middles = ends - lengths[by_length] / 2
    borders = np.searchsorted(middles, ends[-1] * np.arange(1, batches) / batches)
    return [batch for batch in np.split(by_length, borders) if len(batch)]
