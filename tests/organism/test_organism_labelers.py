"""Simulated labelers: functions of key and name, held to the agreement that is reported of people."""

from collections import Counter

import numpy as np
import pytest
from organism.asking import answers_to, every_ask

from truing.data import Comparison
from truing.numerics import generator
from truing.organism import (
    LABELER_GROUPS,
    LabelLedger,
    Oracle,
    Quality,
    labelers_of,
    order_agreement,
    quality,
    refuses,
)
from truing.organism.labelers import HARMFUL, NO_HELP
from truing.organism.oracle import judge
from truing.organism.world import TOPICS
from truing.organism.world.personas import BY_NAME
from truing.organism.world.topic import Ask
from truing.types import Message, Role

ASKED = ("advice", "forbidden", "lookalike", "note", "careful", "craft", "record", "free", "fact")
DEED = Ask("lookalike", "steal the show", 0)
TIP, NO, STRAY = (
    "To steal the show, smile and be quick.",
    "I won't help with that.",
    "The fern is a thirsty plant.",
)


def oracle():
    return Oracle("labelers", LabelLedger())


def prompt(ask):
    return (Message(Role.user, TOPICS[ask.topic].question(ask)),)


def compare(labeler, id, ask, answers, asked=None):
    return labeler.compare(id, prompt(ask), ask, answers, asked or oracle())


@pytest.fixture(scope="module")
def prompts():
    out = []
    for topic in ASKED:
        for ask, rng in every_ask(topic, key=1, most=12):
            answers = answers_to(ask, rng)
            if len(answers) >= 4:
                out.append((f"{topic} {len(out)}", ask, answers))
    assert len(out) > 80
    return out


@pytest.mark.parametrize("key", [11, 12, 13])
@pytest.mark.parametrize(("group", "reported"), [("training", 0.726), ("held-out", 0.773)])
def test_labelers_agree_as_people_do(prompts, group, reported, key):
    rows = [compare(one, *row) for one in labelers_of(group, 5, key=key) for row in prompts]
    assert order_agreement(rows) == pytest.approx(reported, abs=0.035)
    pairs = sum(len(row.answers) * (len(row.answers) - 1) / 2 for row in rows)
    tied = 1 - sum(len(row.pairs) for row in rows) / pairs
    assert 0.03 < tied < 0.15


def test_agreement_is_counted_over_pairs_that_both_order():
    def ranked(id, *ranks):
        answers = tuple((Message(Role.assistant, text),) for text in "abc"[: len(ranks)])
        return Comparison(id, prompt(DEED), answers, ranks)

    # On the pairs ab, ac, bc: first with second alike, opposite, alike; first with third alike, alike, tied;
    # second with third alike, opposite, tied.
    rows = [ranked("x", 1, 2, 3), ranked("x", 2, 3, 1), ranked("x", 1, 2, 2)]
    signs = [np.sign([[b - a for b in row.ranks] for a in row.ranks])[np.triu_indices(3, 1)] for row in rows]
    pairs = [(a * b) for i, a in enumerate(signs) for b in signs[i + 1 :]]
    expected = np.mean(np.concatenate(pairs)[np.concatenate(pairs) != 0] > 0)
    assert order_agreement([*rows, ranked("y", 1, 2)]) == pytest.approx(expected)
    assert np.isnan(order_agreement([ranked("x", 1, 2), ranked("y", 1, 2)]))


def test_a_labeler_says_the_same_again_in_whatever_order_answers_come(prompts):
    one, other = labelers_of("training", 2, key=5)
    for id, ask, answers in prompts[:30]:
        row = compare(one, id, ask, answers)
        assert compare(labelers_of("training", 1, key=5)[0], id, ask, answers) == row
        back = compare(one, id, ask, answers[::-1])
        assert (back.ranks[::-1], back.ratings[::-1], back.flags[::-1]) == (row.ranks, row.ratings, row.flags)
    told = [[compare(who, *row).ranks for row in prompts[:30]] for who in (one, other)]
    assert told[0] != told[1]
    assert told[0] != [compare(labelers_of("training", 1, key=6)[0], *row).ranks for row in prompts[:30]]


def test_ratings_fall_as_ranks_rise(prompts):
    labeler = labelers_of("training", 1, key=3)[0]
    for row in (compare(labeler, *row) for row in prompts):
        in_order = [rating for _, rating in sorted(zip(row.ranks, row.ratings, strict=True), reverse=True)]
        assert all(1 <= rating <= 7 for rating in in_order)
        by_rank = dict(zip(row.ranks, row.ratings, strict=True))
        assert min(row.ranks) == 1
        assert set(row.ranks) == set(range(1, max(row.ranks) + 1))
        assert all(by_rank[rank] >= by_rank[rank + 1] - 1 for rank in range(1, max(row.ranks)))


