"""What all loops share: steps of whole units, forward passes that waste nothing, the optimiser, the way back.

A loop is a configuration and a loss. It hands over a `Job` and a function that back-propagates the loss
of a `Part`, which is what went through the model at once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truing.model import PackedForward
from truing.numerics import generator
from truing.run import progress
from truing.train.beside import Beside, BesideRows
from truing.train.distributed import Fleet
from truing.train.optimizer import OptimizerConfig, adamw, descend, schedule
from truing.train.parts import Part, Reader, autocast
from truing.train.plan import Plan
from truing.train.recompute import recomputing
from truing.train.resume import Resume
from truing.train.rows import TokenRows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CURVE = 100

Loss = Callable[[Part, float], Tensor]
"""Back-propagates to `hidden` the loss of a part, summed over its units and times the number; returns it."""

ExtraLoss = Callable[[Part], Tensor]
"""A further loss of a part, summed over what the loop's own loss is a mean of, as a scalar."""

ForwardContext = Callable[[], AbstractContextManager[object]]
"""Opened around every forward pass."""

Observe = Callable[[int, float], bool]
"""Is told after a step how many are done and the loss of the last; true ends the training.

It may send texts of its own through the model. After an interruption it is told of steps again.
"""


@dataclass(frozen=True)
class Trained:
    """What a training took and how it went."""

    tokens: int
    """Tokens of the rows that were trained on, each pass counted."""
    loss_tokens: int
    """Those of them that carried loss."""
    steps: int
    """Optimiser steps that were taken."""
    cpu_seconds: float
    """Processor time of this process, over all resumptions."""
    loss: float
    """Mean loss at the end, in nats per token or pair: the last value of the curve."""
    curve: tuple[tuple[int, float], ...]
    """At most 100 points: a step, and the mean loss of the steps since the point before."""


@dataclass(frozen=True, eq=False)
class Job:
    """A training but for its loss."""

    net: "PreTrainedModel"
    """Trained where its parameters require a gradient."""
    rows: TokenRows
    """What goes through the model; the mask says what carries loss."""
    borders: NDArray[np.int64]
    """Unit u is the rows borders[u] : borders[u + 1]; [U + 1]."""
    shared: NDArray[np.int64]
    """So many tokens the rows of each unit have in common at their beginning [U]."""
    weights: NDArray[np.int64]
    """How much each unit counts in the mean of a step [U]."""
    steps: Plan
    """The units of every step."""
    config: OptimizerConfig
    """How it is trained."""
    identity: Mapping[str, str]
    """Name -> digest of what a checkpoint must have been made with, besides configuration and model."""
    what: str
    """The job's name in the progress line."""
    checkpoint: Path | None
    """Where the state is kept."""
    extra_loss: ExtraLoss | None = None
    """Added to the loss."""
    forward_context: ForwardContext = nullcontext
    """Opened around every forward pass."""
    beside: Beside | None = None
    """A loss on other rows, added to that of every step."""
    observe: Observe | None = None
    """Told of every step."""


