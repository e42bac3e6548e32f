"""The sparse arithmetic is the dense one: values, gradients, and which latents are the greatest."""

import pytest
import torch

from truing.probe.sae_sparse import (
    Codes,
    Pattern,
    above,
    decode_at,
    encode_at,
    sampled_products,
    sums_of_rows,
    top_entries,
    top_latents,
    uniform,
)

N, W, D, K = 9, 32, 5, 3


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ragged() -> Pattern:
    """Rows with none, one and many latents."""
    table = drawn(N, W, seed=5)
    table[2] = -9
    table[4] = -9
    table[4, 7] = 9
    return above(table, torch.tensor(0.5, dtype=torch.float64))


PATTERNS = {"ragged": ragged, "uniform": lambda: uniform(drawn(N, W).topk(K).indices, W)}


def mask(pattern: Pattern) -> torch.Tensor:
    return Codes(torch.ones(len(pattern.latents), dtype=torch.float64), pattern).dense()


@pytest.mark.parametrize("name", PATTERNS)
def test_sums_and_sampled_products_are_those_of_whole_tables(name):
    pattern, values, table = PATTERNS[name](), drawn(200, seed=1), drawn(W, D, seed=2)
    values = values[: len(pattern.latents)]
    codes = Codes(values, pattern)
    assert torch.allclose(sums_of_rows(values, pattern, table), codes.dense() @ table)
    left = drawn(N, D, seed=3)
    wanted = (left @ table.T)[pattern.rows, pattern.latents]
    assert torch.allclose(sampled_products(left, table, pattern), wanted)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_seen_from_the_latents_is_its_transpose(name):
    pattern = PATTERNS[name]()
    order, other = pattern.by_latent
    assert torch.equal(mask(other), mask(pattern).T)
    values = drawn(200)[: len(pattern.latents)]
    assert torch.equal(Codes(values[order], other).dense(), Codes(values, pattern).dense().T)
    assert torch.equal(pattern.fired, mask(pattern).sum(0).long())


@pytest.mark.parametrize("name", PATTERNS)
def test_gradients_are_those_of_the_dense_products(name):
    pattern = PATTERNS[name]()
    chosen = mask(pattern)
    leaves = [
        t.requires_grad_() for t in (drawn(N, D), drawn(W, D, seed=1), drawn(W, seed=2), drawn(W, D, seed=3))
    ]
    x, encoder, bias, decoder = leaves
    weights = drawn(N, D, seed=4)
    pre = (x @ encoder.T + bias).detach()
    values = encode_at(x, encoder, bias, pre, pattern)
    sparse = decode_at(Codes(values.relu(), pattern), decoder)
    dense = ((x @ encoder.T + bias) * chosen).relu() @ decoder
    assert torch.allclose(sparse, dense)
    found = torch.autograd.grad((sparse * weights).sum(), leaves)
    wanted = torch.autograd.grad((dense * weights).sum(), leaves)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)
        assert ours.abs().max() > 0


@pytest.mark.parametrize(("width", "k"), [(64, 3), (64, 8), (50, 4), (16, 16)])
def test_the_greatest_latents_are_those_of_a_full_sort(width, k):
    pre = drawn(40, width).float()
    found = pre.gather(1, top_latents(pre, k)).sort(-1).values
    assert torch.equal(found, pre.sort(-1).values[:, -k:])
    assert (top_latents(pre, k).sort(-1).values.diff(dim=-1) > 0).all(), "no latent is named twice"


@pytest.mark.parametrize(("width", "count"), [(64, 90), (64, 2000), (50, 70), (64, 1)])
def test_the_greatest_entries_of_a_batch_are_those_of_a_full_sort(width, count):
    pre = drawn(40, width).float()
    pre[3] += 5  # one row takes many of them
    pattern = top_entries(pre, count)
    found = pre[pattern.rows, pattern.latents]
    wanted = pre.flatten().sort(descending=True).values[:count]
    assert torch.equal(found.sort(descending=True).values, wanted[wanted > 0])
    assert (pattern.starts.diff() >= 0).all()


def test_entries_that_are_not_above_zero_are_no_latents():
    pattern = top_entries(-torch.ones(4, 64), 8)
    assert len(pattern.latents) == 0
    assert torch.equal(sums_of_rows(torch.ones(0), pattern, torch.ones(64, 3)), torch.zeros(4, 3))
