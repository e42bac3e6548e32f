"""Divergences of a student from its teacher, against their definitions and automatic gradients in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from truing.numerics import chunked_divergence, exact_kl, forward_kl, generalised_jsd

torch.set_num_threads(1)
BETAS = [0.0, 1e-3, 0.3, 0.5, 0.9, 1.0]


def by_definition(student: Tensor, teacher: Tensor, beta: float) -> Tensor:
    p, q = student.softmax(-1), teacher.softmax(-1)
    if beta == 0:
        return (q * (q / p).log()).sum(-1)
    if beta == 1:
        return (p * (p / q).log()).sum(-1)
    m = beta * q + (1 - beta) * p
    return beta * (q * (q / m).log()).sum(-1) + (1 - beta) * (p * (p / m).log()).sum(-1)


def tables(seed: int = 0, rows: int = 6, words: int = 11) -> tuple[Tensor, Tensor]:
    make = torch.Generator().manual_seed(seed)
    student, teacher = (2 * torch.randn(rows, words, generator=make) for _ in range(2))
    return student.requires_grad_(), teacher


@pytest.mark.parametrize("beta", BETAS)
def test_value_and_gradient_are_those_of_the_definition(beta):
    student, teacher = tables()
    weights = torch.arange(1.0, 7)
    found = generalised_jsd(student, teacher, beta)
    exact = student.detach().double().requires_grad_()
    wanted = by_definition(exact, teacher.double(), beta)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-6)
    (slope,) = torch.autograd.grad((weights * found).sum(), student)
    (truth,) = torch.autograd.grad((weights * wanted).sum(), exact)
    torch.testing.assert_close(slope.double(), truth, rtol=1e-4, atol=1e-6)


def test_the_ends_are_the_two_divergences_and_the_middle_is_symmetric():
    student, teacher = tables()
    assert torch.equal(generalised_jsd(student, teacher, 1), exact_kl(student, teacher))
    assert torch.equal(generalised_jsd(student, teacher, 0), forward_kl(student, teacher))
    assert torch.equal(forward_kl(student, teacher), exact_kl(teacher, student))
    both = generalised_jsd(student, teacher, 0.5), generalised_jsd(teacher, student, 0.5)
    torch.testing.assert_close(*both)


def test_divided_by_its_weight_it_goes_to_the_divergence_that_stands_at_its_end():
    student, teacher = (table / 4 for table in tables())
    small = 1e-3
    near = generalised_jsd(student, teacher, small) / small
    torch.testing.assert_close(near, forward_kl(student, teacher), rtol=0.02, atol=1e-3)
    near = generalised_jsd(student, teacher, 1 - small) / small
    torch.testing.assert_close(near, exact_kl(student, teacher), rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("beta", BETAS)
def test_a_student_that_is_the_teacher_is_at_zero_and_nothing_moves_it(beta):
    student, _ = tables(rows=40, words=3000)
    found = generalised_jsd(student, student.detach().clone(), beta)
    assert found.tolist() == [0] * 40
    assert torch.autograd.grad(found.sum(), student)[0].abs().max() < 1e-9


@given(st.floats(0, 1), st.lists(st.floats(-1e5, 1e5), min_size=6, max_size=6))
def test_it_is_finite_and_bounded_whatever_the_logits(beta, numbers):
    student = torch.tensor([numbers[:3]], requires_grad=True)
    found = generalised_jsd(student, torch.tensor([numbers[3:]]), beta)
    assert found.isfinite().all()
    assert found.item() >= 0
    if 0 < beta < 1:
        assert found.item() <= math.log(2) + 1e-5
    assert torch.autograd.grad(found.sum(), student)[0].isfinite().all()


@pytest.mark.parametrize("beta", BETAS)
def test_what_both_rule_out_counts_for_nothing_and_a_padded_head_is_cut(beta):
    student, teacher = tables(words=5)
    wanted = generalised_jsd(student, teacher, beta)
    never = torch.full((6, 2), -math.inf)
    masked = generalised_jsd(torch.cat([student, never], 1), torch.cat([teacher, never], 1), beta)
    torch.testing.assert_close(masked, wanted)
    padded = torch.cat([student, torch.full((6, 3), 50.0)], 1)
    assert torch.equal(generalised_jsd(padded, teacher, beta), wanted)


def test_a_temperature_divides_the_logits_of_both():
    student, teacher = tables()
    wanted = generalised_jsd(student / 0.7, teacher / 0.7, 0.4)
    torch.testing.assert_close(generalised_jsd(student, teacher, 0.4, temperature=0.7), wanted)


@pytest.mark.parametrize(("beta", "temperature"), [(-0.1, 1.0), (1.1, 1.0), (math.nan, 1.0), (0.5, 0.0)])
def test_what_is_out_of_range_is_refused(beta, temperature):
    with pytest.raises(ValueError, match="no divergence"):
        generalised_jsd(*tables(), beta, temperature=temperature)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_chunks_give_what_all_at_once_gives_and_never_more_rows_of_logits(chunk):
    make = torch.Generator().manual_seed(3)
    hidden = torch.randn(10, 8, generator=make, requires_grad=True)
    theirs = torch.randn(10, 5, generator=make)
    ours, teacher = torch.nn.Linear(8, 20), torch.nn.Linear(5, 20)
    rows: list[int] = []

    def head(states: Tensor) -> Tensor:
        rows.append(len(states))
        return ours(states)

    found = chunked_divergence(hidden, head, theirs, teacher, beta=0.3, temperature=1.3, chunk=chunk)
    wanted = generalised_jsd(ours(hidden), teacher(theirs), 0.3, temperature=1.3)
    torch.testing.assert_close(found, wanted)
    inputs = [hidden, *ours.parameters()]
    slopes = [torch.autograd.grad(x.square().sum(), inputs) for x in (found, wanted)]
    torch.testing.assert_close(*slopes)
    assert max(rows) == min(chunk, 10)
    with torch.no_grad():
        torch.testing.assert_close(
            chunked_divergence(hidden, head, theirs, teacher, beta=0.3, temperature=1.3, chunk=chunk), wanted
        )
