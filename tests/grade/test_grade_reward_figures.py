"""Figures of a reward on comparisons, against values computed by hand and by simulation."""

import numpy as np
import pytest

from truing.data import Comparison
from truing.grade import RewardFigures, longer_is_better, measure_reward
from truing.types import Message, Role


def row(i: int, *answers: str, ranks: tuple[int, ...] = (1, 2), **more: str) -> Comparison:
    said = tuple((Message(Role.assistant, text),) for text in answers)
    return Comparison(str(i), (Message(Role.user, f"question {i}"),), said, ranks, **more)


def test_accuracies_of_reward_and_length_are_counted_over_pairs() -> None:
    rows = [
        row(0, "a long answer", "short", labeler="x", group="g"),
        row(1, "short", "a long answer", labeler="y", group="g"),
        row(2, "one", "two", labeler="x", group="h"),
        row(3, "aaa", "bb", "bb ", "c", ranks=(1, 2, 2, 3)),
    ]
    rewards = [(1.0, 0.0), (2.0, 1.0), (0.5, 0.5), (4.0, 3.0, 2.0, 5.0)]
    found = measure_reward(rows, rewards, longer=True)
    # Pairs of the last row: three of "aaa" (two won), "bb" and "bb " over "c" (lost); a tie is no pair.
    assert found.accuracy.pairs == 3 + 5 and found.accuracy.prompts == 4
    assert found.accuracy.value == pytest.approx((1 + 1 + 0.5 + 2) / 8)
    assert found.length.value == pytest.approx((1 + 0 + 0.5 + 2.5 + 2) / 8)
    assert found.over_length.value == pytest.approx(found.accuracy.value - found.length.value)
    assert {(one.name, one.pairs, one.value) for one in found.labelers} == {("x", 2, 0.75), ("y", 1, 1.0)}
    assert [(one.name, one.pairs) for one in found.groups] == [("g", 2), ("h", 1)]
    margins = np.array([1, 1, 0, 1, 2, -1, -2, -3.0])
    assert found.loss == pytest.approx(np.log(1 + np.exp(-margins)).mean())
    assert RewardFigures.from_json(found.to_json()) == found


def test_the_rule_on_length_is_the_better_one_of_two() -> None:
    rows = [row(0, "a long answer", "short"), row(1, "x", "also long"), row(2, "y", "very long")]
    assert not longer_is_better(rows)
    found = measure_reward(rows, [(1, 0)] * 3, longer=False)
    assert found.length_rule == "shorter" and found.length.value == pytest.approx(2 / 3)


def test_a_coin_is_half_right_and_its_interval_covers_a_half() -> None:
    rng, covered = np.random.default_rng(0), 0
    for k in range(40):
        rows = [row(i, "one", "two") for i in range(60)]
        own = measure_reward(rows, rng.normal(size=(60, 2)).tolist(), longer=True, key=k).accuracy
        covered += own.low <= 0.5 <= own.high
    assert covered >= 34  # 95 % of 40 are 38; fewer than 34 come by chance in 1 of 100


def test_a_reward_that_is_the_length_is_told_apart_from_nothing() -> None:
    rng = np.random.default_rng(0)
    rows = [row(i, "w" * int(a), "w" * int(b)) for i, (a, b) in enumerate(rng.integers(1, 300, (80, 2)))]
    rows = [one for one in rows if one.pairs]
    found = measure_reward(
        rows, [tuple(len(a[0].content) / 128 for a in r.answers) for r in rows], longer=True
    )
    assert found.length_correlation == pytest.approx(1.0)
    assert (found.over_length.value, found.accuracy.value) == (0.0, found.length.value)


def test_which_answer_stands_first_does_not_matter() -> None:
    """The figures of comparisons with their answers in another order are the same."""
    rng = np.random.default_rng(3)
    rows, rewards = [], []
    for i in range(30):
        rows.append(row(i, "w" * int(rng.integers(1, 50)), "v" * int(rng.integers(51, 99))))
        rewards.append(tuple(rng.normal(size=2).tolist()))
    turned = [
        Comparison(r.id, r.prompt, r.answers[::-1], r.ranks[::-1]) if i % 2 else r for i, r in enumerate(rows)
    ]
    flipped = [r[::-1] if i % 2 else r for i, r in enumerate(rewards)]
    assert measure_reward(rows, rewards, longer=True) == measure_reward(turned, flipped, longer=True)


def test_what_was_not_scored_is_counted_and_nothing_scored_is_an_error() -> None:
    rows = [row(0, "a", "b"), row(1, "a", "b")]
    found = measure_reward(rows, [(1.0, 0.0), None], longer=True)
    assert (found.unscored, found.accuracy.pairs) == (1, 1)
    with pytest.raises(ValueError, match="no comparison was scored"):
        measure_reward(rows, [None, None], longer=True)
    with pytest.raises(ValueError, match="no finite reward"):
        measure_reward(rows, [(1.0, float("nan")), None], longer=True)
