"""A model as it was before its training, read on the rows that it is trained on, by the same code in equal parts."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from truing.model import PackedForward, Trunk, evaluating, unwrapped
from truing.train.distributed import sharding
from truing.train.parts import Part, Reader, extremes
from truing.train.rows import TokenRows
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Reference:
    """What the model was on the units of a part, bit for bit, without a gradient and without dropout."""

    def __init__(
        self, trunk: Trunk, reader: Reader, off: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self.trunk = trunk
        """Of the model as it was; while it is read, its adapter is off."""
        self._reader, self._off = reader, off

    @torch.no_grad()
    def read(self, part: Part) -> Part:
        """The units of a part, one row each, as the model read them before its training: laid out alike."""
        with self._off(), evaluating(self.trunk.net):
            return self._reader.read(part.units)


@contextmanager
def keep_reference(
    net: "PreTrainedModel",
    rows: TokenRows,
    *,
    adapter_off: Callable[[], AbstractContextManager[object]] | None = None,
) -> Iterator[Reference]:
    """Keep `net` as it is now, for the time of a training on `rows`.

    Where an adapter is trained, the model as it was is the one without it, which takes no memory: a fresh
    adapter changes nothing. Else a copy is kept, which takes that of the weights once more.

    Args:
        net: what is to be trained.
        rows: what `Reference.read` is asked for; unit u of a part is row u.
        adapter_off: takes the adapter out for the time of a context (peft's `disable_adapter`).

    Raises:
        InputError: a row does not fit the model, or a copy would be of a sharded model.
    """
    borders = np.arange(len(rows) + 1)
    if adapter_off is not None:
        net = unwrapped(net)
        with adapter_off():
            trunk, forward = Trunk(net), PackedForward(net, extremes(rows, net.device))
        # The loop has it attend as packed rows need it: it is one model.
        yield Reference(trunk, Reader(net, rows, borders, forward=forward), adapter_off)
        return
    if sharding():
        problem = "the model as it was would be kept whole in each process, whose layers FSDP takes apart"
        raise InputError(problem, mend="train an adapter (lora_rank), or launch without FSDP")
    kept = copy.deepcopy(net).requires_grad_(False).eval()
    trunk, forward = Trunk(kept), PackedForward(kept, extremes(rows, kept.device))
    with forward.attending():
        yield Reference(trunk, Reader(kept, rows, borders, forward=forward), nullcontext)
