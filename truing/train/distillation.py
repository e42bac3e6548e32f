"""The loop of on-policy distillation: a student learns what its teacher would have written next in its own texts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from truing.model import LocalModel, PackedForward, unwrapped
from truing.numerics import chunked_divergence
from truing.run import progress
from truing.train.distributed import Fleet, sharding
from truing.train.engine import backward_part
from truing.train.loss import LOGIT_ROWS
from truing.train.optimizer import OptimizerConfig, adamw, check_above_zero, descend, schedule
from truing.train.parts import Part, Reader, autocast
from truing.train.policy_batch import readable
from truing.train.policy_records import PromptRow
from truing.train.resume import Resume, weights_digest
from truing.train.rollout import Flat, Rollout, check_prompts, roll_out
from truing.types import Completion, FrozenDict, InputError, Record, digest, dumps, loads


@dataclass(frozen=True)
class DistillationConfig(OptimizerConfig):
    """The numbers of on-policy distillation.

    Raises:
        InputError: a number is out of its range.
    """

    beta: float = 1.0
    """Of `generalised_jsd`: 1 is the reverse divergence KL(student || teacher), 0 the forward one."""
    prompts_per_update: int = 32
    """Prompts that the student answers before each optimiser step."""
    samples_per_prompt: int = 4
    """Its answers to each."""
    max_new_tokens: int = 256
    """The longest answer."""
    temperature: float = 1.0
    """At which answers are sampled and both models' distributions compared."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_zero(self, "prompts_per_update", "samples_per_prompt", "max_new_tokens", "temperature")
        if not 0 <= self.beta <= 1:
            raise InputError(f"beta lies between 0 and 1, not at {self.beta}")


@dataclass(frozen=True, slots=True)
class DistillationUpdate(Record):
    """One update of the student. Means are over the tokens or completions that it wrote for it."""

    update: int
    """Counted from 1."""
    divergence: float
    """Nats per token to the teacher, exact over the vocabulary, of the student that wrote."""
    tokens: int
    """Completion tokens."""
    length: float
    """Tokens per completion."""
    stops: FrozenDict
    """Stop reason -> how many completions; those that failed are not learnt from, those cut off are."""
    grad_norm: float
    """Before clipping."""


@dataclass(frozen=True)
class Distilled:
    """What a distillation took and how it went."""

    updates: tuple[DistillationUpdate, ...]
    """Every update."""
    tokens: int
    """Completion tokens that were learnt from."""
    cpu_seconds: float
    """Processor time of this process, over all resumptions."""


Observe = Callable[[DistillationUpdate, Sequence[Completion]], None]
"""Is told of every update and of what the student wrote for it."""


def on_policy_distillation(
    model: LocalModel,
    teacher: LocalModel,
    prompts: Sequence[PromptRow],
    config: DistillationConfig,
    *,
    what: str,
    checkpoint: Path | None = None,
    observe: Observe = lambda _update, _completions: None,
) -> Distilled:
    """Train `model` in place towards `teacher` on texts of its own (Agarwal et al. 2024); leave it in `eval` mode.

    An update lets the student answer some prompts and takes one optimiser step on the mean over all tokens
    that it wrote of the divergence between both models' whole next-token distributions. The gradient is that
    of the divergence after the texts as drawn. Both models read the same token ids, those that the student
    was asked with and wrote, by the same code: a student that is its teacher diverges by exactly 0. Dropout
    is off all the time.

    The same weights, prompts and configuration give the same weights, bit for bit, on one kind of machine
    with one number of threads.

    Args:
        model: the student, trained where its parameters require a gradient; these must be float32.
        teacher: whose tokens are those of the student; not changed.
        prompts: what the student is asked, `config.passes` times; every pass has an order of its own.
        config: how.
        what: the job's name in the progress line.
        checkpoint: a file that receives the state about once a minute and at the end. If it is there
            already, training goes on from it to the same weights as without the interruption; both models
            must come with the weights that they had at the first start. Updates since the last save are
            done, and observed, again.
        observe: as `Observe`.

    Raises:
        InputError: a prompt cannot be asked, the teacher is the student itself, no completion of an update
            could be written, the checkpoint is of another training, or the loss is no longer a number.
        StorageError: the disk refuses the checkpoint.
    """
    started = time.process_time()
    _check(model, teacher)
    sample = check_prompts(model, prompts, config)
    learner = _Learner(model, teacher, config, sample)
    history = _History()
    identity = {
        "set of prompts": digest([row.to_json() for row in prompts]),
        "teacher": weights_digest(teacher.net) if checkpoint is not None else "",
        "chat template": model.chat.template_digest,
    }
    net, optimizer = learner.net, adamw(learner.net, config)
    resume = Resume(checkpoint, net, optimizer, config, identity, more={"history": history})
    count = max(1, round(config.passes * len(prompts) / config.prompts_per_update))
    net.zero_grad()
    with progress(count, what, unit="updates") as advance:
        advance(len(history.updates))
        for number in range(len(history.updates), count):
            rollout = roll_out(model, None, prompts, config, number)
            flat = Flat.of_rollout(rollout, _written(rollout))
            divergence = learner.backward(flat)
            rate = config.learning_rate * schedule(number, count, config)
            norm = descend(net, optimizer, divergence, rate=rate, clip=config.clip, what=what, step=number)
            row = _row(number, divergence, norm, rollout, flat)
            history.updates.append(row)
            resume.losses.append(divergence)
            observe(row, rollout.completions)
            resume.save(time.process_time() - started, last=number + 1 == count)
            advance(1)
    return Distilled(
        tuple(history.updates),
        tokens=sum(row.tokens for row in history.updates),
        cpu_seconds=resume.cpu_seconds + time.process_time() - started,
    )


