"""What a result on this model can claim: pages made on toy models must say so."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RANDOM = "random weights, never trained: shows that the machinery runs, and nothing about language models"


def ground(net: "PreTrainedModel") -> str:
    """The sentence that belongs on every page about this model; empty for what may be a real one.

    A model raised for a test says so itself, in `truing_ground` of its configuration. One that was
    never trained is known by its norms: they start as all ones and zeros, and no training leaves
    every one of them there.
    """
    told = getattr(net.config, "truing_ground", "")
    if told:
        return str(told)
    scales = [
        parameter
        for name, module in net.named_modules()
        if "norm" in type(module).__name__.lower() or name.rpartition(".")[2].startswith("ln_")
        for parameter in module.parameters(recurse=False)
    ]
    untouched = bool(scales) and all(bool((p == p.flatten()[0]).all()) for p in scales)
    return RANDOM if untouched else ""
