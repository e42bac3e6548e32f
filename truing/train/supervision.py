"""The supervised loop: pretraining from scratch and supervised fine-tuning."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from truing.model import Trunk, computes_bfloat16
from truing.numerics import generator
from truing.run import progress
from truing.train.forward import Forward
from truing.train.loss import backward_nll
from truing.train.plan import micro_batches, plan
from truing.train.resume import Resume
from truing.train.rows import TokenRows
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MICRO_TOKENS = 2048
_CURVE = 100


@dataclass(frozen=True)
class SupervisedConfig:
    """The numbers of supervised training with AdamW (Loshchilov and Hutter 2019) and a cosine schedule.

    Raises:
        InputError: a number is out of its range.
    """

    learning_rate: float
    """The highest learning rate of the schedule."""
    tokens_per_step: int = 4096
    """Tokens per optimiser step, about: steps are made of whole rows."""
    passes: float = 1.0
    """How often every row is trained on; 0.5 is a random half of the rows once."""
    warmup: float = 0.03
    """The share of the steps in which the learning rate rises linearly from 0."""
    final_rate: float = 0.1
    """The learning rate at the end of the cosine decay, as a share of `learning_rate`."""
    weight_decay: float = 0.1
    """Decoupled weight decay of matrices, embeddings included; norms and biases have none (as GPT-3)."""
    beta1: float = 0.9
    """AdamW's decay of the mean gradient."""
    beta2: float = 0.95
    """AdamW's decay of the mean squared gradient."""
    clip: float = 1.0
    """The largest norm of a step's gradient."""
    key: int = 0
    """Decides the order of the rows and what dropout drops."""

    def __post_init__(self) -> None:
        above_zero = ("learning_rate", "tokens_per_step", "passes", "clip")
        shares = ("warmup", "final_rate", "beta1", "beta2")
        for name in above_zero:
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in shares:
            if not 0 <= getattr(self, name) <= (1 if name == "final_rate" else 0.9999):
                raise InputError(f"{name} must be a share of 1, not {getattr(self, name)}")
        if not self.weight_decay >= 0:
            raise InputError(f"weight_decay must not be negative, as {self.weight_decay} is")


@dataclass(frozen=True)
class Trained:
    """What a training took and how it went."""

    tokens: int
    """Tokens that went through the model, each pass counted."""
    loss_tokens: int
    """Those of them that carried loss."""
    steps: int
    """Optimiser steps."""
    cpu_seconds: float
    """Processor time of this process, over all resumptions."""
    loss: float
    """Mean loss at the end, in nats per token: the last value of the curve."""
    curve: tuple[tuple[int, float], ...]
    """At most 100 points: a step, and the mean loss of the steps since the point before."""


def supervised(
    net: "PreTrainedModel",
    rows: TokenRows,
    config: SupervisedConfig,
    *,
    what: str,
    checkpoint: Path | None = None,
) -> Trained:
    """Train `net` in place on the next token of every row where its mask says so; leave it in `eval` mode.

    The loss of a step is the negative log-likelihood summed over the step's trained tokens, divided
    by their number, whatever the lengths of the rows. Nothing is padded, and logits are made only
    where there is loss. The same weights, rows and configuration give the same weights, bit for bit,
    on one kind of machine with one number of threads. The global random generators are left as they
    were.

    Matrix products run in bfloat16 where the device computes in it; weights and optimiser stay float32.

    Args:
        net: trained where its parameters require a gradient; these must be float32.
        rows: what it is trained on.
        config: how.
        what: the job's name in the progress line.
        checkpoint: a file that receives the state about once a minute and at the end. If it is there
            already, training goes on from it, to the same weights as without the interruption; `net`
            must come with the weights that it had at the first start.

    Raises:
        InputError: a row is longer than the model's context or has a token that the model has not;
            parameters are not float32; the checkpoint is of another configuration, other rows or
            another model; the loss is no longer a number.
        StorageError: the disk refuses the checkpoint.
    """
    started = time.process_time()
    trunk = Trunk(net)
    _check(trunk, rows)
    steps = plan(rows.lengths, tokens_per_step=config.tokens_per_step, passes=config.passes, key=config.key)
    optimizer = _optimizer(net, config)
    resume = Resume(checkpoint, net, optimizer, config, rows)
    losses = resume.losses
    forward = Forward(net, _extremes(rows, trunk.device))
    with progress(len(steps), what, unit="steps") as advance, _training(net, trunk.device, forward):
        advance(len(losses))
        for number in range(len(losses), len(steps)):
            torch.manual_seed(int(generator(config.key, "dropout", str(number)).integers(2**63)))
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * _schedule(number, len(steps), config)
            losses.append(_backward(trunk, forward, rows, steps.step(number)))
            if not math.isfinite(losses[-1]):
                raise InputError(
                    f"{what}: the loss of step {number + 1} is {losses[-1]}", mend="lower the learning rate"
                )
            nn.utils.clip_grad_norm_(net.parameters(), config.clip)
            optimizer.step()
            optimizer.zero_grad()
            resume.save(time.process_time() - started, last=number + 1 == len(steps))
            advance(1)
    curve = _curve(losses)
    return Trained(
        tokens=int(rows.lengths[steps.order].sum()),
        loss_tokens=int(rows.trained[steps.order].sum()),
        steps=len(steps),
        cpu_seconds=resume.cpu_seconds + time.process_time() - started,
        loss=curve[-1][1],
        curve=curve,
    )


