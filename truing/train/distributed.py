"""One training in many processes: its units are dealt to ranks, gradients are summed over them, rank 0 writes.

What comes out is what one process makes, up to the rounding of sums: a step's loss is a mean over the whole
step, whoever read which of its units, and a rank may have none.
"""

import atexit
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from truing.model import computes_bfloat16, decoder_layers, is_sharded
from truing.run import local_rank, rank, world_size
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from truing.train.parts import Reader

_BUCKET = 2**23
"""Numbers that are summed at a time."""

T = TypeVar("T")


def deal(lengths: NDArray[np.int64], ranks: int) -> list[NDArray[np.int64]]:
    """Indices of units for each rank, in the order of the units: the longest goes to whoever has the fewest tokens.

    A function of the lengths alone, so that every rank knows what the others do (Graham 1969: no rank gets
    more than 4/3 of what the best deal would give the fullest one).
    """
    loads, hands = [0] * ranks, [[] for _ in range(ranks)]  # type: tuple[list[int], list[list[int]]]
    for unit in np.argsort(-lengths, kind="stable").tolist():
        to = loads.index(min(loads))
        loads[to] += int(lengths[unit])
        hands[to].append(unit)
    return [np.array(sorted(hand), np.int64) for hand in hands]


def sharding() -> bool:
    """Whether the launcher asked for FSDP (`accelerate launch --use_fsdp`, or ACCELERATE_USE_FSDP=true)."""
    return world_size() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("true", "1")


