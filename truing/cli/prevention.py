"""The options of `truing align sft` that keep narrow rows from teaching more than they say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from truing.cli.app import options_given
from truing.types import InputError

if TYPE_CHECKING:
    from truing.recipes import PreventionSource

_OF: Mapping[str, tuple[str, ...]] = {
    "direction": ("steering",),
    "direction_name": ("steering",),
    "coefficient": ("steering",),
    "steer_at": ("steering",),
    "sae": ("latents",),
    "latents": ("latents",),
    "off_domain": ("kl",),
    "off_domain_rows": ("kl",),
    "penalty": ("latents", "kl"),
}
"""Option -> the preventions that read it."""


@dataclass
class PreventionOptions:
    """One prevention with what it needs."""

    prevent: Literal["", "steering", "latents", "kl"] = ""
    """Of the training alone. steering adds a persona's --direction, so that nothing is gained by learning it; latents
    penalises the rise of --latents of an --sae; kl keeps predictions on --off-domain rows as they were."""
    direction: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Of steering: a safetensors file of directions."""
    direction_name: str = ""
    """Of steering: which, where the file holds several."""
    coefficient: float = 5.0
    """Of steering: how many times the vector, as it is, is added; the sign is the persona's."""
    steer_at: Literal["response", "all"] = "response"
    """Of steering: at every token, or from the prompt's last one on."""
    sae: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Of latents: an autoencoder of the model as it is (truing probe sae)."""
    latents: str = ""
    """Of latents: their numbers, as in 17,40."""
    off_domain: Annotated[Path | None, tyro.conf.arg(metavar="FILE.jsonl")] = None
    """Of kl: conversations of other domains, as the rows that are learnt."""
    off_domain_rows: int = 8
    """Of kl: so many of them in every step."""
    penalty: float = 1.0
    """Of latents and kl: how much the penalty counts beside the loss of the rows."""

    def chosen(self) -> "PreventionSource | None":
        """The prevention that is asked for.

        Raises:
            InputError: an option of another prevention is given, or the file that it needs is not.
        """
        from truing.recipes import PreventionSource

        for option in options_given() & _OF.keys():
            if self.prevent not in _OF[option]:
                known = " or ".join(f"--prevent {one}" for one in _OF[option])
                raise InputError(
                    f"--{option.replace('_', '-')} is of {known}", mend=f"leave it out, or give {known}"
                )
        if not self.prevent:
            return None
        return PreventionSource(
            self.prevent,
            self.direction,
            self.direction_name,
            self.coefficient,
            self.steer_at,
            self.sae,
            read_latents(self.latents),
            self.off_domain,
            self.off_domain_rows,
            self.penalty,
        )


def read_latents(text: str) -> tuple[int, ...]:
    """Numbers as in `17,40`; none of an empty text.

    Raises:
        InputError: something among them is no number.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"{text!r} are no latents", mend="write their numbers, as in 17,40")
    return tuple(map(int, parts))
