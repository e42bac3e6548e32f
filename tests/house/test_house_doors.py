"""The house itself: doors are light, what they offer is on record, `--help` is quick."""

import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = sorted(p.parent.name for p in Path("truing").glob("*/__init__.py"))
HEAVY = (
    "torch",
    "transformers",
    "sklearn",
    "scipy.stats",
    "matplotlib",
    "sqlalchemy",
    "datasets",
    "tokenizers",
)
SNAPSHOT = Path(__file__).with_name("public_api.json")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))  # what comes before, the statement printed


@pytest.mark.parametrize("room", ROOMS)
def test_opening_a_door_loads_nothing_heavy(room: str) -> None:
    assert not loaded_after(f"import truing.{room}") & set(HEAVY)


@pytest.mark.parametrize("room", ROOMS)
def test_everything_a_door_offers_is_there_and_documented(room: str) -> None:
    door = importlib.import_module(f"truing.{room}")
    assert door.__doc__
    for name in door.__all__:
        offered = getattr(door, name)
        if callable(offered):
            assert offered.__doc__, f"truing.{room}.{name} has no docstring"


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_offered_under_the_name_of_its_file(room: str) -> None:
    """Python puts a submodule's name on its package once it is imported: the file would hide the function."""
    files = {path.stem for path in Path("truing", room).iterdir()}
    assert not files & set(importlib.import_module(f"truing.{room}").__all__)


def test_the_public_api_is_the_one_on_record() -> None:
    """To change it on purpose: TRUING_RECORD_API=1 pytest tests/house, and say why in the commit."""
    api = {room: sorted(importlib.import_module(f"truing.{room}").__all__) for room in ROOMS}
    if os.environ.get("TRUING_RECORD_API") == "1":
        SNAPSHOT.write_text(json.dumps(api, indent=1) + "\n", encoding="utf-8")
    assert api == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_an_unknown_name_at_a_door_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'truing.numerics' has no attribute 'nonsense'"):
        importlib.import_module("truing.numerics").nonsense  # noqa: B018


def test_help_takes_less_than_half_a_cpu_second() -> None:
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "truing.cli", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu_seconds() for _ in range(3)) < 0.5


def test_help_loads_neither_torch_nor_transformers() -> None:
    assert not loaded_after("from truing.cli import main; main(['--help'])") & set(HEAVY)
