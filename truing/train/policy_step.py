"""An update of the policy: the optimiser steps that learn from one rollout."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from truing.model import LocalModel, ScalarModel
from truing.numerics import clipped_policy_loss, clipped_value_loss, generator, kl_penalty, token_weights
from truing.train.distributed import Fleet
from truing.train.engine import ExtraLoss, ForwardContext, backward_part
from truing.train.loss import LOGIT_ROWS, backward_nll, logprobs_once
from truing.train.optimizer import adamw, descend
from truing.train.parts import Part, Reader, autocast
from truing.train.policy_batch import PolicyBatch
from truing.train.policy_config import PolicyConfig
from truing.train.policy_reading import ReadingNet, values_of
from truing.train.recompute import recomputing
from truing.train.rollout import drawn
from truing.train.rows import TokenRows


@dataclass(eq=False)
class Steps:
    """What the optimiser steps of an update told."""

    logp: Tensor
    """Log-probabilities under the policy that sampled [M]; NaN where nothing had to be read."""
    losses: list[float] = field(default_factory=list)
    value_losses: list[float] = field(default_factory=list)
    ptx_losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    clipped: int = 0
    seen: int = 0
    """Tokens whose ratio was computed."""
    furthest: float = 0.0
    """The largest absolute log-ratio."""

    def gather(self, fleet: Fleet) -> None:
        """Take in what the other processes saw of their units."""
        if fleet.size == 1:
            return
        seen = ~self.logp.isnan()
        number = fleet.total(seen.float())  # how many processes have read a token
        self.logp = fleet.total(self.logp.nan_to_num(0.0)) / number  # 0 / 0 is NaN again
        told = fleet.everyones((self.clipped, self.seen, self.furthest))
        self.clipped, self.seen = (sum(each) for each in list(zip(*told, strict=True))[:2])
        self.furthest = max(furthest for _, _, furthest in told)


class Averaged:
    """The exponential mean of trained weights; its state goes into a checkpoint."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self._decay = decay
        self._weights = {name: p for name, p in net.named_parameters() if p.requires_grad}
        self._mean = {name: p.detach().clone() for name, p in self._weights.items()}

    def update(self) -> None:
        """Take in the weights as they are now."""
        for name, p in self._weights.items():
            self._mean[name].lerp_(p.detach(), 1 - self._decay)

    @torch.no_grad()
    def put(self) -> None:
        """Make the mean the weights of the net."""
        for name, p in self._weights.items():
            p.copy_(self._mean[name])

    def state(self) -> dict[str, Tensor]:
        """The mean."""
        return self._mean

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""
        for name, mean in self._mean.items():
            mean.copy_(state[name])