def _backward(trunk: Trunk, forward: Forward, rows: TokenRows, chosen: NDArray[np.int64]) -> float:
    """Add the gradient of a step's mean loss (nats per trained token) to the parameters; return the loss."""
    share = 1 / float(rows.trained[chosen].sum())
    total = torch.zeros((), device=trunk.device)
    for batch in micro_batches(rows.lengths[chosen], _MICRO_TOKENS):
        ids, mask = rows.take(chosen[batch])
        flat = torch.from_numpy(ids.astype(np.int64)).to(trunk.device)
        at = torch.from_numpy(np.flatnonzero(mask)).to(trunk.device)
        with _autocast(trunk.device):
            hidden = forward(flat, rows.lengths[chosen[batch]].tolist())
            # The first token of a row is never trained on, so `at - 1` stays in the row.
            total += backward_nll(hidden[at - 1], trunk.logits, flat[at], share)
    return float(total)


def _check(trunk: Trunk, rows: TokenRows) -> None:
    longest = int(rows.lengths.argmax())
    if trunk.context is not None and rows.lengths[longest] > trunk.context:
        first = int((rows.lengths > trunk.context).argmax())
        raise InputError(
            f"row {first + 1} has {rows.lengths[first]} tokens, the model's context is {trunk.context}",
            mend="shorten it or leave it out",
        )
    vocabulary = trunk.net.get_input_embeddings().weight.shape[0]
    if rows.ids.max() >= vocabulary:
        at = int((rows.ids >= vocabulary).argmax())
        row = int(np.searchsorted(rows.offsets, at, side="right"))
        raise InputError(f"row {row} has the token {rows.ids[at]}, the model's vocabulary is {vocabulary}")
    other = {str(p.dtype) for p in trunk.net.parameters() if p.requires_grad} - {"torch.float32"}
    if other:
        raise InputError(f"cannot train weights of {min(other)}", mend="load the model with dtype float32")


def _extremes(rows: TokenRows, device: torch.device) -> list[Tensor]:
    """The shortest and the longest row, on which a model shows whether its rows can be packed."""
    ends = (rows.lengths.argmin(), rows.lengths.argmax())
    return [torch.from_numpy(rows.take(np.array([row]))[0].astype(np.int64)).to(device) for row in ends]


def _optimizer(net: nn.Module, config: SupervisedConfig) -> torch.optim.Optimizer:
    trained = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def _schedule(step: int, steps: int, config: SupervisedConfig) -> float:
    """The share of the highest learning rate at a step (from 0): linear warm-up, then half a cosine."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - 1 - warmup)
    return config.final_rate + (1 - config.final_rate) * (1 + math.cos(math.pi * done)) / 2


@contextmanager
def _training(net: "PreTrainedModel", device: torch.device, forward: Forward) -> Iterator[None]:
    net.zero_grad()
    net.train()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), forward.attending():
            yield
    finally:
        net.zero_grad()
        net.eval()


def _autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where it is computed and not emulated."""
    return torch.autocast(device.type, torch.bfloat16) if computes_bfloat16(device) else nullcontext()


def _curve(losses: list[float]) -> tuple[tuple[int, float], ...]:
    parts = np.array_split(np.array(losses), min(_CURVE, len(losses)))
    ends = np.cumsum([len(part) for part in parts])
    return tuple((int(end), float(part.mean())) for end, part in zip(ends, parts, strict=True))
