"""Policy losses by hand and over all texts; the whole of a step does not depend on how it was cut."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numerics.enumerated import COUNTS, TEXTS, chances, gradient, row_sums, table, token_logprobs

from truing.numerics import clipped_policy_loss, clipped_value_loss, kl_penalty, token_weights, weighted_sum

torch.set_num_threads(1)
NAN, INF = math.nan, math.inf


def clipped_by_hand(gap: float, advantage: float, low: float, high: float) -> float:
    ratio = math.exp(gap)
    return max(-advantage * ratio, -advantage * min(max(ratio, 1 - low), 1 + high))


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(0, 0.9), st.floats(0, 2))
def test_the_clipped_loss_is_that_of_its_definition(gap, advantage, low, high):
    logp, old = torch.tensor([gap - 1.0], dtype=torch.float64), torch.tensor([-1.0], dtype=torch.float64)
    found = clipped_policy_loss(logp, old, torch.tensor([advantage], dtype=torch.float64), low, high)
    assert found.item() == pytest.approx(clipped_by_hand(gap, advantage, low, high), abs=1e-9)


@pytest.mark.parametrize(
    ("gap", "advantage", "moves"), [(0.5, 1, False), (-0.5, 1, True), (0.5, -1, True), (-0.5, -1, False)]
)
def test_a_profit_beyond_the_clip_moves_nothing_and_a_loss_does(gap, advantage, moves):
    logp = torch.tensor([gap], requires_grad=True)
    loss = clipped_policy_loss(logp, torch.zeros(1), torch.tensor([float(advantage)]), 0.2, 0.2)
    (slope,) = torch.autograd.grad(loss.sum(), logp)
    assert slope.item() == pytest.approx(-advantage * math.exp(gap) if moves else 0)


def test_at_the_old_policy_the_loss_has_the_gradient_of_the_expected_reward():
    policy = table(1)
    earned = torch.linspace(-1, 2, len(TEXTS), dtype=torch.float64)
    baseline = 0.37
    advantages = (earned - baseline).repeat_interleave(COUNTS)

    def loss(logits):
        logp = token_logprobs(logits)
        per_token = clipped_policy_loss(logp, logp, advantages, 0.2, 0.2)
        return (chances(logits).detach() * row_sums(per_token)).sum()

    wanted = gradient(lambda logits: (chances(logits) * earned).sum(), policy)
    torch.testing.assert_close(gradient(loss, policy), -wanted)


@pytest.mark.parametrize("gap", [100.0, 1e4, -1e4])
@pytest.mark.parametrize("advantage", [1.0, -1.0])
def test_a_ratio_beyond_all_bounds_gives_finite_loss_and_gradient(gap, advantage):
    logp = torch.tensor([gap], requires_grad=True)
    loss = clipped_policy_loss(logp, torch.zeros(1), torch.tensor([advantage]), 0.2, 0.2)
    assert loss.isfinite().all()
    assert torch.autograd.grad(loss.sum(), logp)[0].isfinite().all()


def test_a_token_without_advantage_has_no_loss_and_no_gradient_whatever_its_log_probability():
    logp = torch.tensor([-1.0, NAN, -INF, 1e4], requires_grad=True)
    old = torch.tensor([-1.0, -1.0, -1.0, INF])
    loss = clipped_policy_loss(logp, old, torch.tensor([2.0, 0.0, 0.0, 0.0]), 0.2, 0.2)
    assert loss.tolist() == [-2, 0, 0, 0]
    assert torch.autograd.grad(loss.sum(), logp)[0].tolist() == [-2, 0, 0, 0]


@given(*[st.floats(-3, 3)] * 3, st.floats(0.01, 1))
def test_the_value_loss_is_that_of_its_definition(value, old, target, clip):
    v, o, r = (torch.tensor([x], dtype=torch.float64) for x in (value, old, target))
    held = old + min(max(value - old, -clip), clip)
    wanted = 0.5 * max((value - target) ** 2, (held - target) ** 2)
    assert clipped_value_loss(v, o, r, clip).item() == pytest.approx(wanted, abs=1e-12)


ROWS = [5, 1, 3, 8, 0, 2, 7, 4]
CUT = [True, True, False, True, True, False, True, True]
"""Rows that take part: two were truncated."""
WAYS = [("token", None), ("sequence", None), ("fixed", 8 * 8.0)]


def by_hand(kind: str, fixed: float | None, losses: list[list[float]], kept: list[bool]) -> float:
    rows = [row for row, keep in zip(losses, kept, strict=True) if keep and row]
    if kind == "sequence":
        return math.fsum(math.fsum(row) / len(row) for row in rows) / len(rows)
    total = math.fsum(x for row in rows for x in row)
    return total / (fixed or sum(map(len, rows)))


@pytest.mark.parametrize(("kind", "fixed"), WAYS)
def test_each_aggregation_is_the_mean_that_it_says(kind, fixed):
    make = torch.Generator().manual_seed(0)
    flat = torch.randn(sum(ROWS), generator=make, dtype=torch.float64)
    losses = [part.tolist() for part in flat.split(ROWS)]
    for kept in (CUT, [True] * len(ROWS)):
        weights = token_weights(torch.tensor(ROWS), kind, fixed=fixed, kept=torch.tensor(kept))
        assert weighted_sum(weights, flat).item() == pytest.approx(
            by_hand(kind, fixed, losses, kept), rel=1e-6
        )
    everything = token_weights(torch.tensor(ROWS), kind, fixed=fixed)
    assert torch.equal(everything, weights)


@pytest.mark.parametrize(("kind", "fixed"), WAYS)
@pytest.mark.parametrize("sizes", [[8], [1] * 8, [4, 4], [2, 5, 1]])
def test_a_step_is_the_same_at_once_accumulated_and_sharded(kind, fixed, sizes):
    # A small model: the rows' tokens through one matrix, of which the gradient is accumulated.
    make = torch.Generator().manual_seed(1)
    inputs = torch.randn(sum(ROWS), 6, generator=make, dtype=torch.float64)
    old = torch.randn(sum(ROWS), generator=make, dtype=torch.float64)
    advantages = torch.randn(len(ROWS), generator=make, dtype=torch.float64).repeat_interleave(
        torch.tensor(ROWS)
    )
    matrix = torch.randn(6, generator=make, dtype=torch.float64, requires_grad=True)
    weights = token_weights(torch.tensor(ROWS), kind, fixed=fixed, kept=torch.tensor(CUT)).double()

    def part_loss(tokens: slice) -> torch.Tensor:
        logp = inputs[tokens] @ matrix
        per_token = clipped_policy_loss(logp, old[tokens], advantages[tokens], 0.2, 0.2)
        penalty = kl_penalty(logp, old[tokens] - 0.1, "k3")
        return weighted_sum(weights[tokens], per_token + 0.1 * penalty)

    whole = part_loss(slice(None))
    (wanted,) = torch.autograd.grad(whole, matrix)
    total, slope, start = 0.0, torch.zeros(6, dtype=torch.float64), 0
    ends = torch.tensor(ROWS).cumsum(0).tolist()
    for last in torch.tensor(sizes).cumsum(0).tolist():
        loss = part_loss(slice(start, ends[last - 1]))
        slope += torch.autograd.grad(loss, matrix)[0]
        total, start = total + loss.item(), ends[last - 1]
    assert total == pytest.approx(whole.item(), abs=1e-12)
    torch.testing.assert_close(slope, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("poison", [NAN, INF, -INF])
@pytest.mark.parametrize(("kind", "fixed"), WAYS)
def test_poison_in_rows_that_take_no_part_changes_neither_loss_nor_gradient(kind, fixed, poison):
    counts, kept = torch.tensor(ROWS), torch.tensor(CUT)
    make = torch.Generator().manual_seed(2)
    clean = torch.randn(sum(ROWS), generator=make)
    weights = token_weights(counts, kind, fixed=fixed, kept=kept)
    out = weights == 0
    assert out.sum() == ROWS[2] + ROWS[5]

    def step(logp: torch.Tensor, ref: torch.Tensor) -> tuple[float, torch.Tensor]:
        logp = logp.clone().requires_grad_()
        live = weights != 0
        p, q = logp[live], ref[live]
        per_token = clipped_policy_loss(p, q, torch.ones_like(p), 0.2, 0.2) + kl_penalty(p, q, "k3")
        loss = weighted_sum(weights[live], per_token)
        return loss.item(), torch.autograd.grad(loss, logp)[0]

    loss, slope = step(clean, clean - 0.1)
    poisoned = clean.masked_fill(out, poison)
    for arguments in ((poisoned, clean - 0.1), (clean, poisoned - 0.1), (poisoned, -poisoned)):
        again = step(*(torch.where(out, x, y) for x, y in zip(arguments, (clean, clean - 0.1), strict=True)))
        assert again[0] == loss
        assert torch.equal(again[1], slope)
    assert weighted_sum(weights, poisoned).item() == weighted_sum(weights, clean).item()


def test_when_no_row_takes_part_there_is_no_loss_and_no_nan():
    for kind, fixed in WAYS:
        weights = token_weights(torch.tensor([2, 1]), kind, fixed=fixed, kept=torch.tensor([False, False]))
        assert weights.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "fixed"), [("fixed", None), ("fixed", 0.0), ("token", 3.0), ("sequence", 3.0)]
)
def test_a_denominator_goes_with_the_fixed_aggregation_alone(kind, fixed):
    with pytest.raises(ValueError, match="does not go with"):
        token_weights(torch.tensor([1]), kind, fixed=fixed)
