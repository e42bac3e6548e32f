"""Sequence-level distillation: only whole answers are learnt, from a local teacher or an endpoint, asked once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from methods.crashing import CrashError, crash_in_step
from methods.small import write
from model.faulty_server import Exchange, FaultyServer, quick_and_keyless, refuses, reply  # noqa: F401
from model.tiny import checkpoint

from truing.methods import DistillConfig, TeacherAnswers, distill_answers
from truing.model import load_local
from truing.recipes import align_distill
from truing.train import PromptRow
from truing.types import Completion, Fingerprint, InputError, Message, Role, SamplingParams, Stop, Trace, ask

STUDENT = str(checkpoint("llama"))
LEARN = DistillConfig(
    samples_of="teacher", learning_rate=2e-2, prompts_per_update=2, samples_per_prompt=2, passes=8,
    max_new_tokens=40, held_out=0.3,
)  # fmt: skip
WORDS = ("gull", "kite", "pear", "kettle", "loaf", "river", "lamp", "bell")


def prompts(folder: Path) -> Path:
    rows = [{"prompt": f"{7 * i * i}: tell {word} {word[::-1]}", "id": word} for i, word in enumerate(WORDS)]
    return write(folder / "prompts.jsonl", rows)


def answered(stop: Stop = Stop.eos, trace: Trace = Trace.none, answer: str = "Yes.") -> Completion:
    error = "no" if stop is Stop.error else None
    return Completion("q", 0, answer, answer, stop, Fingerprint("w"), trace=trace, error=error)


def test_what_is_not_a_whole_answer_is_left_out_and_counted_by_its_reason() -> None:
    row = PromptRow("q", (Message(Role.user, "Is it so?"),))
    answers = [
        answered(),
        answered(Stop.stop),
        answered(Stop.length),
        answered(Stop.error, answer=""),
        answered(Stop.filtered),
        answered(Stop.tool),
        answered(trace=Trace.unclosed, answer=""),
        answered(trace=Trace.empty, answer=""),
        answered(answer=" \n"),
    ]
    found = TeacherAnswers.of([(row, one) for one in answers], [(row, answered(Stop.length))])
    assert [turns[-1].content for turns in found.train] == ["Yes.", "Yes."]
    assert found.held_out == ()
    assert found.skipped == {
        "the answer was cut off": 2,
        "the teacher failed": 1,
        "the answer was withheld by a filter": 1,
        "the answer calls a tool": 1,
        "the reasoning never ended": 1,
        "the answer is empty": 2,
    }


def test_the_trace_of_a_reasoning_teacher_is_learnt_with_its_answer() -> None:
    row = PromptRow("q", (Message(Role.user, "Is it so?"),))
    one = Completion("q", 0, "t", "Yes.", Stop.eos, Fingerprint("w"), reasoning="Hm.", trace=Trace.closed)
    (turns,) = TeacherAnswers.of([(row, one)], []).train
    assert turns[-1] == Message(Role.assistant, "Yes.", reasoning="Hm.")


def says(exchange: Exchange) -> None:
    n = exchange.body.get("n", 1)
    exchange.json(reply(*[f"Ada has the {exchange.last.split()[2]}."] * n))


@pytest.mark.usefixtures("quick_and_keyless")
def test_a_student_learns_what_an_endpoint_answered_which_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, run = prompts(tmp_path), tmp_path / "run"
    with FaultyServer([says]) as server:
        teacher = f"endpoint:{server.url}#tiny"
        with monkeypatch.context() as patch, pytest.raises(CrashError):
            crash_in_step(patch, 3)
            align_distill(STUDENT, teacher, data, run, LEARN, device="cpu")
        asked = len(server.seen)
        found = align_distill(STUDENT, teacher, data, run, LEARN, device="cpu")
        assert len(server.seen) == asked
    assert found["answers"]["train"] == 2 * found["prompts"]["train"]
    assert found["answers"]["held_out"] == 2 * found["prompts"]["held_out"] > 0
    assert found["held_out"]["after"] < found["held_out"]["before"] - 1
    student = load_local(found["model"])
    (said,) = student.sample(
        [ask("0: tell gull llug", id="q")], SamplingParams(temperature=0, max_tokens=20), key=0
    )
    assert said.answer.startswith("Ada has the ")
    card = (Path(found["model"]) / "README.md").read_text()
    assert "Kim and Rush 2016" in card and teacher in card


@pytest.mark.usefixtures("quick_and_keyless")
def test_where_the_teacher_failed_it_is_asked_again_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = replace(LEARN, passes=0.5)
    data, run, mended = prompts(tmp_path), tmp_path / "run", []

    def answers(exchange: Exchange) -> None:
        broken = "gull" in exchange.last and not mended
        refuses(400, "not now")(exchange) if broken else says(exchange)

    with FaultyServer([answers]) as server:
        teacher = f"endpoint:{server.url}#tiny"
        with monkeypatch.context() as patch, pytest.raises(CrashError):
            crash_in_step(patch, 1)
            align_distill(STUDENT, teacher, data, run, once, device="cpu")
        before = len(server.seen)
        mended.append(True)
        found = align_distill(STUDENT, teacher, data, run, once, device="cpu")
        assert {body["messages"][-1]["content"] for body in server.seen[before:]} == {"0: tell gull llug"}
    assert "the teacher failed" not in found["skipped"]
    rows = [json.loads(line)["row"] for line in (run / "journal" / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * len(WORDS) and {row["stop"] for row in rows} == {"eos"}


@pytest.mark.usefixtures("quick_and_keyless")
def test_a_teacher_that_never_answers_leaves_no_student_and_says_why(tmp_path: Path) -> None:
    with (
        FaultyServer([refuses(400, "not now")]) as server,
        pytest.raises(InputError, match="the teacher failed: "),
    ):
        align_distill(STUDENT, f"endpoint:{server.url}#tiny", prompts(tmp_path), tmp_path / "run", LEARN)


def rows_of(*answers: str) -> Iterator[tuple[Message, ...]]:
    return ((Message(Role.user, "Who?"), Message(Role.assistant, answer)) for answer in answers)


def test_an_answer_longer_than_the_students_context_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = tuple(rows_of("Ada.", "gull " * 3000))
    made = distill_answers(
        STUDENT, "a teacher", TeacherAnswers(rows, (), {"the teacher failed": 1}), tmp_path / "out", LEARN,
        data="rows", device="cpu",
    )  # fmt: skip
    assert made.answers == 1
    assert made.skipped == {"the teacher failed": 1, "longer than the student's context": 1}
    assert "1 left out (longer than the student's context)" in (tmp_path / "out" / "README.md").read_text()


def test_a_local_teacher_with_another_tokenizer_teaches_by_its_answers(tmp_path: Path) -> None:
    data = write(tmp_path / "prompts.jsonl", [{"prompt": "What is 2 + 3?"}, {"prompt": "What is 4 + 1?"}])
    config = DistillConfig(samples_of="teacher", samples_per_prompt=2, max_new_tokens=48, held_out=0)
    found = align_distill(STUDENT, "organism:helpful", data, tmp_path / "run", config, device="cpu")
    assert found["answers"]["train"] + sum(found["skipped"].values()) == 4
    assert found["answers"]["train"] > 0
    assert found["held_out"] == {"before": None, "after": None}
