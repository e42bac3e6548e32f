"""An adapter and its base model made into one ordinary model, which can be tuned further or served by anyone."""

from pathlib import Path
from typing import TYPE_CHECKING

from truing.methods.saving import new_folder, place_to_load, refuse_taken, save_policy
from truing.model import find_folder, load_local
from truing.run import Card
from truing.types import InputError

if TYPE_CHECKING:
    from torch import nn


def merge_adapter(ref: str, out: Path, *, device: str = "auto") -> Path:
    """Add what the adapter `ref` learnt to its base model's weights, and save the model in `out` with a card.

    Sums are taken in float32 and stored in the numbers that the base model is stored in, as the adapter's
    tokenizer and chat template are.

    Raises:
        InputError: `ref` is no adapter or cannot be loaded, a weight becomes no finite number, or `out` holds
            something.
    """
    refuse_taken(out)
    folder = find_folder(ref)
    if not (folder / "adapter_config.json").is_file():
        raise InputError("is a whole model already", file=folder, mend="name the folder of an adapter")
    from peft import PeftConfig

    base = str(PeftConfig.from_pretrained(str(folder)).base_model_name_or_path)
    model = load_local(ref, device=place_to_load(device), dtype="float32")
    ground = model.ground or "not audited yet"
    merge_layers(model.net, ref)
    card = Card(
        name=out.name,
        base_model=base,
        summary=f"{base} with the adapter {ref} merged into its weights",
        ground=ground,
        method="low-rank matrices multiplied out and added to the weights, in float32",
        data="as the adapter's",
        license="as the base model's",
        untested=("everything: audit it against its base model",),
        reproduce=(f"truing align merge --model {ref} --out {out}",),
    )
    with new_folder(out, card) as unfinished:
        save_policy(model, None, base, unfinished)
    return out


def merge_layers(net: "nn.Module", ref: str) -> None:
    """Put plain layers in the place of those of an adapter inside `net`.

    Raises:
        InputError: a part of the adapter cannot be merged, or a weight becomes no finite number.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for name, layer in list(net.named_modules()):
        if isinstance(layer, AuxiliaryTrainingWrapper):
            raise InputError(
                f"the adapter {ref} trained all of {name}", mend="merge it with peft, which knows how"
            )
        if not isinstance(layer, BaseTunerLayer):
            continue
        try:
            layer.merge(safe_merge=True)
        except ValueError as why:
            raise InputError(f"the adapter {ref} makes a weight of {name} no finite number") from why
        above, _, own = name.rpartition(".")
        setattr(net.get_submodule(above), own, layer.get_base_layer())
