"""Reasoning that is judged beside its answer: which traces are, what is compared, and what is told where none is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from audit.pairs import EXACT, verdict
from model.faulty_server import Exchange, FaultyServer, quick_and_keyless, reply  # noqa: F401

from truing.audit.traces import TraceSafety, judge_traces
from truing.cli import main
from truing.grade import Instrument, Refusal
from truing.numerics import paired_bootstrap
from truing.run import Journal
from truing.types import Completion, Expect, Fingerprint, Item, Shown, ShownTrace, Stop, Trace, Verdict, ask


class Honest:
    """A score is what the text says it is."""

    id = EXACT

    def __init__(self) -> None:
        self.seen: list[str] = []

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        return [{"good": verdict(float(one.answer))} for one in shown]

    def grade_traces(self, shown: Sequence[ShownTrace]) -> list[Mapping[str, Verdict]]:
        self.seen += [one.reasoning for one in shown]
        return [{"good": verdict(float(one.reasoning))} for one in shown]


Told = tuple[str, float, float | None, Trace, str]
"""Dimension, score of the answer, of the trace, the trace's state, the cluster."""


def judged(
    folder: Path, told: Sequence[Told], grader: object = None, name: str = "honest"
) -> list[TraceSafety]:
    items, answers, verdicts = [], Journal(folder / "a.jsonl"), Journal(folder / "v.jsonl")
    traces, rows = Journal(folder / "t.jsonl"), []
    for i, (dimension, score, trace, state, cluster) in enumerate(told):
        item = Item(
            f"{i}", ask(f"q{i}", id=f"{i}"), "s", dimension, Expect.judged, grader="honest", cluster=cluster
        )
        said = Completion(
            f"{i}", 0, "text", str(score), Stop.eos, Fingerprint("m"), reasoning=str(trace), trace=state
        )
        items.append(item)
        rows.append((f"{i}", said.to_json(), {"verdict": verdict(score).to_json()}))
    if not answers.done():
        answers.append([(name, said) for name, said, _ in rows])
        verdicts.append([(name, found) for name, _, found in rows])
    instruments = {"honest": Instrument(name, grader or Honest())}  # type: ignore[arg-type]
    found = judge_traces(items, answers, verdicts, traces, instruments, model="candidate", key=7)
    for journal in (answers, verdicts, traces):
        journal.close()
    return found


def test_closed_traces_are_compared_with_their_answers_by_dimension(tmp_path: Path) -> None:
    rows: list[Told] = [("safety", 1.0, float(i % 4 > 0), Trace.closed, f"{i // 2}") for i in range(40)]
    rows += [("ethics", 0.5, 0.5, Trace.closed, "")]
    rows += [("ethics", 1.0, 0.0, state, "") for state in (Trace.unclosed, Trace.none, Trace.empty)]
    safety, ethics = judged(tmp_path, rows)
    ends = paired_bootstrap(
        [float(i % 4 > 0) - 1.0 for i in range(40)], clusters=[f"{i // 2}" for i in range(40)], key=7
    )
    assert safety == TraceSafety("safety", "candidate", 40, 0.75, 1.0, -0.25, ends.low, ends.high)
    assert (ethics.n, ethics.trace, ethics.answer, ethics.difference) == (1, 0.5, 0.5, 0.0)


def test_what_was_judged_is_not_judged_again(tmp_path: Path) -> None:
    rows: list[Told] = [("safety", 1.0, 1.0, Trace.closed, "") for _ in range(300)]
    first, again = Honest(), Honest()
    before = judged(tmp_path, rows, first)
    assert judged(tmp_path, rows, again) == before
    assert (len(first.seen), again.seen) == (300, [])


def test_a_grader_that_reads_answers_alone_judges_no_trace(tmp_path: Path) -> None:
    assert judged(tmp_path, [("safety", 1.0, 1.0, Trace.closed, "")], Refusal()) == []
    with pytest.raises(ValueError, match="refusal judges answers, not traces"):
        Instrument("refusal", Refusal()).grade_traces([])


def test_a_trace_without_a_score_is_counted_as_missing(tmp_path: Path) -> None:
    class Unsure(Honest):
        def grade_traces(self, shown: Sequence[ShownTrace]) -> list[Mapping[str, Verdict]]:
            found = super().grade_traces(shown)
            return [
                {"good": replace(v["good"], score=None) if v["good"].score == 0 else v["good"]} for v in found
            ]

    rows: list[Told] = [("safety", 1.0, float(i > 2), Trace.closed, "") for i in range(10)]
    (found,) = judged(tmp_path, rows, Unsure())
    assert (found.n, found.missing, found.trace) == (7, 3, 1.0)
    assert TraceSafety.from_json(found.to_json()) == found


@pytest.mark.usefixtures("quick_and_keyless")
@pytest.mark.parametrize("option", ["--judge-traces", "--drift=5"])
def test_what_was_asked_for_and_could_not_be_measured_is_listed(tmp_path: Path, option: str) -> None:
    def fine(exchange: Exchange) -> None:
        exchange.json(reply("#### 1", model=exchange.body["model"], reasoning_content="one"))

    (tmp_path / "q.jsonl").write_text('{"prompt": "0 + 1?", "expect": "number", "target": "1"}\n')
    with FaultyServer([fine]) as server:
        words = ["audit", f"endpoint:{server.url}#new", "--baseline", f"endpoint:{server.url}#old", option]
        words += [
            "--suite",
            f"jsonl:{tmp_path / 'q.jsonl'}",
            "--device",
            "cpu",
            "--out",
            str(tmp_path / "run"),
        ]
        assert main(words) == 2
    found = json.loads((tmp_path / "run" / "audit.json").read_text())
    (told,) = found["not_asked"]
    assert told["what"] == ("drift" if "drift" in option else "reasoning") and told["why"]
    assert told["why"] in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
