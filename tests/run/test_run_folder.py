import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing import __version__
from truing.run import Run
from truing.types import FrozenDict, InputError, LockedError, StorageError, freeze

CONFIG = {"verb": "audit", "seed": 0, "settings": {"limit": 10, "alpha": 0.05}, "suites": ["xstest", "bbq"]}
HOLDER = """
import sys, time
from truing.run import Run
with Run.open(sys.argv[1], {"a": 1}):
    print("open", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> "subprocess.Popen[bytes]":
    child = subprocess.Popen([sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"open\n"
    return child


def test_a_new_run_records_its_configuration_inputs_and_parents(tmp_path: Path) -> None:
    with Run.open(tmp_path / "a" / "b", CONFIG, inputs={"items.jsonl": "ab12"}, parents=["cd34"]) as run:
        record = json.loads((run.path / "run.json").read_text())
    assert record == {
        "config_hash": run.config_hash,
        "truing": __version__,
        "config": CONFIG,
        "inputs": {"items.jsonl": "ab12"},
        "parents": ["cd34"],
    }


def test_a_run_of_an_equal_configuration_is_resumed_with_all_it_holds(tmp_path: Path) -> None:
    with Run.open(tmp_path / "out", CONFIG) as run:
        run.journal("answers").append([("a", {"x": 1})])
        run.write_json("notes/a.json", {"b": [1, "\ud800"]})
    before = (tmp_path / "out" / "run.json").read_bytes()
    with Run.open(tmp_path / "out", dict(reversed(CONFIG.items()))) as run:
        assert list(run.journal("answers").rows()) == [("a", {"x": 1})]
        assert run.read_json("notes/a.json") == {"b": [1, "\ud800"]}
        assert run.read_json("absent.json") is None
    assert (tmp_path / "out" / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("config", "inputs", "parents", "said"),
    [
        (CONFIG | {"seed": 1}, {}, (), "seed 0 -> 1;"),
        (CONFIG | {"seed": 0.0}, {}, (), "seed 0 -> 0.0;"),
        (CONFIG | {"seed": False}, {}, (), "seed 0 -> false;"),
        (CONFIG | {"settings": {"limit": None, "alpha": 0.05}}, {}, (), "settings.limit 10 -> null;"),
        (
            CONFIG | {"settings": {}},
            {},
            (),
            "settings (absent) -> {}, settings.alpha 0.05 -> (absent), settings.limit",
        ),
        (CONFIG | {"suites": ["xstest"]}, {}, (), 'suites ["xstest","bbq"] -> ["xstest"];'),
        (CONFIG | {"new": "x" * 99}, {}, (), f'new (absent) -> "{"x" * 59}…;'),
        (
            CONFIG,
            {"items.jsonl": "ff"},
            (),
            'run.inputs {} -> (absent), run.inputs.items.jsonl (absent) -> "ff";',
        ),
        (CONFIG, {}, ("ab",), 'run.parents [] -> ["ab"];'),
    ],
)
def test_another_configuration_is_refused_and_the_sentence_says_what_differs(
    tmp_path: Path, config: dict[str, Any], inputs: dict[str, str], parents: tuple[str, ...], said: str
) -> None:
    Run.open(tmp_path, CONFIG).close()
    with pytest.raises(InputError) as why:
        Run.open(tmp_path, config, inputs=inputs, parents=parents)
    assert said in str(why.value)
    assert str(why.value).startswith(f"{tmp_path}: holds a run of another configuration: ")
    assert str(why.value).endswith("choose another --out, or go back to the old values.")


def test_a_key_of_the_configuration_cannot_hide_a_change_of_the_inputs(tmp_path: Path) -> None:
    config = {"run": {"inputs": {"a": "1"}, "parents": []}}
    Run.open(tmp_path, config, inputs={"a": "1"}).close()
    with pytest.raises(InputError, match="another configuration"):
        Run.open(tmp_path, config, inputs={"a": "2"})
    with pytest.raises(InputError, match="another configuration"):
        Run.open(tmp_path, {}, inputs={"a": "1"})


def test_a_refused_configuration_does_not_keep_the_lock(tmp_path: Path) -> None:
    Run.open(tmp_path, CONFIG).close()
    with pytest.raises(InputError):
        Run.open(tmp_path, {})
    Run.open(tmp_path, CONFIG).close()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.text(st.characters(), max_size=3), values, max_size=3))
def test_any_json_configuration_can_be_resumed(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    Run.open(folder, config).close()
    Run.open(folder, FrozenDict(config)).close()
    with pytest.raises(InputError, match="changed"):
        Run.open(folder, {**config, "changed": freeze(config)})


def test_a_second_process_is_told_who_writes_the_run(tmp_path: Path) -> None:
    child = hold(tmp_path / "out")
    try:
        with pytest.raises(LockedError) as why:
            Run.open(tmp_path / "out", {"a": 1})
    finally:
        child.kill()
        child.communicate()
    assert str(why.value) == (
        f"{tmp_path / 'out'}: process {child.pid} is writing this run; wait until it ends, or choose another --out."
    )


def test_the_lock_of_a_process_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    child = hold(tmp_path / "out")
    child.kill()
    child.communicate()
    assert (tmp_path / "out" / "lock").read_text() == f"{child.pid}\n"
    Run.open(tmp_path / "out", {"a": 1}).close()


def test_the_same_process_cannot_open_a_run_twice_at_once(tmp_path: Path) -> None:
    with Run.open(tmp_path, {}), pytest.raises(LockedError, match=f"process {os.getpid()} is writing"):
        Run.open(tmp_path, {})


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("draft")
    with pytest.raises(InputError, match=r"is not empty and holds no run.*choose another --out"):
        Run.open(tmp_path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_killed_while_it_was_being_made_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1\n")
    (tmp_path / "run.json.partial").write_text('{"conf')
    Run.open(tmp_path, {}).close()


@pytest.mark.parametrize("text", ["", "[]", '{"config": 1}', "\0", '{"config_hash": "a", "trueing": "b"}'])
def test_a_damaged_record_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json: .*choose another --out"):
        Run.open(tmp_path, {})


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match=r"/file: is a file, not a folder; choose another --out"):
        Run.open(file / below, {})


@pytest.mark.parametrize("place", ["/proc/nowhere/out", "nul\0", "x" * 300])
def test_a_place_where_no_folder_can_be_is_a_sentence(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="choose another --out"):
        Run.open(tmp_path / place, {})


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.EROFS, InputError), (errno.EACCES, InputError), (errno.ENOSPC, StorageError)]
)
@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_a_refusal_of_the_disk_at_the_start_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, kind: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(kind, match=os.strerror(code)):
        Run.open(tmp_path / "out", {})


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Run.open(tmp_path, {}) as run:
        run.write_text("a.txt", "old")

        def fail(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(StorageError, match=r"a\.txt cannot be written \(No space left on device\)"):
            run.write_text("a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert not list(tmp_path.glob("*.partial"))


def test_text_that_utf_8_cannot_hold_is_written_as_an_escape(tmp_path: Path) -> None:
    with Run.open(tmp_path, {}) as run:
        run.write_text("a.txt", "\0\ud800 \U0001f642")
    assert (tmp_path / "a.txt").read_bytes() == "\0\\ud800 \U0001f642".encode()


def test_json_files_have_the_same_bytes_whenever_they_are_written(tmp_path: Path) -> None:
    with Run.open(tmp_path, {}) as run:
        run.write_json("a.json", {"b": (1, 2), "a": FrozenDict({"x": "é\ud800"})})
        run.write_json("b.json", {"b": [1, 2], "a": {"x": "é\ud800"}})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes().isascii()


@pytest.mark.parametrize("name", ["../a.json", "/tmp/a.json", "run.json", "lock", "timing.json"])
def test_a_caller_cannot_write_outside_the_run_or_over_its_own_files(tmp_path: Path, name: str) -> None:
    with Run.open(tmp_path / "out", {}) as run, pytest.raises(ValueError, match="no file"):
        run.write_json(name, {})


def test_times_add_up_over_resumptions_and_stay_in_their_own_file(tmp_path: Path) -> None:
    with Run.open(tmp_path, {}) as run:
        run.timing("asking", 1.5)
    with Run.open(tmp_path, {}) as run:
        run.timing("asking", 2.25)
        run.timing("judging", 0.5)
    assert json.loads((tmp_path / "timing.json").read_text()) == {"asking": 3.75, "judging": 0.5}


def test_a_closed_run_can_no_longer_be_written(tmp_path: Path) -> None:
    with Run.open(tmp_path, {}) as run:
        journal = run.journal("a")
    with pytest.raises(ValueError, match="closed"):
        run.write_text("a.txt", "late")
    with pytest.raises(ValueError, match="closed"):
        journal.append([("late", {})])


def test_a_run_has_one_journal_of_each_name(tmp_path: Path) -> None:
    with Run.open(tmp_path, {}) as run:
        assert run.journal("a") is run.journal("a")
        assert run.journal("a").path == tmp_path / "journal" / "a.jsonl"
