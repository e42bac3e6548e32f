"""What a prevention during fine-tuning is made of, by the files that hold it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from truing.methods import (
    LatentPenalty,
    OffDomainKL,
    PreventativeSteering,
    Prevention,
    read_conversations,
)
from truing.probe import load_directions, load_sae
from truing.types import InputError


@dataclass(frozen=True)
class PreventionSource:
    """One prevention; fields of the others are not read.

    Raises:
        InputError: the file that it needs is not named.
    """

    kind: Literal["steering", "latents", "kl"]
    direction: Path | None = None
    """Of steering: a safetensors file of directions."""
    direction_name: str = ""
    """Which of them, where there are several."""
    coefficient: float = 5.0
    steer_at: Literal["response", "all"] = "response"
    sae: Path | None = None
    """Of latents: the folder of an autoencoder."""
    latents: tuple[int, ...] = ()
    off_domain: Path | None = None
    """Of kl: a file of conversations."""
    off_domain_rows: int = 8
    penalty: float = 1.0
    """Of latents and kl."""

    def __post_init__(self) -> None:
        needed = {"steering": "direction", "latents": "sae", "kl": "off_domain"}[self.kind]
        if getattr(self, needed) is None:
            mend = f"give --{needed.replace('_', '-')}"
            raise InputError(f"the prevention by {self.kind} lacks its file", mend=mend)

    @property
    def files(self) -> dict[str, Path]:
        """What is read, by name."""
        if self.kind == "latents":
            assert self.sae is not None
            return {"sae": self.sae / "cfg.json", "sae weights": self.sae / "sae_weights.safetensors"}
        name, path = (
            ("direction", self.direction) if self.kind == "steering" else ("off-domain", self.off_domain)
        )
        assert path is not None
        return {name: path}

    @property
    def settings(self) -> dict[str, Any]:
        """What tells a run apart from another, besides the files."""
        names = {
            "steering": ("direction_name", "coefficient", "steer_at"),
            "latents": ("latents", "penalty"),
            "kl": ("off_domain_rows", "penalty"),
        }[self.kind]
        kept = {name: getattr(self, name) for name in names}
        return {"prevent": self.kind} | {k: list(v) if isinstance(v, tuple) else v for k, v in kept.items()}

    def read(self) -> Prevention:
        """Read what it is made of.

        Raises:
            InputError: a file cannot be read, or a number is out of its range.
        """
        if self.kind == "steering":
            return self._steering()
        if self.kind == "latents":
            assert self.sae is not None
            return LatentPenalty(load_sae(self.sae), self.latents, self.penalty)
        assert self.off_domain is not None
        rows = read_conversations(self.off_domain)
        return OffDomainKL(rows, self.penalty, self.off_domain_rows, self.off_domain.name)

    def _steering(self) -> PreventativeSteering:
        assert self.direction is not None
        found = {one.name: one for one in load_directions(self.direction)}
        name = self.direction_name or next(iter(found))
        if name not in found or (len(found) > 1 and not self.direction_name):
            listed, mend = ", ".join(found), "name one with --direction-name"
            raise InputError(f"holds the directions {listed}", file=self.direction, mend=mend)
        return PreventativeSteering(found[name], self.coefficient, self.steer_at)
