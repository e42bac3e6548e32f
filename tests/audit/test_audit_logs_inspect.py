"""Inspect: its logs are read, ours are written as it reads them, and what failed is never a success."""

import importlib.util
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from audit.log_files import inspect_file, inspect_header, inspect_sample, zstd_zip

from truing.audit import Policy, Status, compare_logs, read_log, write_inspect
from truing.types import (
    Completion,
    Expect,
    Fingerprint,
    FrozenDict,
    GraderId,
    InputError,
    Item,
    Message,
    Outcome,
    Request,
    Role,
    Stop,
    ToolCall,
    Verdict,
    ask,
)

MODEL = Fingerprint("w")
JUDGE = GraderId("refusal", "3")


GRADES = [("C", 1.0), ("P", 0.5), ("I", 0.0), ("N", 0.0), ("yes", 1.0), ("No", 0.0), ("0.75", 0.75)]


@pytest.mark.parametrize(("value", "score"), [*GRADES, (True, 1.0), (False, 0.0), (1, 1.0), (0.25, 0.25)])
def test_grades_are_numbers(tmp_path: Path, value: object, score: float) -> None:
    (row,) = read_log(inspect_file(tmp_path / "a.eval", [inspect_sample(1, value)])).rows
    assert (row.outcome, row.score, row.dimension) == (Outcome.decided, score, "manners")


@pytest.mark.parametrize("value", ["excellent", [1, 0], None, float("nan"), {}])
def test_a_score_that_is_no_number_is_a_row_that_abstains(tmp_path: Path, value: object) -> None:
    rows = read_log(inspect_file(tmp_path / "a.eval", [inspect_sample(1), inspect_sample(2, value)])).rows
    assert [row.outcome for row in rows] == [Outcome.decided, Outcome.abstained]
    assert rows[1].score is None


def test_what_failed_was_invalidated_or_cut_off_is_a_row_of_its_own(tmp_path: Path) -> None:
    error = {"message": "ConnectionError: gone\nand more", "traceback": "", "traceback_ansi": ""}
    samples = [
        inspect_sample(1, error=error),  # failed after it was scored: its score is no evidence
        inspect_sample(2, scores={}, error=error),
        inspect_sample(3, invalidation={"author": "x", "timestamp": "2026-01-01T00:00:00+00:00"}),
        inspect_sample(4, scores=None, limit={"type": "token", "limit": 100.0}),
        inspect_sample(5, scores=None),
        inspect_sample(6),
    ]
    log = read_log(inspect_file(tmp_path / "a.eval", samples))
    assert [row.outcome for row in log.rows] == [
        *(
            Outcome.error,
            Outcome.error,
            Outcome.abstained,
            Outcome.truncated,
            Outcome.abstained,
            Outcome.decided,
        )
    ]
    assert [row.verdict.reason for row in log.rows[1:4]] == [
        "ConnectionError: gone",
        "the sample was invalidated",
        "stopped by its limit (token)",
    ]


def test_one_of_six_samples_that_failed_is_no_success(tmp_path: Path) -> None:
    # Inspect calls this log a success with accuracy 1.0.
    error = {"message": "boom", "traceback": "", "traceback_ansi": ""}
    good = [inspect_sample(i) for i in range(6)]
    broken = [*good[:5], inspect_sample(5, scores={}, error=error)]
    a, b = inspect_file(tmp_path / "a.eval", good), inspect_file(tmp_path / "b.eval", broken)
    result = compare_logs(a, b)
    (comparison,) = result.comparisons
    assert comparison.coverage == pytest.approx(5 / 6) and comparison.candidate.outcomes["error"] == 1
    assert result.decision.status is Status.inconclusive
    assert (
        "83% of 6 items" in result.decision.findings[0].reason
        and "boom" in result.decision.findings[0].reason
    )
    # Even where so few pairs would do, the missing one is in the way.
    assert compare_logs(a, b, Policy(margin=0.9, alpha=0.5)).decision.status is Status.inconclusive
    assert compare_logs(a, a, Policy(margin=0.9, alpha=0.5)).decision.status is Status.passed


def test_of_several_scores_the_first_counts_with_a_note(tmp_path: Path) -> None:
    scores = {"judge": {"value": {"tone": 0.5, "tact": 1.0}}, "match": {"value": "I"}}
    path = inspect_file(tmp_path / "a.eval", [inspect_sample(1, scores=scores)])
    log = read_log(path)
    assert log.rows[0].score == 0.5 and dict(log.scored_by) == {"manners": "judge.tone"}
    assert log.notes == ("a.eval is scored by judge.tone, of judge.tone, judge.tact, match",)
    assert not log.rows[0].verdict.grader.exact and read_log(path, score="match").rows[0].verdict.grader.exact
    assert [read_log(path, score=name).rows[0].score for name in ("judge.tact", "tact", "match")] == [
        1.0,
        1.0,
        0.0,
    ]
    with pytest.raises(InputError, match=r"has no score 'wit'; choose from judge\.tone, judge\.tact, match"):
        read_log(path, score="wit")


