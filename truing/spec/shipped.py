"""Specifications by name: the one that is shipped, and those that others register."""

from importlib.metadata import entry_points
from pathlib import Path

from truing.spec.model import Spec
from truing.spec.reading import read_folder
from truing.types import InputError

SPECS = "truing.specs"
"""The entry-point group; an entry is a callable without arguments that returns the folder of a specification."""


def default_folder() -> Path:
    """Where the specification lies that is shipped with the package."""
    return Path(__file__).parent / "default"


def default_spec() -> Spec:
    """The specification that is shipped with the package."""
    return read_spec(default_folder())


def spec_names() -> list[str]:
    """The names of all registered specifications, sorted."""
    return sorted({entry.name for entry in entry_points(group=SPECS)})


def is_rules(path_or_name: str | Path) -> bool:
    """Whether a file of rules is meant, and not a specification."""
    return Path(path_or_name).suffix in (".yaml", ".yml", ".json")


def spec_folder(path_or_name: str | Path) -> Path:
    """The folder that is meant: one that is there, or that of a registered name.

    Raises:
        InputError: neither.
    """
    path = Path(path_or_name)
    if path.exists():
        return path
    for entry in entry_points(group=SPECS):
        if entry.name == str(path_or_name):
            return Path(entry.load()())
    known = ", ".join(spec_names())
    raise InputError(
        f"there is no specification {str(path_or_name)!r}", mend=f"name a folder, or one of {known}"
    )


def read_spec(path_or_name: str | Path) -> Spec:
    """Read a specification: a folder, or a name such as `default`.

    Nothing in it is executed, and no file outside of the folder is read.

    Raises:
        InputError: there is none, or something in it cannot be read. Names the file and the line.
    """
    found = read_folder(spec_folder(path_or_name)).spec
    assert found  # without `on_error` nothing is left out
    return found
