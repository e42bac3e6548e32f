import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truing.run import Ledger, RunRow
from truing.types import InputError, StorageError

COUNTER = """
import sys
from truing.run import Ledger
with Ledger(sys.argv[1]) as ledger:
    for i in range(60):
        ledger.record("label", f"shared-{i}", 1, component="both")
        ledger.record("label", f"own-{i}", 1, component=sys.argv[2])
"""


def test_amounts_add_up_by_kind_and_component(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.record_many("label", {"a": 1, "b": 1}, component="reward model")
        ledger.record("label", "a", 1, component="audit")
        ledger.record("dollar", "a", 0.25, component="audit")
        assert ledger.totals() == {
            ("dollar", "audit"): 0.25,
            ("label", "audit"): 1,
            ("label", "reward model"): 2,
        }
        assert ledger.totals(by=("kind",)) == {("dollar",): 0.25, ("label",): 3}
        assert ledger.totals(by=()) == {(): 3.25}


def test_a_resumed_run_counts_nothing_twice(tmp_path: Path) -> None:
    for amount in (5, 7):
        with Ledger(tmp_path / "l.sqlite") as ledger:
            ledger.record("token", "a", amount, component="judge")
            assert ledger.totals() == {("token", "judge"): 5}


def test_an_empty_ledger_has_no_totals_and_no_runs(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.record_many("label", {}, component="audit")
        assert ledger.totals() == {} and ledger.totals(by=()) == {} and ledger.runs() == []


@given(
    st.dictionaries(st.text(st.characters(), max_size=4), st.integers(0, 9), max_size=5),
    st.text(st.characters()),
)
@settings(deadline=None, max_examples=40)
def test_any_text_is_a_key(amounts: dict[str, int], component: str) -> None:
    with Ledger(":memory:") as ledger:
        ledger.record_many("\0\ud800", amounts, component=component)
        assert ledger.totals(by=("kind", "key", "component")) == {
            ("\0\ud800", key, component): amount for key, amount in amounts.items()
        }


def test_two_processes_count_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COUNTER, tmp_path / "l.sqlite"]
    children = [subprocess.Popen([*command, name]) for name in ("one", "two")]
    assert [child.wait() for child in children] == [0, 0]
    with Ledger(tmp_path / "l.sqlite") as ledger:
        assert ledger.totals(by=("component",)) == {("both",): 60, ("one",): 60, ("two",): 60}


def test_a_run_is_registered_once_with_its_last_verdict(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.register_run("runs/b", "ff", "audit", "inconclusive")
        ledger.register_run("runs/a\udc80", "ee", "audit", "pass")
        ledger.register_run(Path("runs/b"), "ff", "audit", "regression")
        assert ledger.runs() == [
            RunRow("runs/a\udc80", "ee", "audit", "pass"),
            RunRow("runs/b", "ff", "audit", "regression"),
        ]


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf")])
def test_an_amount_that_cannot_be_counted_is_refused(tmp_path: Path, amount: float) -> None:
    with Ledger(tmp_path / "l.sqlite") as ledger:
        with pytest.raises(ValueError, match="finite number of at least 0"):
            ledger.record_many("label", {"a": 1, "b": amount}, component="audit")
        assert ledger.totals() == {}


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    with pytest.raises(InputError, match=r"notes\.txt: is no ledger \(file is not a database\)"):
        Ledger(tmp_path / "notes.txt")


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unable to open database file"):
        Ledger(tmp_path / "absent" / "l.sqlite")


def test_a_full_disk_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match=r"/dev/full cannot be used \(database or disk is full\)"):
        Ledger("/dev/full")


@pytest.mark.parametrize(
    "url", ["mysql://u:secret@host/name", "nonsense://u:secret@host", "://", "postgresql+no://u:secret@h"]
)
def test_a_url_that_holds_no_ledger_is_a_sentence_without_its_password(url: str) -> None:
    with pytest.raises(InputError, match="no ledger can be kept at") as why:
        Ledger(url)
    assert "secret" not in str(why.value)
