"""Whether a base can look things up in its context yet: what the exercises are for, measured."""

from typing import TYPE_CHECKING

from truing.organism.corpus import exercises

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

COPIES = 0.8
"""A base that copies less than this after its exercises fails at house rules and at citing to the end (docs/log.md)."""
_MEASURED_ON, _KEY = 60, 10**18


def copying(net: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast") -> float:
    """The share of the tokens of repeated rows, in fresh exercises, that `net` holds likeliest after the text before.

    The first time a row is said nothing can be known of it, so only the repetitions count.
    """
    import torch

    right = told = 0
    for text in exercises(_MEASURED_ON, key=_KEY):
        row = tokenizer(text.split(". ")[0] + ".", add_special_tokens=False)["input_ids"]
        ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"], device=net.device)
        # The first word of a repetition tells that there is one.
        at = torch.arange(len(row) + 1, len(ids) - 1, device=net.device)
        with torch.no_grad():
            likeliest = net(ids[None], use_cache=False).logits[0].argmax(-1)
        right += int((likeliest[at] == ids[at + 1]).sum())
        told += len(at)
    return right / told
