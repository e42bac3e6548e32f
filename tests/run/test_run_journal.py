import errno
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truing.numerics import generator
from truing.run import Journal
from truing.types import InputError, StorageError

BATCHES = [
    [("plain", {"text": "a"}), ("nul", {"text": "\0"}), ("half \ud800", {"text": "\udfff\n\u2028"})],
    [("alone", {})],
    [("emoji", {"text": "\U0001f642", "deep": [{"x": [1, 2.5, None, True]}]}), ("last", {"n": 10**30})],
]


def fill(path: Path, batches: Sequence[Sequence[tuple[str, dict[str, object]]]] = BATCHES) -> bytes:
    journal = Journal(path)
    for batch in batches:
        journal.append(batch)
    journal.close()
    return path.read_bytes()


def test_rows_come_back_exactly_and_in_order(tmp_path: Path) -> None:
    fill(tmp_path / "j.jsonl")
    journal = Journal(tmp_path / "j.jsonl")
    assert list(journal.rows()) == [row for batch in BATCHES for row in batch]
    assert list(journal.done()) == [key for batch in BATCHES for key, _ in batch]
    assert journal.dropped == 0


def test_what_is_forgotten_can_be_done_again_and_the_rest_stays(tmp_path: Path) -> None:
    whole = fill(tmp_path / "j.jsonl")
    journal = Journal(tmp_path / "j.jsonl")
    journal.forget({"never there"})
    assert (tmp_path / "j.jsonl").read_bytes() == whole
    journal.forget({"nul", "alone"})
    left = [row for batch in BATCHES for row in batch if row[0] not in ("nul", "alone")]
    assert list(journal.rows()) == left and list(journal.done()) == [key for key, _ in left]
    journal.append([("alone", {"n": 2})])
    journal.close()
    assert list(Journal(tmp_path / "j.jsonl").rows()) == [*left, ("alone", {"n": 2})]
    with pytest.raises(ValueError, match="closed"):
        journal.forget({"alone"})


def test_a_disk_that_refuses_to_forget_keeps_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fill(tmp_path / "j.jsonl")
    journal = Journal(tmp_path / "j.jsonl")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(StorageError):
            journal.forget({"nul"})
    assert (tmp_path / "j.jsonl").read_bytes() == whole
    journal.append([("more", {})])  # it is still open
    assert "nul" in journal.done()


def test_an_archive_that_may_only_be_read_is_read_and_stays_as_it_is(tmp_path: Path) -> None:
    whole = fill(tmp_path / "j.jsonl")
    (tmp_path / "j.jsonl").write_bytes(whole[:-5])  # its writer died in the last line
    (tmp_path / "j.jsonl").chmod(0o444)
    journal = Journal(tmp_path / "j.jsonl", writable=False)
    assert list(journal.rows()) == [row for batch in BATCHES[:2] for row in batch]
    assert (tmp_path / "j.jsonl").read_bytes() == whole[:-5] and journal.dropped > 0
    with pytest.raises(ValueError, match="closed"):
        journal.append([("more", {})])
    with pytest.raises(StorageError):
        Journal(tmp_path / "none.jsonl", writable=False)


def test_what_is_done_follows_what_is_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    done = journal.done()
    assert "a" not in done
    journal.append([("a", {})])
    assert "a" in done


def test_truncation_at_any_byte_keeps_every_whole_batch_and_the_rest_can_be_done_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.jsonl"
    whole = fill(path)
    ends = [len(fill(tmp_path / f"{n}.jsonl", BATCHES[:n])) for n in range(len(BATCHES) + 1)]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max(n for n, end in enumerate(ends) if end <= cut)
        journal = Journal(path)
        assert list(journal.done()) == [key for batch in BATCHES[:kept] for key, _ in batch]
        assert journal.dropped == cut - ends[kept]
        assert path.stat().st_size == ends[kept]
        for batch in BATCHES[kept:]:
            journal.append(batch)
        journal.close()
        assert path.read_bytes() == whole


@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_never_yields_a_row_that_was_not_written(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "j.jsonl"
    data = bytearray(fill(path))
    data[place % len(data)] ^= flip
    path.write_bytes(data)
    written = [row for batch in BATCHES for row in batch]
    try:
        rows = list(Journal(path).rows())
    except InputError as why:
        assert why.row is not None and 1 <= why.row <= len(written)
    else:
        assert rows == written[: len(rows)] and len(rows) < len(written)


def test_a_damaged_line_in_the_middle_is_named_by_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(fill(path).replace(b'"text":"\\u0000"', b'"text":"better"'))
    with pytest.raises(InputError, match=r"j\.jsonl, row 2: is damaged.*delete this line"):
        Journal(path)


@pytest.mark.parametrize("victim", [0, 1, 4])
def test_a_line_taken_out_of_the_middle_of_a_batch_is_seen(tmp_path: Path, victim: int) -> None:
    path = tmp_path / "j.jsonl"
    lines = fill(path).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:victim] + lines[victim + 1 :]))
    with pytest.raises(InputError, match=f"row {victim + 1}"):
        Journal(path)


def test_a_batch_that_is_there_twice_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(fill(path) * 2)
    with pytest.raises(InputError, match="row 7"):
        Journal(path)


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text("dear diary\nnothing happened\n")
    with pytest.raises(InputError, match="row 1"):
        Journal(path)
    assert path.read_text() == "dear diary\nnothing happened\n"


