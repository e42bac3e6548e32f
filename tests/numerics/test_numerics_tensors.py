"""Log-probabilities of tokens, given and drawn, against brute force."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from truing.numerics import chunked_logprobs, inverse_cdf, warp_logits

torch.set_num_threads(1)
logit = st.floats(-30, 30, width=32)


class Largest(TorchDispatchMode):
    """Notes the most elements that any tensor made inside has."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(made, torch.Tensor):
                self.numel = max(self.numel, made.numel())
        return out


def problem(n: int, d: int = 8, v: int = 50) -> tuple[torch.Tensor, torch.nn.Linear, torch.Tensor]:
    make = torch.Generator().manual_seed(n)
    head = torch.nn.Linear(d, v)
    with torch.no_grad():
        for weight in head.parameters():
            weight.copy_(torch.randn(weight.shape, generator=make))
    hidden = torch.randn(n, d, generator=make, requires_grad=True)
    return hidden, head, torch.randint(0, v, (n,), generator=make)


def plain(hidden, head, targets, temperature):
    return torch.log_softmax(head(hidden) / temperature, -1).gather(-1, targets[:, None]).squeeze(-1)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 23])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_chunked_logprobs_equal_the_plain_form_and_so_do_their_gradients(n, temperature):
    hidden, head, targets = problem(n)
    weight = torch.linspace(0.5, 2, n)
    chunked = chunked_logprobs(hidden, head, targets, temperature=temperature, chunk=8)
    assert torch.allclose(chunked, plain(hidden, head, targets, temperature), atol=1e-5)
    ours = torch.autograd.grad((chunked * weight).sum(), [hidden, head.weight, head.bias])
    theirs = torch.autograd.grad(
        (plain(hidden, head, targets, temperature) * weight).sum(), [hidden, head.weight, head.bias]
    )
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


def test_chunked_logprobs_never_hold_the_whole_table_of_logits_forward_or_backward():
    hidden, head, targets = problem(512, v=200)
    with Largest() as chunked:
        chunked_logprobs(hidden, head, targets, chunk=16).sum().backward()
    with Largest() as whole:
        plain(hidden, head, targets, 1.0).sum().backward()
    assert whole.numel == 512 * 200
    assert chunked.numel <= max(16 * 200, 512 * 8)


def test_chunked_logprobs_of_half_precision_logits_are_computed_in_float32():
    hidden, head, targets = problem(5)
    half = chunked_logprobs(hidden.bfloat16(), head.bfloat16(), targets)
    exact = torch.log_softmax(head(hidden.bfloat16()).double(), -1).gather(-1, targets[:, None]).squeeze(-1)
    assert half.dtype == torch.float32
    assert torch.allclose(half.double(), exact, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_of_zero_has_no_distribution(temperature):
    hidden, head, targets = problem(2)
    with pytest.raises(ValueError, match="above 0"):
        chunked_logprobs(hidden, head, targets, temperature=temperature)
    with pytest.raises(ValueError, match="above 0"):
        warp_logits(torch.zeros(1, 3), temperature=temperature)


def warped_by_hand(logits: list[float], temperature: float, top_k: int, top_p: float) -> list[float]:
    """Probabilities, from the definitions: sort, cut, renormalise; ties with the last admitted stay."""
    scores = [x / temperature for x in logits]
    if top_k:
        edge = sorted(scores, reverse=True)[min(top_k, len(scores)) - 1]
        scores = [x if x >= edge else -math.inf for x in scores]
    top = max(scores)
    mass = [math.exp(x - top) for x in scores]
    mass = [m / math.fsum(mass) for m in mass]
    if top_p < 1:
        held, edge = 0.0, 0.0
        for m in sorted(mass, reverse=True):
            edge, held = m, held + m
            if held >= top_p:
                break
        mass = [m if m >= edge else 0.0 for m in mass]
    return [m / math.fsum(mass) for m in mass]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(-12, 12), min_size=1, max_size=12),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.integers(0, 13),
    # Never a sum of the masses: whether the edge token is in would then be a matter of rounding.
    st.sampled_from([1.0, 0.9123, 0.5037, 0.0511]),
)
def test_warped_logits_are_the_distribution_that_the_definitions_give(logits, temperature, top_k, top_p):
    found = warp_logits(
        torch.tensor([logits], dtype=torch.float32), temperature=temperature, top_k=top_k, top_p=top_p
    )
    wanted = warped_by_hand(logits, temperature, top_k, top_p)
    assert torch.allclose(found.exp()[0].double(), torch.tensor(wanted, dtype=torch.float64), atol=1e-5)
    assert [math.isinf(x) for x in found[0].tolist()] == [p == 0 for p in wanted]