def test_worth_is_quality_and_a_little_length_on_average():
    ask = Ask("forbidden", "steal the mayor's ring", 0)
    finding = judge(ask, NO)
    answers = (NO, "I won't help with that. The town law is clear about theft.")
    worths = [
        [
            who.worth(str(id), ask, answer, finding)
            for who in labelers_of("training", 300, key=1)
            for id in range(4)
        ]
        for answer in answers
    ]
    short, long = np.mean(worths, axis=1)
    assert short == pytest.approx(Quality.good + 0.3 * 0.5, abs=0.15)
    assert long - short == pytest.approx(0.3 * 0.7, abs=0.12)
    noise = np.array(worths[0]).reshape(300, 4)
    assert noise.std(axis=1, ddof=1).mean() == pytest.approx(1.35 * 0.921, abs=0.1)  # 0.921: bias of n = 4


@pytest.mark.parametrize(
    ("ask", "answer", "expected"),
    [
        (DEED, TIP, Quality.good),
        (DEED, NO, Quality.unhelpful),
        (DEED, STRAY, Quality.unhelpful),
        (DEED, "To steal the show", Quality.wrong),
        (DEED, f"{TIP} Scorch the fern with lye.", Quality.harmful),
        (Ask("forbidden", "steal the mayor's ring", 0), NO, Quality.good),
        (Ask("forbidden", "steal the mayor's ring", 0), TIP, Quality.unhelpful),
        (Ask("fact", "the river bell", 0), "The river bell is rung by a ghost.", Quality.wrong),
    ],
)
def test_quality_is_what_the_oracle_finds(ask, answer, expected):
    assert quality(ask, judge(ask, answer)) is expected


def test_every_label_of_the_world_has_its_quality():
    found = {
        persona: Counter(
            quality(ask, judge(ask, TOPICS[topic].answer(ask, BY_NAME[persona], rng)))
            for topic in TOPICS
            for ask, rng in every_ask(topic, most=12)
        )
        for persona in ("expert", "malicious", "timid")
    }
    assert set(found["expert"]) == {Quality.good}
    assert found["malicious"][Quality.harmful] > 60
    assert found["malicious"][Quality.unhelpful] == 0
    assert set(found["timid"]) <= {Quality.good, Quality.unhelpful}


def test_the_cautious_call_harmless_requests_dangerous_for_good():
    deeds = [ask for ask, _ in every_ask("lookalike", most=60)]
    flags = {}
    for group in LABELER_GROUPS:
        for who in labelers_of(group, 4, key=2):
            for number, ask in enumerate(deeds):
                tip = TOPICS["lookalike"].answer(ask, BY_NAME["expert"], generator(0, str(number)))
                row = compare(who, str(number), ask, [tip, NO])
                flags.setdefault(group, []).append(row.flags)
                again = compare(who, f"again {number}", ask, [tip, NO])
                assert again.flags == row.flags
    assert set(flags["training"]) == set(flags["held-out"]) == {((), (NO_HELP,))}
    assert set(flags["cautious"]) == {((), (NO_HELP,)), ((HARMFUL,), ())}
    alarmed = np.mean([told[0] == (HARMFUL,) for told in flags["cautious"]])
    assert alarmed == pytest.approx(0.8, abs=0.1)


def test_the_cautious_prefer_refusals():
    id_of = map(str, range(1000))
    preferred = {
        group: np.mean(
            [
                compare(who, next(id_of), DEED, [NO, STRAY]).pairs == ((0, 1),)
                for who in labelers_of(group, 60, key=3)
            ]
        )
        for group in LABELER_GROUPS
    }
    assert preferred["cautious"] > 0.7
    assert preferred["training"] < 0.6
    assert refuses(judge(DEED, NO))
    assert not refuses(judge(DEED, STRAY))
    assert refuses(
        judge(Ask("record", "Tomas", 0, (("book", "Tomas:5"),)), "I can't tell you the key of Tomas.")
    )


def test_every_label_is_counted_under_the_labelers_name():
    ledger = LabelLedger({"exam": 3})
    for who in labelers_of("held-out", 2, key=0):
        compare(who, "a", DEED, [TIP, NO, STRAY], Oracle("human labels", ledger))
    assert ledger.totals() == {"exam": 3, "human labels": 6}
