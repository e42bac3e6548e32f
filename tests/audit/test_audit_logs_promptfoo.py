"""promptfoo: what it decided is read; what it could not check is no success."""

import json
from pathlib import Path
from typing import Any

import pytest
from audit.log_files import promptfoo_file, promptfoo_row, write_lines

from truing.audit import read_log
from truing.types import InputError, Outcome


def test_a_result_counts_as_promptfoo_decided_it(tmp_path: Path) -> None:
    # A rubric's score below its threshold fails, whatever the score is.
    rows = [promptfoo_row(0), promptfoo_row(1, False), promptfoo_row(2, False, score=0.6)]
    log = read_log(promptfoo_file(tmp_path / "out.json", rows))
    assert (log.tool, log.version, log.model) == ("promptfoo", "0.119.0", "openai:small")
    assert [(row.id, row.score) for row in log.rows] == [("0", 1.0), ("1", 0.0), ("2", 0.0)]
    assert [row.score for row in read_log(tmp_path / "out.json", score="score").rows] == [1.0, 0.0, 0.6]
    assert [row.score for row in read_log(tmp_path / "out.json", score="clarity").rows] == [0.5] * 3
    with pytest.raises(InputError, match="choose from success, score, clarity"):
        read_log(tmp_path / "out.json", score="wit")


JUDGE_FAILED = {
    "pass": False,
    "score": 0,
    "reason": "Could not extract JSON from llm-rubric response",
    "componentResults": [{"pass": False, "score": 0, "reason": "", "metadata": {"graderError": True}}],
}


@pytest.mark.parametrize(
    ("more", "outcome", "reason"),
    [
        (
            {"success": False, "failureReason": 2, "error": "429\nat x.js", "gradingResult": None},
            "error",
            "429",
        ),
        # Results of early versions have no failureReason.
        (
            {"success": False, "failureReason": None, "error": "timeout", "gradingResult": None},
            "error",
            "timeout",
        ),
        (
            {"success": False, "response": {"error": "refused by host"}, "gradingResult": None},
            "error",
            "refused by host",
        ),
        ({"success": False, "gradingResult": JUDGE_FAILED}, "error", "the grader failed"),
        (
            {"gradingResult": {"pass": True, "score": 1, "reason": "No assertions"}},
            "abstained",
            "no assertion",
        ),
        ({"success": None}, "abstained", "success is no number"),
    ],
)
def test_what_was_not_judged_is_a_row_without_a_score(
    tmp_path: Path, more: dict[str, Any], outcome: str, reason: str
) -> None:
    (row,) = read_log(promptfoo_file(tmp_path / "out.json", [promptfoo_row(0) | more])).rows
    assert (row.outcome, row.score) == (Outcome(outcome), None)
    assert row.verdict.reason.startswith(reason)


def test_an_assertion_that_failed_is_a_wrong_answer_though_promptfoo_calls_its_reason_an_error(
    tmp_path: Path,
) -> None:
    (row,) = read_log(
        promptfoo_file(tmp_path / "o.json", [promptfoo_row(0, False, error="Expected yes")])
    ).rows
    assert (row.outcome, row.score) == (Outcome.decided, 0.0)


@pytest.mark.parametrize(
    ("types", "name", "exact"),
    [
        (["contains", "not-regex"], "promptfoo/assertions", True),
        (["contains", "llm-rubric"], "promptfoo/llm-rubric", False),
        (["is-refusal"], "promptfoo/is-refusal", False),
        ([], "promptfoo/assertions", False),
    ],
)
def test_only_rules_are_exact(tmp_path: Path, types: list[str], name: str, exact: bool) -> None:
    grading = {
        "pass": True,
        "score": 1,
        "reason": "",
        "componentResults": [{"assertion": {"type": t}} for t in types],
    }
    row = promptfoo_row(0, gradingResult=grading, testCase={})
    grader = read_log(promptfoo_file(tmp_path / "o.json", [row])).rows[0].verdict.grader
    assert (grader.name, grader.exact) == (name, exact)


def test_the_plugin_of_a_red_team_is_the_dimension(tmp_path: Path) -> None:
    rows = [promptfoo_row(0, metadata={"pluginId": "pii"}), promptfoo_row(1)]
    log = read_log(promptfoo_file(tmp_path / "o.json", rows))
    assert [row.dimension for row in log.rows] == ["pii", "promptfoo"]


def test_prompts_of_one_test_are_items_of_their_own(tmp_path: Path) -> None:
    log = read_log(promptfoo_file(tmp_path / "o.json", [promptfoo_row(4), promptfoo_row(4, promptIdx=1)]))
    assert [row.id for row in log.rows] == ["4", "4/1"]


def test_changed_assertions_are_another_question(tmp_path: Path) -> None:
    easier = {"vars": {}, "assert": [{"type": "contains", "value": "y"}]}
    log = read_log(
        promptfoo_file(
            tmp_path / "o.json", [promptfoo_row(0), promptfoo_row(0, promptIdx=1, testCase=easier)]
        )
    )
    assert log.rows[0].prompt != log.rows[1].prompt


def test_results_without_a_place_are_known_by_their_variables(tmp_path: Path) -> None:
    row = promptfoo_row(0)
    del row["testIdx"], row["promptIdx"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"version": 2, "results": [row, row], "table": {}, "stats": {}}))
    rows = read_log(path).rows
    assert rows[0].id == rows[1].id and [r.sample for r in rows] == [0, 1]


def test_lines_are_read_as_the_file_is(tmp_path: Path) -> None:
    for rows in ([promptfoo_row(0)], [promptfoo_row(0), promptfoo_row(1, False)]):
        lines = read_log(write_lines(tmp_path / "o.jsonl", rows))
        assert lines.rows[0].verdict.score == 1.0
        assert [r.id for r in lines.rows] == [
            r.id for r in read_log(promptfoo_file(tmp_path / "o.json", rows)).rows
        ]


def test_several_providers_are_several_models(tmp_path: Path) -> None:
    rows = [promptfoo_row(0), promptfoo_row(0, provider={"id": "openai:large"})]
    with pytest.raises(
        InputError, match=r"several providers \(openai:small, openai:large\); write one file for each"
    ):
        read_log(promptfoo_file(tmp_path / "o.json", rows))


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '"text"', "no json", '{"results": 3}', '{"a": {"b": 1}}']
)
def test_what_is_no_log_is_refused_in_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError) as why:
        read_log(path)
    assert str(path) in str(why.value) and len(str(why.value).splitlines()) == 1


def test_a_layout_that_nobody_expected_is_an_input_error(tmp_path: Path) -> None:
    path = promptfoo_file(tmp_path / "o.json", [promptfoo_row(0, gradingResult={"componentResults": 7})])
    with pytest.raises(InputError, match="is not laid out as its tool writes it"):
        read_log(path)


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder without a log"):
        read_log(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        read_log(tmp_path / "gone.json")