@pytest.mark.parametrize("batch", [[("plain", {})], [("new", {}), ("new", {})]])
def test_a_key_cannot_be_appended_twice(tmp_path: Path, batch: list[tuple[str, dict[str, object]]]) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.append(BATCHES[0])
    before = journal.path.read_bytes()
    with pytest.raises(ValueError, match="already has the key"):
        journal.append(batch)
    assert journal.path.read_bytes() == before


def test_a_row_that_json_cannot_hold_writes_nothing_of_its_batch(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    with pytest.raises(ValueError, match="nan"):
        journal.append([("good", {}), ("bad", {"p": float("nan")})])
    assert journal.path.read_bytes() == b"" and not journal.done()


def test_a_batch_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: (writes.append(len(data)), real(fd, data))[1])
    fill(tmp_path / "j.jsonl")
    assert len(writes) == len(BATCHES)


def test_a_write_of_which_the_system_takes_only_parts_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fill(tmp_path / "whole.jsonl")
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    assert fill(tmp_path / "parts.jsonl") == whole


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_refused_write_is_a_sentence_and_leaves_whole_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "j.jsonl"
    whole = fill(tmp_path / "whole.jsonl")
    journal = Journal(path)
    journal.append(BATCHES[0])
    real = os.write

    def write_some_then_fail(fd: int, data: bytes) -> int:
        if len(data) < len(whole) // 4:
            raise OSError(code, os.strerror(code))
        return real(fd, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_some_then_fail)
        with pytest.raises(StorageError, match=rf"j\.jsonl cannot be written \({os.strerror(code)}\)"):
            journal.append(BATCHES[1])
    with pytest.raises(ValueError, match="closed"):
        journal.append(BATCHES[1])
    again = Journal(path)
    assert again.dropped == 0
    for batch in BATCHES[1:]:
        again.append(batch)
    assert path.read_bytes() == whole


def test_a_full_disk_keeps_whole_batches_and_can_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    code = f"""
import resource
from pathlib import Path
from truing.run import Journal
from truing.types import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
journal = Journal(Path({str(path)!r}))
try:
    for b in range(100):
        journal.append([(f"{{b}}-{{i}}", {{"text": "x" * 100}}) for i in range(7)])
except StorageError as why:
    print(why)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "cannot be written (File too large); what was written before is kept" in said
    journal = Journal(path)
    assert journal.dropped == 0
    assert len(journal.done()) % 7 == 0 and 0 < path.stat().st_size <= 10_000
    journal.append([("next", {})])


def test_memory_stays_flat_over_many_rows(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    fill(path, [[(f"{b}-{i}", {"text": "x" * 500}) for i in range(200)] for b in range(100)])
    tracemalloc.start()
    journal = Journal(path)
    assert sum(len(row["text"]) for _, row in journal.rows()) == 100 * 200 * 500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 11_000_000 and peak < 6_000_000


def test_text_of_ten_megabytes_survives(tmp_path: Path) -> None:
    row = {"text": "\0\ud800x" * 3_500_000}
    fill(tmp_path / "j.jsonl", [[("big", row)]])
    assert dict(Journal(tmp_path / "j.jsonl").rows()) == {"big": row}


# Appends batches of five rows; the system takes 300 bytes of each write at a time, so that a kill
# often falls into the middle of a batch. What is asked for is logged before it is journaled.
WRITER = """
import os, sys, time
from pathlib import Path
from truing.run import Run
real = os.write
def slowly(fd, data):
    time.sleep(0.0005)
    return real(fd, data[:300])
with Run.open(sys.argv[1], {"job": "drill"}) as run, open(sys.argv[2], "a") as log:
    journal = run.journal("answers")
    print("open", flush=True)
    os.write = slowly
    for b in range(150):
        keys = [f"{b}-{i}" for i in range(5)]
        if not set(keys) & journal.done():
            print(*keys, file=log, flush=True)
            journal.append([(key, {"text": key * 50}) for key in keys])
"""


def test_kill_9_at_random_moments_ends_in_the_bytes_of_an_undisturbed_run(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", WRITER, tmp_path / "calm", tmp_path / "log"], check=True, capture_output=True
    )
    whole = (tmp_path / "calm" / "journal" / "answers.jsonl").read_bytes()
    path = tmp_path / "drill" / "journal" / "answers.jsonl"
    journaled: set[str] = set()
    torn = 0
    for delay in generator(1, "crash drill").uniform(0.002, 0.06, size=12):
        log = tmp_path / "asked"
        log.unlink(missing_ok=True)
        child = subprocess.Popen([sys.executable, "-c", WRITER, path.parents[1], log], stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"open\n"
        time.sleep(delay)
        child.kill()
        child.communicate()
        left_behind = path.read_bytes()
        journal = Journal(path)
        torn += journal.dropped > 0
        journal.close()
        assert not set(log.read_text().split()) & journaled, "what was journaled was asked again"
        journaled = set(journal.done())
        path.write_bytes(left_behind)  # the next process repairs it itself
    assert torn, "no kill fell into a write: the drill showed nothing"
    subprocess.run(
        [sys.executable, "-c", WRITER, path.parents[1], tmp_path / "log"], check=True, capture_output=True
    )
    assert path.read_bytes() == whole
