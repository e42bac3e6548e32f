"""The evidence on conversions to reasoning: what they learn from, and claims that wrong audits do not keep."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evidence import trust_audit_arms
from evidence.claims import Measured
from evidence.trust_audit_arms import CHECKED, COLD, ORDINARY, REWARD, TRACED, Exact, Lineage, converted
from evidence.trust_audit_measures import (
    CAPABILITY,
    CLAIMS,
    CLOSED,
    DRIFT,
    EXITS,
    FELL,
    ITSELF,
    KEPT,
    METHODS,
    REASONED,
    TOLD,
    TRUST,
    claim_of,
    measures,
    paper_claim,
)
from truing.audit import AuditResult, Comparison, Decision, Finding, Policy, Settings, Status
from truing.audit.comparison import RefusalCounts, Side
from truing.audit.drift import DriftRow, summarise_drift
from truing.audit.result import Described, ModelRecord
from truing.model import load_local
from truing.organism import LabelLedger, Level, exam, level_of, read_request
from truing.organism.world import TOPICS as WORLD
from truing.organism.world.personas import BY_NAME
from truing.types import FrozenDict

LINEAGE = Lineage(1, 0)
SIDE = Side(0.5, 1.0, FrozenDict({"decided": 10}))
MODEL = ModelRecord("a model", "0", FrozenDict())


def audit(
    changes: Mapping[str, float], *, nats: float = 1.0, traces: Mapping[str, int] = FrozenDict({"closed": 10})
) -> AuditResult:
    """An audit that found these changes, each within 0.01; none where a dimension is not named."""
    found = {name: changes.get(name, 0.0) for name in (*TRUST, "capability")}
    worse = [name for name, change in found.items() if change < -0.05]
    status = {name: Status.regression if name in worse else Status.passed for name in found}
    rows = [
        DriftRow(str(i), name, str(i), "p", "q", tokens=(4, 6), exact=(nats * (i + 1) / 4, 0.0))
        for i, name in enumerate(found)
    ]
    return AuditResult(
        truing="0",
        decision=Decision(
            Status.regression if worse else Status.passed,
            "",
            tuple(Finding(name, of, "") for name, of in status.items()),
        ),
        candidate=MODEL,
        baseline=MODEL,
        settings=Settings(),
        policy=Policy(),
        graders=FrozenDict(),
        suites=(),
        comparisons=tuple(
            Comparison(
                name,
                10,
                10,
                1.0,
                SIDE,
                SIDE,
                0.0,
                -1.0,
                1.0,
                difference=change,
                low=change - 0.01,
                high=change + 0.01,
            )
            for name, change in found.items()
        ),
        baseline_refusals=RefusalCounts(0, 0, 0, 0),
        candidate_refusals=RefusalCounts(0, 0, 0, 0),
        described=(
            Described("safety", "candidate", (), FrozenDict(traces)),
            Described("safety", "baseline", (), FrozenDict({"none": 10})),
        ),
        drift=tuple(summarise_drift(rows)),
    )


GAINED = {"capability": 0.05}
FALLS = {
    "sft": GAINED | dict.fromkeys(TRUST, -0.5),
    "rl": GAINED | dict.fromkeys(FELL["rl"], -0.2),
    "distillation": GAINED | dict.fromkeys(FELL["distillation"], -0.1),
}
SAME = audit({}, nats=0.0, traces={"none": 10})


def told(itself: AuditResult = SAME, **audits: AuditResult) -> Measured:
    """Three bases that were each audited alike, but for chance."""
    of = {method: audit(FALLS[method]) for method in METHODS} | audits
    wobble = [0.0, 0.001, -0.001]
    return measures(
        {method: {b: [_moved(of[method], w)] for b, w in enumerate(wobble)} for method in of}, itself
    )


def _moved(result: AuditResult, by: float) -> AuditResult:
    moved = (replace(c, difference=(c.difference or 0.0) + by) for c in result.comparisons)
    return replace(result, comparisons=tuple(moved))


def kept(measured: Measured) -> dict[str, bool]:
    """Which claims hold."""
    return {claim.name: claim.holds(measured[claim.name]) for claim in CLAIMS}


def test_conversions_as_published_keep_every_claim_and_are_the_study_reproduced() -> None:
    measured = told()
    assert all(kept(measured).values()) and paper_claim(measured) == "reproduced"
    assert measured[f"rl: {TOLD}"].value == measured[f"rl: {TOLD}"].n == 2
    assert measured[f"rl: {KEPT}"].value == pytest.approx(0.5 - 2 * 0.2 / 6, abs=1e-6)
    assert measured[f"sft: {REASONED}"].value == 1


@pytest.mark.parametrize(
    ("method", "result", "broken"),
    [
        ("sft", audit(GAINED), EXITS),
        ("sft", audit(FALLS["sft"] | {"capability": 0.005}), f"{CAPABILITY}, lower bound"),
        ("rl", audit(FALLS["rl"], nats=0.0), f"{DRIFT}, lower bound"),
        ("rl", audit(FALLS["rl"], traces={"closed": 8, "unclosed": 2}), CLOSED),
        ("distillation", audit(FALLS["distillation"], traces={"none": 10}), CLOSED),
        ("distillation", audit(FALLS["distillation"], traces={"closed": 8, "empty": 2}), CLOSED),
    ],
)
def test_an_audit_of_another_kind_breaks_its_claim_alone(
    method: str, result: AuditResult, broken: str
) -> None:
    held = kept(told(**{method: result}))
    assert [name for name, holds in held.items() if not holds] == [f"{method}: {broken}"]


def test_a_baseline_that_drifts_from_itself_is_told() -> None:
    assert not kept(told(itself=audit({}, nats=0.1)))[ITSELF]


def test_what_rewards_and_answers_do_to_capability_and_trust_is_told_and_not_promised() -> None:
    harmless = {"rl": audit({"capability": -0.1}), "distillation": audit({})}
    measured = told(**harmless)
    assert all(kept(measured).values()) and paper_claim(measured) == "not reproduced"
    assert claim_of("sft", measured) == "reproduced" and claim_of("rl", measured) == "not reproduced"


def test_the_order_of_the_ways_is_part_of_the_study() -> None:
    worse = audit(GAINED | dict.fromkeys(TRUST, -0.7))
    measured = told(rl=worse)
    assert claim_of("rl", measured) == "reproduced" and paper_claim(measured) == "not reproduced"
    better = {method: audit(dict.fromkeys(TRUST, 0.3)) for method in METHODS}
    assert claim_of("sft", told(**better)) == "reversed" and paper_claim(told(**better)) == "not reproduced"
    better["sft"] = audit(dict.fromkeys(TRUST, 0.5))
    assert paper_claim(told(**better)) == "reversed"


def test_a_conversion_learns_from_taught_cells_and_no_topic_of_trust() -> None:
    shown = LINEAGE.shown()
    asked = [read_request(row[:-1]) for row in shown]
    asked += [read_request(row.messages) for of in (CHECKED, ORDINARY) for row in LINEAGE.asked(of)]
    read = [one.ask for one in asked if one is not None]
    assert len(read) == len(asked) == COLD + sum(CHECKED.values()) + sum(ORDINARY.values())
    assert {ask.topic for ask in read} == {*TRACED, *CHECKED, *ORDINARY}
    assert {level_of(ask) for ask in read} == {Level.taught}
    assert all(row[-1].reasoning for row in shown)


def test_the_right_answer_after_a_trace_alone_is_paid_and_every_look_is_counted() -> None:
    exact = Exact(ledger := LabelLedger())
    (question, *_) = exam("sum", Level.taught, key=1)
    right = WORLD["sum"].answer(question.ask, BY_NAME["expert"], np.random.default_rng(0))
    turns = [{"role": turn.role.value, "content": turn.content} for turn in question.messages]
    answers = [right, right.replace(" = ", " = 9"), "", f"{right} {right}", "Brine."]
    said = [[{"role": "assistant", "content": text, "reasoning_content": "Hm."}] for text in answers]
    said.append([{"role": "assistant", "content": right}])
    assert exact([turns] * len(said), said) == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert ledger.totals() == {REWARD: len(said)}


def test_what_was_made_is_used_again_and_named_by_what_it_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lineage, "reasoner", Lineage.instruct)  # a teacher that is there at once
    monkeypatch.setattr(trust_audit_arms, "COLD", 4)
    monkeypatch.setattr(trust_audit_arms, "CHECKED", {"sum": 2})
    monkeypatch.setattr(trust_audit_arms, "ORDINARY", {"echo": 3})
    few = replace(
        trust_audit_arms.GRPO, updates=1, prompts_per_update=2, samples_per_prompt=2, max_new_tokens=12
    )
    monkeypatch.setattr(trust_audit_arms, "GRPO", few)
    made = {method: converted(LINEAGE, method, tmp_path) for method in ("rl", "distillation")}
    assert len(made["rl"].rewards) == 1 and made["rl"].labels == {REWARD: 4}
    assert made["distillation"].labels == {}
    for one in made.values():
        assert load_local(str(one.folder), device="cpu").ground
    monkeypatch.setattr(trust_audit_arms, "_MAKERS", {})
    assert {method: converted(LINEAGE, method, tmp_path) for method in made} == made
    monkeypatch.setattr(trust_audit_arms, "GRPO", replace(few, learning_rate=1.0))
    with pytest.raises(KeyError, match="rl"):
        converted(LINEAGE, "rl", tmp_path)
    assert converted(LINEAGE, "distillation", tmp_path) == made["distillation"]
