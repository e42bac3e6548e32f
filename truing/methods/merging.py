"""An adapter and its base model made into one ordinary model, which can be tuned further or served by anyone."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truing.methods.saving import new_folder, place_to_load, refuse_taken, save_policy, stored_type
from truing.model import find_folder, load_local
from truing.run import Card
from truing.types import InputError

if TYPE_CHECKING:
    from torch import dtype, nn

_MUCH = 0.1


@dataclass(frozen=True)
class Merged:
    """A whole model that was an adapter and its base."""

    folder: Path
    lost: float
    """The norm of what rounding to the stored numbers does to the weights, as a share of that of the change."""
    stored: str
    """Those numbers, such as bfloat16."""

    @property
    def warning(self) -> str:
        """One sentence where much is lost: numbers of eight bits take no small step away from a large one."""
        if self.lost < _MUCH:
            return ""
        return (
            f"{self.lost:.0%} of the change is lost to rounding in {self.stored}: compare the model with the adapter "
            "before it takes its place, or serve the adapter"
        )


def merge_adapter(ref: str, out: Path, *, device: str = "auto") -> Merged:
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
    stored = stored_type(model, base)
    made = Merged(out, merge_layers(model.net, ref, stored), str(stored).removeprefix("torch."))
    card = Card(
        name=out.name,
        base_model=base,
        summary=f"{base} with the adapter {ref} merged into its weights",
        ground=ground,
        method="low-rank matrices multiplied out and added to the weights, in float32",
        data="as the adapter's",
        license="as the base model's",
        untested=("everything: audit it against its base model", *([made.warning] if made.warning else [])),
        reproduce=(f"truing align merge --model {ref} --out {out}",),
    )
    with new_folder(out, card) as unfinished:
        save_policy(model, None, base, unfinished)
    return made


def merge_layers(net: "nn.Module", ref: str, stored: "dtype") -> float:
    """Put plain layers in the place of those of an adapter inside `net`; see `Merged.lost` for what comes back.

    Raises:
        InputError: a part of the adapter cannot be merged, or a weight becomes no finite number.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    change = rounding = 0.0
    for name, layer in list(net.named_modules()):
        if isinstance(layer, AuxiliaryTrainingWrapper):
            raise InputError(
                f"the adapter {ref} trained all of {name}", mend="merge it with peft, which knows how"
            )
        if not isinstance(layer, BaseTunerLayer):
            continue
        before = layer.get_base_layer().weight.detach().clone()
        try:
            layer.merge(safe_merge=True)
        except ValueError as why:
            raise InputError(f"the adapter {ref} makes a weight of {name} no finite number") from why
        above, _, own = name.rpartition(".")
        plain = layer.get_base_layer()
        setattr(net.get_submodule(above), own, plain)
        after = plain.weight.detach()
        change += float((after - before).double().square().sum())
        rounding += float((after.to(stored).to(after.dtype) - after).double().square().sum())
    return math.sqrt(rounding / change) if change else 0.0
