"""AdamW with a schedule: the numbers that every loop here has, and what is made of them."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from truing.model import is_sharded
from truing.train.distributed import Fleet
from truing.types import InputError


@dataclass(frozen=True)
class AdamWConfig:
    """The numbers of AdamW (Loshchilov and Hutter 2019).

    Raises:
        InputError: a number is out of its range.
    """

    learning_rate: float
    """The highest learning rate."""
    weight_decay: float = 0.1
    """Decoupled weight decay of matrices, embeddings included; norms and biases have none (as GPT-3)."""
    beta1: float = 0.9
    """AdamW's decay of the mean gradient."""
    beta2: float = 0.95
    """AdamW's decay of the mean squared gradient."""
    clip: float = 1.0
    """The largest norm of a step's gradient."""
    recompute: bool = False
    """Makes a layer's activations again in the backward pass: a third more work, a fraction of the memory."""
    key: int = 0
    """Decides all that is drawn: the order of the rows, what dropout drops, samples."""

    def __post_init__(self) -> None:
        check_above_zero(self, "learning_rate", "clip")
        check_shares(self, "beta1", "beta2")
        if not self.weight_decay >= 0:
            raise InputError(f"weight_decay must not be negative, as {self.weight_decay} is")


@dataclass(frozen=True)
class OptimizerConfig(AdamWConfig):
    """The numbers of training on rows that are there beforehand: passes over them, and a cosine schedule.

    Raises:
        InputError: a number is out of its range.
    """

    passes: float = 1.0
    """How often every row is trained on; 0.5 is a random half of the rows once."""
    warmup: float = 0.03
    """The share of the steps in which the learning rate rises linearly from 0."""
    final_rate: float = 0.1
    """The learning rate at the end of the cosine decay, as a share of `learning_rate`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_zero(self, "passes")
        check_shares(self, "warmup")
        if not 0 <= self.final_rate <= 1:
            raise InputError(f"final_rate must be a share of 1, not {self.final_rate}")


def check_above_zero(config: object, *names: str) -> None:
    """Raise InputError where a number of the configuration is not above 0 and finite."""
    for name in names:
        if not 0 < getattr(config, name) < math.inf:
            raise InputError(f"{name} must be above 0, not {getattr(config, name)}")


def check_shares(config: object, *names: str) -> None:
    """Raise InputError where a number of the configuration is no share of 1, or is all of it."""
    for name in names:
        if not 0 <= getattr(config, name) <= 0.9999:
            raise InputError(f"{name} must be a share of 1, not {getattr(config, name)}")


def adamw(net: nn.Module, config: AdamWConfig) -> torch.optim.Optimizer:
    """AdamW over the parameters that require a gradient, matrices first.

    Raises:
        InputError: one of them is not float32, or there are none.
    """
    trained = [p for p in net.parameters() if p.requires_grad]
    if not trained:
        raise InputError("no parameter of the model requires a gradient")
    other = {str(p.dtype) for p in trained} - {"torch.float32"}
    if other:
        raise InputError(f"cannot train weights of {min(other)}", mend="load the model with dtype float32")
    # A fused step takes tensors of one kind: those that FSDP2 has sharded, and whole ones.
    groups = [
        {"params": [p for p in some if (p.ndim > 1) == matrices], "weight_decay": decay}
        for matrices, decay in ((True, config.weight_decay), (False, 0.0))
        for some in ([p for p in trained if is_sharded(p)], [p for p in trained if not is_sharded(p)])
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def descend(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: float,
    *,
    rate: float,
    clip: float,
    what: str,
    step: int,
) -> float:
    """Take the step of the gradient that the parameters hold, and forget it; its norm before clipping.

    Args:
        net: what is trained.
        optimizer: over its parameters.
        loss: what the gradient is of.
        rate: the learning rate of this step.
        clip: the largest norm; a longer gradient is shortened to it.
        what: the job's name, for errors.
        step: the step's number from 0, for errors.

    Raises:
        InputError: the loss or its gradient is no longer a number; nothing is changed.
    """
    if not math.isfinite(loss):
        raise InputError(f"{what}: the loss of step {step + 1} is {loss}", mend="lower the learning rate")
    norm = Fleet.of(net).clip(net, clip)
    if not bool(norm.isfinite()):
        problem = f"{what}: the gradient of step {step + 1} is not finite"
        raise InputError(problem, mend="lower the learning rate")
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad()
    return float(norm)


def schedule(step: int, steps: int, config: OptimizerConfig) -> float:
    """The share of the highest learning rate at a step (from 0): linear warm-up, then half a cosine."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - 1 - warmup)
    return config.final_rate + (1 - config.final_rate) * (1 + math.cos(math.pi * done)) / 2
