"""The divergence as a training signal: values and gradients against listing all texts, and exact numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numerics.enumerated import AT, COUNTS, PREFIXES, chances, gradient, row_sums, table, token_logprobs

from truing.numerics import (
    AdaptiveKL,
    FixedKL,
    exact_kl,
    forward_kl,
    gae,
    k3,
    kl_estimate,
    kl_exact,
    kl_penalty,
    kl_rewards,
)

torch.set_num_threads(1)


def expected(per_token: torch.Tensor, drawn_from: torch.Tensor) -> torch.Tensor:
    """The mean over texts of the sum over their tokens, the draw itself without gradient."""
    return (chances(drawn_from).detach() * row_sums(per_token)).sum()


def next_token_kl(logits: torch.Tensor, ref: torch.Tensor, drawn_from: torch.Tensor) -> torch.Tensor:
    """The mean over texts of the exact divergence after each of their prefixes, the texts held fixed."""
    p, q = logits.log_softmax(-1), ref.log_softmax(-1)
    return expected((p.exp() * (p - q)).sum(-1)[AT], drawn_from)


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
def test_every_penalty_has_the_gradient_of_the_divergence_in_expectation(kind):
    policy, ref = table(1), table(2).detach()

    def penalty(logits):
        return expected(kl_penalty(token_logprobs(logits), token_logprobs(ref), kind), logits)

    wanted = gradient(lambda logits: next_token_kl(logits, ref, policy), policy)
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(gradient(penalty, policy), wanted)


@pytest.mark.parametrize("kind", ["k1", "k3"])
def test_the_value_of_a_penalty_is_the_divergence_in_expectation(kind):
    policy, ref = table(1), table(2).detach()
    found = expected(kl_penalty(token_logprobs(policy), token_logprobs(ref), kind), policy)
    assert found.item() == pytest.approx(next_token_kl(policy, ref, policy).item(), rel=1e-12)


@pytest.mark.parametrize(("kind", "right"), [("k1", False), ("k2", True), ("k3", False)])
def test_differentiated_as_they_stand_only_k2_is_right(kind, right):
    policy, ref = table(1), table(2).detach()

    def naive(logits):
        return expected(kl_estimate(token_logprobs(logits), token_logprobs(ref), kind), logits)

    found = gradient(naive, policy)
    wanted = gradient(lambda logits: next_token_kl(logits, ref, policy), policy)
    assert torch.allclose(found, wanted) == right
    if kind == "k1":  # whatever the reference is, nothing pulls towards it
        torch.testing.assert_close(found, torch.zeros_like(found))


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
def test_a_step_down_the_penalty_comes_nearer_to_the_reference(kind):
    policy, ref = table(1), table(2).detach()
    slope = gradient(
        lambda logits: expected(kl_penalty(token_logprobs(logits), token_logprobs(ref), kind), logits), policy
    )
    moved = (policy - 0.1 * slope).detach()
    assert next_token_kl(moved, ref, policy) < next_token_kl(policy, ref, policy)


@pytest.mark.parametrize("kind", ["k1", "k3"])
def test_under_draws_of_an_earlier_policy_the_weighed_penalty_is_still_right(kind):
    policy, ref, old = table(1), table(2).detach(), table(3).detach()

    def penalty(logits):
        logp, behaviour = token_logprobs(logits), token_logprobs(old)
        return expected(kl_penalty(logp, token_logprobs(ref), kind, behaviour=behaviour), old)

    def wanted(logits):
        return next_token_kl(logits, ref, old)

    assert penalty(policy).item() == pytest.approx(wanted(policy).item(), rel=1e-12)
    torch.testing.assert_close(gradient(penalty, policy), gradient(wanted, policy))


def test_in_the_rewards_the_penalty_has_the_gradient_of_the_divergence_of_whole_texts():
    policy, ref = table(1), table(2).detach()
    earned = torch.linspace(-1, 1, len(COUNTS), dtype=torch.float64)
    beta = 0.3

    def objective(logits):
        divergence = row_sums(token_logprobs(logits) - token_logprobs(ref))
        return (chances(logits) * (earned - beta * divergence)).sum()

    def policy_gradient(logits):
        logp = token_logprobs(logits)
        rewards = kl_rewards(logp, token_logprobs(ref), earned, COUNTS, beta)
        to_come = gae(rewards, torch.zeros_like(rewards), COUNTS, gamma=1, lam=1)
        return expected(to_come * logp, logits)

    torch.testing.assert_close(gradient(policy_gradient, policy), gradient(objective, policy))


def test_the_exact_divergence_has_the_value_and_gradient_of_its_definition():
    policy, ref = table(1), table(2).detach()
    p, q = policy.log_softmax(-1), ref.log_softmax(-1)
    wanted = (p.exp() * (p - q)).sum(-1)
    found = exact_kl(policy, ref)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)
    grads = [torch.autograd.grad(kl.sum(), policy, retain_graph=True)[0] for kl in (found, wanted)]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6)
    assert len(found) == len(PREFIXES)


def test_equal_logits_do_not_diverge_and_nothing_moves_them():
    logits = torch.randn(4, 50, requires_grad=True)
    found = exact_kl(logits, logits.detach())
    assert found.tolist() == [0] * 4
    assert torch.autograd.grad(found.sum(), logits)[0].abs().max() < 1e-7


@pytest.mark.parametrize("gap", [50.0, 200.0, 1e4])
def test_the_exact_divergence_of_far_logits_has_a_finite_gradient(gap):
    near, far = torch.tensor([[gap, 0.0]], requires_grad=True), torch.tensor([[0.0, gap]])
    for divergence in (exact_kl, forward_kl):
        found = divergence(near, far)
        assert found.item() == pytest.approx(gap)
        assert torch.autograd.grad(found.sum(), near)[0].isfinite().all()


def test_a_token_that_both_rule_out_leaves_the_gradient_of_the_rest():
    logits = torch.tensor([[0.3, -0.2, -math.inf]], requires_grad=True)
    ref = torch.tensor([[0.1, 0.4, -math.inf]])
    (slope,) = torch.autograd.grad(exact_kl(logits, ref).sum(), logits)
    cut = logits.detach()[:, :2].requires_grad_()
    (wanted,) = torch.autograd.grad(exact_kl(cut, ref[:, :2]).sum(), cut)
    torch.testing.assert_close(slope[:, :2], wanted)
    assert slope[0, 2] == 0


@given(st.floats(-1e4, 0), st.floats(-1e4, 0))
def test_k3_is_finite_and_never_negative_whatever_the_gap_and_so_is_the_slope(logp, ref):
    p = torch.tensor([logp], requires_grad=True)
    q = torch.tensor([ref])
    for value in (k3(p, q), kl_penalty(p, q, "k3"), kl_penalty(p, q, "k3", behaviour=q)):
        assert value.isfinite().all()
        assert value.item() >= 0
        assert torch.autograd.grad(value.sum(), p)[0].isfinite().all()


def test_k3_rises_all_the_way_and_its_sum_over_many_tokens_is_finite():
    gaps = torch.tensor([10.0, 59.0, 60.0, 61.0, 90.0, 1000.0])
    values = k3(torch.zeros(6), gaps)
    assert (values.diff() > 0).all()
    assert (values.max() * 1_000_000).isfinite()


def test_the_rewards_are_those_of_the_worked_example():
    logp, ref = torch.tensor([-1, -0.5, -2]), torch.tensor([-1.2, -0.9, -1.5])
    found = kl_rewards(logp, ref, torch.tensor([1.3]), torch.tensor([3]), 0.02)
    torch.testing.assert_close(found, torch.tensor([-0.004, -0.008, 1.31]))


def test_each_row_earns_its_score_at_its_own_last_token():
    scores = torch.tensor([5.0, 7.0, 9.0])
    found = kl_rewards(torch.zeros(6), torch.zeros(6), scores, torch.tensor([2, 1, 3]), 0.1)
    assert found.tolist() == [0, 5, 7, 0, 0, 9]


def test_a_row_without_tokens_cannot_be_rewarded():
    with pytest.raises(ValueError, match="row 1 has no token"):
        kl_rewards(torch.zeros(2), torch.zeros(2), torch.ones(2), torch.tensor([2, 0]), 0.1)


def test_the_rewards_carry_no_gradient():
    logp = torch.zeros(2, requires_grad=True)
    assert not kl_rewards(logp, torch.ones(2), torch.ones(1), torch.tensor([2]), 0.1).requires_grad


@pytest.mark.parametrize(("observed", "wanted"), [(3, 0.148464), (6, 0.15), (12, 0.151536), (1e9, 0.151536)])
def test_the_adaptive_price_is_that_of_the_worked_example(observed, wanted):
    price = AdaptiveKL(0.15, target=6, horizon=10_000)
    price.update(observed, 512)
    assert price.value == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_divergence_that_is_no_number_steers_nothing(bad):
    price = AdaptiveKL(0.15, target=6)
    with pytest.raises(ValueError, match="cannot steer"):
        price.update(bad, 512)
    assert price.value == 0.15


def test_a_fixed_price_stays_and_both_go_on_from_their_state():
    fixed, adaptive = FixedKL(0.02), AdaptiveKL(0.1, target=6)
    for price in (fixed, adaptive):
        price.update(60, 512)
    assert fixed.value == 0.02
    again = AdaptiveKL(0.1, target=6)
    again.restore(adaptive.state())
    for price in (again, adaptive):
        price.update(1, 512)
    assert again.value == adaptive.value != 0.1


def test_training_and_measuring_know_one_divergence():
    logits, ref = torch.randn(5, 9), torch.randn(5, 9)
    measured = kl_exact(logits.log_softmax(-1), ref.log_softmax(-1))
    assert torch.equal(exact_kl(logits, ref), measured)
