"""The evidence on the audit's power: the truth of what it replays, and that it would see a bad audit."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from evidence.audit_power import CLAIMS, REPLAYS
from evidence.audit_power_measures import measures
from evidence.audit_power_pool import MODEL, WORSE, Answer, Pool, Stock
from evidence.audit_power_replays import LABELS, RIGHT, Kind, Replay, _card, _draw, plans, replay
from truing.audit import Status
from truing.numerics import generator
from truing.types import Expect, GraderId, Item, Outcome, Verdict, ask

ORACLE = GraderId("organism", "1", exact=True)
GOOD = {MODEL: 0.9, "base": 0.5, "helpful": 0.95}


def answers(dimension: str, model: str, key: int, n: int) -> tuple[Answer, ...]:
    """Good or bad as its model is, 2 % of them unreadable; the text tells model and key."""
    rng = generator(key, dimension, model)
    out = []
    for good, readable in zip(rng.random(n) < GOOD[model], rng.random(n) >= 0.02, strict=True):
        said = Verdict("good", Outcome.decided, ORACLE, label="", score=float(good))
        out.append((said if readable else Verdict("good", Outcome.unparsed, ORACLE), f"{model} {key}"))
    return tuple(out)


def stock(dimension: str, n: int, each: int) -> Stock:
    items = tuple(
        Item(
            f"{dimension}/{i}",
            ask(f"{dimension} {i}", id=f"{dimension}/{i}"),
            "s",
            dimension,
            Expect.judged,
            cluster=f"{dimension}/{i // each}",
            grader="organism",
        )
        for i in range(n)
    )
    keys = {MODEL: 3} | dict.fromkeys(WORSE, 2)
    return Stock(items, {m: tuple(answers(dimension, m, k, n) for k in range(keys[m])) for m in keys})


@pytest.fixture(scope="module")
def pool() -> Pool:
    return Pool(
        1, {"over_refusal": stock("over_refusal", 300, 3), "capability": stock("capability", 200, 1)}, {}
    )


def scores(verdicts: Iterable[Verdict]) -> np.ndarray:
    return np.array([v.score or 0.0 for v in verdicts])


def test_a_stock_knows_how_models_differ(pool: Pool) -> None:
    of = pool.stocks["capability"]
    ours, theirs = (
        [scores(verdict for verdict, _ in key) for key in of.answers[name]] for name in (MODEL, "base")
    )
    assert of.gap("base") == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert of.discordance("base") == pytest.approx(np.mean([(x != y).mean() for x in ours for y in theirs]))
    own = [(x != y).mean() for i, x in enumerate(ours) for j, y in enumerate(ours) if i != j]
    assert of.discordance(MODEL) == pytest.approx(np.mean(own))


@pytest.mark.parametrize("dimension", ["over_refusal", "capability"])
def test_the_loss_of_a_replay_is_the_planned_one_on_average(pool: Pool, dimension: str) -> None:
    (plan,) = [plan for plan in plans(pool, Kind.loss, 0.1) if plan.harmed == dimension]
    assert plan.worse == "base" and 0 < plan.mixed < 1
    pairs = _draw(pool.stocks[dimension], 8000, plan.worse, plan.mixed, judge=False, rng=generator(0, "loss"))
    lost = scores(p.candidate for p in pairs) - scores(p.baseline for p in pairs)
    assert lost.mean() == pytest.approx(-0.1, abs=0.02)


def test_without_a_loss_the_two_sides_are_one_model_under_two_keys(pool: Pool) -> None:
    pairs = _draw(pool.stocks["over_refusal"], 3000, MODEL, 0.0, judge=False, rng=generator(0, "none"))
    assert not any(pair.same_text for pair in pairs)  # the text of these answers is their key
    lost = scores(p.candidate for p in pairs) - scores(p.baseline for p in pairs)
    assert lost.mean() == pytest.approx(0.0, abs=0.015)
    # A source that is drawn twice is two sources, each with all of its questions.
    clusters = [pair.item.cluster for pair in pairs]
    assert len(pairs) == 9000 and {clusters.count(name) for name in clusters[:50]} == {3}


def test_the_erring_judge_is_right_as_often_as_it_says_and_its_card_too(pool: Pool) -> None:
    of = pool.stocks["capability"]
    clean, judged = (_draw(of, 4000, MODEL, 0.0, judge=j, rng=generator(0, "judge")) for j in (False, True))
    # The same answers are drawn, as errors are drawn last.
    both = [(c.candidate, j.candidate) for c, j in zip(clean, judged, strict=True)]
    for truth in (0.0, 1.0):
        said = [j.score == truth for c, j in both if c.score == truth]
        assert np.mean(said) == pytest.approx(RIGHT, abs=4 * np.sqrt(0.13 / len(said)))
    assert all((c.score is None) == (j.score is None) and not j.grader.exact for c, j in both)
    cards = [_card(pool.truths, generator(0, "card", str(i))).counts for i in range(40)]
    assert {c.tp + c.fn + c.tn + c.fp for c in cards} == {LABELS}
    assert np.mean([c.sensitivity for c in cards]) == pytest.approx(RIGHT, abs=0.02)
    assert np.mean([c.specificity for c in cards]) == pytest.approx(RIGHT, abs=0.02)


@pytest.fixture(scope="module")
def replayed(pool: Pool) -> dict[Kind, list[Replay]]:
    out = {}
    for kind in Kind:
        some = plans(pool, kind, 0.1)
        out[kind] = [replay(pool, some[i % len(some)], generator(1, kind, str(i))) for i in range(4)]
    return out


def test_every_claim_is_measured_on_two_thousand_audits(
    pool: Pool, replayed: dict[Kind, list[Replay]]
) -> None:
    found = measures([pool], replayed, [True])
    assert {claim.name for claim in CLAIMS} <= set(found)
    (wanted,) = [claim for claim in CLAIMS if claim.name == "replayed audits"]
    assert sum(REPLAYS.values()) >= wanted.threshold == 2000
    shown = found["share of the true loss that an 85 % judge shows, uncorrected"]
    told = found["share of the true loss that is told, 85 % judge, corrected, at least"]
    assert shown.value < told.value
    assert all(part.uncorrected for r in replayed[Kind.judged_loss] for part in r.parts if part.truth)


def test_an_audit_that_cries_wolf_and_one_that_is_too_sure_are_seen(
    pool: Pool, replayed: dict[Kind, list[Replay]]
) -> None:
    def broken(one: Replay, i: int) -> Replay:
        """One in eight finds a loss everywhere, and the truth nowhere."""
        bad = i % 8 == 0
        status = Status.regression if bad else Status.passed
        parts = [replace(p, status=status) for p in one.parts]
        if bad:
            parts = [
                replace(p, comparison=replace(p.comparison, low=p.truth + 0.001, high=p.truth + 0.1))
                for p in parts
            ]
        return replace(one, status=status, parts=tuple(parts))

    many = {kind: [broken(some[0], i) for i in range(1200)] for kind, some in replayed.items()}
    found = measures([pool], many, [True])
    kept = {claim.name: claim.holds(found[claim.name]) for claim in CLAIMS}
    assert not kept["false alarms, lower limit"]  # of 12.5 %
    assert not kept["planned losses found"]
    assert not kept["intervals that cover no loss, worst dimension, upper limit"]
    assert not kept["intervals that cover a planned loss, 85 % judge, corrected, upper limit"]
