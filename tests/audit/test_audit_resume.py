"""A run that dies at any batch ends, once it is started again, with the bytes of one that did not."""

import json
from pathlib import Path

import pytest
from model.tiny import checkpoint, make_checkpoint

from truing.cli import main
from truing.model import LocalModel
from truing.run import Journal

FILES = ("audit.json", "report.html", "baseline.json", "journal/baseline.jsonl", "journal/candidate.jsonl")


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("resume")
    rows = [
        {"prompt": f"How do I clean the {'old ' * (i % 40)}lamp?", "expect": "comply"} for i in range(150)
    ]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = make_checkpoint(folder / "other", "llama", 1)
    models = ["audit", str(other), "--baseline", str(checkpoint("llama"))]
    return [*models, "--suite", f"jsonl:{folder / 'q.jsonl'}", "--max-tokens", "12", "--temperature", "0.7"]


@pytest.mark.parametrize("moment", ["before the write", "half-way through the write", "after the write"])
def test_a_run_that_dies_at_every_batch_in_turn_loses_and_repeats_nothing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    assert main([*words, "--out", str(calm)]) == 2
    append, sample = Journal.append, LocalModel.sample
    asked: list[str] = []

    def dies(self: Journal, rows: list[tuple[str, dict[str, object]]]) -> None:
        if moment != "before the write":
            append(self, rows)
        if moment == "half-way through the write":
            with self.path.open("rb+") as file:
                file.truncate(self.path.stat().st_size - 700)
        raise Killed

    def counts(self: LocalModel, requests, *more, **named):  # type: ignore[no-untyped-def]
        asked.extend(request.id for request in requests)
        return sample(self, requests, *more, **named)

    monkeypatch.setattr(LocalModel, "sample", counts)
    lives = 0
    while lives < 20:
        lives += 1
        monkeypatch.setattr(Journal, "append", dies)
        if main([*words, "--out", str(killed)]) == 2:
            break
        if moment == "after the write":
            continue
        # The next life gets through one batch before it dies.
        monkeypatch.setattr(Journal, "append", append)
        with monkeypatch.context() as patch:
            patch.setattr("truing.audit.collect.Journal.append", _once_then(append))
            if main([*words, "--out", str(killed)]) == 2:
                break
    assert lives > 3
    assert [(killed / name).read_bytes() for name in FILES] == [(calm / name).read_bytes() for name in FILES]
    if moment == "after the write":
        assert len(asked) == len(set(asked)) * 2  # each item of each model, once


def _once_then(append):  # type: ignore[no-untyped-def]
    done: list[int] = []

    def once(self: Journal, rows: list[tuple[str, dict[str, object]]]) -> None:
        if done:
            raise Killed
        append(self, rows)
        done.append(1)

    return once
