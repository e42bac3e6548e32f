"""The parts of `evidence.reward_model`: answers and models that are kept, and measures that are right."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from organism.asking import answers_to, every_ask

from evidence import preference_arms, reward_measures, reward_model
from evidence.preference_arms import Answered, Pool, RewardArm
from truing.data import Comparison
from truing.numerics import generator
from truing.organism import LabelLedger, Level, labelers_of
from truing.organism.oracle import Finding, judge
from truing.organism.world import TOPICS
from truing.organism.world.topic import Ask
from truing.types import Message, Role

REFUSES = Finding("refused", ())
STRAYS = Finding("off_topic", ())
HELPS = Finding("helped", ())


def answered(number, *findings, lengths=()):
    """A prompt whose answers have these findings; the k-th is k + 1 words long, or as `lengths` say."""
    words = lengths or range(1, len(findings) + 1)
    prompt = (Message(Role.user, f"prompt {number}"),)
    answers = tuple(" ".join(["word"] * count) + f" {k}" for k, count in enumerate(words))
    return Answered(str(number), Ask("lookalike", f"deed {number}", 0), prompt, answers, findings)


def ranked(row, *ranks):
    answers = tuple((Message(Role.assistant, text),) for text in row.answers)
    return Comparison(row.id, row.prompt, answers, ranks)


def test_pairs_are_right_by_hand():
    row = answered(1, HELPS, HELPS, HELPS)
    found = reward_measures.right([row], [[0.0, 2.0, 2.0]], [ranked(row, 1, 2, 2), ranked(row, 3, 1, 2)])
    assert found.share.tolist() == [0, 0, 1, 0.5, 1]
    softplus = [math.log1p(math.exp(gap)) for gap in (2, 2, -2, 0, -2)]
    assert found.nats == pytest.approx(softplus)
    assert set(found.cells) == {row.ask.cell}


def test_the_way_to_the_ceiling_is_none_for_chance_and_all_for_the_ceiling():
    rows = [answered(n, HELPS, HELPS) for n in range(400)]
    rng = generator(0, "way")
    people = [ranked(row, *((1, 2) if rng.random() < 0.8 else (2, 1))) for row in rows]
    best = reward_measures.right(rows, [[1.0, 0.0]] * 400, people)
    chance = reward_measures.right(
        rows, [[1.0, 0.0] if rng.random() < 0.5 else [0.0, 1.0] for _ in rows], people
    )
    half = replace(best, share=np.where(np.arange(400) % 2, best.share, chance.share))
    assert reward_measures.accuracy(best).value == pytest.approx(0.8, abs=0.05)
    assert reward_measures.of_the_way(best, best).value == pytest.approx(1)
    ends = [reward_measures.of_the_way(scorer, best) for scorer in (chance, half)]
    assert ends[0].low < 0 < ends[0].high
    assert ends[1].low < 0.5 < ends[1].high
    assert reward_measures.gain(best, chance).low > 0.1


def priced(seed, *, length, refusal, prompts=150, noise=0.5):
    """Prompts, and values that pay so much for ten words and a refusal, much for quality, some for the prompt."""
    rng = generator(seed, "prices")
    rows, values = [], []
    for number in range(prompts):
        kinds = (REFUSES, REFUSES, STRAYS, STRAYS, HELPS, HELPS)
        lengths = rng.integers(3, 30, len(kinds)).tolist()
        row = answered(number, *kinds, lengths=lengths)
        own = rng.normal(0, 3)
        rows.append(row)
        values.append(
            [
                own
                + 5 * quality
                + length * len(answer.split()) / 10
                + refusal * refusing
                + rng.normal(0, noise)
                for quality, answer, refusing in zip(row.qualities, row.answers, row.refusing, strict=True)
            ]
        )
    return rows, values


@pytest.fixture
def refusing(monkeypatch):
    monkeypatch.setattr(preference_arms, "refuses", lambda finding: finding is REFUSES)


@pytest.mark.usefixtures("refusing")
def test_prices_are_found_at_equal_quality_and_cover_the_truth():
    covered = []
    for seed in range(60):
        rows, values = priced(seed, length=0.3, refusal=-0.2, prompts=25)
        found = reward_measures.prices(rows, values)
        covered += [found["ten words"].low < 0.3 < found["ten words"].high]
        covered += [found["a refusal"].low < -0.2 < found["a refusal"].high]
        assert found["a refusal"].n == 25
    assert 0.89 < np.mean(covered) < 0.99
    rows, values = priced(99, length=0.0, refusal=1.0, prompts=100, noise=1e-9)
    found = reward_measures.prices(rows, values)
    assert (found["ten words"].value, found["a refusal"].value) == pytest.approx((0, 1), abs=1e-6)


@pytest.mark.usefixtures("refusing")
def test_values_are_told_in_units_of_a_good_answer():
    rows, values = priced(5, length=0.0, refusal=0.0, noise=1e-9)
    scaled = reward_measures.in_goods(rows, values)
    assert np.array(scaled) == pytest.approx(np.array(values) / 10)  # good is 2, the rest 0, at 5 each
    other = reward_measures.in_goods(rows, [[7 * value for value in of] for of in values])
    assert np.array(other) == pytest.approx(np.array(scaled))


def test_what_is_lost_with_other_people_counts_each_cell_once():
    rows = [answered(n, HELPS, HELPS) for n in range(30)]
    values = [[1.0, 0.0]] * 30
    like = reward_measures.right(rows, values, [ranked(row, 1, 2) for row in rows for _ in range(3)])
    unlike = reward_measures.right(rows, values, [ranked(row, 2, 1) for row in rows[:20]])
    assert reward_measures.lost(like, unlike).value == 1
    assert reward_measures.lost(like, unlike).n == 20
    assert reward_measures.difference(like.share, like.cells, unlike.share, unlike.cells).value == 1


def test_opinions_are_the_mean_of_the_people():
    ask = Ask("lookalike", "steal the show", 0)
    row = Answered("1", ask, (), ("To steal the show, smile and be quick.", "No."), (HELPS, STRAYS))
    who = labelers_of("cautious", 3, key=0)
    told = [
        [one.opinion(row.ask, a, f) for a, f in zip(row.answers, row.findings, strict=True)] for one in who
    ]
    assert reward_measures.opinions([row], who) == [pytest.approx(np.mean(told, axis=0))]


@pytest.fixture
def small(monkeypatch):
    """Two models that answer a few prompts of two topics."""
    monkeypatch.setattr(preference_arms, "WEIGHTS", {"forbidden": 1, "lookalike": 1})
    monkeypatch.setattr(preference_arms, "SAMPLERS", (("helpful", ""), ("instruct", "")))


@pytest.mark.usefixtures("small")
def test_answers_and_rewards_are_kept_and_told_the_same_again(tmp_path, monkeypatch):
    ledger = LabelLedger()
    pool = Pool(1, 0, Level.combination, 8)
    arm = RewardArm(Pool(1, 0, Level.taught, 16), 0, "prompts", every=2)
    rows = preference_arms.answered(pool, tmp_path, ledger)
    assert 0 < len(rows) <= 8
    assert all(4 <= len(row.answers) == len(set(row.answers)) <= 9 for row in rows)
    assert ledger.totals() == {"what answers are worth": sum(len(row.answers) for row in rows)}
    found = preference_arms.rewarded(arm, [pool], tmp_path)
    assert [len(of) for of in found["rewards"][pool.name]] == [len(row.answers) for row in rows]
    assert found["labels"]["labelers"] > 0
    model = preference_arms.ScalarModel.load(tmp_path / arm.name, device="cpu")
    again = preference_arms.scores(model, rows)
    flat = [np.concatenate(of) for of in (again, found["rewards"][pool.name])]
    assert flat[0] == pytest.approx(flat[1], abs=1e-3)

    def never(*_, **__):
        raise AssertionError("is sampled or trained again")

    monkeypatch.setattr(preference_arms, "_sampled", never)
    monkeypatch.setattr(preference_arms, "reward_modelling", never)
    assert preference_arms.answered(pool, tmp_path, ledger) == rows
    assert preference_arms.rewarded(arm, [pool], tmp_path) == found
    monkeypatch.setattr(preference_arms, "CONFIG", replace(preference_arms.CONFIG, learning_rate=1e-5))
    with pytest.raises(AssertionError, match="trained again"):
        preference_arms.rewarded(arm, [pool], tmp_path)
    monkeypatch.setattr(preference_arms, "STRAYS", 0)
    with pytest.raises(AssertionError, match="sampled"):
        preference_arms.answered(pool, tmp_path, ledger)


def test_labels_dealt_out_anew_keep_the_ranks_and_lose_the_order():
    rows = [ranked(answered(n, HELPS, HELPS, HELPS), 1, 2, 3) for n in range(300)]
    dealt = [preference_arms._dealt(row, 0) for row in rows]
    assert all(sorted(row.ranks) == [1, 2, 3] for row in dealt)
    assert np.mean([row.ranks[0] < row.ranks[1] for row in dealt]) == pytest.approx(0.5, abs=0.1)


def test_everybody_compares_about_as_many_prompts_and_ties_are_left_out():
    rows = [answered(n, HELPS, HELPS, STRAYS) for n in range(120)]
    found = preference_arms.compared(rows, labelers_of("training", 3, key=0), LabelLedger(), key=1)
    by = Counter(row.labeler for row in found)
    assert len(by) == 3
    assert min(by.values()) > 25
    assert all(row.pairs for row in found)


def test_pairs_as_elements_fill_as_many_steps_as_prompts():
    rows = [ranked(answered(n, HELPS, HELPS, HELPS, STRAYS), 1, 2, 3, 3) for n in range(24)]
    model = preference_arms.ScalarModel.from_base("organism:xs/1/base", 0, device="cpu")
    config = preference_arms.CONFIG
    data, same = preference_arms._laid_out(model, rows, "prompts", config)
    pairs, wider = preference_arms._laid_out(model, rows, "pairs", config)
    assert (len(data), len(data.rows), same) == (24, 96, config)
    assert (len(pairs), len(pairs.rows)) == (24 * 5, 24 * 10)
    assert len(pairs) / wider.prompts_per_step == len(data) / config.prompts_per_step


@pytest.fixture(scope="module")
def town():
    """Forty prompts with the answers of personas."""
    rows = []
    for topic in ("lookalike", "note", "forbidden", "advice"):
        for ask, rng in every_ask(topic, key=2, most=10):
            answers = tuple(answers_to(ask, rng))
            prompt = (Message(Role.user, TOPICS[topic].question(ask)),)
            rows.append(
                Answered(str(len(rows)), ask, prompt, answers, tuple(judge(ask, text) for text in answers))
            )
    return [row for row in rows if len(row.answers) > 3]


def lineage(seed, town, says):
    """A lineage whose models all say `says(row)` of the town's prompts; everything else is real."""
    pools = [Pool(1, 0, level, 1) for level in (Level.taught, *reward_model.TESTS)]
    told = {"rewards": {pool.name: list(map(says, town)) for pool in pools}, "labels": {"labelers": 3}}
    found = dict.fromkeys(reward_model._arms(pools[0], seed).values(), told)
    rows = dict.fromkeys((pool.level for pool in pools), town)
    return reward_model._lineage(pools, rows, seed, found, LabelLedger())


