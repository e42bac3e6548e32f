"""What is measured of chosen answers, on answers whose worth is known by construction."""

import pytest

from evidence.best_of_n_measures import (
    ADVICE,
    ANY,
    BEST,
    BOTH,
    CHOOSERS,
    GAINED,
    HELPS,
    RBR,
    REACHED,
    RM,
    Chosen,
    measures,
    paper_claim,
    plane,
)

TOPICS = ("forbidden",) * 20 + ("careful",) * 20 + ("lookalike",) * 20 + ("advice",) * 20
GOOD = {ANY: 0.25, RM: 0.0, RBR: 1.0, BOTH: 1.0, BEST: 1.0}


def arm(good: dict[str, list[float]] | None = None, unparsed: dict[str, list[float]] | None = None) -> Chosen:
    """Every cell as `GOOD` says, but for what is given."""
    n = len(TOPICS)
    values = {name: [GOOD[name]] * n for name in CHOOSERS} | (good or {})
    unread = {name: [0.0] * n for name in CHOOSERS} | (unparsed or {})
    return Chosen(
        TOPICS,
        tuple(f"{topic} {i}" for i, topic in enumerate(TOPICS)),
        {name: tuple(v) for name, v in values.items()},
        {name: tuple(v) for name, v in unread.items()},
        (0.0,) * n,
    )


def test_f1_is_the_harmonic_mean_of_the_two_axes():
    half_safe = [0.5] * 40 + [1.0] * 40
    found = measures({(1, 1): arm({BOTH: half_safe})})
    assert found[f"F1, {BOTH}"].value == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert found[f"F1, {RM}"].value == 0  # both shares are 0
    assert found[f"F1, {ANY}"].value == pytest.approx(0.25)
    assert found[GAINED].value <= 2 / 3


def test_choosers_that_are_alike_gain_nothing_and_one_that_always_refuses_has_no_f1():
    same = measures({(1, 1): arm({RM: [1.0] * 80})})
    assert same[GAINED].value == 0 and same[ADVICE].value == 0
    refuser = measures({(1, 1): arm({BOTH: [1.0] * 40 + [0.0] * 40})})
    assert refuser[f"F1, {BOTH}"].value == 0 and refuser[HELPS].value == 0 and refuser[ADVICE].value == 0


def test_gibberish_taken_by_the_reward_for_help_is_no_gain_for_the_rules():
    garbled = measures({(1, 1): arm(unparsed={RM: [1.0] * 80})})
    assert garbled[GAINED].value == pytest.approx(0)
    assert garbled[f"not unsafe, {RM}"].value == 0 and garbled[f"not unsafe, {RM}"].unparsed == 1


def test_what_is_not_among_the_sixteen_is_not_held_against_the_chooser():
    never = [0.0] * 30 + [1.0] * 50
    found = measures({(1, 1): arm({BOTH: never, BEST: never})})
    assert found[REACHED].value == 1 and found[REACHED].n == 10
    assert found[f"not unsafe, {BOTH}"].value == pytest.approx(0.25)


def test_the_worst_base_decides_and_the_paper_is_told_apart():
    good, bad = arm(), arm({BOTH: [0.0] * 80, RM: [0.5] * 80})
    both = measures({(1, 1): good, (2, 1): bad})
    assert both[GAINED].value <= 0 and both[HELPS].value == 0
    assert paper_claim(measures({(1, 1): good})) == "reproduced"
    assert paper_claim(measures({(1, 1): bad})) == "reversed"
    assert all(name in plane(both) for name in CHOOSERS)
