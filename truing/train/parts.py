"""What goes through the model at once: whole rows, end to end, and where in them the loss is."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truing.model import PackedForward, computes_bfloat16, context_length
from truing.train.plan import micro_batches
from truing.train.rows import TokenRows
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MICRO_TOKENS = 2048
"""About so many tokens go through the model at once."""
_WORTH_SHARING = 16
"""Tokens that a unit must spare for its rows to be cut in two."""


@dataclass(frozen=True, eq=False)
class Part:
    """Whole units that went through the model in one forward pass: n rows, T tokens in all.

    A unit is what the plan moves about: a row, or the answers of one prompt. What the rows of a unit
    share at their beginning may be there once for all of them.
    """

    units: NDArray[np.int64]
    """The numbers of the units."""
    rows: NDArray[np.int64]
    """The numbers of the rows, unit by unit [n]."""
    groups: NDArray[np.int64]
    """The rows of the k-th unit are rows[groups[k] : groups[k + 1]]."""
    ids: Tensor
    """Token ids [T]."""
    trained: Tensor
    """Where in `ids` the tokens that carry loss are, row by row [M]."""
    before: Tensor
    """Where the token before each of them is [M]."""
    hidden: Tensor
    """Last hidden states, after the final norm [T, D]."""


class Reader:
    """Sends units through a model: micro-batches of whole units, nothing padded."""

    def __init__(
        self,
        net: "PreTrainedModel",
        rows: TokenRows,
        borders: NDArray[np.int64],
        shared: NDArray[np.int64] | None = None,
        forward: PackedForward | None = None,
    ) -> None:
        """Unit u is the rows borders[u] : borders[u + 1], which begin with the same shared[u] tokens.

        `forward` is that of the net, where it was measured already.

        Raises:
            InputError: a row does not fit the model.
        """
        _check(net, rows)
        self._net, self._rows, self._borders = net, rows, borders
        self.forward = forward or PackedForward(net, extremes(rows, net.device))
        again = np.diff(borders) - 1
        self._shared = np.zeros_like(again)
        if shared is not None and self.forward.packs:
            self._shared = np.where(again * shared >= _WORTH_SHARING, shared, 0)
        self.lengths = np.diff(rows.offsets[borders]) - again * self._shared
        """Tokens of each unit that go through the model [U]."""

    def batches(self, units: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The units, largest first, in batches of at most about `MICRO_TOKENS`; see `micro_batches`."""
        return [units[batch] for batch in micro_batches(self.lengths[units], MICRO_TOKENS)]

    def read(self, units: NDArray[np.int64]) -> Part:
        """Send the units through the model at once, what the rows of one share at their beginning once."""
        rows, device = self._rows, self._net.device
        numbers = np.concatenate([np.arange(self._borders[u], self._borders[u + 1]) for u in units])
        sizes = self._borders[units + 1] - self._borders[units]
        groups = np.append(0, np.cumsum(sizes))
        begun = np.repeat(self._shared[units], sizes)
        full = rows.lengths[numbers]
        # A row stands for the beginnings of all rows of its unit, or for its own.
        leads = np.where(begun > 0, np.repeat(groups[:-1], sizes), np.arange(len(numbers)))
        reach = np.where(begun > 0, begun, full)
        roots = sorted(dict.fromkeys(leads.tolist()), key=lambda k: -reach[k])
        rest = sorted(np.flatnonzero(begun).tolist(), key=lambda k: (leads[k], full[k]))
        cuts = [(k, 0, reach[k]) for k in roots] + [(k, begun[k], full[k]) for k in rest]
        lengths = [int(stop - start) for _, start, stop in cuts]
        starts = np.cumsum([0, *lengths])
        number = {k: i for i, k in enumerate(roots)}
        first = starts[[number[k] for k in leads.tolist()]]
        own = first.copy()
        own[rest] = starts[len(roots) : -1] - begun[rest]

        masks = [np.flatnonzero(rows.mask[rows.offsets[r] : rows.offsets[r + 1]]) for r in numbers]
        trained = [x + own[k] for k, x in enumerate(masks)]
        before = [x - 1 + np.where(x > begun[k], own[k], first[k]) for k, x in enumerate(masks)]
        ids = [rows.ids[(o := rows.offsets[numbers[k]]) + start : o + stop] for k, start, stop in cuts]
        flat, at, at_before = (
            torch.from_numpy(np.concatenate(part).astype(np.int64)).to(device)
            for part in (ids, trained, before)
        )
        after = [number[k] for k in leads[rest].tolist()]
        prompts = [int(masks[k][0]) for k, _, _ in cuts]
        with autocast(device):
            hidden = self.forward(flat, lengths, after=after, prompts=prompts)
        return Part(units, numbers, groups, flat, at, at_before, hidden)


def _check(net: "PreTrainedModel", rows: TokenRows) -> None:
    """Raise InputError where a row does not fit the model."""
    context = context_length(net)
    if context is not None and rows.lengths.max() > context:
        first = int((rows.lengths > context).argmax())
        raise InputError(
            f"row {first + 1} has {rows.lengths[first]} tokens, the model's context is {context}",
            mend="shorten it or leave it out",
        )
    vocabulary = net.get_input_embeddings().weight.shape[0]
    if rows.ids.max() >= vocabulary:
        at = int((rows.ids >= vocabulary).argmax())
        row = int(np.searchsorted(rows.offsets, at, side="right"))
        raise InputError(f"row {row} has the token {rows.ids[at]}, the model's vocabulary is {vocabulary}")


def extremes(rows: TokenRows, device: torch.device) -> list[Tensor]:
    """The shortest and the longest row, on which a model shows whether its rows can be packed."""
    ends = (rows.lengths.argmin(), rows.lengths.argmax())
    return [torch.from_numpy(rows.take(np.array([row]))[0].astype(np.int64)).to(device) for row in ends]


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where it is computed and not emulated."""
    return torch.autocast(device.type, torch.bfloat16) if computes_bfloat16(device) else nullcontext()