class _Learner:
    """Both models' forward passes, measured once."""

    def __init__(
        self, model: LocalModel, teacher: LocalModel, config: DistillationConfig, sample: Sequence[Tensor]
    ) -> None:
        self._config, self._trunks = config, (model.trunk, teacher.trunk)
        self.net, self._teacher = unwrapped(model.net), unwrapped(teacher.net)
        self._forward, self._theirs = (
            PackedForward(net, [row.to(net.device) for row in sample]) for net in (self.net, self._teacher)
        )

    def backward(self, flat: Flat) -> float:
        """Add the gradient of the mean divergence over all completion tokens to the parameters; return it."""
        ours = Reader(self.net, flat.rows, flat.borders, flat.shared, self._forward)
        teacher = Reader(self._teacher, flat.rows, flat.borders, flat.shared, self._theirs)
        fleet, device = Fleet.of(self.net), self.net.device
        share = fleet.scale / float(flat.counts.sum())
        total = torch.zeros((), device=device)
        with self._forward.attending(), self._theirs.attending():
            for units, counts in fleet.batches(ours, np.arange(len(flat.borders) - 1)):
                with torch.no_grad():
                    theirs = teacher.read(units)
                part = ours.read(units)
                with autocast(device):
                    total += backward_part(partial(self._loss, theirs), part, share if counts else 0.0, None)
        return float(fleet.gathered(self.net, total))

    def _loss(self, theirs: Part, part: Part, share: float) -> Tensor:
        student, teacher = self._trunks
        nats = chunked_divergence(
            part.hidden[part.before],
            student.logits,
            theirs.hidden[theirs.before],
            teacher.logits,
            beta=self._config.beta,
            temperature=self._config.temperature,
            chunk=LOGIT_ROWS,
        )
        value = nats.sum() * share
        torch.autograd.backward(value)
        return value.detach()


@dataclass
class _History:
    """The updates that are done, kept in the checkpoint."""

    updates: list[DistillationUpdate] = field(default_factory=list)

    def state(self) -> list[str]:
        return [dumps(row) for row in self.updates]

    def restore(self, state: Any) -> None:
        self.updates[:] = [loads(DistillationUpdate, row) for row in state]


def _written(rollout: Rollout) -> list[int]:
    """The completions that can be learnt from; at least one."""
    written = readable(rollout)
    if not written:
        why = rollout.completions[0].error
        raise InputError(f"none of {len(rollout.completions)} completions could be written: {why}")
    return written


def _row(number: int, divergence: float, norm: float, rollout: Rollout, flat: Flat) -> DistillationUpdate:
    stops = [one.stop.value for one in rollout.completions]
    return DistillationUpdate(
        update=number + 1,
        divergence=divergence,
        tokens=int(flat.counts.sum()),
        length=float(flat.counts.mean()),
        stops=FrozenDict({name: stops.count(name) for name in sorted(set(stops))}),
        grad_norm=norm,
    )


def _check(model: LocalModel, teacher: LocalModel) -> None:
    if sharding():
        problem = (
            "on-policy distillation samples from the model that it trains, whose layers FSDP would take apart"
        )
        raise InputError(problem, mend="launch it without FSDP: each process has the whole model")
    ours = {id(p) for p in model.net.parameters()}
    if any(id(p) in ours for p in teacher.net.parameters()):
        raise InputError("the teacher is the student itself, and would be trained", mend="load it twice")
