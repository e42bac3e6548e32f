"""Explained variance, L0, dead latents, the geometric median: against loops over single numbers."""

import math

import pytest
import torch
from scipy.optimize import minimize

from truing.numerics import dead_share, explained_variance, geometric_median, mean_active, mean_max_cosine


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_explained_variance_is_that_of_a_loop_over_every_number():
    data, rebuilt = drawn(7, 3) + 2, drawn(7, 3, seed=1) * 0.1 + 2
    mean = [sum(float(row[d]) for row in data) / 7 for d in range(3)]
    lost = sum((float(data[n, d]) - float(rebuilt[n, d])) ** 2 for n in range(7) for d in range(3))
    total = sum((float(data[n, d]) - mean[d]) ** 2 for n in range(7) for d in range(3))
    assert explained_variance(data, rebuilt) == pytest.approx(1 - lost / total, abs=1e-12)


def test_whoever_returns_the_mean_explains_nothing_however_far_from_zero_it_lies():
    data = drawn(50, 4) + 100
    assert explained_variance(data, data.mean(0).expand_as(data)) == pytest.approx(0, abs=1e-6)
    assert explained_variance(data, data) == 1
    assert explained_variance(data, torch.zeros_like(data)) < -1000


def test_no_variance_is_no_question():
    with pytest.raises(ValueError, match="no variance"):
        explained_variance(torch.ones(3, 2), torch.ones(3, 2))
    with pytest.raises(ValueError, match="tables"):
        explained_variance(torch.ones(3, 2), torch.ones(2, 3))


def test_active_and_dead_latents_are_counted_as_a_loop_counts_them():
    codes = drawn(20, 9).clamp(min=0.8) - 0.8
    codes[:, [2, 5]] = 0
    fired = (codes != 0).sum(0)
    active = [sum(float(codes[n, j]) != 0 for j in range(9)) for n in range(20)]
    silent = [j for j in range(9) if all(float(codes[n, j]) == 0 for n in range(20))]
    assert mean_active(fired, 20) == pytest.approx(sum(active) / 20, abs=1e-12)
    assert dead_share(fired) == pytest.approx(len(silent) / 9, abs=1e-12)


def test_the_best_match_of_every_planted_direction_counts_whatever_its_length():
    planted = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    found = torch.tensor([[5.0, 0.0], [3.0, 3.0], [-7.0, 0.0]])
    assert mean_max_cosine(found, planted) == pytest.approx((1 + math.sqrt(0.5)) / 2, abs=1e-12)


def test_the_geometric_median_has_the_least_sum_of_distances():
    points = drawn(40, 3).double()
    points[:4] += 50

    def distances(centre) -> float:
        return float((points - torch.as_tensor(centre)).norm(dim=-1).sum())

    best = minimize(
        distances,
        points.mean(0).numpy(),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000},
    )
    found = geometric_median(points)
    assert distances(found) <= best.fun + 1e-6
    assert (found - torch.as_tensor(best.x)).norm() < 1e-3
    assert found.norm() < 1 < points.mean(0).norm(), "a few points far out draw the mean alone"


def test_the_geometric_median_of_points_on_itself_is_a_number():
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert geometric_median(points).abs().max() < 1e-6
    assert torch.equal(geometric_median(torch.ones(3, 2)), torch.ones(2, dtype=torch.float64))
