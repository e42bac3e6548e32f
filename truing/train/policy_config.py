"""The numbers of policy learning."""

import math
from dataclasses import dataclass
from typing import Literal

from truing.train.optimizer import AdamWConfig, check_above_zero, check_shares
from truing.types import InputError

Advantage = Literal["grpo", "dr_grpo", "rloo", "gae"]
Truncated = Literal["score", "mask", "penalty"]

_CHOICES = {
    "advantage": ("grpo", "dr_grpo", "rloo", "gae"),
    "kl_in": ("reward", "loss"),
    "kl_kind": ("k1", "k2", "k3"),
    "aggregation": ("token", "sequence", "fixed"),
    "truncated": ("score", "mask", "penalty"),
}


@dataclass(frozen=True)
class PolicyConfig(AdamWConfig):
    """The numbers of policy learning: GRPO, RLOO and PPO are settings of one loop.

    Raises:
        InputError: a number is out of its range, or two of them contradict each other.
    """

    weight_decay: float = 0.0
    """Decoupled weight decay of matrices, embeddings included."""
    updates: int = 100
    """Rollouts, each with the steps of the optimiser that learn from it."""
    prompts_per_update: int = 16
    """Prompts of a rollout."""
    samples_per_prompt: int = 8
    """Completions of each prompt: the group that group advantages compare."""
    minibatches: int = 1
    """Optimiser steps in which the prompts of a rollout are gone through once."""
    inner_epochs: int = 1
    """How often they are gone through."""
    max_new_tokens: int = 128
    """The longest completion."""
    temperature: float = 1.0
    """Divides the logits in sampling and in every log-probability, the reference's included."""
    clip_low: float = 0.2
    """How far below 1 a token's ratio to the policy that sampled still counts."""
    clip_high: float = 0.2
    """How far above 1."""
    value_clip: float = 0.2
    """How far a value may move in an update at a profit."""
    value_learning_rate: float = 9e-6
    """The learning rate of the value model."""
    kl_coef: float = 0.0
    """What a nat of divergence from the reference costs, in units of the reward; 0 needs no reference."""
    kl_kind: Literal["k1", "k2", "k3"] = "k3"
    """Which estimate is the value of the penalty in the loss; its gradient is always that of the divergence."""
    kl_in: Literal["reward", "loss"] = "loss"
    """Taken off the reward of each token (InstructGPT), or a term of the loss (GRPO)."""
    kl_target: float | None = None
    """Nats per completion to which the KL coefficient is steered (adaptive); None: it stays fixed."""
    kl_horizon: float = 10_000
    """Completions in which an adaptive coefficient adapts."""
    advantage: Advantage = "grpo"
    """What a completion is compared with: the others of its prompt, or ("gae") what a value model expects."""
    gamma: float = 1.0
    """Discount per token; of "gae"."""
    lam: float = 0.95
    """0 trusts the values, 1 the rewards that came; of "gae"."""
    whiten: bool = False
    """Scale the advantages of an update's tokens to mean 0 and variance 1."""
    aggregation: Literal["token", "sequence", "fixed"] = "token"
    """The loss of an optimiser step is the mean over its tokens, the mean over completions of the mean over
    their tokens, or the sum over completions times `max_new_tokens`."""
    truncated: Truncated = "score"
    """A completion that was cut off at `max_new_tokens` counts as any other, takes no part in advantages, loss
    and denominators ("mask"), or has the reward `truncation_penalty` whatever it says ("penalty")."""
    truncation_penalty: float = -1.0
    """The whole reward of a completion that was cut off, with "penalty"."""
    ema: float = 0.0
    """Decay, per optimiser step, of the mean of weights that the policy is given in the end; 0: its last weights."""
    warmup: int = 0
    """Updates in which the learning rates rise linearly from a tenth; then they stay."""
    ptx_coef: float = 0.0
    """What the mean loss of pretraining tokens weighs in each optimiser step; InstructGPT has 27.8."""
    ptx_ratio: float = 8.0
    """Pretraining rows for each completion of an optimiser step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = "updates", "prompts_per_update", "samples_per_prompt", "minibatches", "inner_epochs"
        rates = "temperature", "value_clip", "value_learning_rate", "kl_horizon", "ptx_ratio"
        check_above_zero(self, *whole, "max_new_tokens", *rates, "clip_low", "clip_high")
        check_shares(self, "ema")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("kl_coef", "ptx_coef", "warmup"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must not be negative, as {getattr(self, name)} is")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be a share of 1, not {getattr(self, name)}")
        if not math.isfinite(self.truncation_penalty):
            raise InputError(f"truncation_penalty must be a number, not {self.truncation_penalty}")
        self._check_together()

    def _check_together(self) -> None:
        if self.minibatches > self.prompts_per_update:
            problem = f"{self.prompts_per_update} prompts make no {self.minibatches} minibatches"
            raise InputError(problem, mend="raise prompts_per_update or lower minibatches")
        if self.advantage != "gae" and self.samples_per_prompt < 2:
            problem = f"{self.advantage} compares the completions of a prompt, and there is only one of each"
            raise InputError(problem, mend="raise samples_per_prompt, or choose gae")
        if self.kl_target is not None and not (self.kl_target > 0 and self.kl_coef > 0):
            problem = "an adaptive KL coefficient needs kl_target and kl_coef above 0"
            raise InputError(problem, mend="give both, or no kl_target")

    @property
    def on_policy(self) -> bool:
        """Whether the policy that is trained is the one that sampled: one optimiser step per rollout."""
        return self.minibatches == 1 and self.inner_epochs == 1

    def rate(self, update: int) -> float:
        """The share of the learning rates at an update (from 0)."""
        return 1.0 if update >= self.warmup else 0.1 + 0.9 * update / self.warmup
