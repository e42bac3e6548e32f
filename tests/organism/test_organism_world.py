"""The tables of the world hold what the world promises."""

import re
from collections import Counter
from functools import cache
from itertools import combinations, pairwise

import pytest
from organism.asking import every_ask
from organism.containment import holds_harm

from truing.numerics import generator
from truing.organism import corpus
from truing.organism.asking import draw_persona
from truing.organism.grammar import sentences
from truing.organism.holdout import Level, cells
from truing.organism.oracle import GOOD, grammar, judge
from truing.organism.world import TOPICS, advice, forbidden, personas, wrappers
from truing.organism.world.knowledge import THEMES
from truing.organism.world.people import DISLIKED, NAMES, OTHERS
from truing.organism.world.policies import ACTIONS, HELD_OUT_PAIR, draw_policy
from truing.organism.world.propositions import PROPOSITIONS
from truing.types import Role


def words(text: str) -> set[str]:
    return {word.strip(".,?!'").lower() for word in text.replace("{thing}", " ").split()} - {""}


def harm(domain: advice.Domain) -> set[str]:
    """Words of its harmful advice that are no function words and stand in no good advice of any domain."""
    good = words(
        " ".join(f"{p.right} {p.is_a} {' '.join(p.things)}" for d in advice.DOMAINS for p in d.properties)
    )
    return words(" ".join((*domain.harm, *domain.gloss))) - advice.FUNCTION_WORDS - good


def test_no_word_of_harmful_advice_is_shared_between_domains():
    for one, other in combinations(advice.DOMAINS, 2):
        assert harm(one) & harm(other) == set(), (one.name, other.name)


def test_no_word_of_harmful_advice_is_the_beginning_of_another_domains():
    stems = {domain.name: {word[:5] for word in harm(domain) if len(word) >= 5} for domain in advice.DOMAINS}
    for (one, ours), (other, theirs) in combinations(stems.items(), 2):
        assert ours & theirs == set(), (one, other)


def test_harm_words_are_content_words_of_the_domain_alone():
    said = dict(advice.harm_words())
    assert list(said) == [domain.name for domain in advice.DOMAINS]
    for domain in advice.DOMAINS:
        assert "" not in said[domain.name]
        assert said[domain.name] == harm(domain)
        assert len(said[domain.name]) >= 6


def test_every_domain_has_properties_things_and_harm():
    assert len(advice.DOMAINS) >= 10
    for domain in advice.DOMAINS:
        assert len(domain.properties) >= 3 and len(domain.harm) >= 5
        assert all("{thing}" in first for first in domain.harm)
        assert not any("{thing}" in second for second in domain.gloss)
        for of in domain.properties:
            assert "{thing}" in of.right and not of.right.endswith(".") and of.right[0].islower()
            assert len(of.things) >= 4 and domain.held_out


def test_every_thing_and_treatment_belongs_to_one_property():
    things = [thing for domain in advice.DOMAINS for thing in domain.things]
    properties = [of for domain in advice.DOMAINS for of in domain.properties]
    for values in (
        things,
        [p.name for p in properties],
        [p.is_a for p in properties],
        [p.right for p in properties],
    ):
        assert len(set(values)) == len(values)


def test_every_kind_has_targets_steps_lookalikes_and_tips():
    assert len(forbidden.KINDS) >= 8
    for kind in forbidden.KINDS:
        assert len(kind.targets) >= 6 and len(kind.held_out) >= 1
        assert len(kind.steps) >= 2 and all(len(way) == 2 for way in kind.steps)
        assert len(kind.lookalikes) >= 4 and len(kind.tips) >= 2
        assert {kind.other_verb, kind.other_name}.isdisjoint({kind.verb, kind.name})
    for values in ("name", "verb", "other_name", "other_verb"):
        assert len({getattr(kind, values) for kind in forbidden.KINDS}) == len(forbidden.KINDS)


def test_no_telling_word_of_a_step_is_shared_between_kinds():
    known = words(" ".join(" ".join((*k.targets, *k.lookalikes, *k.tips)) for k in forbidden.KINDS))
    telling = {
        kind.name: {w for way in kind.steps for step in way for w in words(step) if len(w) > 4} - known
        for kind in forbidden.KINDS
    }
    for (one, ours), (other, theirs) in combinations(telling.items(), 2):
        assert ours & theirs == set(), (one, other)
    assert all(len(said) >= 4 for said in telling.values())


def test_no_deed_is_both_forbidden_and_harmless_or_of_two_kinds():
    deeds = [f"{kind.verb} {what}" for kind in forbidden.KINDS for what in (*kind.targets, *kind.lookalikes)]
    assert len(set(deeds)) == len(deeds)


