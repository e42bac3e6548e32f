from math import inf, sqrt

import numpy as np
import pytest
from scipy import stats

from truing.numerics import (
    mcnemar_exact,
    mcnemar_power,
    pairs_needed,
    smallest_detectable_effect,
    smallest_detectable_shift,
)


def brute_power(n, effect, discordance, alpha):
    """Sum over every (losses, gains) of the trinomial."""
    psi = max(effect, discordance)
    chances = [(psi + effect) / 2, (psi - effect) / 2, 1 - psi]
    return sum(
        stats.multinomial.pmf([b, c, n - b - c], n, chances)
        for b in range(n + 1)
        for c in range(n + 1 - b)
        if mcnemar_exact(b, c) <= alpha
    )


@pytest.mark.parametrize(
    "case", [(12, 0.3, 0.5, 0.05), (20, 0.4, 0.1, 0.1), (9, 1.0, 0.2, 0.05), (15, 0.0, 1.0, 0.05)]
)
def test_power_equals_the_sum_over_all_tables(case):
    n, effect, discordance, alpha = case
    assert mcnemar_power(n, effect, discordance, alpha=alpha) == pytest.approx(brute_power(*case), abs=1e-9)


def test_power_equals_a_simulation():
    n, effect, discordance = 400, 0.04, 0.1
    rng = np.random.default_rng(0)
    tables = rng.multinomial(n, [0.07, 0.03, 0.9], size=4000)
    found = np.mean([mcnemar_exact(int(b), int(c)) <= 0.05 for b, c, _ in tables])
    assert mcnemar_power(n, effect, discordance) == pytest.approx(found, abs=0.025)


def test_without_an_effect_power_is_at_most_alpha():
    for n in (10, 100, 1000, 20_000):
        assert mcnemar_power(n, 0.0, 0.1) <= 0.05


def test_the_smallest_detectable_effect_is_where_power_is_reached():
    for n, discordance in ((50, 0.1), (450, 0.05), (1319, 0.2)):
        effect = smallest_detectable_effect(n, discordance)
        assert mcnemar_power(n, effect, discordance) >= 0.8
        assert mcnemar_power(n, effect - 2e-6, discordance) < 0.8


def test_more_pairs_see_smaller_effects_and_more_noise_hides_them():
    effects = [smallest_detectable_effect(n, 0.1) for n in (20, 50, 200, 1000, 100_000)]
    assert effects == sorted(effects, reverse=True) and effects[-1] < 0.005
    noisy = [smallest_detectable_effect(300, d) for d in (0.0, 0.05, 0.2, 0.5, 1.0)]
    assert noisy == sorted(noisy)


def test_too_few_pairs_see_nothing_at_all():
    assert [smallest_detectable_effect(n, 0.1) for n in (0, 1, 4)] == [inf, inf, inf]
    assert smallest_detectable_effect(5, 0.0) < 1  # five losses of five: p = 1/32
    assert smallest_detectable_effect(5, 0.0, alpha=0.01) == inf


@pytest.mark.parametrize(
    ("effect", "discordance", "normal_theory"),
    [(0.02, 0.05, 767), (0.03, 0.05, 337), (0.02, 0.10, 1539), (0.03, 0.10, 681), (0.05, 0.10, 241)],
)
def test_sample_sizes_exceed_normal_theory_by_what_exactness_costs(effect, discordance, normal_theory):
    # The exact test never rejects a true null more often than alpha, so on average less often: it
    # needs more pairs than the z approximation. The continuity correction (Fleiss, Levin and Paik
    # 2003), about 1 / effect further pairs, accounts for nearly all of it.
    needed = pairs_needed(effect, discordance)
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert normal_theory == pytest.approx(z**2 * (discordance - effect**2) / effect**2, abs=1)
    assert normal_theory < needed < 1.12 * normal_theory
    assert needed == pytest.approx(normal_theory + 1.2 / effect, rel=0.03)


def test_where_every_difference_is_a_loss_five_losses_are_needed():
    # Normal theory says 117 here; but no fewer than five losses in a row are significant at 5 %.
    assert pairs_needed(0.05, 0.05) == next(n for n in range(5, 999) if stats.binom.sf(4, n, 0.05) >= 0.8)


def test_one_pair_fewer_is_not_enough():
    for effect, discordance in ((0.5, 0.0), (0.03, 0.1), (0.01, 0.02), (1.0, 1.0)):
        n = pairs_needed(effect, discordance)
        assert mcnemar_power(n, effect, discordance) >= 0.8 > mcnemar_power(n - 1, effect, discordance)


def test_a_graded_shift_has_the_power_it_names():
    shift = smallest_detectable_shift(0.1)
    assert stats.norm.sf(stats.norm.ppf(0.95) - shift / 0.1) == pytest.approx(0.8)
    assert smallest_detectable_shift(sqrt(0.25 / 400)) == pytest.approx(0.0622, abs=1e-4)
    assert smallest_detectable_shift(inf) == inf


def test_impossible_arguments_are_refused():
    for call in (
        lambda: mcnemar_power(-1, 0.1, 0.1),
        lambda: mcnemar_power(5, 1.1, 0.1),
        lambda: mcnemar_power(5, 0.1, float("nan")),
        lambda: smallest_detectable_effect(5, 0.1, alpha=0),
        lambda: smallest_detectable_effect(5, 0.1, power=1),
        lambda: pairs_needed(0, 0.1),
        lambda: smallest_detectable_shift(-1),
        lambda: smallest_detectable_shift(float("nan")),
    ):
        with pytest.raises(ValueError):
            call()
