"""Going on after a crash: the same weights to the bit, and no mixing of trainings."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train.rows import random_rows
from train.test_train_supervised import llama, same, weights

from truing.train import SupervisedConfig, TokenRows, Trained, supervised
from truing.train import resume as subject
from truing.types import InputError, StorageError

ROWS = random_rows((12, 30, 7, 18, 40, 22, 9, 31))
CONFIG = SupervisedConfig(1e-2, tokens_per_step=40, passes=4)


class CrashError(Exception):
    pass


@pytest.fixture(autouse=True)
def save_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_EVERY", 0.0)


def crash_in_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Make the optimiser fail in the given step (from 1) of the next training."""
    real, done = torch.optim.AdamW.step, 0

    def fails(self: torch.optim.AdamW) -> object:
        nonlocal done
        done += 1
        if done == step:
            raise CrashError
        return real(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", fails)


def trained(
    path: Path | None, config: SupervisedConfig = CONFIG, rows: TokenRows = ROWS
) -> tuple[Trained, list]:
    net = llama()
    return supervised(net, rows, config, what="test", checkpoint=path), weights(net)


def test_a_training_that_crashed_twice_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, wanted = trained(None)
    path = tmp_path / "state"
    for step in (6, 4):
        with monkeypatch.context() as patch, pytest.raises(CrashError):
            crash_in_step(patch, step)
            trained(path)
    resumed, found = trained(path)
    assert whole.steps == 17
    assert same(found, wanted)
    assert (resumed.curve, resumed.tokens, resumed.loss_tokens) == (
        whole.curve,
        whole.tokens,
        whole.loss_tokens,
    )


def test_what_was_not_saved_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save a minute: here one after a step, then a crash within the minute."""
    path = tmp_path / "state"
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        real = subject.Resume.save

        def once(self: subject.Resume, cpu_seconds: float, *, last: bool) -> None:
            real(self, cpu_seconds, last=last)
            patch.setattr(subject, "_EVERY", 60.0)

        patch.setattr(subject.Resume, "save", once)
        crash_in_step(patch, 6)
        trained(path)
    assert len(torch.load(path, weights_only=True)["losses"]) == 1
    assert same(trained(path)[1], trained(None)[1])


def test_a_short_training_is_saved_at_its_end_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_EVERY", 60.0)
    path = tmp_path / "state"
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        crash_in_step(patch, 17)
        trained(path)
    assert not path.exists()
    trained(path)
    assert len(torch.load(path, weights_only=True)["losses"]) == 17


def test_processor_time_adds_up_over_resumptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        crash_in_step(patch, 6)
        trained(path)
    torch.save(torch.load(path, weights_only=True) | {"cpu_seconds": 1000.0}, path)
    resumed, _ = trained(path)
    assert 1000 < resumed.cpu_seconds < 1100
    assert 1000 < torch.load(path, weights_only=True)["cpu_seconds"] <= resumed.cpu_seconds


def test_a_killed_process_leaves_a_state_to_go_on_from(tmp_path: Path) -> None:
    path = tmp_path / "state"
    code = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, "tests")
from truing.train import resume
from train.test_train_resume import CONFIG, ROWS, llama, supervised
resume._EVERY = 0.0
real, saved = os.replace, 0
def kill_in_the_fourth_save(source, target, **_):
    global saved
    saved += 1
    if saved == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(source, target)
os.replace = kill_in_the_fourth_save
Path.replace = lambda self, target: os.replace(self, target)
supervised(llama(), ROWS, CONFIG, what="test", checkpoint=Path({str(path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(torch.load(path, weights_only=True)["losses"]) == 3
    assert same(trained(path)[1], trained(None)[1])


def test_a_finished_training_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "state"
    first, wanted = trained(path)
    crash_in_step(monkeypatch, 1)
    again, found = trained(path)
    assert same(found, wanted)
    assert (again.curve, again.steps) == (first.curve, first.steps)
    assert [p.name for p in path.parent.iterdir()] == ["state"]


def test_a_state_of_something_else_is_refused_by_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "state"
    trained(path)
    with pytest.raises(InputError, match="with another configuration; delete it"):
        trained(path, replace(CONFIG, clip=0.5))
    with pytest.raises(InputError, match="with another rows"):
        trained(path, rows=random_rows((12, 30, 7)))
    net = llama()
    with torch.no_grad():
        net.model.norm.weight[0] += 1
    with pytest.raises(InputError, match="with another model"):
        supervised(net, ROWS, CONFIG, what="test", checkpoint=path)


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04broken"])
def test_a_file_that_is_no_state_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no state of a training"):
        trained(path)
    assert path.read_bytes() == content


def test_a_state_runs_no_code(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "attacked",)

    path = tmp_path / "state"
    torch.save({"of": Attack()}, path)
    with pytest.raises(InputError, match="is no state of a training"):
        trained(path)
    assert not (tmp_path / "attacked").exists()


def test_a_disk_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        trained(tmp_path / "file" / "state")
