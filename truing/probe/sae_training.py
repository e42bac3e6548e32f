"""Training sparse autoencoders, several on one stream of activations."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from truing.numerics import geometric_median
from truing.probe.sae import SAE
from truing.probe.sae_config import SAEConfig
from truing.probe.sae_loss import keep_unit_norm, loss, remove_parallel
from truing.probe.sae_state import TrainingState
from truing.probe.stream import Activations, batches
from truing.run import progress
from truing.types import InputError

BATCH = 4096
"""Rows of a step, where a caller does not say otherwise."""
_SAMPLE = 4096
_CURVE = 100


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A mean over the steps since the point before."""

    step: int
    """The last of them, from 1."""
    unexplained: float
    """The share of the variance about the mean (that of the first block) that is not rebuilt."""
    active: float
    """L0."""
    dead: float
    """The share of latents that count as dead."""


@dataclass(frozen=True, eq=False)
class TrainedSAE:
    """An autoencoder of the activations as they are, in the form in which it is used, and how it came about."""

    sae: SAE
    """The normalisation of the training is folded into its weights."""
    config: SAEConfig
    """The numbers of its training."""
    scale: float
    """What activations were multiplied with in training."""
    steps: int
    """Steps that were taken."""
    tokens: int
    """Activations that they were taken on."""
    curve: tuple[CurvePoint, ...]
    """At most 100 points."""
    cpu_seconds: float
    """Processor time of the training of all on the stream, activations included, over all resumptions."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is measured on the first block of a stream."""

    centre: Tensor
    """The geometric median of at most 4096 rows [D], with which decoder biases begin (Bricken et al. 2023)."""
    scale: float
    """Times this, the rows' variance about their mean, summed over D, is 1."""
    sample: Tensor
    """These rows, at most 4096, times the scale."""

    @classmethod
    def of(cls, block: Tensor) -> Self:
        """Measure.

        Raises:
            InputError: all rows are equal, or one is not finite.
        """
        rows = block.double()
        variance = float((rows - rows.mean(0)).square().sum(-1).mean())
        if not 0 < variance < torch.inf:
            raise InputError("the activations are all equal or not finite", mend="choose another layer")
        sample, scale = block[:: -(-len(block) // _SAMPLE)].float(), variance**-0.5
        return cls(geometric_median(sample, tolerance=1e-4).float(), scale, sample * scale)


def train_saes(
    stream: Activations,
    configs: Sequence[SAEConfig],
    *,
    batch: int = BATCH,
    key: int = 0,
    checkpoint: Path | None = None,
    what: str = "sparse autoencoders",
) -> list[TrainedSAE]:
    """Train an autoencoder for each configuration, all on the same batches, which are read once.

    With a checkpoint, which is written every minute, a run that was killed goes on where it was; on a
    CPU the result is the same, bit for bit.

    Args:
        stream: the activations; its blocks bound the memory.
        configs: what is trained.
        batch: rows of a step.
        key: draws the order of the rows.
        checkpoint: where the state is kept.
        what: the job's name in the progress line.

    Raises:
        InputError: the stream has no whole batch, the checkpoint is of something else, or a loss is not finite.
        StorageError: the disk refuses.
    """
    started = time.process_time()
    steps = sum(stream.sizes) // batch
    if not steps or not configs:
        problem = (
            f"{sum(stream.sizes)} activations make no batch of {batch}"
            if configs
            else "nothing is to be trained"
        )
        raise InputError(problem, mend="give more documents or a smaller batch")
    first = stream.block(0)
    scaling = Scaling.of(first)
    learners = [Learner(config, scaling, first.device) for config in configs]
    state = TrainingState(checkpoint, [stream.digest, batch, key, [repr(c) for c in configs]], learners)
    done = state.step
    shuffled = batches(stream, batch, key=key, start=done, first=first)
    del first  # one block is held, by the batches that are made of it
    with progress(steps * batch, what, unit="tokens") as advance:
        advance(done * batch)
        for step, rows in enumerate(shuffled, start=done):
            x = rows * scaling.scale
            for learner in learners:
                learner.step(x, step, steps)
            state.save(step + 1, time.process_time() - started, last=step + 1 == steps)
            advance(batch)
    spent = state.cpu_seconds + time.process_time() - started
    return [learner.result(scaling, steps, batch, spent) for learner in learners]


class Learner:
    """One autoencoder in training."""

    def __init__(self, config: SAEConfig, scaling: Scaling, device: torch.device) -> None:
        self.config = config
        self.sae = config.build(scaling.centre * scaling.scale, scaling.sample).to(device)
        self.optimizer = torch.optim.Adam(
            self.sae.parameters(), lr=config.highest_rate, betas=(0.9, 0.999), eps=6.25e-10, fused=True
        )
        self.silent = torch.zeros(config.width, dtype=torch.int64, device=device)
        """Tokens since each latent was active last [W]."""
        self.history: list[tuple[float, float, float]] = []
        """Unexplained share, L0 and share of dead latents of every step."""
        self._auxiliary_k = config.auxiliary_k or max(1, self.sae.dim // 2)

    def step(self, x: Tensor, step: int, steps: int) -> None:
        """Take a step on a scaled batch [N, D].

        Raises:
            InputError: the loss is not finite.
        """
        config, sae = self.config, self.sae
        dead = (self.silent >= config.dead_after).nonzero()[:, 0]
        found = loss(
            sae,
            x,
            dead=dead,
            auxiliary=config.auxiliary,
            auxiliary_k=self._auxiliary_k,
            target=config.k,
            sparsity=config.penalty(step, steps),
        )
        told = (float(found.reconstruction), float(found.active), len(dead) / config.width)
        if not bool(found.total.isfinite()):
            problem = f"the loss of step {step + 1} is not finite"
            raise InputError(problem, mend="lower the learning rate")
        torch.autograd.backward(found.total)
        gradient = sae.decoder.grad
        assert gradient is not None
        remove_parallel(gradient, sae.decoder)
        torch.nn.utils.clip_grad_norm_(sae.parameters(), config.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = config.rate(step, steps)
        self.optimizer.step()
        self.optimizer.zero_grad()
        keep_unit_norm(sae.decoder)
        sae.after_step(found.codes)
        self.silent += len(x)
        self.silent[found.fired] = 0
        self.history.append(told)

    def state(self) -> dict[str, Any]:
        """All that a step changes."""
        return {
            "sae": self.sae.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "silent": self.silent,
            "history": torch.tensor(self.history, dtype=torch.float64).reshape(-1, 3),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be as when `state` was called."""
        self.sae.load_state_dict(state["sae"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.silent.copy_(state["silent"])
        self.history = [(a, b, c) for a, b, c in state["history"].tolist()]

    def result(self, scaling: Scaling, steps: int, batch: int, cpu_seconds: float) -> TrainedSAE:
        """What came out."""
        sae = self.sae.folded(scaling.scale).inference().requires_grad_(False)
        told = (self.config, scaling.scale, steps, steps * batch, _curve(self.history), cpu_seconds)
        return TrainedSAE(sae, *told)


def _curve(history: Sequence[tuple[float, float, float]]) -> tuple[CurvePoint, ...]:
    table = torch.tensor(history, dtype=torch.float64)
    parts = torch.tensor_split(table, min(_CURVE, len(table)))
    ends = torch.tensor([len(part) for part in parts]).cumsum(0).tolist()
    return tuple(CurvePoint(end, *part.mean(0).tolist()) for end, part in zip(ends, parts, strict=True))
