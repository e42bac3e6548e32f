"""Losses over comparisons against brute force over the pairs, published numbers, and poison."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from truing.numerics import implicit_rewards, ranked_pairs, ranking_loss

Prompt = tuple[list[float], list[int]]


def flat(prompts: list[Prompt], dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    rewards = torch.tensor([r for rewards, _ in prompts for r in rewards], dtype=dtype)
    ranks = torch.tensor([k for _, ranks in prompts for k in ranks])
    groups = torch.tensor([0, *np.cumsum([len(ranks) for _, ranks in prompts])])
    return rewards, ranks, groups


@st.composite
def comparisons(draw: st.DrawFn) -> list[Prompt]:
    """One to four prompts of two to five answers, of which two at least are of different rank."""
    prompts = []
    for _ in range(draw(st.integers(1, 4))):
        count = draw(st.integers(2, 5))
        ranks = draw(
            st.lists(st.integers(1, 4), min_size=count, max_size=count).filter(lambda r: len(set(r)) > 1)
        )
        prompts.append((draw(st.lists(st.floats(-30, 30), min_size=count, max_size=count)), ranks))
    return prompts


def by_hand(prompts: list[Prompt], divide_by: str) -> float:
    """The mean over prompts of the mean over pairs, pair by pair."""
    means = []
    for rewards, ranks in prompts:
        pairs = list(combinations(range(len(ranks)), 2))
        nats, kept = 0.0, 0
        for i, j in pairs:
            if ranks[i] != ranks[j]:
                better, worse = (i, j) if ranks[i] < ranks[j] else (j, i)
                nats += math.log1p(math.exp(rewards[worse] - rewards[better]))
                kept += 1
        means.append(nats / (kept if divide_by == "kept" else len(pairs)))
    return sum(means) / len(means)


@pytest.mark.parametrize(
    ("ranks", "divide_by", "expected"),
    [
        ([1, 2, 3, 4], "kept", 0.227613),
        ([1, 2, 3, 4], "all", 0.227613),
        ([1, 2, 2, 4], "kept", 0.178321),
        ([1, 2, 2, 4], "all", 0.148601),
    ],
)
def test_the_loss_of_a_ranking_of_four_is_the_known_number(
    ranks: list[int], divide_by: str, expected: float
) -> None:
    loss = ranking_loss(*flat([([2.0, 1.0, 0.5, -1.0], ranks)]), divide_by=divide_by)
    assert float(loss) == pytest.approx(expected, abs=5e-7)


@settings(max_examples=150, deadline=None)
@given(comparisons(), st.sampled_from(["kept", "all"]))
def test_the_loss_is_that_of_every_pair_by_hand(prompts: list[Prompt], divide_by: str) -> None:
    assert float(ranking_loss(*flat(prompts), divide_by=divide_by)) == pytest.approx(
        by_hand(prompts, divide_by), rel=1e-9
    )


@settings(max_examples=50, deadline=None)
@given(comparisons(), st.floats(-5, 5))
def test_what_is_added_to_all_rewards_of_a_prompt_changes_nothing(
    prompts: list[Prompt], shift: float
) -> None:
    moved = [([r + shift * i for r in rewards], ranks) for i, (rewards, ranks) in enumerate(prompts)]
    assert float(ranking_loss(*flat(moved))) == pytest.approx(float(ranking_loss(*flat(prompts))), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(comparisons(), st.sampled_from(["kept", "all"]))
def test_parts_of_the_prompts_add_up_to_the_whole(prompts: list[Prompt], divide_by: str) -> None:
    """Batch 8 = 8 x 1: each part counts by its prompts."""
    whole = float(ranking_loss(*flat(prompts), divide_by=divide_by))
    parts = [float(ranking_loss(*flat([prompt]), divide_by=divide_by)) for prompt in prompts]
    assert sum(parts) / len(parts) == pytest.approx(whole, rel=1e-9)


def test_pairs_are_better_and_worse_of_one_prompt_without_ties() -> None:
    ranks, groups = torch.tensor([2, 1, 2, 1, 1, 3]), torch.tensor([0, 3, 6])
    assert ranked_pairs(ranks, groups).tolist() == [[1, 0], [1, 2], [3, 5], [4, 5]]


def test_a_tie_never_becomes_a_number() -> None:
    """Two answers of reward infinity that are tied: their difference is NaN, and nobody takes it."""
    rewards = torch.tensor([torch.inf, torch.inf, 0.0], requires_grad=True)
    loss = ranking_loss(rewards, torch.tensor([1, 1, 2]), torch.tensor([0, 3]))
    loss.backward()
    assert float(loss.detach()) == 0
    assert rewards.grad is not None
    assert rewards.grad.tolist() == [0.0, 0.0, 0.0]


def test_the_loss_is_finite_where_the_model_is_certain_and_wrong() -> None:
    rewards = torch.tensor([-500.0, 500.0], requires_grad=True)
    loss = ranking_loss(rewards, torch.tensor([1, 2]), torch.tensor([0, 2]))
    loss.backward()
    assert float(loss.detach()) == 1000
    assert rewards.grad is not None
    assert rewards.grad.tolist() == [-1.0, 1.0]


def test_a_prompt_without_a_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="prompt 1 has no two answers of different rank"):
        ranking_loss(*flat([([1.0, 2.0], [1, 2]), ([1.0, 2.0], [1, 1])]))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-200, 0)] * 4), min_size=1, max_size=5),
    st.floats(0.01, 2),
)
def test_two_answers_with_implicit_rewards_are_the_loss_of_dpo(
    rows: list[tuple[float, float, float, float]], beta: float
) -> None:
    """Rafailov et al. 2023, equation 7, written out."""
    by_hand = 0.0
    for chosen, rejected, ref_chosen, ref_rejected in rows:
        h = beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
        by_hand += (math.log1p(math.exp(-abs(h))) + max(-h, 0)) / len(rows)
    policy = torch.tensor([x for row in rows for x in row[:2]], dtype=torch.float64)
    reference = torch.tensor([x for row in rows for x in row[2:]], dtype=torch.float64)
    ranks, groups = torch.tensor([1, 2] * len(rows)), torch.arange(0, 2 * len(rows) + 1, 2)
    loss = ranking_loss(implicit_rewards(policy, reference, beta), ranks, groups)
    assert float(loss) == pytest.approx(by_hand, rel=1e-9, abs=1e-12)


def test_a_policy_that_is_its_reference_has_no_margin_and_the_loss_log_two() -> None:
    policy = torch.tensor([-40.25, -31.5, -7.0, -90.125])
    rewards = implicit_rewards(policy, policy.clone(), 0.1)
    assert rewards.tolist() == [0.0] * 4
    loss = ranking_loss(rewards.double(), torch.tensor([1, 2, 1, 2]), torch.tensor([0, 2, 4]))
    assert float(loss) == pytest.approx(math.log(2), abs=1e-15)


def test_the_gradient_of_dpo_pulls_by_how_wrong_the_margin_is() -> None:
    """Rafailov et al. 2023, equation 8: beta sigmoid(-margin) on each of the two."""
    policy = torch.tensor([-10.0, -12.0], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([-9.0, -14.0], dtype=torch.float64)
    loss = ranking_loss(implicit_rewards(policy, reference, 0.5), torch.tensor([1, 2]), torch.tensor([0, 2]))
    loss.backward()
    weight = 0.5 / (1 + math.exp(0.5 * (-1.0 - 2.0)))
    assert policy.grad is not None
    assert policy.grad.tolist() == pytest.approx([-weight, weight])
