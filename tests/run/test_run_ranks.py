"""Of several processes that were launched together, the first has the run's folder."""

from pathlib import Path

import pytest

from truing.run import Run, local_rank, rank, world_size
from truing.types import InputError

CONFIG = {"method": "sft"}


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a launcher had started this process as the second of two."""
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_second_process_reads_the_folder_and_changes_nothing_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run.open(tmp_path / "run", CONFIG) as first:
        first.journal("updates").append([("1", {"reward": 2})])
        first.write_json("result.json", {"done": 1})
        before = files(tmp_path / "run")
        for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
            monkeypatch.setenv(name, value)
        with Run.open(tmp_path / "run", CONFIG) as run:  # while the first holds the lock
            assert run.read_json("result.json") == {"done": 1}
            assert list(run.journal("updates").rows()) == [("1", {"reward": 2})]
            run.journal("updates").append([("2", {"reward": 3})])
            run.write_text("page.html", "mine")
            own = run.path
            assert own != first.path and (own / "page.html").exists()
        assert not own.exists()
        assert files(tmp_path / "run") == before


@pytest.mark.usefixtures("second")
def test_a_folder_that_is_not_there_yet_is_not_made_by_the_second(tmp_path: Path) -> None:
    with Run.open(tmp_path / "run", CONFIG) as run:
        assert run.read_json("result.json") is None
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("second")
def test_the_launchers_variables_are_read() -> None:
    assert (rank(), local_rank(), world_size()) == (1, 1, 2)


def test_a_rank_without_a_world_is_nobodys_second(monkeypatch: pytest.MonkeyPatch) -> None:
    # A scheduler may number jobs of its own so.
    monkeypatch.setenv("RANK", "3")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert (rank(), world_size()) == (0, 1)


def test_a_variable_that_is_no_number_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="WORLD_SIZE is 'two'"):
        world_size()
