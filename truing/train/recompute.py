"""Activations made again in the backward pass, layer by layer, in place of being kept (Chen et al. 2016)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from torch.utils.checkpoint import checkpoint

from truing.model import decoder_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def recomputing(
    net: "PreTrainedModel", *, on: bool, again: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Iterator[None]:
    """Inside, of each decoder layer only what goes in is kept for the backward pass.

    transformers' own checkpointing is off in `eval` mode, in which preferences are learnt.

    Args:
        net: the model.
        on: if not, nothing is changed.
        again: opened around what is made again: the context that the forward pass was made in.
    """
    layers = list(decoder_layers(net)) if on else []
    own = [layer.__dict__.get("forward") for layer in layers]  # accelerate puts one there, models do not
    for layer in layers:
        layer.forward = partial(
            checkpoint,
            layer.forward,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), again()),
        )
    try:
        yield
    finally:
        for layer, before in zip(layers, own, strict=True):
            del layer.forward
            if before is not None:
                layer.forward = before
