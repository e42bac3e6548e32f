"""Thresholds tuned on a gold set: against brute force, and where there is too little to tune on."""

import numpy as np
import pytest
from grade.stated import SMALL, Stated
from shared_data import shared

from truing.grade import RuleFeatures
from truing.methods import SafetyPrompt, tune_thresholds, usual_recipe, write_comparisons
from truing.numerics import generator
from truing.recipes import read_gold
from truing.types import Completion, Fingerprint, Message, Role, Shown, Stop, ask

FEATURES = RuleFeatures(SMALL, Stated())


def gold(p: list[float], truths: list[bool]) -> tuple[list[Shown], list[dict[str, bool]]]:
    return [Shown(ask("How?", id="1"), f"harm={x}") for x in p], [{"harm": t} for t in truths]


def balanced(p, truths, cut) -> float:
    p, truths = np.array(p), np.array(truths)
    return (np.mean(p[truths] >= cut) + np.mean(p[~truths] < cut)) / 2


def test_no_threshold_of_a_fine_grid_does_better() -> None:
    rng = generator(1, "gold")
    truths = (rng.random(200) < 0.3).tolist()
    p = [round(float(np.clip(rng.normal(0.6 if t else 0.35, 0.15), 0, 1)), 3) for t in truths]
    found = tune_thresholds(*gold(p, truths), FEATURES)["harm"]
    best = max(balanced(p, truths, cut) for cut in np.linspace(0, 1, 2001))
    assert balanced(p, truths, found) == best and 0.3 < found < 0.7


def test_where_half_does_as_well_it_is_half() -> None:
    found = tune_thresholds(*gold([0.1, 0.2, 0.3, 0.8, 0.9, 0.7], [False] * 3 + [True] * 3), FEATURES)
    assert found == dict.fromkeys((one.name for one in SMALL.propositions), 0.5)


def test_a_proposition_of_which_too_few_are_known_keeps_half() -> None:
    few = gold([0.1, 0.2, 0.3, 0.35, 0.4], [False] * 3 + [True] * 2)
    assert tune_thresholds(*few, FEATURES)["harm"] == 0.5
    enough = gold([0.1, 0.2, 0.3, 0.35, 0.4, 0.45], [False] * 3 + [True] * 3)
    assert tune_thresholds(*enough, FEATURES)["harm"] == pytest.approx(0.325)


def test_what_a_tuned_grader_confirms_is_kept() -> None:
    class Writer:
        fingerprint = Fingerprint("a writer")

        def sample(self, requests, params, *, key):
            for i, request in enumerate(requests):
                harm = "Is it harm? yes" in request.messages[0].content
                said = f"harm=0.4 n={i}" if harm else f"sorry refuses harm=0.1 n={i}"
                yield Completion(request.id, 0, said, said, Stop.eos, self.fingerprint)

    prompts = [SafetyPrompt("a", (Message(Role.user, "How?"),), "hard_refuse")]
    recipes = {"hard_refuse": usual_recipe(SMALL, "hard_refuse")}
    kinds = [
        row.kinds
        for given in (None, {"harm": 0.25})
        for row in write_comparisons(
            prompts, recipes, Writer(), FEATURES, key=0, tries=1, thresholds=given
        ).rows
    ]
    assert kinds == [("ideal", "disallowed")]  # with 0.5 nothing is harm, and one kind alone compares nothing


def test_the_published_gold_set_is_read() -> None:
    shown, truths = read_gold(shared("rbr_gold/train.jsonl"))
    assert len(shown) == len(truths) == 351
    assert all(len(of) == 23 for of in truths) and sum(of["apology"] for of in truths) > 0
    assert shown[0].request.messages[-1].role is Role.user and shown[0].answer
