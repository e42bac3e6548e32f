"""What goes through the model at once: whole rows, end to end, and where in them the loss is."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truing.model import PackedForward, computes_bfloat16, context_length
from truing.train.rows import TokenRows
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MICRO_TOKENS = 2048
"""About so many tokens go through the model at once."""


@dataclass(frozen=True, eq=False)
class Part:
    """Whole units that went through the model in one forward pass: n rows of T tokens in all.

    A unit is what the plan moves about: a row, or the answers of one prompt.
    """

    units: NDArray[np.int64]
    """The numbers of the units."""
    rows: NDArray[np.int64]
    """The numbers of the rows, unit by unit [n]."""
    groups: NDArray[np.int64]
    """The rows of the k-th unit are rows[groups[k] : groups[k + 1]]."""
    starts: NDArray[np.int64]
    """Where each row begins in the flat tensors [n]."""
    lengths: NDArray[np.int64]
    """Tokens of each row [n]."""
    ids: Tensor
    """Token ids [T]."""
    trained: NDArray[np.int64]
    """Where in the flat tensors the tokens that carry loss are, row by row."""
    hidden: Tensor
    """Last hidden states, after the final norm [T, D]."""


def read(
    forward: PackedForward,
    rows: TokenRows,
    borders: NDArray[np.int64],
    units: NDArray[np.int64],
    device: torch.device,
) -> Part:
    """Send the rows borders[u] : borders[u + 1] of every unit u through the model, longest row first."""
    numbers = np.concatenate([np.arange(borders[u], borders[u + 1]) for u in units])
    groups = np.append(0, np.cumsum(borders[units + 1] - borders[units]))
    lengths = rows.lengths[numbers]
    laid = np.argsort(-lengths, kind="stable")
    starts = np.empty_like(lengths)
    starts[laid] = np.cumsum(lengths[laid]) - lengths[laid]
    ids, mask = rows.take(numbers[laid])
    at = [start + np.flatnonzero(mask[start : start + n]) for start, n in zip(starts, lengths, strict=True)]
    flat = torch.from_numpy(ids.astype(np.int64)).to(device)
    with autocast(device):
        hidden = forward(flat, lengths[laid].tolist())
    return Part(units, numbers, groups, starts, lengths, flat, np.concatenate(at), hidden)


def check(net: "PreTrainedModel", rows: TokenRows) -> None:
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
