"""What stands on the shelf: every checkpoint that is here or can be raised at once, and what is known of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from math import prod
from pathlib import Path
from typing import Any

from truing.data import read_json
from truing.organism.headroom import Rate
from truing.organism.names import SIZES, STAGES, Name, parse_name
from truing.organism.places import FACTS, SHIPPED, cache
from truing.organism.version import RECIPE_VERSION, SCORING_VERSION, WORLD_VERSION
from truing.organism.world import advice
from truing.types import InputError

_WEIGHTS = "model.safetensors"


class Place(StrEnum):
    """Where a checkpoint is."""

    shipped = "shipped"
    cached = "cached"
    on_the_fly = "on the fly"
    """Nowhere yet; raised within minutes when it is opened, as its base is here."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint. What its `organism.json` does not tell is None or empty: not measured.

    So are rates that were measured by another scoring version.
    """

    name: Name
    place: Place
    folder: Path | None = None
    world_version: str = WORLD_VERSION
    recipe_version: str = RECIPE_VERSION
    parameters: int | None = None
    bytes: int | None = None
    """Of the whole folder."""
    tokens: int | None = None
    """Tokens of its own training, its parent's left out."""
    cpu_seconds: float | None = None
    """Processor time of its own training."""
    loss: float | None = None
    """Mean training loss at the end, in nats per token."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """Measure -> rate: see `truing.organism.rates`."""
    levels: Mapping[str, Mapping[str, Rate]] = field(default_factory=dict)
    """Measure -> step of the ladder -> rate."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """Consumer -> labels of the oracle that it was given on the way to this checkpoint."""

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values; missing numbers are null."""
        numbers = ("world_version", "recipe_version", "parameters", "bytes", "tokens", "cpu_seconds", "loss")
        return {
            "name": str(self.name),
            "place": self.place.value,
            "folder": None if self.folder is None else str(self.folder),
            **{name: getattr(self, name) for name in numbers},
            "rates": {measure: _as_json(rate) for measure, rate in self.rates.items()},
            "levels": {name: {at: _as_json(r) for at, r in of.items()} for name, of in self.levels.items()},
            "labels": dict(self.labels),
        }


def inventory() -> list[Checkpoint]:
    """Every checkpoint that is shipped or cached, and what can be raised from them at once, in a fixed order.

    Raises:
        InputError: an `organism.json` cannot be read.
    """
    here: dict[Name, Checkpoint] = {}
    for place, root in ((Place.cached, cache()), (Place.shipped, SHIPPED)):
        for file in sorted(root.glob(f"*/{FACTS}")):
            if file.with_name(_WEIGHTS).is_file():
                found = read_checkpoint(file.parent, place)
                here[found.name] = found
    bases = [name for name in here if name.stage == "base"]
    could_be = {name: Checkpoint(name, Place.on_the_fly) for base in bases for name in _from(base)}
    return sorted((could_be | here).values(), key=lambda checkpoint: _order(checkpoint.name))


def read_checkpoint(folder: Path, place: Place = Place.cached) -> Checkpoint:
    """What a checkpoint's folder tells of it; torch is not needed for that.

    Raises:
        InputError: its `organism.json` or its weights cannot be read.
    """
    facts, weights = folder / FACTS, folder / _WEIGHTS
    told = read_json(facts)
    try:
        rates = _rates(told.get("rates", {}))
        levels = {measure: _rates(of) for measure, of in told.get("levels", {}).items()}
        comparable = told.get("scoring_version") == SCORING_VERSION
        return Checkpoint(
            name=parse_name(told["name"]),
            place=place,
            folder=folder,
            world_version=told["world_version"],
            recipe_version=told.get("recipe_version", ""),
            parameters=_parameters(weights),
            bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
            tokens=told.get("tokens"),
            cpu_seconds=told.get("cpu_seconds"),
            loss=told.get("loss"),
            rates=rates if comparable else {},
            levels=levels if comparable else {},
            labels={consumer: int(count) for consumer, count in told.get("labels", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        mend = f"delete the folder {folder} and build it again"
        raise InputError("does not describe a checkpoint of the organism", file=facts, mend=mend) from why


def _from(base: Name) -> Iterator[Name]:
    """Everything that is tuned from a base with the default tuning seed."""
    for stage in STAGES:
        if stage != "base":
            for domain in advice.BY_NAME if stage == "narrow" else ("",):
                yield replace(base, stage=stage, domain=domain)


def _order(name: Name) -> tuple[object, ...]:
    return SIZES.index(name.size), name.seed, name.null, STAGES.index(name.stage), name.domain, name.tuning


def _rates(told: Mapping[str, Mapping[str, int]]) -> dict[str, Rate]:
    rates = {
        measure: Rate(int(rate["count"]), int(rate["n"]), int(rate.get("unparsed", 0)))
        for measure, rate in told.items()
    }
    if not all(0 <= part <= rate.n for rate in rates.values() for part in (rate.count, rate.unparsed)):
        raise ValueError("a count lies outside 0 to n")
    return rates


def _parameters(weights: Path) -> int:
    """Parameters by the header of a safetensors file: 8 bytes with its length, then JSON."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _as_json(rate: Rate) -> dict[str, int]:
    return asdict(rate)
