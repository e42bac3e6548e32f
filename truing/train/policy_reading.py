"""What the nets of policy learning say of a rollout's tokens: policy, reference and value model, without gradient."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from truing.model import LocalModel, PackedForward, ScalarModel, evaluating, scalar_head, unwrapped
from truing.numerics import chunked_logprobs
from truing.train.distributed import Fleet
from truing.train.parts import Part, Reader, autocast
from truing.train.rollout import Flat
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PerToken = Callable[[Part], Tensor]
"""Makes a number of each completion token [M] of what went through the model."""


class ReadingNet:
    """A net with its packed forward pass, measured once, and what it makes of each completion token."""

    def __init__(
        self,
        net: "PreTrainedModel",
        per_token: PerToken,
        sample: Sequence[Tensor],
        *,
        context: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`sample` are rows of token ids [T] to measure on; `context` is opened around every reading."""
        self.net = unwrapped(net)
        self.forward = PackedForward(self.net, sample)
        self._per_token, self._context = per_token, context

    def reader(self, flat: Flat) -> Reader:
        """What sends the units of the rollout through the net, inside `forward.attending()`."""
        return Reader(self.net, flat.rows, flat.borders, flat.shared, self.forward)

    def read(self, flat: Flat) -> Tensor:
        """The number of each completion token of the rollout [M], float32."""
        reader, fleet = self.reader(flat), Fleet.of(self.net)
        numbers = torch.zeros(int(flat.starts[-1]), device=self.net.device)
        units = torch.arange(len(flat.borders) - 1).numpy()
        with torch.no_grad(), evaluating(self.net), self._context(), self.forward.attending():
            for batch, _ in fleet.batches(reader, units):
                part = reader.read(batch)
                with autocast(self.net.device):
                    numbers[flat.tokens(part.rows).to(numbers.device)] = self._per_token(part).float()
        return fleet.total(numbers)


def policy_net(
    model: LocalModel,
    temperature: float,
    sample: Sequence[Tensor],
    *,
    context: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> ReadingNet:
    """Log-probabilities (nats) of the tokens at the temperature that they were drawn at."""

    def logprobs(part: Part) -> Tensor:
        hidden, ids = part.hidden[part.before], part.ids[part.trained]
        return chunked_logprobs(hidden, model.trunk.logits, ids, temperature=temperature)

    return ReadingNet(model.net, logprobs, sample, context=context)


def value_net(value: ScalarModel, sample: Sequence[Tensor]) -> ReadingNet:
    """What the value model expects before each token is written."""
    return ReadingNet(value.net, values_of(value), sample)


def values_of(value: ScalarModel) -> PerToken:
    """The head's number, its bias added, at the token before each completion token [M]."""
    head = scalar_head(value.net)

    def values(part: Part) -> Tensor:
        numbers: Tensor = head(part.hidden[part.before]).squeeze(-1).float()
        return numbers + value.bias

    return values


@contextmanager
def adapter_off(net: "PreTrainedModel") -> Iterator[None]:
    """Inside, the model is what it was without its adapter of peft; what requires a gradient is as before after."""
    flags = {p: p.requires_grad for p in net.parameters()}
    layers = _adapter_layers(net)
    for layer in layers:
        layer.enable_adapters(enabled=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(enabled=True)
        for p, flag in flags.items():
            p.requires_grad_(flag)


def check_adapter(net: "PreTrainedModel", forward: PackedForward, sample: Sequence[Tensor]) -> None:
    """Raise InputError where the model without its adapter is not, and stays not, the one that training begins from."""
    if not _adapter_layers(net):
        mend = "give the reference as a model of its own"
        raise InputError("the model has no adapter that could be turned off", mend=mend)
    ids, lengths = torch.cat(list(sample)), [len(row) for row in sample]
    with torch.no_grad(), evaluating(net), forward.attending():
        begun = forward(ids, lengths)
        with adapter_off(net):
            off = forward(ids, lengths)
            moving = [name for name, p in net.named_parameters() if p.requires_grad]
    if moving:
        problem = f"the weights {moving[0]} are trained and no part of the adapter"
        raise InputError(f"{problem}, so that without it the model is no reference", mend="freeze them")
    if not torch.equal(begun, off):
        raise InputError(
            "without its adapter the model is not the one that training begins from",
            mend="merge the adapter and begin with a new one, or give the reference as a model of its own",
        )


def _adapter_layers(net: nn.Module) -> list[nn.Module]:
    try:
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper
    except ImportError:
        return []
    return [m for m in net.modules() if isinstance(m, BaseTunerLayer | AuxiliaryTrainingWrapper)]
