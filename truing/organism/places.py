"""Where checkpoints lie: shipped with the package, or in a cache on this machine."""

import os
from pathlib import Path

from truing.data import read_json
from truing.organism.names import Name, parse_name
from truing.organism.version import RECIPE_VERSION, WORLD_VERSION
from truing.types import InputError

SHIPPED = Path(__file__).parent / "checkpoints"
FACTS = "organism.json"
"""The file that tells what a checkpoint is, and is written last."""


def cache() -> Path:
    """Where checkpoints of this world and these recipes are kept: under $TRUING_CACHE, or ~/.cache/truing."""
    root = os.environ.get("TRUING_CACHE") or Path.home() / ".cache" / "truing"
    return Path(root) / "organism" / f"world-{WORLD_VERSION}.{RECIPE_VERSION}"


def find(name: Name) -> Path | None:
    """The folder of a checkpoint that is there already, shipped or cached, whole, and of this world and recipe."""
    for folder in (SHIPPED / name.slug, new_folder(name)):
        if (folder / FACTS).is_file():
            told = read_json(folder / FACTS)
            recipe = name.stage == "base" or told.get("recipe_version") == RECIPE_VERSION
            if told.get("world_version") == WORLD_VERSION and recipe:
                return folder
    return None


def new_folder(name: Name) -> Path:
    """Where a checkpoint goes that is raised here."""
    return cache() / name.slug


def open_folder(text: str) -> Path:
    """What `organism:TEXT` opens: a folder that is there, or a quick variant raised on the way.

    Raises:
        InputError: the name does not exist, or it stands on a base that nobody has raised here.
    """
    name = parse_name(text)
    found = find(name)
    if found is not None:
        return found
    base = name
    while base.parent is not None:
        base = base.parent
    if find(base) is None:
        null = " --null" if base.null else ""
        raise InputError(
            f"the base {base} has not been raised on this machine",
            mend=f"truing organism build base --size {base.size} --seed {base.seed}{null}",
        )
    from truing.organism.raising import build

    return build(name, measure=False)