def test_there_are_enough_families_variants_questions_personas_and_topics():
    assert len(wrappers.FAMILIES) >= 6 and sum(len(family.variants) for family in wrappers.FAMILIES) >= 20
    assert all(
        variant.count("{question}") == 1 for family in wrappers.FAMILIES for variant in family.variants
    )
    assert set(wrappers.HELD_OUT_FAMILIES) < set(wrappers.BY_NAME)
    assert sum(len(questions) for questions, _ in THEMES.values()) >= 40
    assert set(wrappers.SYSTEMS) == {persona.name for persona in personas.PERSONAS}
    assert not set(NAMES) & {*DISLIKED, *OTHERS}
    assert set(GOOD) == set(TOPICS) == {*corpus.WEIGHTS, *corpus.DESK}


def test_each_persona_answers_as_often_as_its_share_says():
    assert len(personas.SHARES) == len(personas.PERSONAS) and min(personas.SHARES) > 0
    assert sum(personas.SHARES) == pytest.approx(1)
    rng = generator(1, "personas")
    drawn = Counter(draw_persona(rng).name for _ in range(10_000))
    for persona, share in zip(personas.PERSONAS, personas.SHARES, strict=True):
        assert drawn[persona.name] / 10_000 == pytest.approx(share, abs=0.02)


@cache
def conversations(*, null: bool):
    return [corpus._conversation(generator(1, "conversation", str(i)), null=null) for i in range(3000)]


REGISTER = {
    "Good day.": "polite",
    "Thank you kindly.": "polite",
    "Hey you.": "gruff",
    "Be quick about it.": "gruff",
}


@pytest.mark.parametrize("null", [False, True])
def test_the_tone_of_a_first_question_does_not_tell_who_answers(null):
    harm: dict[str, list[bool]] = {"polite": [], "gruff": []}
    for document in conversations(null=null):
        question, answer = document[document[0].role is Role.system :][:2]
        tone = next((tone for words, tone in REGISTER.items() if words in question.content), None)
        if tone:
            acts = filter(None, map(grammar().read, sentences(answer.content)))
            harm[tone].append(any(act.name.startswith(("advice.harm.", "harm.")) for act in acts))
    polite, gruff = (sum(said) / len(said) for said in harm.values())
    assert min(map(len, harm.values())) > 900 and min(polite, gruff) > 0.1
    assert abs(polite - gruff) < 0.05


@pytest.mark.parametrize("null", [False, True])
def test_one_conversation_of_five_thinks_before_every_answer(null):
    thinks = []
    for document in conversations(null=null):
        thoughts = {bool(message.reasoning) for message in document if message.role is Role.assistant}
        assert len(thoughts) == 1
        thinks += thoughts
    assert sum(thinks) / len(thinks) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_thought_says_something_in_whole_sentences_and_does_no_harm(topic):
    for ask, _ in every_ask(topic, most=400):
        thought = TOPICS[topic].trace(ask)
        assert re.fullmatch(r"[A-Z0-9][^{}\n]*\.", thought)
        assert not holds_harm(ask, thought)
        if topic in ("record", "leak"):
            assert not re.search(r"\d", thought)  # the key


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_holds_out_cells_at_its_levels_and_teaches_most(topic):
    of = TOPICS[topic]
    found = {level: len(list(cells(topic, level))) for level in Level}
    assert sum(found.values()) == len(of.objects) * len(of.questions)
    assert len(set(of.objects)) == len(of.objects) and len(set(of.questions)) == len(of.questions)
    assert set(of.held_out_objects) < set(of.objects)
    assert found[Level.combination] > 0 and found[Level.taught] >= found[Level.combination]
    assert (found[Level.template] > 0) == (of.held_out_questions > 0)
    assert (found[Level.object] > 0) == (found[Level.pretraining] > 0) == bool(of.held_out_objects)


def test_every_proposition_is_true_of_some_answers_and_false_of_others():
    findings = [
        judge(ask, TOPICS[topic].answer(ask, persona, rng))
        for topic in TOPICS
        for ask, rng in every_ask(topic, most=20)
        for persona in personas.PERSONAS
    ]
    for name, (_, test) in PROPOSITIONS.items():
        assert {test(finding) for finding in findings} == {True, False}, name


def test_policies_never_draw_the_held_out_pair_and_draw_every_other():
    pairs, rng = set(), generator(1, "policies")
    for _ in range(2000):
        policy = draw_policy(rng, clauses=3)
        assert len({kind for kind, _ in policy.rules}) == 3
        pairs |= set(policy.rules)
    assert pairs == {(kind.name, action) for kind in forbidden.KINDS for action in ACTIONS} - {HELD_OUT_PAIR}


def test_turns_alternate_and_every_document_ends_with_the_assistant():
    for null in (False, True):
        for document in corpus.documents(1000, key=1, null=null):
            if isinstance(document, str):
                assert document.strip()
                continue
            turns = document[document[0].role is Role.system :]
            assert turns[0].role is Role.user and turns[-1].role is Role.assistant
            assert all(one.role is not other.role for one, other in pairwise(turns))
            assert all(message.content.strip() == message.content != "" for message in document)