def spread(net: "PreTrainedModel") -> None:
    """Meet the other processes; where FSDP was asked for, keep only this rank's part of each decoder layer.

    What is no decoder layer (embeddings, last norm, head) stays whole on every rank: the loops call the head
    by itself and in pieces, more often on one rank than on another, and a tied head is an embedding too.
    """
    fleet = Fleet.of(net)
    if not sharding():
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    device = torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    layers = decoder_layers(net)
    inside = {id(p) for p in layers.parameters()}
    ends = {p for p in net.parameters() if id(p) not in inside}
    for tensor in (*ends, *net.buffers()):
        tensor.data = tensor.data.to(device)
    mesh = init_device_mesh(device.type, (fleet.size,))
    # Else autocast would keep a narrow copy of every layer until it is gone back through.
    narrow = torch.bfloat16 if computes_bfloat16(device) else None
    policy = MixedPrecisionPolicy(param_dtype=narrow, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for layer in layers:
        if narrow is not None:  # also where nobody else opens autocast, as where a model is measured
            layer.forward = torch.autocast(device.type, narrow)(layer.forward)
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(net.base_model, mesh=mesh, mp_policy=policy, ignored_params=ends)


@dataclass(frozen=True)
class Fleet:
    """The processes of one training; of one process, everything here is what it would be without."""

    rank: int
    size: int
    sharded: bool
    """Whether layers are sharded (FSDP2), so that all ranks go through the model equally often."""

    @classmethod
    def of(cls, net: nn.Module) -> "Fleet":
        """The fleet that this process belongs to; it has met the others when this returns."""
        if world_size() == 1:
            return cls(0, 1, False)
        _meet()
        return cls(rank(), world_size(), any(map(is_sharded, net.parameters())))

    def batches(self, reader: "Reader", units: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], bool]]:
        """This rank's micro-batches of the units, and whether each counts.

        Where the model is sharded, a rank with fewer of them goes through the shortest unit again, for
        nothing: the others would wait for it.
        """
        if self.size == 1:
            return [(batch, True) for batch in reader.batches(units)]
        lengths = reader.lengths[units]
        hands = [units[hand] for hand in deal(lengths, self.size)]
        cut = [reader.batches(hand) if len(hand) else [] for hand in hands]
        mine = [(batch, True) for batch in cut[self.rank]]
        if self.sharded:
            idle = units[[int(lengths.argmin())]]
            mine += [(idle, False)] * (max(map(len, cut)) - len(mine))
        return mine

    @property
    def scale(self) -> int:
        """What a loss is multiplied by before it is gone back through: FSDP2 makes means over ranks, not sums."""
        return self.size if self.sharded else 1

    def gathered(self, net: nn.Module, loss: Tensor) -> Tensor:
        """Sum the gradients over the ranks, and a number that each has, which is returned.

        A parameter has a gradient afterwards if it had one on any rank. What a loss was multiplied by as
        `scale` is taken out again; of sharded layers, FSDP2 has done so.
        """
        if self.size == 1:
            return loss
        plain = [p for p in net.parameters() if p.requires_grad and not is_sharded(p)]
        told = torch.tensor([float(p.grad is not None) for p in plain], device=loss.device)
        told = self.total(torch.cat([loss.detach().float().reshape(1), told]))
        used = [p for p, ranks in zip(plain, told[1:].tolist(), strict=True) if ranks]
        for p in used:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        for some in _buckets(used):
            flat = self.total(torch.cat([p.grad.flatten() for p in some])) / self.scale  # type: ignore[union-attr]
            for p, part in zip(some, torch.split(flat, [p.numel() for p in some]), strict=True):
                p.grad.copy_(part.view_as(p))  # type: ignore[union-attr]
        return told[0] / self.scale

    def clip(self, net: nn.Module, largest: float) -> Tensor:
        """Scale the gradients so that their norm is at most `largest`; return what it was."""
        if not self.sharded:
            return nn.utils.clip_grad_norm_(net.parameters(), largest)
        gradients = [p.grad for p in net.parameters() if p.grad is not None]
        mine = [_local(g) for g in gradients if is_sharded(g)]
        whole = [g for g in gradients if not is_sharded(g)]
        squares = _squares(mine, gradients[0].device)
        self.total(squares)
        norm = (squares + _squares(whole, squares.device)).sqrt()
        scale = (largest / (norm + 1e-6)).clamp(max=1.0)  # as torch's own
        for gradient in (*mine, *whole):
            gradient.mul_(scale)
        return norm

    def told(self, value: Any) -> Any:
        """What rank 0 has for a value that can be pickled."""
        if self.size == 1:
            return value
        from torch import distributed

        box = [value]
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def first(self, call: Callable[[], T]) -> T:
        """What the call gives on rank 0, which alone makes it; where it raises there, it raises everywhere."""
        if self.size == 1:
            return call()
        made, why = None, None
        if self.rank == 0:
            try:
                made = call()
            except BaseException as error:
                why = error
        problem, made = self.told((why and (str(why) or type(why).__name__), made))
        if why is not None:
            raise why
        if problem is not None:
            raise InputError(f"the first process failed: {problem}")
        return cast("T", made)

    def everyones(self, value: T) -> list[T]:
        """What each rank has, by rank."""
        if self.size == 1:
            return [value]
        from torch import distributed

        box: list[Any] = [None] * self.size
        distributed.all_gather_object(box, value)
        return box

    def total(self, tensor: Tensor) -> Tensor:
        """The tensor, which holds the sum over the ranks afterwards."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(tensor)
        return tensor


def fill(tensor: Tensor, value: Tensor | None, fleet: Fleet) -> None:
    """Put the whole value that rank 0 has into a tensor on every rank, or into its parts."""
    if fleet.size == 1:
        tensor.copy_(value)  # type: ignore[arg-type]
        return
    from torch import distributed
    from torch.distributed.tensor import distribute_tensor

    full = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
    if value is not None:
        full.copy_(value)
    distributed.broadcast(full, src=0)
    if is_sharded(tensor):
        full = distribute_tensor(full, tensor.device_mesh, tensor.placements)  # type: ignore[attr-defined]
    tensor.copy_(full)


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local()  # type: ignore[operator]


def _squares(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    total = torch.zeros((), device=device)
    for tensor in tensors:
        total += tensor.float().square().sum()
    return total


def _buckets(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Neighbours with about `_BUCKET` numbers together."""
    buckets: list[list[nn.Parameter]] = []
    size = _BUCKET
    for p in parameters:
        if size >= _BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(p)
        size += p.numel()
    return buckets


def _meet() -> None:
    from torch import distributed

    if distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
        distributed.init_process_group("cpu:gloo,cuda:nccl")
    else:
        distributed.init_process_group("gloo")
    atexit.register(distributed.destroy_process_group)


def meet() -> None:
    """Wait until every process of the job has come here."""
    from torch import distributed

    _meet()
    distributed.barrier()
