"""A causal language model in two halves: the trunk makes hidden states, the head makes logits of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from truing.model.batching import Batch, packed, right_padded
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel


_RUNNING: "WeakKeyDictionary[nn.Module, Batch]" = WeakKeyDictionary()


@contextmanager
def running(net: nn.Module, batch: Batch) -> Iterator[None]:
    """Inside, `batch` is what every `Trunk` of `net` says is going through it."""
    _RUNNING[net] = batch
    try:
        yield
    finally:
        del _RUNNING[net]


class Trunk:
    """The two halves of `net`, so that logits are made only where they are read.

    Activation hooks find the batch of the running forward pass in `batch`. Nothing here turns
    gradients or dropout on or off: training uses it as well as sampling.

    Raises:
        InputError: the model's own logits are not what its body and head make here.
    """

    def __init__(self, net: "PreTrainedModel") -> None:
        self.net = net
        config = net.config.get_text_config(decoder=True)
        self.width: int = config.hidden_size
        self.context = context_length(net)
        self.layers = decoder_layers(net)
        self._head: nn.Module = net.get_output_embeddings()
        self._softcap: float | None = getattr(config, "final_logit_softcapping", None)  # Gemma
        # Cohere multiplies, Granite divides.
        self._scale: float = (getattr(config, "logit_scale", None) or 1.0) / (
            getattr(config, "logits_scaling", None) or 1.0
        )
        self.vocabulary = self._check_head()
        """How many logits there are; a padded head has more than the tokenizer has tokens."""
        self.packs = self._packs()
        """Whether several sequences in one row leave each other alone in this model."""

    @property
    def device(self) -> torch.device:
        """Where token ids go in."""
        device: torch.device = self.net.device
        return device

    @property
    def batch(self) -> Batch | None:
        """What is going through the model, be it by this trunk, another of the same model or packed."""
        return _RUNNING.get(self.net)

    def hidden(self, batch: Batch, cache: "Cache | None" = None, **more: Any) -> Tensor:
        """The last hidden states [B, T, D], after the final norm; `cache` is read and extended.

        What is in `more` goes through to the attention.
        """
        with running(self.net, batch):
            out: Any = self.net.base_model(
                input_ids=batch.ids,
                attention_mask=batch.attention_mask,
                position_ids=batch.position_ids,
                past_key_values=cache,
                use_cache=cache is not None,
                **more,
            )
        states: Tensor = out.last_hidden_state
        return states

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] in float32 of hidden states [..., D]."""
        logits: Tensor = self._head(hidden).float()
        if self._scale != 1:
            logits = logits * self._scale
        if self._softcap is not None:
            logits = self._softcap * torch.tanh(logits / self._softcap)
        return logits

    def _packs(self) -> bool:
        # Measured, not looked up: it depends on the attention implementation, and a recurrent state
        # or attention without positions would mix the sequences without a word.
        types = set(getattr(self.net.config.get_text_config(decoder=True), "layer_types", None) or ())
        if not types <= {"full_attention", "sliding_attention"}:
            return False
        sequences, lengths = [[1, 2, 3], [3, 2, 1, 0]], [3, 4]
        with evaluating(self.net), torch.no_grad():
            together = self.hidden(packed(sequences, lengths, [[0, 1], [1, 0]], self.device))
            apart = self.hidden(right_padded(sequences, lengths, self.device))
        rows = [torch.cat([apart[0, :3], apart[1]]), torch.cat([apart[1], apart[0, :3]])]
        return close(together, torch.stack(rows))

    def _check_head(self) -> int:
        """The number of logits."""
        batch = right_padded([[0, 1, 2]], [3], self.device)
        with evaluating(self.net), torch.no_grad():
            ours = self.logits(self.hidden(batch))
            mask = torch.ones_like(batch.ids)
            theirs: Tensor = self.net(input_ids=batch.ids, attention_mask=mask, use_cache=False).logits
        if ours.shape != theirs.shape or not close(ours, theirs):
            name = type(self.net).__name__
            raise InputError(f"the output head of {name} does something to its logits that is not known here")
        return ours.shape[-1]


def unwrapped(net: "PreTrainedModel") -> "PreTrainedModel":
    """The model, with the layers of its adapter inside, that a `PeftModel` wraps; `net` itself if it is none.

    Raises:
        InputError: the adapter is a learnt prompt and not made of layers.
    """
    if not hasattr(net, "get_base_model"):
        return net
    if net.active_peft_config.is_prompt_learning:
        raise InputError(f"an adapter of the type {net.active_peft_config.peft_type} cannot be used")
    inner: PreTrainedModel = net.get_base_model()
    return inner


def context_length(net: "PreTrainedModel") -> int | None:
    """The most tokens that the model reads at once; None where it sets no bound."""
    length: int | None = getattr(net.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return length


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Dropout off inside; afterwards every submodule is in the mode it was in."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def decoder_layers(net: "PreTrainedModel") -> nn.ModuleList:
    """The list of the model's decoder layers.

    Raises:
        InputError: there is none of the length that the configuration tells.
    """
    count = net.config.get_text_config(decoder=True).num_hidden_layers
    for child in net.get_decoder().children():
        if isinstance(child, nn.ModuleList) and len(child) == count:
            return child
    raise InputError(f"no list of {count} decoder layers was found in {type(net).__name__}")


def close(a: Tensor, b: Tensor) -> bool:
    """Equal up to the rounding of the less exact type; a model that makes NaN is judged elsewhere."""
    b = b.to(a.device)
    exact = torch.finfo(b.dtype).eps < 1e-6
    scale = b.float().nan_to_num(0, 0, 0).abs().amax()
    return torch.allclose(
        a.float(), b.float(), rtol=0, atol=float(scale) * (1e-4 if exact else 0.05), equal_nan=True
    )
