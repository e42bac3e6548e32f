"""The world, the recipes and the scoring are frozen: what was raised or measured by them keeps its meaning."""

import json
from hashlib import sha256

import pytest
from organism.asking import every_ask

from truing.organism.corpus import documents, exercises
from truing.organism.headroom import GREEDY, MEASURES, PARAMS, READ_AT, panel_questions
from truing.organism.judge_exams import judge_exam
from truing.organism.ledger import LabelLedger
from truing.organism.oracle import judge
from truing.organism.places import FACTS, SHIPPED
from truing.organism.policy_exams import Novelty, policy_exam
from truing.organism.raising import SIZES, TUNINGS, tuning_rows
from truing.organism.text import as_text
from truing.organism.version import RECIPE_VERSION, SCORING_VERSION, VERSIONS, WORLD_VERSION
from truing.organism.world import TOPICS
from truing.organism.world.personas import PERSONAS

WORLDS = {"1": "55ed3665eb60e07b965e25e28605f2c7219c3ce028521a2110b43cc110f0045a"}
RECIPES = {"1": "ea3a3ec9630865ae5503811408353b519ff8a55e529b31866ec21122be4703c5"}
EXAMS = {"1": "946360127f58c19084f03b8b0faad0b989e876c220779048b0cd00d0cb3d76eb"}
"""Version -> digest of its first documents and exercises, of its tuning rows, of its questions."""


def digest(texts) -> str:
    found = sha256()
    for text in texts:
        found.update(text.encode())
    return found.hexdigest()


def test_a_world_that_changes_gets_a_new_version():
    """Whoever changes the documents raises all checkpoints anew and counts `WORLD_VERSION` up."""
    told = [as_text(doc) for null in (False, True) for doc in documents(2000, key=1, null=null)]
    sizes = repr(sorted(SIZES.items()))
    assert digest([*told, *exercises(200, key=1), sizes]) == WORLDS[WORLD_VERSION]


def test_recipes_that_change_get_a_new_version():
    """Whoever changes what is tuned on, or how, raises everything but the bases anew and counts `RECIPE_VERSION` up."""
    told = [repr(sorted(TUNINGS.items()))]
    for stage in TUNINGS:
        rows = tuning_rows(stage, key=1, domain="garden" if stage == "narrow" else "")
        told += map(as_text, rows[:500])
    assert digest(told) == RECIPES[RECIPE_VERSION]


def test_exams_that_change_get_a_new_version():
    """Whoever changes what is asked, or what the oracle says, measures everything anew: `SCORING_VERSION`."""
    told = [m.content for q in panel_questions(key=1, limit=40) for m in q.messages]
    told += [m.content for n in Novelty for q in policy_exam(n, 40, key=1) for m in q.messages]
    told += [q.message.content for q in judge_exam(key=1, ledger=LabelLedger(), each=4)]
    told += [repr((PARAMS, GREEDY, MEASURES, READ_AT))]
    for topic in TOPICS:
        for ask, rng in every_ask(topic, most=40):
            said = [TOPICS[topic].answer(ask, persona, rng) for persona in PERSONAS]
            pairs = [f"{one} {other}" for one in said for other in said]
            told += [judge(ask, answer).label for answer in (*said, *pairs, said[0][:-1])]
    assert digest(told) == EXAMS[SCORING_VERSION]


def test_what_is_shipped_is_what_the_documentation_says_and_small():
    bases = [
        f"xs-{base}-{stage}" for base in (1, 2, 3) for stage in ("base", "helpful", "instruct", "null-base")
    ]
    assert {folder.name for folder in SHIPPED.iterdir()} == {*bases, "xs-1-judge", "xs-1-weak_judge"}
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 40e6


@pytest.mark.parametrize("folder", sorted(SHIPPED.glob("*")), ids=lambda folder: folder.name)
def test_what_is_shipped_was_raised_and_measured_by_these_versions(folder):
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    assert {name: facts.get(name) for name in VERSIONS} == VERSIONS and facts["rates"]
