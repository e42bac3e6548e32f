"""The loop of direct preference optimisation: a policy, from comparisons of answers."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truing.model import Trunk, unwrapped
from truing.numerics import chunked_logprobs, implicit_rewards, ranking_loss
from truing.run import progress
from truing.train.compared import ComparedRows
from truing.train.distributed import Fleet
from truing.train.engine import ExtraLoss, ForwardContext, Job, Trained, run
from truing.train.loss import LOGIT_ROWS, logprobs_once
from truing.train.optimizer import OptimizerConfig, check_above_zero
from truing.train.parts import Part, Reader, autocast
from truing.train.plan import plan
from truing.train.rows import TokenRows
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class DPOConfig(OptimizerConfig):
    """The numbers of direct preference optimisation (Rafailov et al. 2023).

    Raises:
        InputError: a number is out of its range.
    """

    beta: float = 0.1
    """What a nat of divergence from the reference costs."""
    prompts_per_step: int = 64
    """Prompts per optimiser step, about: the steps of the training are as equal as can be."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_zero(self, "beta", "prompts_per_step")


def dpo(
    net: "PreTrainedModel",
    data: ComparedRows,
    config: DPOConfig,
    *,
    reference: NDArray[np.floating],
    what: str,
    checkpoint: Path | None = None,
    extra_loss: ExtraLoss | None = None,
    forward_context: ForwardContext = nullcontext,
) -> Trained:
    """Train `net` on `ranking_loss` of its `implicit_rewards`; leave it in `eval` mode.

    The loss of a step is the mean over its prompts: with two answers to each it is the loss of DPO,
    with more the mean over their pairs. A prompt's answers go through the model at once and are never
    cut, as in `reward_modelling`. For everything else, errors and arguments included, see `supervised`.

    Args:
        net: the policy.
        data: the comparisons.
        config: how.
        reference: summed log-probability of each answer under the model that `net` began as [N], as
            `sequence_logprobs(net, data)` gives it before the training.
        what: the job's name in the progress line.
        checkpoint: as in `supervised`.
        extra_loss: as in `supervised`, but summed over prompts and divided by the step's prompts.
        forward_context: as in `supervised`.

    Raises:
        InputError: as `supervised`; or a reference is not a finite number.
    """
    if len(reference) != len(data.rows):
        raise ValueError(f"there are {len(data.rows)} answers and {len(reference)} references")
    if not np.isfinite(reference).all():
        row = int((~np.isfinite(reference)).argmax())
        raise InputError(f"the reference's log-probability of row {row + 1} is {reference[row]}")
    net = unwrapped(net)
    trunk = Trunk(net)
    references = np.asarray(reference, np.float32)

    def loss(part: Part, share: float) -> Tensor:
        total = torch.zeros((), device=trunk.device)
        ranks, base = (torch.from_numpy(x[part.rows]).to(trunk.device) for x in (data.ranks, references))
        groups = torch.from_numpy(part.groups).to(trunk.device)
        counts = data.rows.trained[part.rows]
        before = np.append(0, np.cumsum(counts))
        # Some prompts at a time: their logits stay in the cache and are gone before the next.
        for first, last in _spans(before[part.groups]):
            rows = slice(part.groups[first], part.groups[last])
            tokens = slice(before[rows.start], before[rows.stop])
            logits = trunk.logits(part.hidden[part.before[tokens]])
            logprobs = logprobs_once(logits, part.ids[part.trained[tokens]])
            policy = torch.stack([row.sum() for row in torch.split(logprobs, counts[rows].tolist())])
            rewards = implicit_rewards(policy, base[rows], config.beta)
            mean = ranking_loss(rewards, ranks[rows], groups[first : last + 1] - groups[first])
            value = mean * ((last - first) * share)
            torch.autograd.backward(value)
            total += value.detach()
        return total

    each = np.ones(len(data), np.int64)
    job = Job(
        net,
        data.rows,
        borders=data.groups,
        shared=data.shared,
        weights=each,
        steps=plan(each, tokens_per_step=config.prompts_per_step, passes=config.passes, key=config.key),
        config=config,
        identity={"set of comparisons": data.digest, "reference": sha256(references.tobytes()).hexdigest()},
        what=what,
        checkpoint=checkpoint,
        extra_loss=extra_loss,
        forward_context=forward_context,
    )
    return run(job, loss)


def sequence_logprobs(
    net: "PreTrainedModel", rows: TokenRows | ComparedRows, *, what: str = "log-probabilities"
) -> NDArray[np.float32]:
    """Summed log-probability (nats) of the tokens of each row that carry loss [N]; `net` is left in `eval` mode.

    Of `ComparedRows`, what the answers of a prompt share is read once. Matrix products run in bfloat16
    where those of the loops do.

    Raises:
        InputError: a row is longer than the model's context or has a token that the model has not.
    """
    net = unwrapped(net)
    trunk = Trunk(net)
    if isinstance(rows, ComparedRows):
        flat, borders, shared = rows.rows, rows.groups, rows.shared
    else:
        flat, borders, shared = rows, np.arange(len(rows) + 1), None
    reader = Reader(net, flat, borders, shared)
    fleet = Fleet.of(net)
    sums = np.zeros(len(flat), np.float32)
    batches = fleet.batches(reader, np.arange(len(borders) - 1))
    with progress(len(batches), what, unit="batches") as advance, torch.no_grad(), reader.forward.attending():
        for units, counted in batches:
            part = reader.read(units)
            with autocast(trunk.device):
                hidden = part.hidden[part.before]
                logprobs = chunked_logprobs(hidden, trunk.logits, part.ids[part.trained])
            counts = flat.trained[part.rows].tolist()
            if counted:
                sums[part.rows] = (
                    torch.stack([row.sum() for row in torch.split(logprobs, counts)]).cpu().numpy()
                )
            advance(1)
    fleet.total(torch.from_numpy(sums))  # the same memory
    return sums


def _spans(before: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Neighbouring units (first, last + 1) of few trained tokens together; `before` are those before each."""
    first = 0
    for unit in range(1, len(before)):
        if unit == len(before) - 1 or before[unit + 1] - before[first] > LOGIT_ROWS:
            yield first, unit
            first = unit