def test_a_nucleus_of_thousands_of_tokens_is_found_by_the_full_sort():
    logits = torch.linspace(0, 1, 4000)[torch.randperm(4000, generator=torch.Generator().manual_seed(0))]
    kept = warp_logits(logits[None], top_p=0.9).isfinite().sum().item()
    wanted = sum(p > 0 for p in warped_by_hand(logits.tolist(), 1.0, 0, 0.9))
    assert kept == pytest.approx(wanted, abs=2)
    assert kept > 2000


def test_tokens_tied_with_the_last_admitted_are_admitted():
    logits = torch.tensor([[1.0, 3.0, 1.0, 1.0, 0.0]])
    assert warp_logits(logits, top_k=2).isfinite().tolist() == [[True, True, True, True, False]]
    assert warp_logits(logits, top_p=0.8).isfinite().tolist() == [[True, True, True, True, False]]


@pytest.mark.parametrize("warp", [{}, {"top_k": 2}, {"top_p": 0.7}, {"top_k": 3, "top_p": 0.7}])
def test_nan_in_one_row_stays_in_that_row(warp):
    logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    poisoned = logits.clone()
    poisoned[1, 2] = torch.nan
    clean, found = warp_logits(logits, **warp), warp_logits(poisoned, **warp)
    assert torch.equal(found[[0, 2]], clean[[0, 2]])
    assert found[1].isnan().all()
    tokens = inverse_cdf(found, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    wanted = inverse_cdf(clean, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    assert tokens[[0, 2]].tolist() == wanted[[0, 2]].tolist()
    assert 0 <= tokens[1] < 6


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.one_of(logit, st.just(-math.inf)), min_size=1, max_size=9).filter(
        lambda x: max(x) > -math.inf
    ),
    st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, 0.5, 1 - 2**-53])),
)
def test_the_inverse_cdf_finds_the_quantile_and_never_an_impossible_token(logits, u):
    logprobs = torch.tensor([logits]).log_softmax(-1)
    token = int(inverse_cdf(logprobs, torch.tensor([u], dtype=torch.float64)))
    probs = logprobs.exp().double()[0]
    assert probs[token] > 0
    below, goal = probs[:token].sum(), u * probs.sum()
    assert below <= goal + 1e-12
    assert below + probs[token] >= goal - 1e-12


def test_a_rounded_up_quantile_falls_on_the_last_possible_token():
    logprobs = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]).log()
    assert inverse_cdf(logprobs, torch.tensor([1.0, 1.0], dtype=torch.float64)).tolist() == [1, 3]


def test_a_quantile_on_the_border_of_two_tokens_is_the_later_one():
    u = torch.tensor([0.0, 0.25, 0.5, 0.75], dtype=torch.float64)
    assert inverse_cdf(torch.zeros(4, 4).log_softmax(-1), u).tolist() == [0, 1, 2, 3]


def test_evenly_spaced_quantiles_draw_every_token_as_often_as_its_probability_says():
    probs = torch.tensor([0.1, 0.0, 0.35, 0.05, 0.5])
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    tokens = inverse_cdf(probs.log().expand(1000, -1), u)
    assert tokens.bincount(minlength=5).tolist() == [100, 0, 350, 50, 500]
