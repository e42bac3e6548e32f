"""`truing runs`: every audit below a folder, the unfinished ones too, and a page that leads to each."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from truing.audit import find_runs, write_index
from truing.cli import main
from truing.run import Ledger, Run
from truing.types import InputError


def run(root: Path, path: str, *, verb: str = "audit", result: Any = None, tokens: float = 0.0) -> Path:
    folder = root / path
    with Run.open(folder, {"verb": verb, "candidate": f"{path}/new", "baseline": "<old>"}) as opened:
        if result is not None:
            opened.write_json("compare.json" if verb == "compare" else "audit.json", result)
            opened.write_text("report.html", "a page")
        if tokens:
            with Ledger(folder / "ledger.sqlite") as ledger:
                ledger.record_many(
                    "completion tokens", {"baseline": tokens, "candidate": 1.0}, component="audit"
                )
    return folder


def decision(status: str, **findings: str) -> dict[str, Any]:
    found = [{"dimension": name, "status": of} for name, of in findings.items()]
    return {"decision": {"status": status, "reason": "because", "findings": found}}


def test_runs_are_found_at_any_depth_with_what_they_found_and_what_they_cost(tmp_path: Path) -> None:
    run(tmp_path, "b", result=decision("regression", safety="regression", ethics="inconclusive"), tokens=41.0)
    run(tmp_path, "a/deep", verb="compare", result=decision("pass", safety="pass"))
    run(tmp_path, "c")
    run(tmp_path, "train", verb="train")
    (tmp_path / "nothing").mkdir()
    deep, broken, begun = find_runs(tmp_path)
    assert (deep.path, deep.verb, deep.status, deep.broken, deep.open) == (
        "a/deep",
        "compare",
        "pass",
        (),
        (),
    )
    assert (broken.path, broken.status, broken.reason) == ("b", "regression", "because")
    assert (broken.broken, broken.open, broken.tokens) == (("safety",), ("ethics",), 42)
    assert (begun.path, begun.status, begun.candidate) == ("c", "", "c/new")


def test_the_page_leads_to_each_finished_run_and_escapes_what_it_shows(tmp_path: Path) -> None:
    run(tmp_path, "one", result=decision("pass"))
    run(tmp_path, "two")
    page = write_index(tmp_path, find_runs(tmp_path)).read_text(encoding="utf-8")
    assert 'href="one/report.html"' in page and "two/report.html" not in page
    assert "&lt;old&gt;" in page and "<old>" not in page


def test_the_verb_lists_them_and_prints_where_the_page_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "one", result=decision("inconclusive", safety="inconclusive"))
    run(tmp_path, "two")
    assert main(["runs", str(tmp_path), "--json"]) == 0
    *lines, page, told = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["one", "inconclusive"], ["two", "unfinished"]]
    assert lines[0].endswith("one/new against <old>: safety")
    assert Path(page).is_file() and len(json.loads(told)["runs"]) == 2


def test_a_folder_without_runs_is_an_empty_list_and_a_missing_one_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find_runs(tmp_path) == [] and main(["runs", str(tmp_path)]) == 0
    with pytest.raises(InputError, match="there is no such folder"):
        find_runs(tmp_path / "none")
    assert main(["runs", str(tmp_path / "none")]) == 3
    assert "there is no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("audit.json", "{"),
        ("audit.json", "[]"),
        ("audit.json", "{}"),
        ("audit.json", '{"decision": {"findings": [{"dimension": "safety"}]}}'),
        ("run.json", "nonsense"),
        ("ledger.sqlite", "no database at all, and long enough to look at"),
    ],
)
def test_a_damaged_file_is_one_sentence_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    folder = run(tmp_path, "one", result=decision("pass"))
    (folder / name).write_text(text)
    assert main(["runs", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert said.count("truing: ") == 1 and f"one/{name}" in said and "internal" not in said


def test_a_folder_that_was_moved_is_listed_where_it_is(tmp_path: Path) -> None:
    run(tmp_path / "here", "one", result=decision("pass"))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert [r.path for r in find_runs(tmp_path)] == ["there/one"]
