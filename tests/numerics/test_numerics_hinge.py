"""The hinge of a ranking against brute force, finite differences, torch's AdamW and a linear program."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from truing.numerics import generator, hinge_weights, ranking_hinge


def problem(key: int, *, prompts: int = 12, features: int = 4):
    """Features [N, F], another reward [N], ordered pairs within prompts of three answers, a margin for each."""
    rng = generator(key, "hinge test")
    phi = rng.normal(size=(3 * prompts, features))
    base = rng.normal(size=3 * prompts)
    pairs = np.array([(3 * p + a, 3 * p + b) for p in range(prompts) for a, b in ((0, 1), (0, 2), (1, 2))])
    return phi, base, pairs, rng.uniform(0.2, 2.5, size=len(pairs))


def brute_force(rewards, pairs, margins):
    return sum(max(0.0, m + rewards[b] - rewards[a]) for (a, b), m in zip(pairs, margins, strict=True)) / len(
        pairs
    )


def test_the_loss_is_the_mean_over_pairs_of_what_they_lack() -> None:
    _, rewards, pairs, margins = problem(1)
    assert ranking_hinge(rewards, pairs, margins)[0] == pytest.approx(brute_force(rewards, pairs, margins))
    by_hand = ranking_hinge([2.0, 0.5, 1.75], [(0, 1), (0, 2), (2, 1)], [1.0, 0.5, 3.0])
    assert by_hand[0] == pytest.approx((0 + 0.25 + 1.75) / 3)
    assert by_hand[1].tolist() == pytest.approx([-1 / 3, 1 / 3, 0.0])


def test_the_subgradient_is_the_slope_by_finite_differences() -> None:
    _, rewards, pairs, margins = problem(2)
    _, gradient = ranking_hinge(rewards, pairs, margins)
    for i in range(len(rewards)):
        ends = [
            ranking_hinge(rewards + d * np.eye(len(rewards))[i], pairs, margins)[0] for d in (1e-6, -1e-6)
        ]
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def test_fractions_of_a_margin_count() -> None:
    # The published fitter keeps margins in the whole numbers of its indices, where 0.5 becomes 0.
    assert ranking_hinge([0.0, 0.0], [(0, 1)], 0.5)[0] == 0.5
    (halves,) = hinge_weights([[1.0], [0.0]], [(0, 1)], 0.5)
    assert 0.5 <= halves < 0.75  # the momentum carries it past the margin, where nothing pulls any more
    assert hinge_weights([[1.0], [0.0]], [(0, 1)], 0)[0] == 0.0


def test_the_weights_are_those_of_torchs_adamw() -> None:
    phi, base, pairs, margins = problem(3)
    weights = torch.zeros(phi.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.AdamW([weights], lr=1e-2, weight_decay=0.05)
    better, worse = torch.tensor(pairs[:, 0]), torch.tensor(pairs[:, 1])
    for _ in range(300):
        optimiser.zero_grad()
        total = torch.tensor(base) + torch.tensor(phi) @ weights
        torch.relu(torch.tensor(margins) + total[worse] - total[better]).mean().backward()
        optimiser.step()
    found = hinge_weights(phi, pairs, margins, base=base, steps=300, weight_decay=0.05)
    assert found == pytest.approx(weights.detach().numpy(), abs=1e-9)


def test_the_loss_comes_close_to_the_least_that_a_linear_program_finds() -> None:
    phi, base, pairs, margins = problem(4, prompts=20, features=3)
    apart, lacking = (
        phi[pairs[:, 0]] - phi[pairs[:, 1]],
        margins - base[pairs[:, 0]] + base[pairs[:, 1]],
    )
    n, f = apart.shape  # minimise the mean of s, with s >= 0 and s >= lacking - apart @ w
    least = linprog(
        np.r_[np.zeros(f), np.full(n, 1 / n)],
        A_ub=np.c_[-apart, -np.eye(n)],
        b_ub=-lacking,
        bounds=[(None, None)] * f + [(0, None)] * n,
    ).fun
    weights = hinge_weights(phi, pairs, margins, base=base, steps=3000)
    reached = ranking_hinge(base + phi @ weights, pairs, margins)[0]
    assert least <= reached <= least + 0.01


def test_where_the_order_can_be_had_the_loss_reaches_zero_without_decay() -> None:
    rng = generator(5, "separable")
    phi, pairs = rng.uniform(size=(60, 4)), np.arange(60).reshape(30, 2)
    phi[pairs[:, 0], 0], phi[pairs[:, 1], 0] = 1.0, 0.0
    weights = hinge_weights(phi, pairs, steps=3000)
    assert ranking_hinge(phi @ weights, pairs)[0] == 0


def test_a_feature_that_tells_no_pair_apart_keeps_exactly_zero() -> None:
    phi, _, pairs, margins = problem(6)
    phi[:, 2] = np.repeat(generator(6, "prompts").normal(size=len(phi) // 3), 3)
    weights = hinge_weights(phi, pairs, margins, weight_decay=0.05)
    assert weights[2] == 0.0 and (np.delete(weights, 2) != 0).all()


def test_many_fits_at_once_are_those_of_the_pairs_repeated() -> None:
    phi, base, pairs, margins = problem(7)
    counts = generator(7, "draws").integers(0, 3, size=(5, len(pairs)))
    together = hinge_weights(phi, pairs, margins, base=base, draws=counts, steps=200)
    for draw, found in zip(counts, together, strict=True):
        alone = hinge_weights(
            phi, np.repeat(pairs, draw, axis=0), np.repeat(margins, draw), base=base, steps=200
        )
        assert found == pytest.approx(alone, abs=1e-9)


@pytest.mark.parametrize(
    ("rewards", "pairs", "margins"),
    [
        ([1.0, 2.0], np.empty((0, 2), dtype=int), 1.0),
        ([1.0, 2.0], [(0, 2)], 1.0),
        ([1.0, 2.0], [(0, -1)], 1.0),
        ([1.0, 2.0], [(0.0, 1.0)], 1.0),
        ([1.0, np.nan], [(0, 1)], 1.0),
        ([1.0, 2.0], [(0, 1)], np.inf),
    ],
)
def test_what_is_no_ranking_is_refused(rewards, pairs, margins) -> None:
    with pytest.raises(ValueError, match=r"pair|finite"):
        ranking_hinge(rewards, pairs, margins)
