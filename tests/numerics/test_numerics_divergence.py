"""The divergence of next-token distributions, exact and estimated, against brute force."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from truing.numerics import k1, k3, kl_exact

torch.set_num_threads(1)
INF = math.inf


def table(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


def by_hand(p: list[float], q: list[float]) -> float:
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def weights(size: int) -> st.SearchStrategy[list[float]]:
    some = st.lists(st.floats(0.001, 1) | st.just(0.0), min_size=size, max_size=size)
    return some.filter(lambda w: sum(w) > 0).map(lambda w: [x / sum(w) for x in w])


def positive(size: int) -> st.SearchStrategy[list[float]]:
    some = st.lists(st.floats(0.001, 1), min_size=size, max_size=size)
    return some.map(lambda w: [x / sum(w) for x in w])


@given(weights(5), positive(5))
def test_the_exact_divergence_is_the_mean_log_ratio_also_where_p_has_zeros(p, q):
    assert kl_exact(table(p), table(q)).item() == pytest.approx(by_hand(p, q), abs=1e-12)


@given(positive(5), positive(5))
def test_in_float32_it_is_as_exact_and_never_negative(p, q):
    found = kl_exact(table(p).float(), table(q).float())
    assert found.dtype == torch.float32
    assert found.item() >= 0
    assert found.item() == pytest.approx(by_hand(p, q), rel=1e-4, abs=1e-6)


def test_rows_are_independent_and_there_may_be_none():
    p, q = [[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]], [[0.25, 0.75], [0.9, 0.1], [0.5, 0.5]]
    wanted = [by_hand(a, b) for a, b in zip(p, q, strict=True)]
    assert kl_exact(table(*p), table(*q)).tolist() == pytest.approx(wanted)
    assert kl_exact(torch.zeros(0, 7), torch.zeros(0, 7)).tolist() == []


@given(weights(6))
def test_a_distribution_does_not_diverge_from_itself(p):
    assert kl_exact(table(p), table(p)).tolist() == [0.0]


def test_a_huge_vocabulary_that_hardly_moved_is_measured_in_float32_to_a_percent():
    make = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(2, 50_000, generator=make, dtype=torch.float64)
    moved = logits + 1e-3 * torch.randn(2, 50_000, generator=make, dtype=torch.float64)
    p, q = logits.log_softmax(-1), moved.log_softmax(-1)
    wanted = (p.exp() * (p - q)).sum(-1)
    found = kl_exact(logits.float().log_softmax(-1), moved.float().log_softmax(-1))
    assert found.tolist() == pytest.approx(wanted.tolist(), rel=0.01)


def test_what_q_rules_out_is_infinite_and_what_p_rules_out_is_nothing():
    half = math.log(0.5)
    p = torch.tensor([[half, half, -INF], [half, half, -INF], [-INF, 0.0, -INF]])
    q = torch.tensor([[half, -INF, half], [half, half, -INF], [-INF, 0.0, -INF]])
    assert kl_exact(p, q).tolist() == [INF, 0.0, 0.0]


def test_what_p_hardly_ever_draws_is_still_infinite_where_q_rules_it_out():
    # exp(-200) is 0 in float32, and 0 * inf is NaN.
    p, q = torch.tensor([[-200.0, 0.0]]), torch.tensor([[-INF, 0.0]])
    assert kl_exact(p, q).tolist() == [INF]
    assert kl_exact(q, p).tolist() == [0.0]


def test_a_gap_whose_exponential_overflows_is_no_nan():
    p, q = torch.tensor([[-120.0, 0.0]]), torch.tensor([[0.0, -120.0]])
    assert kl_exact(p, q).item() == pytest.approx(120)


@pytest.mark.parametrize("bad", [math.nan, INF, 3.0])
@pytest.mark.parametrize("side", [0, 1])
def test_what_is_no_log_probability_is_refused(bad, side):
    tables = [table([0.5, 0.5]), table([0.5, 0.5])]
    tables[side][0, 0] = bad
    with pytest.raises(ValueError, match=f"rows of {'pq'[side]} are no log-probabilities"):
        kl_exact(*tables)


def test_tables_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="of one shape"):
        kl_exact(table([0.5, 0.5]), table([1.0]))


@given(st.floats(-30, 0), st.floats(-30, 0))
def test_the_estimators_are_those_of_schulman(logp, logq):
    p, q = torch.tensor(logp, dtype=torch.float64), torch.tensor(logq, dtype=torch.float64)
    assert k1(p, q).item() == logp - logq
    wanted = math.exp(logq - logp) - 1 - (logq - logp)
    assert k3(p, q).item() == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert k3(p, q).item() >= 0
    assert k3(p, p).item() == k1(p, p).item() == 0


def test_one_draw_of_k1_can_be_negative_and_a_token_that_q_rules_out_is_infinite():
    p, q = torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.9)])
    assert k1(p, q).item() < 0 < k3(p, q).item()
    never = torch.tensor([-INF])
    assert k1(p, never).item() == k3(p, never).item() == INF


class Tiny:
    """An autoregressive model of three tokens, of which 2 ends the text; texts have at most `longest` tokens."""

    longest = 4

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def after(self, prefix: tuple[int, ...]) -> torch.Tensor:
        rng = np.random.default_rng([self.seed, *prefix])
        return torch.tensor(1.5 * rng.normal(size=3)).log_softmax(-1)

    @classmethod
    def texts(cls) -> list[tuple[int, ...]]:
        ended = [(*head, 2) for n in range(cls.longest) for head in itertools.product((0, 1), repeat=n)]
        return ended + list(itertools.product((0, 1), repeat=cls.longest))

    def logprobs(self, text: tuple[int, ...]) -> torch.Tensor:
        return torch.stack([self.after(text[:t])[token] for t, token in enumerate(text)])


def test_along_texts_drawn_from_p_all_three_have_the_expectation_of_the_divergence_between_texts():
    p, q = Tiny(1), Tiny(2)
    truth, totals, mass = 0.0, dict.fromkeys(("exact", "k1", "k3"), 0.0), 0.0
    squares = dict.fromkeys(totals, 0.0)
    for text in Tiny.texts():
        logp, logq = p.logprobs(text), q.logprobs(text)
        chance = math.exp(logp.sum())
        mass += chance
        truth += chance * (logp.sum() - logq.sum()).item()
        rows = [torch.stack([model.after(text[:t]) for t in range(len(text))]) for model in (p, q)]
        for name, value in (
            ("exact", kl_exact(*rows).sum()),
            ("k1", k1(logp, logq).sum()),
            ("k3", k3(logp, logq).sum()),
        ):
            totals[name] += chance * value.item()
            squares[name] += chance * value.item() ** 2
    assert mass == pytest.approx(1)
    assert all(total == pytest.approx(truth, rel=1e-12) for total in totals.values())
    spread = {name: squares[name] - totals[name] ** 2 for name in totals}
    assert spread["exact"] < spread["k1"] / 2  # what averaging over the next token is for
