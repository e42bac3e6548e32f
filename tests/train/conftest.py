"""Fixtures of the training tests."""

from collections.abc import Iterator

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook


@pytest.fixture
def gradients() -> Iterator[list[list[torch.Tensor]]]:
    """The gradients of every optimiser step, parameter by parameter (matrices first, then vectors)."""
    steps: list[list[torch.Tensor]] = []

    def record(optimizer: torch.optim.Optimizer, *_: object) -> None:
        steps.append([p.grad.clone() for group in optimizer.param_groups for p in group["params"]])

    handle = register_optimizer_step_pre_hook(record)
    yield steps
    handle.remove()