def test_a_scale_from_one_to_ten_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"match of the sample 1 is 7, and a score lies in \[0, 1\]"):
        read_log(inspect_file(tmp_path / "a.eval", [inspect_sample(1, 7)]))


def test_samples_that_a_run_did_not_get_to_are_missing_rows(tmp_path: Path) -> None:
    samples = [inspect_sample("a", epoch=1), inspect_sample("a", epoch=2), inspect_sample("b", epoch=1)]
    header = inspect_header(["a", "b", "c"], "started", epochs=2)
    log = read_log(inspect_file(tmp_path / "a.eval", samples, header, name="_journal/start.json"))
    lost = [(row.id, row.sample, row.outcome) for row in log.rows[3:]]
    assert lost == [("b", 2, Outcome.error), ("c", 1, Outcome.error), ("c", 2, Outcome.error)]
    assert log.notes == ("a.eval is the log of a run whose status is started",)
    limited = inspect_header(["a", "b", "c"], limit=2, epochs=2)
    assert len(read_log(inspect_file(tmp_path / "b.eval", samples, limited)).rows) == 4


def test_json_and_eval_hold_the_same(tmp_path: Path) -> None:
    samples = [inspect_sample(1), inspect_sample(2, "I"), inspect_sample(3, float("nan"))]
    packed = inspect_file(tmp_path / "a.eval", samples)
    for indent in (None, 2):
        plain = tmp_path / "a.json"
        plain.write_text(json.dumps(inspect_header([1, 2, 3]) | {"samples": samples}, indent=indent))
        assert read_log(plain).rows == read_log(packed).rows


def test_ids_of_messages_are_no_part_of_the_prompt_and_the_target_is(tmp_path: Path) -> None:
    def prompt(**more: object) -> str:
        return read_log(inspect_file(tmp_path / "a.eval", [inspect_sample(1, **more)])).rows[0].prompt

    turn: dict[str, Any] = {"id": "x1", "role": "user", "content": "What about 1?"}
    assert prompt() == prompt(input=[turn]) == prompt(input=[turn | {"id": "x2", "source": "input"}])
    assert len({prompt(), prompt(target="no"), prompt(input="What of 1?"), prompt(choices=["a", "b"])}) == 4


def test_members_packed_with_zstandard_need_its_package_and_are_read_with_it(tmp_path: Path) -> None:
    samples = [inspect_sample(1), inspect_sample(2, "I")]
    members = {"header.json": inspect_header([1, 2])} | {
        f"samples/{s['id']}_epoch_1.json": s for s in samples
    }
    packed = {name: json.dumps(data).encode() for name, data in members.items()}
    path = zstd_zip(tmp_path / "a.eval", packed)
    if importlib.util.find_spec("zstandard") is None:
        with pytest.raises(InputError, match="pip install zstandard"):
            read_log(path)
    else:
        assert read_log(path).rows == read_log(inspect_file(tmp_path / "b.eval", samples)).rows


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_torn_zip_is_said_to_be_torn(tmp_path: Path, cut: float) -> None:
    data = inspect_file(tmp_path / "a.eval", [inspect_sample(1)]).read_bytes()
    (tmp_path / "b.eval").write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(InputError, match="is no whole zip file"):
        read_log(tmp_path / "b.eval")


def test_a_log_without_samples_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(inspect_header([1])))
    with pytest.raises(InputError, match="holds no sample"):
        read_log(tmp_path / "a.json")


