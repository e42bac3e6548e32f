"""Advantages against the recursions written row by row, listing all texts, and worked examples."""

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numerics.enumerated import AT, COUNTS, TEXTS, chances, gradient, row_sums, table, token_logprobs

from truing.numerics import gae, group_advantages, whiten

torch.set_num_threads(1)
NAN = math.nan


def gae_by_hand(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """One row, by its definition: the discounted sum of the errors that are to come."""
    after = [*values[1:], 0.0]
    errors = [r + gamma * n - v for r, n, v in zip(rewards, after, values, strict=True)]
    return [
        math.fsum((gamma * lam) ** (k - t) * errors[k] for k in range(t, len(errors)))
        for t in range(len(errors))
    ]


number = st.floats(-5, 5)
rows_of_numbers = st.lists(
    st.lists(st.tuples(number, number), min_size=1, max_size=7), min_size=1, max_size=5
)


@given(rows_of_numbers, st.floats(0, 1), st.floats(0, 1))
def test_the_advantages_of_uneven_rows_are_those_of_each_row_alone(rows, gamma, lam):
    flat = torch.tensor([pair for row in rows for pair in row], dtype=torch.float64)
    counts = torch.tensor([len(row) for row in rows])
    found = gae(flat[:, 0], flat[:, 1], counts, gamma=gamma, lam=lam)
    wanted = [x for row in rows for x in gae_by_hand(*map(list, zip(*row, strict=True)), gamma, lam)]
    assert found.tolist() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("lam", "wanted"), [(0.95, [1.094925, 1.0515, 1.01]), (1.0, [1.198, 1.102, 1.01])])
def test_the_advantages_are_those_of_the_worked_example(lam, wanted):
    rewards, values = torch.tensor([-0.004, -0.008, 1.31]), torch.tensor([0.1, 0.2, 0.3])
    found = gae(rewards, values, torch.tensor([3]), gamma=1, lam=lam)
    assert found.tolist() == pytest.approx(wanted, abs=1e-6)


def test_a_row_of_poison_stays_in_its_row_and_the_inputs_as_they_were():
    rewards, values = torch.ones(6), torch.zeros(6)
    rewards[2:4] = NAN
    values[3] = math.inf
    before = rewards.clone(), values.clone()
    found = gae(rewards, values, torch.tensor([2, 2, 2]), gamma=1, lam=0.9)
    assert found[:2].tolist() == found[4:].tolist() == pytest.approx([1.9, 1.0])
    torch.testing.assert_close((rewards, values), before, equal_nan=True)


def test_there_may_be_no_rows():
    none = torch.zeros(0)
    assert gae(none, none, torch.zeros(0, dtype=torch.int64), gamma=1, lam=1).tolist() == []
    assert whiten(none).tolist() == []


def test_with_any_values_as_a_baseline_the_policy_gradient_is_that_of_the_expected_reward():
    policy = table(1)
    earned = torch.linspace(-1, 2, len(TEXTS), dtype=torch.float64)
    rewards = torch.zeros(int(COUNTS.sum()), dtype=torch.float64).index_add(0, COUNTS.cumsum(0) - 1, earned)
    guess = table(7).detach().sum(-1)

    def policy_gradient(logits):
        logp = token_logprobs(logits)
        advantages = gae(rewards, guess[AT], COUNTS, gamma=1, lam=1)
        return (chances(logits).detach() * row_sums(advantages * logp)).sum()

    wanted = gradient(lambda logits: (chances(logits) * earned).sum(), policy)
    torch.testing.assert_close(gradient(policy_gradient, policy), wanted)


@pytest.mark.parametrize(("kind", "share"), [("rloo", 1.0), ("dr_grpo", 0.5)])
def test_two_draws_of_one_prompt_have_the_gradient_of_the_expected_reward(kind, share):
    # All pairs of texts are listed. What is subtracted holds a half of the completion's own reward in
    # the mean of the group, which shortens the step and does not turn it, and nothing of it without it.
    policy = table(1)
    earned = torch.linspace(-1, 2, len(TEXTS), dtype=torch.float64)
    number = len(TEXTS)
    pairs = torch.cartesian_prod(torch.arange(number), torch.arange(number))
    groups = torch.arange(0, 2 * len(pairs) + 1, 2)
    advantages = group_advantages(earned[pairs].flatten(), groups, kind).view(-1, 2)

    def policy_gradient(logits):
        chance = chances(logits).detach()[pairs].prod(-1)
        logp = row_sums(token_logprobs(logits))[pairs]
        return (chance[:, None] * advantages * logp).sum() / 2

    wanted = gradient(lambda logits: (chances(logits) * earned).sum(), policy)
    torch.testing.assert_close(gradient(policy_gradient, policy), share * wanted)


def advantage_by_hand(rewards: list[float], kind: str) -> list[float]:
    known = [r for r in rewards if not math.isnan(r)]
    if len(set(known)) < 2:
        return [0.0] * len(rewards)
    mean = math.fsum(known) / len(known)
    out = []
    for r in rewards:
        if math.isnan(r):
            out.append(0.0)
        elif kind == "rloo":
            out.append(r - (math.fsum(known) - r) / (len(known) - 1))
        elif kind == "grpo":
            out.append((r - mean) / (statistics.stdev(known) + 1e-4))
        else:
            out.append(r - mean)
    return out


reward_groups = st.lists(
    st.lists(st.sampled_from([0.1, 0.7, 1.0, -3.0, NAN]), max_size=6), min_size=1, max_size=4
)


@given(reward_groups, st.sampled_from(["grpo", "dr_grpo", "rloo"]))
def test_group_advantages_are_those_by_hand_also_where_rewards_do_not_apply(groups, kind):
    rewards = torch.tensor([r for group in groups for r in group], dtype=torch.float64)
    borders = torch.tensor([0, *torch.tensor([len(group) for group in groups]).cumsum(0)])
    wanted = [a for group in groups for a in advantage_by_hand(group, kind)]
    assert group_advantages(rewards, borders, kind).tolist() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("kind", ["grpo", "dr_grpo", "rloo"])
def test_equal_rewards_are_worth_exactly_nothing_in_float32(kind):
    # The mean of three 0.1 is not 0.1.
    rewards = torch.tensor([0.1] * 7 + [1.0, 0.0])
    found = group_advantages(rewards, torch.tensor([0, 7, 9]), kind)
    assert found.dtype == torch.float32
    assert found[:7].tolist() == [0] * 7
    assert found[7] > 0 > found[8]


def test_an_infinite_reward_is_refused():
    with pytest.raises(ValueError, match="completion 1 is infinite"):
        group_advantages(torch.tensor([0.0, math.inf]), torch.tensor([0, 2]), "grpo")


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20).filter(lambda x: max(x) - min(x) > 0.1))
def test_whitened_numbers_have_variance_one_and_the_mean_zero_or_their_own(numbers):
    x = torch.tensor(numbers, dtype=torch.float64)
    moved, kept = whiten(x), whiten(x, shift_mean=False)
    scale = math.sqrt(statistics.pvariance(numbers) + 1e-8)
    wanted = [(n - statistics.fmean(numbers)) / scale for n in numbers]
    assert moved.tolist() == pytest.approx(wanted, abs=1e-9)
    assert (kept - moved).tolist() == pytest.approx([statistics.fmean(numbers)] * len(numbers), abs=1e-9)


def test_numbers_that_are_all_equal_whiten_to_zero():
    assert whiten(torch.full((3,), 4.0)).tolist() == [0, 0, 0]