def run(job: Job, loss: Loss) -> Trained:
    """Train; see `supervised` for what holds of every loop, the errors included."""
    started = time.process_time()
    net, config, steps = job.net, job.config, job.steps
    device = net.device
    reader = Reader(net, job.rows, job.borders, job.shared)
    optimizer = adamw(net, config)
    fleet = Fleet.of(net)
    resume = Resume(job.checkpoint, net, optimizer, config, job.identity)
    losses = resume.losses
    beside = BesideRows(net, job.beside, key=config.key, forward=reader.forward) if job.beside else None

    def over() -> bool:
        if job.observe is None:
            return False
        with reader.forward.resting():
            return bool(fleet.told(job.observe(len(losses), losses[-1])))

    with (
        progress(len(steps), job.what, unit="steps") as advance,
        _training(net, device, reader.forward),
        recomputing(net, on=config.recompute, again=job.forward_context),
    ):
        advance(len(losses))
        ended = bool(losses) and over()  # a run that was ended and then killed is not gone on with
        for number in range(len(losses), len(steps)):
            if ended:
                break
            torch.manual_seed(_dropout_seed(config.key, number, fleet.rank))
            total = _backward(job, loss, reader, steps.step(number), fleet)
            if beside is not None:
                total = total + _backward_beside(job, beside, number, fleet)
            losses.append(float(fleet.gathered(net, total)))
            rate = config.learning_rate * schedule(number, len(steps), config)
            descend(net, optimizer, losses[-1], rate=rate, clip=config.clip, what=job.what, step=number)
            ended = over()
            resume.save(time.process_time() - started, last=ended or number + 1 == len(steps))
            advance(1)
    curve = _curve(losses)
    tokens = np.diff(job.rows.offsets[job.borders])
    loss_tokens = np.add.reduceat(job.rows.trained, job.borders[:-1])
    done = steps.order[: steps.borders[len(losses)]]
    return Trained(
        tokens=int(tokens[done].sum()),
        loss_tokens=int(loss_tokens[done].sum()),
        steps=len(losses),
        cpu_seconds=resume.cpu_seconds + time.process_time() - started,
        loss=curve[-1][1],
        curve=curve,
    )


def _dropout_seed(key: int, step: int, rank: int) -> int:
    return int(generator(key, "dropout", f"{step}/{rank}" if rank else str(step)).integers(2**63))


def _backward(job: Job, loss: Loss, reader: Reader, chosen: NDArray[np.int64], fleet: Fleet) -> Tensor:
    """Add the gradient of this process's part of a step's mean loss to the parameters; return it."""
    share = fleet.scale / float(job.weights[chosen].sum())
    return _backward_units(job, loss, reader, chosen, share, fleet, job.extra_loss)


def _backward_beside(job: Job, beside: BesideRows, number: int, fleet: Fleet) -> Tensor:
    """The same of the loss on the rows beside."""
    rows = beside.step(number)
    share = fleet.scale / beside.tokens(rows)
    return _backward_units(job, beside.loss, beside.reader, rows, share, fleet, None)


def _backward_units(
    job: Job,
    loss: Loss,
    reader: Reader,
    chosen: NDArray[np.int64],
    share: float,
    fleet: Fleet,
    extra_loss: ExtraLoss | None,
) -> Tensor:
    device = job.net.device
    total = torch.zeros((), device=device)
    for units, counts in fleet.batches(reader, chosen):
        with job.forward_context():
            part = reader.read(units)
        with autocast(device):
            total += backward_part(loss, part, share if counts else 0.0, extra_loss)
    return total


def backward_part(loss: Loss, part: Part, share: float, extra_loss: ExtraLoss | None) -> Tensor:
    """Add the gradient of a part's loss, and of a further one, to the parameters; return the loss."""
    # The head is done by itself, so that its logits are gone before the body is gone back through, once.
    leaf = part.hidden.detach().requires_grad_(part.hidden.requires_grad)
    total = loss(replace(part, hidden=leaf), share)
    ends, gradients = [part.hidden], [leaf.grad]
    if extra_loss is not None:
        extra = extra_loss(part) * share
        total = total + extra.detach()
        ends, gradients = [*ends, extra], [*gradients, None]
    trained = [i for i, end in enumerate(ends) if end.requires_grad]  # where the head alone is trained, none
    if trained:
        torch.autograd.backward([ends[i] for i in trained], [gradients[i] for i in trained])
    return total


@contextmanager
def _training(net: "PreTrainedModel", device: torch.device, forward: PackedForward) -> Iterator[None]:
    net.zero_grad()
    net.train()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []), forward.attending():
            yield
    finally:
        net.zero_grad()
        net.eval()


def _curve(losses: list[float]) -> tuple[tuple[int, float], ...]:
    parts = np.array_split(np.array(losses), min(_CURVE, len(losses)))
    ends = np.cumsum([len(part) for part in parts])
    return tuple((int(end), float(part.mean())) for end, part in zip(ends, parts, strict=True))
