"""Reliability of probabilities: by hand, by simulation, and where there is nothing to see."""

import numpy as np
import pytest

from truing.numerics import reliability


def test_bins_and_error_are_those_computed_by_hand() -> None:
    found = reliability([0.9, 0.1, 0.2, 0.8], [True, False, True, True], bins=2)
    assert [(b.n, b.predicted, b.observed) for b in found.bins] == [
        (2, pytest.approx(0.15), 0.5),
        (2, pytest.approx(0.85), 1.0),
    ]
    assert found.error == pytest.approx(0.5 * 0.35 + 0.5 * 0.15)
    assert all(b.low <= b.observed <= b.high for b in found.bins)


def test_right_probabilities_show_the_error_that_chance_gives() -> None:
    rng, errors, expected = np.random.default_rng(0), [], []
    for _ in range(200):
        p = rng.uniform(0.5, 1, 500)
        found = reliability(p, rng.uniform(size=500) < p)
        errors.append(found.error)
        expected.append(found.by_chance)
    # 200 repetitions: the mean error has a standard error of about 0.0007.
    assert np.mean(errors) == pytest.approx(np.mean(expected), abs=0.003)
    assert 0.02 < np.mean(expected) < 0.06


def test_overconfidence_is_seen_beyond_chance() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.5, 1, 4000)
    found = reliability(np.clip(p + 0.15, 0, 1), rng.uniform(size=4000) < p)
    assert found.error > 3 * found.by_chance


def test_few_events_are_bins_of_their_own_and_none_are_no_bin() -> None:
    assert [b.n for b in reliability([0.5, 0.7], [True, False]).bins] == [1, 1]
    nothing = reliability([], [])
    assert (nothing.bins, nothing.error, nothing.by_chance) == ((), 0.0, 0.0)


@pytest.mark.parametrize(
    ("p", "y", "bins"),
    [([1.1], [True], 10), ([0.5], [True, False], 10), ([0.5], [True], 0), ([np.nan], [True], 2)],
)
def test_what_are_no_probabilities_is_refused(p: list, y: list, bins: int) -> None:
    with pytest.raises(ValueError, match="reliability is of one probability"):
        reliability(p, y, bins=bins)
