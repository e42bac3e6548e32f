"""Folders that look like checkpoints from outside: what is told of them, and weights that nobody loads."""

import json
from pathlib import Path
from typing import Any

from truing.organism import WORLD_VERSION, Name

PARAMETERS = 2 * 3 + 5


def fake_checkpoint(root: Path, name: Name, **facts: Any) -> Path:
    """A folder under `root` with an `organism.json` that tells `facts`, and weights of 11 parameters."""
    folder = root / name.slug
    folder.mkdir(parents=True)
    tensors = {"a": [2, 3], "b": [5]}
    header = {
        name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    told = {"name": str(name), "world_version": WORLD_VERSION, **facts}
    (folder / "organism.json").write_text(json.dumps(told))
    return folder


def rate(count: int, n: int) -> dict[str, int]:
    """A rate as `organism.json` holds it."""
    return {"count": count, "n": n}
