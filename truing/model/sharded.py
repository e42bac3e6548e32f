"""Weights that FSDP2 keeps on several processes: put together, and saved by the first of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from truing.run import rank

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a part of a tensor that FSDP2 keeps on several ranks (a `DTensor`)."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The tensor without its graph, put together where it is sharded; all ranks must ask."""
    tensor = tensor.detach()
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[operator,no-any-return]


def save_net(net: "PreTrainedModel | Any", folder: Path, dtype: torch.dtype | None = None) -> None:
    """Save a model, or the adapter of a `PeftModel`, in numbers of this type (None: its own).

    Of several processes all must ask, and the first writes: a folder that `from_pretrained` opens. A model
    that is not sharded has numbers of this type afterwards.
    """
    if not any(map(is_sharded, net.parameters())):
        if rank() == 0:
            (net if dtype is None else net.to(dtype)).save_pretrained(folder)
        return
    state: dict[str, Tensor] = {}
    kept: dict[int, Tensor] = {}  # a tied weight has two names and is one tensor
    for name, tensor in net.state_dict().items():
        full = whole(tensor)
        if rank() == 0:
            number = dtype if dtype is not None and full.is_floating_point() else full.dtype
            at = id(tensor) if is_sharded(tensor) else full.data_ptr()
            state[name] = kept.setdefault(at, full.to("cpu", number, copy=True))
    if rank() == 0:
        if dtype is not None:
            net.config.dtype = dtype
        net.save_pretrained(folder, state_dict=state)