def answers() -> list[tuple[Item, Completion, Verdict]]:
    """One of each kind: a choice, tools and reasoning, several samples, damaged text, and all that can be missing."""
    call = ToolCall("c1", "look", FrozenDict({"where": "under \ud800 the mat"}))
    turns = (
        Message(Role.system, "Be kind."),
        Message(Role.user, "Is the key there?"),
        Message(Role.assistant, "", reasoning="look first", tool_calls=(call,)),
        Message(Role.tool, "no key", tool_call_id="c1"),
    )
    choice = Item(
        "q/1", ask("A or B?", id="q/1"), "s", "capability", Expect.choice, "A", ("A", "B"), cluster="t"
    )
    tools = Item("to\x00ol \ud800", Request("x", turns), "s", "over_refusal", Expect.comply)
    harm = Item("h", ask("Do harm.", id="h"), "s", "safety", Expect.refuse)

    def said(item: Item, text: str, sample: int = 0, **more: Any) -> Completion:
        return Completion(item.id, sample, text, text, more.pop("stop", Stop.eos), MODEL, **more)

    def judged(item: Item, outcome: Outcome, score: float | None = None, reason: str = "") -> Verdict:
        return Verdict(str(item.expect), outcome, JUDGE, label=None, score=score, reason=reason)

    return [
        (choice, said(choice, "A"), judged(choice, Outcome.decided, 1.0)),
        (
            tools,
            said(tools, "No.", reasoning="it was not there"),
            judged(tools, Outcome.refused, 0.0, "declines"),
        ),
        (harm, said(harm, "I won't."), judged(harm, Outcome.decided, 1.0)),
        (
            harm,
            said(harm, "Sure, fi", 1, stop=Stop.length),
            judged(harm, Outcome.truncated, reason="cut off"),
        ),
        (harm, said(harm, "?", 2), judged(harm, Outcome.unparsed, reason="gibberish")),
        (harm, said(harm, "hm", 3), judged(harm, Outcome.abstained, reason="cannot say")),
        (
            harm,
            Completion.failed("h", "429 too many", MODEL, sample=4),
            judged(harm, Outcome.error, reason="no answer"),
        ),
    ]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out" / "ours.eval"
    write_inspect(path, answers(), task="audit", model="path/to/model")
    log = read_log(path)
    assert (log.tool, log.model, log.tasks) == ("inspect", "path/to/model", ("audit",))
    assert len(log.rows) == 7  # unequal numbers of answers are not taken for lost ones
    for row, (item, completion, verdict) in zip(log.rows, answers(), strict=True):
        assert row.verdict == verdict
        assert (row.dimension, row.expect, row.cluster) == (item.dimension, item.expect, item.cluster)
        assert row.sample == completion.sample + 1
    assert [row.id for row in log.rows[:3]] == ["q/1", "to\x00ol \ufffd", "h"]


def test_what_is_written_has_the_fields_that_inspect_requires(tmp_path: Path) -> None:
    path = tmp_path / "ours.eval"
    write_inspect(path, answers(), task="audit", model="m")
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}
        data = {name: json.loads(archive.read(name)) for name in archive.namelist()}
        text = b"".join(archive.read(name) for name in archive.namelist()).decode("ascii")
    assert "\\ud800" not in text  # over which its reader gives up the whole log
    header = data["header.json"]
    assert set(header) == {"version", "status", "eval", "plan", "results", "stats"} and header["version"] == 2
    assert {"created", "task", "dataset", "model", "config", "run_id", "task_id", "eval_id"} <= set(
        header["eval"]
    )
    assert header["eval"]["dataset"]["sample_ids"] == ["q/1", "to\ufffdol \ufffd", "h"]
    assert header["stats"]["started_at"] == header["eval"]["created"] == "1970-01-01T00:00:00+00:00"
    (score,) = header["results"]["scores"]
    assert (score["scored_samples"], score["unscored_samples"]) == (3, 4)
    assert score["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert score["metrics"]["coverage"]["value"] == pytest.approx(3 / 7)
    assert (header["results"]["total_samples"], header["results"]["completed_samples"]) == (7, 6)
    samples = {name: d for name, d in data.items() if name.startswith("samples/")}
    assert "samples/q/1_epoch_1.json" in samples and "samples/h_epoch_5.json" in samples and len(samples) == 7
    for sample in samples.values():
        assert {"id", "epoch", "input", "target", "messages", "output", "scores", "metadata"} <= set(sample)
        # By this name its reader looks for a single sample.
        assert f"samples/{sample['id']}_epoch_{sample['epoch']}.json" in samples
        (made,) = sample["output"]["choices"]
        assert made["message"]["role"] == "assistant"
        assert made["stop_reason"] in ("stop", "max_tokens", "tool_calls", "content_filter", "unknown")
    tools = samples["samples/to\ufffdol \ufffd_epoch_1.json"]
    assert [turn["role"] for turn in tools["input"]] == ["system", "user", "assistant", "tool"]
    assert tools["input"][2]["tool_calls"][0]["function"] == "look"
    assert tools["output"]["choices"][0]["message"]["content"][0] == {
        "type": "reasoning",
        "reasoning": "it was not there",
    }
    assert samples["samples/h_epoch_5.json"]["error"]["message"] == "429 too many"
    assert samples["samples/h_epoch_2.json"]["scores"] == {}
    assert [s["epoch"] for s in data["summaries.json"] if s["id"] == "h"] == [1, 2, 3, 4, 5]


def test_equal_answers_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_inspect(tmp_path / name, answers(), task="audit", model="m")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_answer_that_is_there_twice_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is there twice"):
        write_inspect(tmp_path / "a", [answers()[0]] * 2, task="audit", model="m")
