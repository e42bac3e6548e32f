"""The supervised loop: pretraining from scratch and supervised fine-tuning."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from truing.model import Trunk, unwrapped
from truing.train.beside import Beside
from truing.train.engine import ExtraLoss, ForwardContext, Job, Observe, Trained, run
from truing.train.loss import backward_nll
from truing.train.optimizer import OptimizerConfig, check_above_zero
from truing.train.parts import Part
from truing.train.plan import plan
from truing.train.rows import TokenRows
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class SupervisedConfig(OptimizerConfig):
    """The numbers of supervised training.

    Raises:
        InputError: a number is out of its range.
    """

    tokens_per_step: int = 4096
    """Tokens per optimiser step, about: steps are made of whole rows."""
    rows_per_step: int = 0
    """Above 0, so many rows per optimiser step, whatever their lengths."""
    also: str = ""
    """Digest of what else decides the weights, such as what `extra_loss` is made of: part of the configuration."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_above_zero(self, "tokens_per_step")
        if self.rows_per_step < 0:
            raise InputError(f"rows_per_step must not be negative, as {self.rows_per_step} is")


def supervised(
    net: "PreTrainedModel",
    rows: TokenRows,
    config: SupervisedConfig,
    *,
    what: str,
    checkpoint: Path | None = None,
    extra_loss: ExtraLoss | None = None,
    forward_context: ForwardContext = nullcontext,
    beside: Beside | None = None,
    observe: Observe | None = None,
) -> Trained:
    """Train `net` in place on the next token of every row where its mask says so; leave it in `eval` mode.

    The loss of a step is the negative log-likelihood summed over the step's trained tokens, divided
    by their number, whatever the lengths of the rows. Nothing is padded, and logits are made only
    where there is loss. The same weights, rows and configuration give the same weights, bit for bit,
    on one kind of machine with one number of threads. The global random generators are left as they
    were.

    Matrix products run in bfloat16 where the device computes in it; weights and optimiser stay float32.

    Args:
        net: trained where its parameters require a gradient; these must be float32. An adapter of
            peft inside it is trained and everything else left.
        rows: what it is trained on.
        config: how.
        what: the job's name in the progress line.
        checkpoint: a file that receives the state about once a minute and at the end. If it is there
            already, training goes on from it, to the same weights as without the interruption; `net`
            must come with the weights that it had at the first start.
        extra_loss: a further loss of what went through the model at once, summed over its trained
            tokens: it is divided by the step's trained tokens, as the loss is, and counted in it.
        forward_context: opened around every forward pass.
        beside: a loss on other rows, added to that of every step.
        observe: as `Observe`; what it measures must be a function of the weights, so that a resumed training
            ends where the other would.

    Raises:
        InputError: a row is longer than the model's context or has a token that the model has not;
            parameters are not float32; the checkpoint is of another configuration, other rows or
            another model; the loss is no longer a number.
        StorageError: the disk refuses the checkpoint.
    """
    net = unwrapped(net)
    trunk = Trunk(net)

    def loss(part: Part, share: float) -> Tensor:
        return backward_nll(part.hidden[part.before], trunk.logits, part.ids[part.trained], share)

    size = config.rows_per_step
    each = np.ones(len(rows), np.int64) if size else rows.lengths
    job = Job(
        net,
        rows,
        borders=np.arange(len(rows) + 1),
        shared=np.zeros(len(rows), np.int64),
        weights=rows.trained,
        steps=plan(
            each, tokens_per_step=size or config.tokens_per_step, passes=config.passes, key=config.key
        ),
        config=config,
        identity={"rows": rows.digest},
        what=what,
        checkpoint=checkpoint,
        extra_loss=extra_loss,
        forward_context=forward_context,
        beside=beside,
        observe=observe,
    )
    return run(job, loss)
