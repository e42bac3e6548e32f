"""Comparing two logs: paired, with what is missing in the way, and no claim on how answers were drawn."""

import json
from math import erfc, sqrt
from pathlib import Path

import pytest
from audit.log_files import (
    inspect_file,
    inspect_sample,
    lm_eval_file,
    lm_eval_row,
    promptfoo_file,
    promptfoo_row,
)

from truing.audit import Policy, Status, compare_logs
from truing.numerics import mcnemar_exact
from truing.types import InputError


def sums(folder: Path, right: list[bool], *, start: int = 0, task: str = "sums") -> Path:
    rows = [lm_eval_row(start + i, exact_match=float(good)) for i, good in enumerate(right)]
    return lm_eval_file(folder, rows, task)


def test_a_loss_that_the_unpaired_test_misses_is_a_regression(tmp_path: Path) -> None:
    # 150 items: 68 right before and after, 53 wrong in both, 22 lost, 7 gained.
    before = [True] * 68 + [False] * 53 + [True] * 22 + [False] * 7
    after = [True] * 68 + [False] * 53 + [False] * 22 + [True] * 7
    p, q, n = sum(before) / 150, sum(after) / 150, 150
    z = (p - q) / sqrt(p * (1 - p) / n + q * (1 - q) / n)
    assert erfc(z / sqrt(2)) == pytest.approx(0.080, abs=0.001)  # what the harness's own comparison says
    assert mcnemar_exact(22, 7, "two-sided") == pytest.approx(0.008, abs=0.0005)

    result = compare_logs(sums(tmp_path / "a", before), sums(tmp_path / "b", after))
    (comparison,) = result.comparisons
    assert (comparison.test, comparison.losses, comparison.gains) == ("exact McNemar", 22, 7)
    assert comparison.p == pytest.approx(0.004, abs=0.0005)
    assert comparison.difference == pytest.approx(-0.1)
    assert result.decision.status is Status.regression
    assert result.decision.reason == "The candidate is worse on sums."


def test_equal_logs_of_many_items_pass(tmp_path: Path) -> None:
    same = [True] * 300 + [False] * 100
    result = compare_logs(sums(tmp_path / "a", same), sums(tmp_path / "b", same))
    assert result.decision.status is Status.passed and result.comparisons[0].unchanged == 1.0
    assert not result.not_asked and not result.notes


def test_items_that_one_log_lacks_stand_in_the_way(tmp_path: Path) -> None:
    # Were they left out, the 300 common items would pass.
    a, b = sums(tmp_path / "a", [True] * 400), sums(tmp_path / "b", [True] * 300)
    result = compare_logs(a, b)
    assert result.comparisons[0].items == 400 and result.comparisons[0].coverage == pytest.approx(0.75)
    assert result.decision.status is Status.inconclusive
    assert "not in the candidate's log" in result.decision.findings[0].reason
    assert [(n.what, n.rows) for n in result.not_asked] == [("sums, only in the baseline's log", 100)]
    other_way = compare_logs(b, a)
    assert other_way.decision.status is Status.inconclusive
    assert other_way.comparisons[0].coverage == pytest.approx(0.75)


def test_items_whose_prompts_changed_are_listed_and_stand_in_the_way(tmp_path: Path) -> None:
    a = sums(tmp_path / "a", [True] * 100)
    rows = [lm_eval_row(i, exact_match=1.0, **({"target": "other"} if i < 8 else {})) for i in range(100)]
    result = compare_logs(a, lm_eval_file(tmp_path / "b", rows), Policy(margin=0.2))
    assert result.changed_prompts == tuple(f"{i}" for i in range(8))
    assert result.not_asked[0].why == "not compared: 0, 1, 2, 3, 4, ..."
    assert result.comparisons[0].pairs == 92 and result.decision.status is Status.inconclusive
    assert "another prompt under the same id: 8" in result.lines()[0]


def test_each_task_is_a_dimension_and_holm_is_over_all(tmp_path: Path) -> None:
    # Six losses against none: p = 0.016 alone, 0.047 among three, 0.063 among four.
    weak, same = [False] * 6 + [True] * 394, [True] * 400
    for tasks, status in ((3, Status.regression), (4, Status.inconclusive)):
        for i in range(tasks):
            sums(tmp_path / f"a{tasks}", same, start=1000 * i, task=f"t{i}")
            sums(tmp_path / f"b{tasks}", same if i else weak, start=1000 * i, task=f"t{i}")
        result = compare_logs(tmp_path / f"a{tasks}", tmp_path / f"b{tasks}")
        assert len(result.comparisons) == tasks
        assert result.finding("t0").status is (status if status is Status.regression else Status.passed)


