"""The loop of policy learning: a policy, from rewards for what it writes. GRPO, RLOO and PPO are settings of it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from truing.model import LocalModel, RolloutEngine, ScalarModel
from truing.numerics import AdaptiveKL, FixedKL
from truing.run import progress
from truing.train.distributed import Fleet, sharding
from truing.train.engine import ExtraLoss, ForwardContext
from truing.train.policy_batch import PolicyBatch, Rewards, learnt_from, readable, settled
from truing.train.policy_config import PolicyConfig
from truing.train.policy_figures import divergences, samples, update_row
from truing.train.policy_reading import ReadingNet, adapter_off, check_adapter, policy_net, value_net
from truing.train.policy_records import PromptRow, Sample, Update
from truing.train.policy_step import PolicyOptimizer, Steps, ValueOptimizer
from truing.train.resume import Resume, Stateful, Weights, weights_digest
from truing.train.rollout import Flat, Rollout, check_prompts, roll_out
from truing.train.rows import TokenRows
from truing.types import Completion, FrozenDict, InputError, digest

RewardCall = Callable[[Sequence[PromptRow], Sequence[Completion]], Rewards]
"""Pays the completions of an update, all at once: row i answers prompt i."""

Observe = Callable[[Update, Sequence[Sample]], bool | None]
"""Is told of every update and its completions; True ends the training after it."""

Measure = Callable[[int], Mapping[str, Any]]
"""Metric -> value of the policy as it is before the update of that number (from 1); empty where nothing is due."""


@dataclass(frozen=True)
class PolicyTrained:
    """What policy learning took and how it went."""

    updates: tuple[Update, ...]
    """Every update."""
    stopped: bool
    """Whether `observe` ended it early."""
    tokens: int
    """Completion tokens that were sampled."""
    cpu_seconds: float
    """Processor time of this process, over all resumptions."""


def policy_learning(  # noqa: PLR0913  what a loop is made of
    model: LocalModel,
    prompts: Sequence[PromptRow],
    reward: RewardCall,
    config: PolicyConfig,
    *,
    reference: LocalModel | Literal["adapter off"] | None,
    what: str,
    value: ScalarModel | None = None,
    ptx: TokenRows | None = None,
    checkpoint: Path | None = None,
    engine: RolloutEngine | None = None,
    observe: Observe = lambda _update, _samples: None,
    measure: Measure = lambda _update: {},
    extra_loss: ExtraLoss | None = None,
    forward_context: ForwardContext = nullcontext,
) -> PolicyTrained:
    """Train `model` in place on rewards for what it writes; leave it in `eval` mode, dropout off all the time.

    An update samples a rollout, pays it, and takes `minibatches` times `inner_epochs` optimiser steps.
    What the training reads and what it sampled are the same token ids, log-probabilities are always
    those of the training's own forward pass at the sampling temperature, and a completion whose reward
    is None takes no part. A prompt is read once for all its completions. Prompts whose completions have
    no advantage are not read at all where that changes nothing, which is where no penalty of the
    divergence is in the loss; an optimiser step without any gradient is not taken.

    The same weights, prompts, rewards and configuration give the same weights, bit for bit, on one kind
    of machine with one number of threads. The global random generators are left as they were.

    Of several processes each writes its part of a rollout and reads its part of the prompts; the first
    alone asks the rewards. All observe and measure, and what the first says is what counts.

    Args:
        model: the policy, trained where its parameters require a gradient; these must be float32.
        prompts: what it is asked; every pass over them has an order of its own.
        reward: pays an update's completions. Failed ones (`Stop.error`, `Stop.filtered`) are not shown to it.
        config: how.
        reference: what the divergence is measured from: a model that is not trained, or "adapter off", the
            policy without its adapter of peft, which must be the model that training begins from. None
            where `kl_coef` is 0 and the divergence need not be known.
        what: the job's name in the progress line.
        value: for advantages by "gae": what expects the rewards. It is trained, too.
        ptx: pretraining rows, whose gradient is added in every optimiser step.
        checkpoint: a file that receives the state about once a minute, at the end, and where a reward
            fails. If it is there already, training goes on from it to the same weights as without the
            interruption; all models must come with the weights that they had at the first start. Updates
            since the last save are done, and observed, again.
        engine: what writes the completions instead of `model` itself.
        observe: as `Observe`.
        measure: as `Measure`; an update's row holds what it gives.
        extra_loss: a further loss of what went through the policy at once, summed over its completion
            tokens: it is divided by the optimiser step's completion tokens, as the mean by "token" is.
        forward_context: opened around every forward pass of the policy in training.

    Raises:
        InputError: a prompt cannot be asked; numbers and models contradict each other; a reward is no
            number; the checkpoint is of another training; the loss is no longer a number; what the
            engine gives is not what was asked.
        StorageError: the disk refuses the checkpoint.
    """
    started = time.process_time()
    _check(model, config, reference, value, ptx)
    sample = check_prompts(model, prompts, config)
    with _quiet(model):
        learner = _Learner(
            model, config, reference=reference, value=value, ptx=ptx, sample=sample, what=what,
            extra_loss=extra_loss, forward_context=forward_context,
        )  # fmt: skip
        identity = _identity(prompts, reference, value, ptx) if checkpoint is not None else {}
        resume = Resume(
            checkpoint, learner.policy.net, learner.optimizer.optimizer, config, identity, more=learner.kept()
        )
        history, fleet = learner.history, Fleet.of(learner.policy.net)
        with progress(config.updates, what, unit="updates") as advance:
            advance(len(history.updates))
            while len(history.updates) < config.updates and not history.stopped:
                number = len(history.updates)
                try:
                    rollout = roll_out(model, engine, prompts, config, number)
                    paid = _paid(rollout)
                    shown = ([rollout.prompts[i] for i in paid], [rollout.completions[i] for i in paid])
                    rewards = fleet.first(partial(reward, *shown))
                    scores = settled(rollout, paid, rewards.total, config)
                    held_out = FrozenDict(fleet.told(measure(number + 1)))
                except BaseException:  # nothing has moved since the last update, which may not be saved yet
                    resume.save(time.process_time() - started, last=True)
                    raise
                coef = learner.control.value
                batch, steps = learner.update(rollout, scores, number)
                nats, spent = divergences(rollout, batch, steps)
                row = update_row(
                    rollout, rewards, scores, batch, steps,
                    nats=nats, spent=spent, kl_coef=coef, held_out=held_out, update=number,
                )  # fmt: skip
                if row.kl is not None and batch is not None:
                    learner.control.update(row.kl, len(batch.flat.of))
                history.updates.append(row)
                resume.losses.append(row.loss)
                ended = observe(row, samples(rollout, paid, rewards, scores, nats, number))
                history.stopped = bool(fleet.told(ended))
                resume.save(
                    time.process_time() - started, last=history.stopped or number + 1 == config.updates
                )
                advance(1)
        if learner.optimizer.averaged is not None:
            learner.optimizer.averaged.put()
    return PolicyTrained(
        tuple(history.updates),
        stopped=history.stopped,
        tokens=sum(row.tokens for row in history.updates),
        cpu_seconds=resume.cpu_seconds + time.process_time() - started,
    )


@dataclass
class _History:
    """The updates that are done, kept in the checkpoint."""

    updates: list[Update] = field(default_factory=list)
    stopped: bool = False

    def state(self) -> dict[str, Any]:
        return {"updates": [_plain(row.to_json()) for row in self.updates], "stopped": self.stopped}

    def restore(self, state: dict[str, Any]) -> None:
        self.updates[:] = [Update.from_json(row) for row in state["updates"]]
        self.stopped = bool(state["stopped"])


class _Learner:
    """The nets of a training and their optimisers."""

    def __init__(
        self,
        model: LocalModel,
        config: PolicyConfig,
        *,
        reference: LocalModel | Literal["adapter off"] | None,
        value: ScalarModel | None,
        ptx: TokenRows | None,
        sample: Sequence[torch.Tensor],
        what: str,
        extra_loss: ExtraLoss | None,
        forward_context: ForwardContext,
    ) -> None:
        self._config = config
        place = [row.to(model.trunk.device) for row in sample]
        self.policy = policy_net(model, config.temperature, place, context=forward_context)
        self._reference: ReadingNet | None = None
        if reference == "adapter off":
            check_adapter(self.policy.net, self.policy.forward, place)
            self._reference = policy_net(
                model, config.temperature, place, context=lambda: adapter_off(self.policy.net)
            )
        elif isinstance(reference, LocalModel):
            there = [row.to(reference.trunk.device) for row in sample]
            self._reference = policy_net(reference, config.temperature, there)
        self.optimizer = PolicyOptimizer(
            model,
            self.policy,
            config,
            what=what,
            ptx=ptx,
            extra_loss=extra_loss,
            forward_context=forward_context,
        )
        self._value = None
        if value is not None:
            there = [row.to(value.net.device) for row in sample]
            self._value = ValueOptimizer(value, value_net(value, there), config, what=what)
        self.control = FixedKL(config.kl_coef)
        if config.kl_target is not None:
            self.control = AdaptiveKL(config.kl_coef, target=config.kl_target, horizon=config.kl_horizon)
        self.history = _History()

    def kept(self) -> dict[str, Stateful]:
        """What a checkpoint holds besides the policy and its optimiser."""
        kept: dict[str, Stateful] = {"history": self.history, "KL coefficient": self.control}
        if self.optimizer.averaged is not None:
            kept["mean of weights"] = self.optimizer.averaged
        if self._value is not None:
            kept["value model"] = Weights(self._value.net.net, self._value.optimizer)
        return kept

    def update(
        self, rollout: Rollout, scores: "np.ndarray[Any, np.dtype[np.float64]]", number: int
    ) -> tuple[PolicyBatch | None, Steps | None]:
        """Learn from the completions whose reward is not NaN; None, None where there are none."""
        config, device = self._config, self.policy.net.device
        part = np.flatnonzero(~np.isnan(scores)).tolist()
        if not part:
            return None, None
        flat = Flat.of_rollout(rollout, part)
        penalised = config.kl_in == "loss" and self.control.value > 0
        # Read with the gradient alone, where that reads every row and before anything has moved.
        once = config.on_policy and (self._reference is None or penalised)
        batch = learnt_from(
            rollout, scores, flat, config,
            old=None if once else self.policy.read(flat),
            ref=None if self._reference is None else self._reference.read(flat).to(device),
            values=None if self._value is None else self._value.net.read(flat).to(device),
            kl_coef=self.control.value,
        )  # fmt: skip
        batch.advantages = batch.advantages.to(device)
        return batch, self.optimizer.learn(batch, number, self._value)


def _paid(rollout: Rollout) -> list[int]:
    """The completions that are paid; at least one."""
    paid = readable(rollout)
    if not paid:
        why = rollout.completions[0].error or "all were withheld"
        raise InputError(f"none of {len(rollout.completions)} completions could be written: {why}")
    return paid


def _check(
    model: LocalModel,
    config: PolicyConfig,
    reference: LocalModel | Literal["adapter off"] | None,
    value: ScalarModel | None,
    ptx: TokenRows | None,
) -> None:
    if sharding():
        problem = "policy learning samples from the model that it trains, whose layers FSDP would take apart"
        raise InputError(problem, mend="launch it without FSDP: each process has the whole model")
    if reference is None and config.kl_coef > 0:
        raise InputError("a KL penalty needs a reference", mend="give one, or set kl_coef to 0")
    if isinstance(reference, str) and reference != "adapter off":
        raise InputError(f"a reference is a model, 'adapter off' or None, not {reference!r}")
    if isinstance(reference, LocalModel):
        if reference.net is model.net or any(
            p is q for p, q in zip(reference.net.parameters(), model.net.parameters(), strict=False)
        ):
            raise InputError("the reference is the policy itself, and would be trained", mend="load it twice")
        if reference.trunk.vocabulary != model.trunk.vocabulary:
            seen = f"{reference.trunk.vocabulary} tokens, the policy {model.trunk.vocabulary}"
            raise InputError(f"the reference's vocabulary has {seen}")
    if (value is not None) != (config.advantage == "gae"):
        problem = "no value model" if value is None else "a value model that nothing asks"
        raise InputError(f"there is {problem}, and the advantage is {config.advantage}")
    if (ptx is not None) != (config.ptx_coef > 0):
        problem = "no pretraining rows" if ptx is None else "pretraining rows that weigh nothing"
        raise InputError(f"there are {problem}, and ptx_coef is {config.ptx_coef}")


def _identity(
    prompts: Sequence[PromptRow],
    reference: LocalModel | Literal["adapter off"] | None,
    value: ScalarModel | None,
    ptx: TokenRows | None,
) -> dict[str, str]:
    of = {
        "set of prompts": digest([row.to_json() for row in prompts]),
        "reference": weights_digest(reference.net) if isinstance(reference, LocalModel) else str(reference),
    }
    if value is not None:
        of["value model"] = weights_digest(value.net)
    if ptx is not None:
        of["pretraining text"] = ptx.digest
    return of


@contextmanager
def _quiet(model: LocalModel) -> Iterator[None]:
    """No dropout, no gradient left over, and the global generator as it was found."""
    device = model.trunk.device
    model.net.zero_grad()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        model.net.zero_grad()
        model.net.eval()


def _plain(data: Any) -> Any:
    """JSON data in lists and dictionaries, as a checkpoint holds it."""
    if isinstance(data, Mapping):
        return {name: _plain(value) for name, value in data.items()}
    return [_plain(value) for value in data] if isinstance(data, list | tuple) else data
