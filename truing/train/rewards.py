"""The loop of reward models: one number for an answer, from comparisons of answers."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from truing.model import scalar_head, unwrapped
from truing.numerics import ranking_loss
from truing.train.compared import ComparedRows
from truing.train.engine import ExtraLoss, ForwardContext, Job, Trained, run
from truing.train.optimizer import OptimizerConfig, check_above_zero
from truing.train.parts import Part
from truing.train.plan import plan
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class RewardConfig(OptimizerConfig):
    """The numbers of training a reward model.

    Raises:
        InputError: a number is out of its range.
    """

    prompts_per_step: int = 64
    """Prompts per optimiser step, about: the steps of the training are as equal as can be."""
    divide_by: Literal["kept", "all"] = "kept"
    """What a prompt's loss is a mean over: its `kept` pairs, or `all` of them, ties counted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_zero(self, "prompts_per_step")
        if self.divide_by not in ("kept", "all"):
            raise InputError(f"divide_by must be kept or all, not {self.divide_by!r}")


def reward_modelling(
    net: "PreTrainedModel",
    data: ComparedRows,
    config: RewardConfig,
    *,
    what: str,
    checkpoint: Path | None = None,
    extra_loss: ExtraLoss | None = None,
    forward_context: ForwardContext = nullcontext,
) -> Trained:
    """Train `net`, a model with one number out, on `ranking_loss`; leave it in `eval` mode.

    The reward of an answer is read at the last token of its row. The loss of a step is the mean over
    its prompts. A prompt's answers go through the model at once, because the gradient of each depends
    on the rewards of the others: a prompt of very many or very long answers takes the memory that they
    need together, and is never cut. For everything else, errors and arguments included, see `supervised`.

    Args:
        net: transformers' `AutoModelForSequenceClassification` with `num_labels=1`, as `ScalarModel` has.
        data: the comparisons.
        config: how.
        what: the job's name in the progress line.
        checkpoint: as in `supervised`.
        extra_loss: as in `supervised`, but summed over prompts and divided by the step's prompts.
        forward_context: as in `supervised`.

    Raises:
        InputError: as `supervised`; or the head is frozen.
    """
    net = unwrapped(net)
    head = scalar_head(net)
    if not any(p.requires_grad for p in head.parameters()):
        mend = "with LoRA, name it in modules_to_save"
        raise InputError("the head of the reward model is frozen, so it would stay random", mend=mend)

    def loss(part: Part, share: float) -> Tensor:
        device = part.ids.device
        rewards = head(part.hidden[part.trained]).squeeze(-1).float()
        ranks, groups = (torch.from_numpy(x).to(device) for x in (data.ranks[part.rows], part.groups))
        mean = ranking_loss(rewards, ranks, groups, divide_by=config.divide_by)
        value = mean * (len(part.units) * share)
        torch.autograd.backward(value)
        return value.detach()

    last = np.zeros_like(data.rows.mask)
    last[data.rows.offsets[1:] - 1] = True
    each = np.ones(len(data), np.int64)
    job = Job(
        net,
        replace(data.rows, mask=last),
        borders=data.groups,
        shared=data.shared,
        weights=each,
        steps=plan(each, tokens_per_step=config.prompts_per_step, passes=config.passes, key=config.key),
        config=config,
        identity={"set of comparisons": data.digest},
        what=what,
        checkpoint=checkpoint,
        extra_loss=extra_loss,
        forward_context=forward_context,
    )
    return run(job, loss)