class PolicyOptimizer:
    """Takes the optimiser steps of an update: policy, pretraining text in the same step, value model."""

    def __init__(
        self,
        model: LocalModel,
        policy: ReadingNet,
        config: PolicyConfig,
        *,
        what: str,
        ptx: TokenRows | None,
        extra_loss: ExtraLoss | None,
        forward_context: ForwardContext,
    ) -> None:
        self._model, self._policy, self._config, self._what = model, policy, config, what
        self.optimizer = adamw(policy.net, config)
        self.averaged = Averaged(policy.net, config.ema) if config.ema else None
        self._ptx = ptx
        if ptx is not None:
            self._ptx_reader = Reader(policy.net, ptx, np.arange(len(ptx) + 1), forward=policy.forward)
        self._extra_loss, self._context = extra_loss, forward_context
        self._fleet = Fleet.of(policy.net)

    def learn(self, batch: PolicyBatch, update: int, value: "ValueOptimizer | None") -> Steps:
        """Go through the rollout in minibatches of whole prompts, `inner_epochs` times."""
        config, units = self._config, len(batch.flat.borders) - 1
        steps = Steps(
            torch.full_like(batch.advantages, torch.nan) if batch.old is None else batch.old.clone()
        )
        with recomputing(self._policy.net, on=config.recompute, again=self._context):
            for number in range(config.inner_epochs):
                order = generator(config.key, "minibatches", str(update), str(number)).permutation(units)
                for part, chosen in enumerate(np.array_split(order, config.minibatches)):
                    if not len(chosen):
                        continue
                    step = (update * config.inner_epochs + number) * config.minibatches + part
                    torch.manual_seed(int(generator(config.key, "step", str(step)).integers(2**63)))
                    self._step(batch, np.sort(chosen), step, config.rate(update), steps)
                    if value is not None:
                        loss = value.step(batch, np.sort(chosen), step, config.rate(update))
                        steps.value_losses.append(loss)
        steps.gather(self._fleet)
        return steps

    def _step(
        self, batch: PolicyBatch, units: NDArray[np.int64], step: int, share: float, steps: Steps
    ) -> None:
        config, flat = self._config, batch.flat
        rows = rows_of(batch, units)
        weights = torch.zeros_like(batch.advantages)
        fixed = float(len(rows) * config.max_new_tokens) if config.aggregation == "fixed" else None
        counts = torch.from_numpy(flat.counts[rows]).to(weights.device)
        weights[flat.tokens(rows).to(weights.device)] = token_weights(counts, config.aggregation, fixed=fixed)
        learning = units if self._all_learn(batch) else self._with_advantage(batch, units)
        ptx = self._pretraining(step)
        if not len(learning) and ptx is None:
            return  # no gradient: momentum alone is no reason to move
        total = torch.zeros((), device=weights.device)
        loss = self._loss(batch, weights, steps)
        with self._policy.forward.attending():
            reader = self._policy.reader(flat)
            for some, _ in self._fleet.batches(reader, learning) if len(learning) else ():
                with self._context():
                    part = reader.read(some)
                with autocast(part.hidden.device):
                    total += backward_part(loss, part, 1 / float(flat.counts[rows].sum()), self._extra_loss)
            if ptx is not None:
                steps.ptx_losses.append(self._backward_ptx(ptx))
        steps.losses.append(float(self._fleet.gathered(self._policy.net, total)))
        whole = steps.losses[-1] + config.ptx_coef * (steps.ptx_losses[-1] if ptx is not None else 0.0)
        norm = descend(
            self._policy.net, self.optimizer, whole,
            rate=config.learning_rate * share, clip=config.clip, what=self._what, step=step,
        )  # fmt: skip
        steps.norms.append(norm)
        if self.averaged is not None:
            self.averaged.update()

    def _all_learn(self, batch: PolicyBatch) -> bool:
        """Whether a completion has a gradient without an advantage, too."""
        penalised = self._config.kl_in == "loss" and batch.kl_coef > 0
        return penalised or self._extra_loss is not None

    def _with_advantage(self, batch: PolicyBatch, units: NDArray[np.int64]) -> NDArray[np.int64]:
        nonzero = np.add.reduceat((batch.advantages != 0).cpu().numpy(), batch.flat.starts[:-1])
        per_unit = np.add.reduceat(nonzero, batch.flat.borders[:-1])
        return units[per_unit[units] > 0]

    def _loss(self, batch: PolicyBatch, weights: Tensor, steps: Steps) -> Callable[[Part, float], Tensor]:
        """Back-propagates the loss of a part to its hidden states, some tokens at a time."""
        config, trunk = self._config, self._model.trunk
        penalised = config.kl_in == "loss" and batch.kl_coef > 0

        def loss(part: Part, _share: float) -> Tensor:
            total = torch.zeros((), device=part.ids.device)
            tokens = batch.flat.tokens(part.rows).to(part.ids.device)
            pieces = (torch.split(x, LOGIT_ROWS) for x in (tokens, part.before, part.trained))
            for at, before, trained in zip(*pieces, strict=True):
                logits = trunk.logits(part.hidden[before])
                if config.temperature != 1:
                    logits = logits / config.temperature
                logp = logprobs_once(logits, part.ids[trained])
                now = logp.detach()
                advantages, old = batch.advantages[at], now if batch.old is None else batch.old[at]
                each = clipped_policy_loss(logp, old, advantages, config.clip_low, config.clip_high)
                if penalised and batch.ref is not None:
                    behaviour = None if batch.old is None else old
                    each = each + batch.kl_coef * kl_penalty(
                        logp, batch.ref[at], config.kl_kind, behaviour=behaviour
                    )
                value = (weights[at] * each).sum()
                torch.autograd.backward(value)
                total += value.detach()
                _tell(steps, at, now, old, advantages, config, sampled=batch.old is None)
            return total

        return loss

    def _pretraining(self, step: int) -> NDArray[np.int64] | None:
        """The pretraining rows of an optimiser step."""
        config = self._config
        if self._ptx is None or not config.ptx_coef:
            return None
        completions = config.prompts_per_update * config.samples_per_prompt / config.minibatches
        count = max(1, round(config.ptx_ratio * completions))
        return drawn(config.key, "ptx", step * count, count, len(self._ptx))

    def _backward_ptx(self, rows: NDArray[np.int64]) -> float:
        assert self._ptx is not None
        trunk, reader = self._model.trunk, self._ptx_reader
        share = 1 / float(self._ptx.trained[rows].sum())
        total = torch.zeros((), device=trunk.device)
        for some, _ in self._fleet.batches(reader, rows):
            with self._context():
                part = reader.read(some)
            with autocast(trunk.device):
                total += backward_nll(
                    part.hidden[part.before],
                    trunk.logits,
                    part.ids[part.trained],
                    self._config.ptx_coef * share,
                )
        return float(self._fleet.total(total)) / self._config.ptx_coef


