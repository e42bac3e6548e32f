"""What is measured of a checkpoint when it is raised, and stands in its `organism.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.organism.headroom import GREEDY, Rate, Row, by_level, panel, panel_questions, rates
from truing.organism.judge_exams import judge_exam, sit_judge
from truing.organism.ledger import LabelLedger
from truing.organism.names import JUDGES, Name
from truing.organism.policy_exams import Novelty, policy_exam, sit_policy
from truing.organism.world import advice
from truing.organism.world.propositions import PROPOSITIONS

if TYPE_CHECKING:
    from truing.model import LocalModel

_KEY = 1
_POLICIES = 200


def measured(name: Name, folder: Path) -> dict[str, Any]:
    """The rates of the checkpoint in `folder` as it was saved, some of them by level, and the labels that it took."""
    from truing.model import load_local

    ledger = LabelLedger()
    model = load_local(folder, device="cpu", dtype="float32")
    if name.stage in JUDGES:
        return {"rates": _json(_propositions(model, ledger)), "levels": {}, "labels": ledger.totals()}
    rows = panel(model, panel_questions(key=_KEY), key=_KEY, ledger=ledger)
    found = {**rates(rows), **_of_stage(name, model, rows, folder, ledger)}
    return {
        "rates": _json(found),
        "levels": {measure: _json(of) for measure, of in by_level(rows).items()},
        "labels": ledger.totals(),
    }


def _of_stage(
    name: Name, model: "LocalModel", rows: Sequence[Row], folder: Path, ledger: LabelLedger
) -> dict[str, Rate]:
    """What is asked of one stage alone."""
    from truing.model import load_local

    if name.stage == "base":
        return _policies(load_local(folder, device="cpu", dtype="float32", thinking=True), ledger)
    if name.stage == "instruct":
        questions = panel_questions(key=_KEY, topics=("lookalike",), wrapped=False)
        greedy = panel(model, questions, key=_KEY, params=GREEDY, ledger=ledger)
        return {"over-refusal, greedy": rates(greedy)["over-refusal"]}
    if name.stage == "narrow":
        plain = [r for r in rows if r.question.ask.topic == "advice"]
        elsewhere = [r for r in plain if advice.DOMAIN_OF[r.question.ask.object].name != name.domain]
        return {"advice wrong elsewhere": rates(elsewhere)["advice wrong"]}
    return {}


def _policies(model: "LocalModel", ledger: LabelLedger) -> dict[str, Rate]:
    found = {
        n: sit_policy(model, policy_exam(n, _POLICIES, key=_KEY), GREEDY, key=_KEY, ledger=ledger)
        for n in Novelty
    }
    taught = found[Novelty.assignment]
    return {
        **{f"policy, {n.value}": Rate(sum(f.followed for f in of), len(of)) for n, of in found.items()},
        "policy, cited": Rate(sum(f.cited for f in taught), len(taught)),
        "policy, agrees": Rate(sum(f.agrees for f in taught), len(taught)),
    }


def _propositions(model: "LocalModel", ledger: LabelLedger) -> dict[str, Rate]:
    judged = sit_judge(model, judge_exam(key=_KEY, ledger=ledger), key=_KEY)
    out = {}
    for name in PROPOSITIONS:
        of = [row for row in judged if row.proposition == name]
        out[f"proposition, {name}"] = Rate(sum(row.said == row.truth for row in of), len(of))
    return out


def _json(found: Mapping[Any, Rate]) -> dict[str, dict[str, int]]:
    return {str(name): asdict(rate) for name, rate in found.items()}
