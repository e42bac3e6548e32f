"""How a sparse autoencoder is built and trained: one class of numbers for each architecture."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from truing.probe.sae import SAE
from truing.probe.sae_architectures import BatchTopK, JumpReLU, TopK
from truing.types import InputError

_MATCHED = 512


@dataclass(frozen=True)
class SAEConfig:
    """What all architectures have. Activations are scaled so that their variance about the mean is 1 (summed over D).

    Raises:
        InputError: a number is out of its range.
    """

    width: int
    """How many latents."""
    k: int
    """How many of them are active for a row, on average; the L0 aimed at."""
    learning_rate: float | None = None
    """The highest learning rate of Adam; None is 2e-4 / sqrt(width / 2^14), after Gao et al. 2024."""
    warmup: float = 0.05
    """The share of the steps in which the learning rate rises linearly from 0."""
    decay: float = 0.2
    """The share of the steps, at the end, in which it falls linearly to 0."""
    clip: float = 1.0
    """The largest norm of a step's gradient."""
    auxiliary: float = 1 / 32
    """The weight of the auxiliary loss that revives dead latents."""
    auxiliary_k: int | None = None
    """How many dead latents it may use for a row; None is half of D, as in the paper."""
    dead_after: int = 250_000
    """A latent that was active for none of so many tokens is dead; 10 million in the paper, on 40 billion."""
    key: int = 0
    """Decides the first weights."""

    def __post_init__(self) -> None:
        if not 0 < self.k <= self.width:
            raise InputError(f"k lies in 1 to the width of {self.width}, not {self.k}")
        if not (self.warmup >= 0 and self.decay >= 0 and self.warmup + self.decay <= 1):
            raise InputError("warmup and decay are shares of the steps that sum to 1 at most")
        if not (0 < self.clip < math.inf and 0 <= self.auxiliary < math.inf and self.dead_after > 0):
            raise InputError("clip and dead_after must be above 0, and auxiliary not below")
        if not 0 < self.highest_rate < math.inf:
            raise InputError(f"learning_rate must be above 0, not {self.learning_rate}")

    @property
    def highest_rate(self) -> float:
        """The learning rate that is meant."""
        return 2e-4 / math.sqrt(self.width / 2**14) if self.learning_rate is None else self.learning_rate

    def rate(self, step: int, steps: int) -> float:
        """The learning rate at a step (from 0) of so many."""
        warmup, decay = round(self.warmup * steps), round(self.decay * steps)
        return self.highest_rate * min(1, (step + 1) / (warmup + 1), (steps - step) / (decay + 1))

    def penalty(self, step: int, steps: int) -> float:  # noqa: ARG002
        """The weight of the penalty on L0 at a step."""
        return 0.0

    def build(self, centre: Tensor, sample: Tensor) -> SAE:
        """The autoencoder before its first step, around `centre` [D], for rows like `sample` [N, D].

        Raises:
            NotImplementedError: this class has no architecture.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class TopKConfig(SAEConfig):
    """The numbers of a TopK autoencoder."""

    def build(self, centre: Tensor, sample: Tensor) -> TopK:
        """See `SAEConfig.build`."""
        return TopK(self.width, len(centre), self.k).begin(centre, key=self.key).match(sample[:_MATCHED])


@dataclass(frozen=True)
class BatchTopKConfig(SAEConfig):
    """The numbers of a BatchTopK autoencoder."""

    def build(self, centre: Tensor, sample: Tensor) -> BatchTopK:
        """See `SAEConfig.build`."""
        return BatchTopK(self.width, len(centre), self.k).begin(centre, key=self.key).match(sample[:_MATCHED])


@dataclass(frozen=True)
class JumpReLUConfig(SAEConfig):
    """The numbers of a JumpReLU autoencoder, with a penalty that aims at an L0 of k."""

    sparsity: float = 1.0
    """The weight of (L0 / k - 1)^2."""
    sparsity_warmup: float = 0.1
    """The share of the steps in which that weight rises linearly from 0."""
    bandwidth: float = 0.01
    """The width of the kernel that estimates gradients of the thresholds."""
    first_active: float = 8.0
    """All thresholds begin where L0 is so many times k."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.sparsity >= 0 and self.bandwidth > 0 and self.first_active > 0):
            raise InputError("bandwidth and first_active must be above 0, and sparsity not below")
        if not 0 <= self.sparsity_warmup <= 1:
            raise InputError(f"sparsity_warmup is a share of the steps, not {self.sparsity_warmup}")

    def penalty(self, step: int, steps: int) -> float:
        """See `SAEConfig.penalty`."""
        return self.sparsity * min(1.0, (step + 1) / (round(self.sparsity_warmup * steps) + 1))

    @torch.no_grad()
    def build(self, centre: Tensor, sample: Tensor) -> JumpReLU:
        """See `SAEConfig.build`."""
        sae = JumpReLU(self.width, len(centre), self.bandwidth).begin(centre, key=self.key)
        pre = ((sample - sae.decoder_bias) @ sae.encoder.T).flatten()
        count = min(len(pre), round(self.first_active * self.k * len(sample)))
        sae.threshold.fill_(float(pre.topk(count, sorted=False).values.amin().clamp(min=0)))
        return sae.match(sample[:_MATCHED])
