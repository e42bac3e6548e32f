"""The chunked loss against autograd through torch's own cross entropy."""

import pytest
import torch
from torch.nn import functional as F

from truing.train import loss as subject


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "LOGIT_ROWS", 7)


def case() -> tuple[torch.Tensor, torch.nn.Linear, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    body = torch.randn(20, 5, generator=rng, dtype=torch.float64).requires_grad_()
    head = torch.nn.Linear(5, 11, dtype=torch.float64)
    head.weight.data = torch.randn(11, 5, generator=rng, dtype=torch.float64)
    return body, head, torch.randint(0, 11, (20,), generator=rng)


def test_loss_and_gradients_are_those_of_cross_entropy() -> None:
    body, head, targets = case()
    wanted = 0.3 * F.cross_entropy(head(body.tanh()), targets, reduction="sum")
    gradients = torch.autograd.grad(wanted, [body, head.weight, head.bias])
    total = subject.backward_nll(body.tanh(), head, targets, 0.3)
    assert float(total) == pytest.approx(float(wanted.detach()))
    assert not total.requires_grad
    for mine, theirs in zip((body.grad, head.weight.grad, head.bias.grad), gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_gradients_add_up_over_calls() -> None:
    body, head, targets = case()
    subject.backward_nll(body.tanh(), head, targets, 1.0)
    once = [body.grad.clone(), head.weight.grad.clone()]
    subject.backward_nll(body.tanh(), head, targets, 1.0)
    torch.testing.assert_close([body.grad, head.weight.grad], [2 * g for g in once])


def test_a_head_can_be_trained_on_a_frozen_body() -> None:
    body, head, targets = case()
    subject.backward_nll(body.detach(), head, targets, 1.0)
    assert body.grad is None
    assert head.weight.grad is not None


def test_an_all_but_impossible_token_has_a_finite_loss() -> None:
    body = torch.tensor([[300.0, 0.0, 0.0]], requires_grad=True)
    total = subject.backward_nll(body, lambda x: x, torch.tensor([1]), 1.0)
    assert float(total) == pytest.approx(300)
    assert body.grad.tolist() == [[1.0, -1.0, 0.0]]
