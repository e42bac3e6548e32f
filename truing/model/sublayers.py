"""What attention and MLP of a decoder layer add to the residual stream, whatever a family calls them."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from truing.model.batching import right_padded
from truing.model.trunk import evaluating
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from truing.model.trunk import Trunk

# A norm after the sublayer comes first: where it is one, it has the last word on what is added.
_ATTENTION = ("post_attention_layernorm", "post_self_attn_layernorm", "self_attn", "attention", "attn")
_MLP = ("post_feedforward_layernorm", "post_mlp_layernorm", "mlp", "feed_forward")
_EXACT, _MOST = 8.0, 0.99
"""A sum agrees within so many roundings, in at least this share of its numbers."""

Writers = tuple[nn.Module, nn.Module]
_FOUND: "WeakKeyDictionary[PreTrainedModel, list[Writers]]" = WeakKeyDictionary()


def writers(trunk: "Trunk") -> list[Writers]:
    """For each layer the modules whose outputs are what attention and MLP add to the residual stream.

    Measured once: the two outputs and what entered the layer sum to what leaves it. Gemma 2 and
    OLMo 2 add what a norm after the sublayer makes, and in most families a norm of that name is
    something else.

    Raises:
        InputError: the layers of this model do not add two such outputs.
    """
    if trunk.net not in _FOUND:
        _FOUND[trunk.net] = [_writers(*seen, trunk) for seen in _seen(trunk)]
    return _FOUND[trunk.net]


def _seen(trunk: "Trunk") -> Iterator[tuple[nn.Module, dict[str, Tensor]]]:
    """Each layer, with what enters it, what leaves it and what its modules make, in one forward pass."""
    seen: list[dict[str, Tensor]] = [{} for _ in trunk.layers]
    with ExitStack() as hooks:
        for layer, states in zip(trunk.layers, seen, strict=True):

            def enters(_: Any, args: Any, kwargs: Any, states: dict[str, Tensor] = states) -> None:
                states["before"] = args[0] if args else kwargs["hidden_states"]

            # Before other hooks on what leaves: an edit there is not what a sublayer adds.
            hooks.callback(layer.register_forward_pre_hook(enters, with_kwargs=True).remove)
            parts = {name: part for name, part in layer.named_children() if name in (*_ATTENTION, *_MLP)}
            for name, module in {**parts, "after": layer}.items():

                def leaves(_: Any, __: Any, out: Any, name: str = name, states: Any = states) -> None:
                    states[name] = out if isinstance(out, Tensor) else out[0]

                hooks.callback(module.register_forward_hook(leaves, prepend=True).remove)
        with evaluating(trunk.net), torch.no_grad():
            trunk.hidden(right_padded([[0, 1, 2]], [3], trunk.device))
    yield from zip(trunk.layers, seen, strict=True)


def _writers(layer: nn.Module, states: dict[str, Tensor], trunk: "Trunk") -> Writers:
    pairs = product(*([name for name in names if name in states] for names in (_ATTENTION, _MLP)))
    for attention, mlp in pairs:
        if _sums([states["before"], states[attention], states[mlp]], states["after"]):
            return layer.get_submodule(attention), layer.get_submodule(mlp)
    raise InputError(
        f"what the sublayers of {type(trunk.net).__name__} add to its residual stream is not known"
    )


def _sums(parts: list[Tensor], total: Tensor) -> bool:
    if any(part.shape != total.shape for part in parts):
        return False
    rounding = _EXACT * torch.finfo(total.dtype).eps
    terms = torch.stack([part.float() for part in parts])
    error = (terms.sum(0) - total.float()).abs()
    return bool((error <= rounding * terms.abs().sum(0)).float().mean() >= _MOST)
