"""`truing compare`: two logs, one verdict, its exit code, and what a CI reads."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from audit.log_files import inspect_file, inspect_sample, lm_eval_file, lm_eval_row

from truing.cli import main


def sums(folder: Path, right: int, of: int = 400) -> str:
    return str(lm_eval_file(folder, [lm_eval_row(i, exact_match=float(i < right)) for i in range(of)]))


@pytest.mark.parametrize(("right", "of", "code"), [(400, 400, 0), (360, 400, 1), (399, 400, 0), (20, 20, 2)])
def test_the_exit_code_is_the_verdict(tmp_path: Path, right: int, of: int, code: int) -> None:
    assert main(["compare", sums(tmp_path / "a", of, of), sums(tmp_path / "b", right, of)]) == code


def test_the_first_log_is_the_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = sums(tmp_path / "a", 360), sums(tmp_path / "b", 400)
    assert main(["compare", a, b]) == 0  # a gain is no loss
    assert main(["compare", b, a]) == 1
    assert "regression: The candidate is worse on sums." in capsys.readouterr().out


def test_the_policy_is_the_audits(tmp_path: Path) -> None:
    a, b = sums(tmp_path / "a", 400), sums(tmp_path / "b", 392)
    policy = tmp_path / "policy.yaml"
    policy.write_text("dimensions: {sums: {tier: advisory}}\n")
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text("rule: non-inferior\nmargin: 0.1\n")
    assert main(["compare", a, b]) == 1
    assert main(["compare", a, b, "--policy", str(policy)]) == 2  # nothing critical is left
    assert main(["compare", a, b, "--policy", str(lenient)]) == 0
    assert main(["compare", a, b, "--policy", str(lenient), "--margin", "0.01"]) == 1  # an option goes before


def test_all_that_is_asked_for_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = sums(tmp_path / "a", 400), sums(tmp_path / "b", 360)
    junit, sarif, out = tmp_path / "ci" / "junit.xml", tmp_path / "ci" / "truing.sarif", tmp_path / "out"
    words = ["compare", a, b, "--json", "--junit", str(junit), "--sarif", str(sarif), "--out", str(out)]
    assert main(words) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told == json.loads((out / "compare.json").read_text())
    assert told["decision"]["status"] == "regression"
    assert ET.parse(junit).getroot().attrib["failures"] == "1"
    assert json.loads(sarif.read_text())["runs"][0]["results"][0]["ruleId"] == "sums"


def test_a_named_score_counts(tmp_path: Path) -> None:
    def graded(name: str, tone: str) -> str:
        scores = {"match": {"value": "C"}, "tone": {"value": tone}}
        return str(inspect_file(tmp_path / name, [inspect_sample(i, scores=scores) for i in range(100)]))

    a, b = graded("a.eval", "C"), graded("b.eval", "I")
    assert main(["compare", a, b, "--score", "tone"]) == 1
    assert main(["compare", a, b, "--score", "match", "--margin", "0.2"]) == 0


@pytest.mark.parametrize("bad", ["missing", "folder", "other tool", "score"])
def test_bad_input_is_one_sentence_and_exit_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    a = sums(tmp_path / "a", 4, 4)
    (tmp_path / "empty").mkdir()
    b, more = {
        "missing": (str(tmp_path / "gone.eval"), []),
        "folder": (str(tmp_path / "empty"), []),
        "other tool": (str(inspect_file(tmp_path / "c.eval", [inspect_sample(1)])), []),
        "score": (a, ["--score", "wit"]),
    }[bad]
    assert main(["compare", a, b, *more, "--json"]) == 3
    shown = capsys.readouterr()
    said = [line for line in shown.err.splitlines() if line.startswith("truing: ")]
    assert len(said) == 1 and "Traceback" not in shown.err
    assert json.loads(shown.out.splitlines()[-1])["exit"] == 3