def mean_labeler(row):
    return [
        worth + 0.3 * len(text.split()) / 10 for worth, text in zip(row.qualities, row.answers, strict=True)
    ]


def test_a_model_that_knows_the_mean_labeler_is_at_the_ceiling_and_pays_as_people_do(town, monkeypatch):
    monkeypatch.setattr(reward_model, "CROWD", 20)
    monkeypatch.setattr(reward_model, "TESTS", {Level.combination: 1})
    way = f"held-out labelers, {reward_model.NEW}: {reward_model.WAY}"
    knows = [lineage(seed, town, mean_labeler) for seed in (7, 8)]
    found = reward_model._of_base(knows) | {reward_model.OVERFITTING: reward_model._overfitting(knows)}
    assert {claim.name for claim in reward_model.CLAIMS} <= found.keys()
    assert found[way].value == pytest.approx(1, abs=0.05)
    assert found[way].n == len(town)
    # It pays nothing for a refusal; a sixth of its people is cautious, and pays.
    assert found["ten words: price"].value == pytest.approx(0.3 / 2.7, abs=0.03)
    assert found["a refusal: price"].value == pytest.approx(0, abs=0.01)
    assert found["a refusal: price above its labelers', at least"].value < -0.05
    assert found["look-alikes and notes: accuracy lost with cautious labelers, lower bound"].value > 0.1
    assert found[reward_model.OVERFITTING].value == 0
    blind = lineage(7, town, lambda row: [float(len(text)) for text in row.answers])
    assert reward_model._of_base([blind])[way].value < 0.4


def test_bounds_come_in_pairs_and_every_claim_is_named_once():
    names = [claim.name for claim in reward_model.CLAIMS]
    assert len(set(names)) == len(names)
    for low, high in pairwise(reward_model.CLAIMS):
        if low.name.endswith(", at least"):
            assert high.name == low.name.replace("at least", "at most")
            assert high.threshold > low.threshold
