"""Directions in a safetensors file: the vectors, and in its metadata what each of them is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from truing.data import reading
from truing.model import Point, Site
from truing.probe.directions import Direction
from truing.run import replace_file
from truing.types import FrozenDict, InputError, Record, dumps, loads

_KEY = "truing.direction."


@dataclass(frozen=True, slots=True)
class _About(Record):
    """All of a direction but its vector."""

    layer: int
    point: Point
    position: str
    model: str
    made_of: FrozenDict


def save_directions(file: Path, directions: Sequence[Direction]) -> None:
    """Write the file; it appears when it is whole, or not at all.

    Raises:
        StorageError: the disk refuses.
        ValueError: two directions have one name, or there is none.
    """
    from safetensors.torch import save

    vectors = {one.name: one.vector.contiguous() for one in directions}
    if not directions or len(vectors) < len(directions):
        raise ValueError("a file holds at least one direction, and no two of one name")
    about = {
        _KEY + one.name: dumps(
            _About(one.site.layer, one.site.point, one.position, one.model, FrozenDict(one.made_of))
        )
        for one in directions
    }
    replace_file(file, _ordered(save(vectors, metadata=about)))


def _ordered(data: bytes) -> bytes:
    """The same file with its metadata in order: safetensors writes them in one that changes from call to call.

    Runs tell their inputs by a digest of the file, so equal directions have to be equal bytes.
    """
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    told = json.dumps(header, separators=(",", ":")).encode("ascii")
    told += b" " * (-len(told) % 8)  # tensors begin at a multiple of 8
    return len(told).to_bytes(8, "little") + told + data[8 + size :]


def load_directions(file: str | Path) -> list[Direction]:
    """The directions of a file that `save_directions` wrote, by name.

    Raises:
        InputError: no such file, no safetensors file, one without directions, or a direction that is none.
    """
    from safetensors import SafetensorError, safe_open

    with reading(file):  # what is missing or a folder has its own sentence
        pass
    try:
        with safe_open(str(file), "pt") as opened:
            about = opened.metadata() or {}
            names = sorted(key.removeprefix(_KEY) for key in about if key.startswith(_KEY))
            vectors = {name: opened.get_tensor(name) for name in names}
    except SafetensorError as why:
        raise InputError(f"is no whole file of directions ({why})", file=file, mend="make it anew") from None
    if not names:
        raise InputError(
            "is a safetensors file that says nothing of directions", file=file, mend="name another"
        )
    out = []
    for name in names:
        try:
            told = loads(_About, about[_KEY + name])
            site = Site(told.layer, told.point)
            out.append(Direction(name, vectors[name], site, told.position, told.model, told.made_of))
        except ValueError as why:
            raise InputError(
                f"the direction {name!r} cannot be read ({why})", file=file, mend="make it anew"
            ) from None
    return out
