"""LoRA (Hu et al. 2021): a base model that stays as it is, and small matrices beside its own that are trained."""

import warnings
from typing import TYPE_CHECKING, Any

from truing.model import find_folder
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ALPHA = 32
"""The update is scaled by ALPHA / rank: a good learning rate then hardly depends on the rank."""


def lora(
    net: "PreTrainedModel", ref: str, *, rank: int, key: int, task: str, kept: tuple[str, ...] = ()
) -> Any:
    """Put trainable matrices of this rank beside every linear layer of `net`, in place, and freeze the rest.

    Returns the PeftModel around it, whose `save_pretrained` writes the adapter's folder. What it does is
    nothing yet: one matrix of each pair starts at zero.

    Args:
        net: the base model; `get_base_model()` of what is returned is it.
        ref: what it was loaded from, for the adapter's `base_model_name_or_path`.
        rank: columns of the one matrix and rows of the other.
        key: draws the first values.
        task: peft's task type, `CAUSAL_LM` or `SEQ_CLS`.
        kept: modules that are trained whole and saved with the adapter, such as a new head.

    Raises:
        InputError: peft is not installed, or knows no way into this model.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as why:
        raise InputError("an adapter needs peft", mend="install truing[local]") from why
    import torch

    config = LoraConfig(
        r=rank,
        lora_alpha=ALPHA,
        target_modules="all-linear",
        task_type=task,
        modules_to_save=list(kept) or None,
        base_model_name_or_path=ref.removeprefix("hub:")
        if ref.startswith("hub:")
        else str(find_folder(ref).resolve()),
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what peft calls in transformers by an old name
        torch.manual_seed(key)
        try:
            wrapped = get_peft_model(net, config)
        except ValueError as why:
            raise InputError(f"peft finds no place for an adapter in this model ({why})") from why
    wrapped.peft_config["default"].base_model_name_or_path = config.base_model_name_or_path
    return wrapped