def test_epochs_of_an_inspect_log_are_one_pair_each(tmp_path: Path) -> None:
    def graded(path: Path, second: str) -> Path:
        samples = [inspect_sample(i, "C", 1) for i in range(30)] + [
            inspect_sample(i, second, 2) for i in range(30)
        ]
        return inspect_file(path, samples)

    result = compare_logs(graded(tmp_path / "a.eval", "C"), graded(tmp_path / "b.eval", "I"))
    (comparison,) = result.comparisons
    assert (comparison.items, comparison.pairs, comparison.difference) == (30, 30, -0.5)
    assert comparison.test == "sign flips of clusters" and result.decision.status is Status.regression


def test_an_uncalibrated_judge_lets_nothing_pass_and_its_losses_count(tmp_path: Path) -> None:
    def rubric(path: Path, lost: int) -> Path:
        def graded(i: int) -> dict[str, object]:
            told = {
                "pass": i >= lost,
                "score": 1,
                "reason": "",
                "componentResults": [{"assertion": {"type": "llm-rubric"}}],
            }
            return promptfoo_row(i, i >= lost, gradingResult=told)

        return promptfoo_file(path, [graded(i) for i in range(400)])

    a = rubric(tmp_path / "a.json", 0)
    unchanged = compare_logs(a, rubric(tmp_path / "b.json", 0))
    assert unchanged.decision.status is Status.inconclusive
    assert "promptfoo/llm-rubric" in unchanged.decision.findings[0].reason
    assert compare_logs(a, rubric(tmp_path / "c.json", 20)).decision.status is Status.regression


def test_repeats_of_one_prompt_are_one_source(tmp_path: Path) -> None:
    # promptfoo counts each repetition as a test of its own.
    def repeated(path: Path, good: bool) -> Path:
        same = {
            "prompt": {"raw": "Is it there?"},
            "testCase": {"assert": [{"type": "contains", "value": "y"}]},
        }
        return promptfoo_file(path, [promptfoo_row(i, good) | same for i in range(30)])

    (comparison,) = compare_logs(
        repeated(tmp_path / "a.json", True), repeated(tmp_path / "b.json", False)
    ).comparisons
    assert comparison.difference == -1.0 and comparison.p == pytest.approx(
        0.5
    )  # one source: a coin's evidence


def test_the_result_tells_the_logs_and_claims_nothing_on_drawing(tmp_path: Path) -> None:
    a, b = sums(tmp_path / "a", [True] * 10), sums(tmp_path / "b", [True] * 10)
    result = compare_logs(a, b, seed=3, out=tmp_path / "out")
    told = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert told == json.loads(json.dumps(result.to_json()))
    assert "settings" not in told and told["seed"] == 3 and told["policy"]["margin"] == 0.05
    assert told["candidate"]["ref"] == str(b) and told["candidate"]["format"]["tool"] == "lm-eval"
    assert len(told["candidate"]["format"][b.name]) == 64
    assert "greedy" not in result.drawn + result.decoding


def test_a_folder_holds_the_comparison_of_these_very_logs(tmp_path: Path) -> None:
    a, b = sums(tmp_path / "a", [True] * 10), sums(tmp_path / "b", [True] * 10)
    compare_logs(a, b, out=tmp_path / "out")
    first = (tmp_path / "out" / "compare.json").read_bytes()
    compare_logs(a, b, out=tmp_path / "out")
    assert (tmp_path / "out" / "compare.json").read_bytes() == first
    sums(tmp_path / "b", [False] * 10)
    with pytest.raises(InputError, match="holds a run of another configuration"):
        compare_logs(a, b, out=tmp_path / "out")


def test_versions_of_the_tool_that_differ_are_told(tmp_path: Path) -> None:
    a, b = sums(tmp_path / "a", [True] * 10), sums(tmp_path / "b", [True] * 10)
    beside = "results_2026-01-02T03-04-05.678901.json"
    (a.parent / beside).write_text(json.dumps({"lm_eval_version": "0.4.2"}))
    (b.parent / beside).write_text(json.dumps({"lm_eval_version": "0.4.9"}))
    note = "lm-eval moved from 0.4.2 to 0.4.9: its scores may have changed with it"
    assert compare_logs(a, b).notes == (note,)