class ValueOptimizer:
    """Takes the optimiser steps of the value model."""

    def __init__(self, value: ScalarModel, net: ReadingNet, config: PolicyConfig, *, what: str) -> None:
        self.net, self._config, self._what = net, config, what
        self._values = values_of(value)
        self.optimizer = adamw(net.net, config)

    def step(self, batch: PolicyBatch, units: NDArray[np.int64], step: int, share: float) -> float:
        """Learn the returns of the units' tokens; the mean loss over them."""
        config, flat, net = self._config, batch.flat, self.net.net
        assert batch.values is not None
        assert batch.returns is not None
        tokens = int(flat.counts[rows_of(batch, units)].sum())
        total = torch.zeros((), device=net.device)
        with self.net.forward.attending(), recomputing(net, on=config.recompute):
            reader, fleet = self.net.reader(flat), Fleet.of(net)
            for some, _ in fleet.batches(reader, units):
                part = reader.read(some)
                at = flat.tokens(part.rows).to(net.device)
                with autocast(net.device):
                    values = self._values(part)
                each = clipped_value_loss(values, batch.values[at], batch.returns[at], config.value_clip)
                loss = each.sum() / tokens
                torch.autograd.backward(loss)
                total += loss.detach()
        total = fleet.gathered(net, total)
        descend(
            net, self.optimizer, float(total), rate=config.value_learning_rate * share, clip=config.clip,
            what=f"{self._what}, value model", step=step,
        )  # fmt: skip
        return float(total)


def rows_of(batch: PolicyBatch, units: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of the units."""
    borders: NDArray[Any] = batch.flat.borders
    return np.concatenate([np.arange(borders[u], borders[u + 1]) for u in units])


@torch.no_grad()
def _tell(
    steps: Steps,
    at: Tensor,
    now: Tensor,
    old: Tensor,
    advantages: Tensor,
    config: PolicyConfig,
    *,
    sampled: bool,
) -> None:
    steps.seen += len(at)
    if sampled:
        steps.logp[at] = now
        return
    gap = now - old
    steps.furthest = max(steps.furthest, float(gap.abs().max()))
    ratio = gap.exp()
    above = (advantages > 0) & (ratio > 1 + config.clip_high)
    below = (advantages < 0) & (ratio < 1 - config.clip_low)
    steps.clipped += int((above | below).sum())
