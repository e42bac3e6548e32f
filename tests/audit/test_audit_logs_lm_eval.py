"""lm-evaluation-harness: what its sample files hold is read, and nothing in them is dropped."""

import gzip
import json
from pathlib import Path

import pytest
from audit.log_files import lm_eval_file, lm_eval_row, write_lines

from truing.audit import read_log
from truing.types import InputError, Outcome


def test_a_logged_task_is_read(tmp_path: Path) -> None:
    log = read_log(lm_eval_file(tmp_path, [lm_eval_row(0), lm_eval_row(1, exact_match=0.0)]))
    assert (log.tool, log.tasks, dict(log.scored_by)) == ("lm-eval", ("sums",), {"sums": "exact_match,none"})
    assert [(row.id, row.dimension, row.outcome, row.score) for row in log.rows] == [
        ("0", "sums", Outcome.decided, 1.0),
        ("1", "sums", Outcome.decided, 0.0),
    ]
    assert log.rows[0].answer != log.rows[1].answer != ""
    assert log.rows[0].verdict.grader.exact  # the harness compares by rules


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), [1.0, 2], "yes"])
def test_what_is_no_number_is_a_row_without_a_score(tmp_path: Path, value: object) -> None:
    log = read_log(lm_eval_file(tmp_path, [lm_eval_row(0), lm_eval_row(1, exact_match=value)]))
    assert [row.outcome for row in log.rows] == [Outcome.decided, Outcome.abstained]
    assert log.rows[1].score is None and log.rows[1].verdict.reason == "exact_match is no number"


@pytest.mark.parametrize("answers", [["[invalid]"], [["[invalid]"]], ["[invalid]", "[invalid]"]])
def test_an_answer_in_which_the_filter_found_nothing_is_unparsed(tmp_path: Path, answers: object) -> None:
    row = lm_eval_row(0, filtered_resps=answers, exact_match=0.0)
    (read,) = read_log(lm_eval_file(tmp_path, [row])).rows
    assert (read.outcome, read.score) == (Outcome.unparsed, None)


def two_filters(doc_id: int, strict: float, flexible: float) -> list[dict[str, object]]:
    return [
        lm_eval_row(doc_id, filter="strict-match", exact_match=strict),
        lm_eval_row(doc_id, filter="flexible-extract", exact_match=flexible),
    ]


def test_the_first_filter_counts_unless_another_is_named(tmp_path: Path) -> None:
    path = lm_eval_file(tmp_path, two_filters(0, 0.0, 1.0) + two_filters(1, 1.0, 1.0))
    log = read_log(path)
    assert [row.score for row in log.rows] == [0.0, 1.0]
    assert log.notes == (
        "sums is scored by exact_match,strict-match; --score also takes exact_match,flexible-extract",
    )
    assert [row.score for row in read_log(path, score="exact_match,flexible-extract").rows] == [1.0, 1.0]
    with pytest.raises(
        InputError, match="choose from exact_match,strict-match, exact_match,flexible-extract"
    ):
        read_log(path, score="acc")


def test_a_folder_of_tasks_is_one_log_that_knows_its_model(tmp_path: Path) -> None:
    folder = tmp_path / "org__model"
    lm_eval_file(folder, [lm_eval_row(0)], "sums")
    lm_eval_file(folder, [lm_eval_row(0, acc=1.0, metrics=["acc"])], "facts_of_life")
    told = {"model_name": "org/model", "lm_eval_version": "0.4.9", "results": {}, "configs": {}}
    (folder / "results_2026-01-02T03-04-05.678901.json").write_text(json.dumps(told))
    log = read_log(folder)
    assert (log.tasks, log.model, log.version) == (("facts_of_life", "sums"), "org/model", "0.4.9")
    assert dict(log.scored_by) == {"facts_of_life": "acc,none", "sums": "exact_match,none"}


def test_two_runs_of_a_task_in_one_folder_are_refused(tmp_path: Path) -> None:
    lm_eval_file(tmp_path, [lm_eval_row(0)])
    write_lines(tmp_path / "samples_sums_2026-02-02T03-04-05.678901.jsonl", [lm_eval_row(0)])
    with pytest.raises(InputError, match="is a second file of the task sums"):
        read_log(tmp_path)


def test_a_metric_that_is_better_low_is_refused(tmp_path: Path) -> None:
    path = lm_eval_file(tmp_path, [lm_eval_row(0, metrics=["brier_score", "acc"], brier_score=0.1, acc=1.0)])
    with pytest.raises(InputError, match="brier_score is better low"):
        read_log(path)
    assert read_log(path, score="acc").rows[0].score == 1.0
    told = {"higher_is_better": {"sums": {"acc": False}}}
    (tmp_path / "results_2026-01-02T03-04-05.678901.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="acc is better low"):
        read_log(path, score="acc")


def test_a_score_that_is_no_share_is_refused(tmp_path: Path) -> None:
    path = lm_eval_file(tmp_path, [lm_eval_row(0, exact_match=37.5)])
    with pytest.raises(InputError, match=r"exact_match of doc_id 0 is 37\.5, and a score lies in \[0, 1\]"):
        read_log(path)


def test_the_prompt_is_what_was_asked_and_its_target_and_not_how_answers_are_drawn(tmp_path: Path) -> None:
    def prompt(name: str, **more: object) -> str:
        return read_log(lm_eval_file(tmp_path / name, [lm_eval_row(3, **more)])).rows[0].prompt

    asked = "Question: what is 3 and one?\nAnswer:"
    as_it_is = prompt("a")
    assert prompt("b", arguments={"gen_args_0": {"arg_0": asked, "arg_1": {"until": ["\n\n"]}}}) == as_it_is
    assert prompt("c", arguments=[[asked, {"until": ["\n"]}]]) == as_it_is  # the layout of old versions
    assert prompt("d", arguments=[["Q: " + asked, {}]]) != as_it_is
    assert prompt("e", target="5") != as_it_is
    choice = {"gen_args_0": {"arg_0": asked, "arg_1": " 4"}}
    assert prompt("f", arguments=choice) != as_it_is  # a continuation is part of the question


def test_a_packed_file_and_one_without_metrics_are_read(tmp_path: Path) -> None:
    row = lm_eval_row(0)
    del row["metrics"], row["filter"]
    path = tmp_path / "samples_sums_2026-01-02T03-04-05.678901.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(row).encode()))
    assert read_log(path).scored_by == read_log(lm_eval_file(tmp_path, [lm_eval_row(0)])).scored_by


def test_a_torn_line_is_named(tmp_path: Path) -> None:
    path = lm_eval_file(tmp_path, [lm_eval_row(0), lm_eval_row(1)])
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match="row 2: is not JSON"):
        read_log(path)


def test_the_totals_without_samples_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "results_x.json"
    path.write_text(
        json.dumps({"results": {"sums": {"acc,none": 0.5}}, "configs": {"sums": {}}, "versions": {}})
    )
    with pytest.raises(InputError, match=r"lm-eval's totals.*name the samples_\*\.jsonl beside it"):
        read_log(path)
