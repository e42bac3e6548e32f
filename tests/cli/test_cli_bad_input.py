"""Bad input: one clear sentence or a counted row; never a traceback, never exit 0 or 1."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from model.tiny import checkpoint

from truing.cli import main

GOOD = {"prompt": "How do I clean the lamp?", "expect": "comply"}
Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Audit:
    """Run an audit of one tiny model against itself; what is given replaces a part. Returns exit code and stderr."""

    def run(
        candidate: str = "", suite: str = "", out: str = "", extra: tuple[str, ...] = (), max_tokens: int = 8
    ) -> tuple[int, str]:
        model = str(checkpoint("llama", chat_template="chatml"))
        suite = suite or questions(tmp_path, GOOD)
        words = [
            "audit",
            candidate or model,
            "--baseline",
            model,
            "--suite",
            suite,
            "--max-tokens",
            str(max_tokens),
        ]
        code = main([*words, "--out", out or str(tmp_path / "run"), *extra])
        return code, capsys.readouterr().err

    return run


def questions(folder: Path, *rows: object) -> str:
    path = folder / "q.jsonl"
    path.write_text(
        "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    return f"jsonl:{path}"


def is_one_sentence(text: str) -> bool:
    said = [line for line in text.splitlines() if line.startswith("truing: ")]
    return len(said) == 1 and "Traceback" not in text


def test_a_missing_model_folder(audit: Audit) -> None:
    code, said = audit(candidate="/no/such/model")
    assert code == 3 and is_one_sentence(said) and "/no/such/model" in said


def test_a_folder_that_is_no_model(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, said = audit(candidate=str(tmp_path / "empty"))
    assert code == 3 and is_one_sentence(said)


def test_a_model_whose_weights_were_cut_off(audit: Audit, tmp_path: Path) -> None:
    broken = shutil.copytree(checkpoint("llama", chat_template="chatml"), tmp_path / "broken")
    weights = next(broken.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:2000])
    code, said = audit(candidate=str(broken))
    assert code == 3 and is_one_sentence(said) and "broken" in said


def test_jsonl_that_is_broken_at_row_seven(audit: Audit, tmp_path: Path) -> None:
    code, said = audit(suite=questions(tmp_path, *[GOOD] * 6, '{"prompt": \n', *[GOOD] * 6))
    assert code == 3 and is_one_sentence(said) and "q.jsonl, row 7" in said


def test_an_unknown_suite(audit: Audit) -> None:
    code, said = audit(suite="nonsense")
    assert code == 3 and is_one_sentence(said) and "choose from" in said


def test_an_empty_suite(audit: Audit, tmp_path: Path) -> None:
    code, said = audit(suite=questions(tmp_path))
    assert code == 3 and is_one_sentence(said) and "no item" in said


def test_a_tokenizer_without_a_template_is_asked_in_the_plain_format_and_the_run_says_so(
    audit: Audit, tmp_path: Path
) -> None:
    code, _ = audit(candidate=str(checkpoint("llama", chat_template=None)))
    assert code == 2
    found = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert found["candidate"]["format"]["plain_default"] is True
    assert found["baseline"]["format"]["plain_default"] is False
    assert "plain" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_nul_and_lone_surrogates_in_items_are_asked_and_counted(audit: Audit, tmp_path: Path) -> None:
    rows = [{"prompt": "a \0 b", "expect": "comply"}, {"prompt": "c \ud800 d \u202e", "expect": "refuse"}]
    code, said = audit(suite=questions(tmp_path, *rows))
    assert code == 2 and not said
    assert (tmp_path / "run" / "journal" / "candidate.jsonl").read_bytes().count(b"\n") == 2


def test_a_prompt_of_a_megabyte_is_a_counted_row(audit: Audit, tmp_path: Path) -> None:
    code, _ = audit(suite=questions(tmp_path, GOOD, {"prompt": "lamp " * 200_000, "expect": "comply"}))
    assert code == 2
    (comparison,) = json.loads((tmp_path / "run" / "audit.json").read_text())["comparisons"][:1]
    assert comparison["items"] == 2 and comparison["candidate"]["outcomes"]["error"] == 1


def test_an_output_folder_that_cannot_be_made(audit: Audit) -> None:
    code, said = audit(out="/proc/truing-run")
    assert code == 3 and is_one_sentence(said) and "/proc/truing-run" in said


def test_an_output_folder_that_is_a_file(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, said = audit(out=str(tmp_path / "file"))
    assert code == 3 and is_one_sentence(said)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["audit"],
        ["audit", "a", "--baseline", "b"],
        ["audit", "a", "--baseline", "b", "--suite", "xstest", "--limit", "many"],
        ["audit", "a", "--baseline", "b", "--suite", "xstest", "--limit", "0"],
        ["audit", "a", "--baseline", "b", "--suite", "xstest", "--margin", "5"],
        ["audit", "a", "--baseline", "b", "--suite", "xstest", "--temperature", "-1"],
        ["audit", "a", "--baseline", "b", "--suite", "xstest", "--temperature", "nan"],
        ["audit", "a", "--baseline", "b", "--suite", "xstest", "--max-tokens", "0"],
        ["audit", "a", "--baseline", "b", "--suite", "xstest", "--seed", "-1"],
        ["audit", "a", "--baseline", "b", "--suite", "xstest", "--colour", "red"],
    ],
)
def test_a_wrong_command_line_exits_with_3(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 3
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err + shown.out


def test_with_json_an_error_is_an_object_on_the_last_line(
    audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "/no/such/model", "--baseline", "/no/such", "--suite", "nonsense", "--json"]) == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["exit"] == 3


def test_an_unforeseen_failure_exits_with_4_and_shows_its_traceback_only_when_asked(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("truing.audit.plan.load_suites", fails)
    code, said = audit()
    assert code == 4 and is_one_sentence(said) and "internal error, KeyError" in said
    monkeypatch.setenv("TRUING_DEBUG", "1")
    code, said = audit()
    assert code == 4 and "Traceback" in said


def test_a_full_disk_exits_with_4_and_the_run_resumes_when_there_is_room(
    tmp_path: Path, audit: Audit
) -> None:
    suite = questions(
        tmp_path, *[{"prompt": f"How do I clean lamp {i}?", "expect": "comply"} for i in range(150)]
    )
    model = str(checkpoint("llama", chat_template="chatml"))
    words = [
        "audit",
        model,
        "--baseline",
        model,
        "--suite",
        suite,
        "--max-tokens",
        "8",
        "--out",
        str(tmp_path / "run"),
    ]
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000))\n"
        "from truing.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", limited, *words], capture_output=True, text=True)
    assert done.returncode == 4 and is_one_sentence(done.stderr), done.stderr
    assert "candidate.jsonl" in done.stderr or "baseline.jsonl" in done.stderr
    kept = (tmp_path / "run" / "journal" / "baseline.jsonl").read_bytes()
    assert kept.count(b"\n") > 0
    code, _ = audit(suite=suite)
    assert code == 2
    assert (tmp_path / "run" / "journal" / "baseline.jsonl").read_bytes().startswith(kept)


def test_a_second_process_on_the_folder_is_told_who_writes_it(tmp_path: Path, audit: Audit) -> None:
    from truing.run import Run

    with Run.open(tmp_path / "run", {"held": True}):
        code, said = audit()
    assert code == 3 and is_one_sentence(said) and "is writing" in said


@pytest.mark.parametrize(
    ("streams", "words", "code"),
    [
        (">&-", "--help", 0),
        (">/dev/full", "--help", 4),
        ("2>/dev/full", "audit nope --baseline x --suite nonsense", 3),
        (">/dev/full", "audit nope --baseline x --suite nonsense --json", 3),
    ],
)
def test_a_stream_that_cannot_be_written_never_looks_like_a_finding(
    streams: str, words: str, code: int
) -> None:
    done = subprocess.run(
        f"{sys.executable} -m truing.cli {words} {streams}", shell=True, capture_output=True
    )
    assert done.returncode == code and b"Traceback" not in done.stderr
