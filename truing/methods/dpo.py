"""Direct preference optimisation (Rafailov et al. 2023): a policy from comparisons, without a reward model.

The policy's own log-probabilities, against those of the model it began as, are the reward:
beta (log policy - log reference), and the loss is -log sigmoid(better - worse).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from truing.data import Comparisons, split_comparisons
from truing.grade import RewardFigures, longer_is_better, measure_reward
from truing.methods.adapters import lora
from truing.methods.comparing import By, RenderedComparisons, added, render_comparisons
from truing.methods.ranges import check_ranges
from truing.methods.saving import load_policy, new_folder, refuse_taken, save_policy
from truing.numerics import standard_error, student_interval
from truing.run import Card
from truing.types import InputError, Record

if TYPE_CHECKING:
    from truing.train import ComparedRows, Trained


@dataclass(frozen=True)
class DPOTuningConfig:
    """The numbers of direct preference optimisation. Weights are trained in float32 and saved as they were stored.

    Raises:
        InputError: the seed, the rank or the share is out of its range; what the others may be, training says.
    """

    beta: float = 0.1
    """What a nat of divergence from the reference costs: small lets the policy go far."""
    learning_rate: float = 1e-6
    """The highest learning rate; it falls to a tenth along a cosine. For a million parameters 1e-4, for LoRA 1e-5."""
    prompts_per_step: int = 64
    """Prompts per optimiser step, each with all its answers."""
    passes: float = 1.0
    """How often every prompt is trained on."""
    warmup: float = 0.1
    """The share of the steps in which the learning rate rises."""
    lora_rank: int = 0
    """0 trains every weight; above it, LoRA matrices of this rank beside every linear layer, saved as an adapter."""
    quantize: Literal["", "4bit"] = ""
    """4bit keeps the base model in four bits (NF4) under LoRA matrices: QLoRA (Dettmers et al. 2023)."""
    recompute: bool = False
    """Makes activations again in the backward pass: a third more work, far less memory."""
    by: By = "prompt"
    """What training and held-out side do not share: a prompt, a customer or a labeler."""
    held_out: float = 0.1
    """The share of prompts, customers or labelers that is held out."""
    seed: int = 0
    """Decides the split, the order of the prompts, and the first values of LoRA matrices."""

    def __post_init__(self) -> None:
        check_ranges(seed=self.seed, lora_rank=self.lora_rank, quantize=self.quantize)
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out is a share between 0 and 1, not {self.held_out}")


@dataclass(frozen=True, slots=True)
class Shift(Record):
    """A mean over held-out pairs with its 95 % interval over prompts; None for a single prompt."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class DPOFigures(Record):
    """What the policy does on held-out comparisons, against the model it began as."""

    rewards: RewardFigures
    """Its implicit rewards as those of a reward model."""
    margin: Shift
    """Reward of the better answer minus that of the worse one."""
    better_shift: Shift
    """How far the log-probability of better answers moved, in nats per answer."""
    worse_shift: Shift
    """The same of worse answers."""
    per_token: float
    """How far the log-probability of all these answers moved, in nats per token."""

    @property
    def warning(self) -> str:
        """That better answers became less likely, where they did; else empty."""
        if self.better_shift.value >= 0 or (self.better_shift.high or 0) > 0:
            return ""
        return (
            f"better answers became less likely themselves, by {-self.better_shift.value:.2f} nats each: probability "
            "went to answers that nobody compared; try fewer passes, a larger beta or a lower learning rate"
        )


@dataclass(frozen=True)
class DPOTuned:
    """A policy tuned on comparisons."""

    folder: Path
    trained: "Trained"
    figures: DPOFigures
    prompts: int
    """Comparisons that were trained on."""
    skipped: Mapping[str, int]
    """Why comparisons were left out -> how many."""
    ground: str
    """What this can claim."""


def tune_by_dpo(
    ref: str,
    comparisons: Comparisons,
    out: Path,
    config: DPOTuningConfig,
    *,
    data: str,
    checkpoint: Path | None = None,
    device: str = "auto",
) -> DPOTuned:
    """Train the model `ref` on comparisons, measure it on held-out ones, save it in `out` with a card.

    The reference is the model as it is given. Its log-probabilities are made once, before the training, by
    the code and in the numbers that the policy's are made in: at the first step every margin is 0.

    Args:
        ref: the model, by reference; usually one that learnt to answer by supervised fine-tuning.
        comparisons: what people preferred.
        out: the new folder.
        config: how.
        data: where the rows come from; errors name it.
        checkpoint: a file that receives the state about once a minute; if it is there, training goes on from it.
        device: as for `load_local`.

    Raises:
        InputError: the model cannot be loaded or is an adapter, the split leaves a side empty, nothing fits
            into the context, or `out` holds something.
    """
    from truing.model import evaluating
    from truing.train import DPOConfig, dpo, sequence_logprobs, spread

    refuse_taken(out)
    train, held_out = split_comparisons(
        comparisons.rows, by=config.by, held_out=config.held_out, key=config.seed
    )
    model = load_policy(ref, whole=not config.lora_rank, device=device, quantize=config.quantize or None)
    ground, context = model.ground or "not audited yet", model.trunk.context
    seen = render_comparisons(model.chat, train.rows, context=context, data=data)
    unseen = render_comparisons(model.chat, held_out.rows, context=context, data=data)
    taught, tested = seen.laid_out(), unseen.laid_out()

    adapter = None
    if config.lora_rank:
        adapter = lora(model.net, ref, rank=config.lora_rank, key=config.seed, task="CAUSAL_LM")
    spread(model.net)
    # With a fresh adapter the model is still what was given: one matrix of each pair is zero.
    what = "reference log-probabilities"
    reference, before = (sequence_logprobs(model.net, rows, what=what) for rows in (taught, tested))
    numbers = DPOConfig(
        beta=config.beta,
        learning_rate=config.learning_rate,
        prompts_per_step=config.prompts_per_step,
        passes=config.passes,
        warmup=config.warmup,
        weight_decay=0.0,
        recompute=config.recompute,
        key=config.seed,
    )
    trained = dpo(
        model.net,
        taught,
        numbers,
        reference=reference,
        what="DPO",
        checkpoint=checkpoint,
        forward_context=lambda: evaluating(
            model.net
        ),  # dropout would move the policy off the reference at once
    )
    moved = sequence_logprobs(model.net, tested, what="held-out log-probabilities") - before
    figures = _measured(unseen, tested, moved, config, longer=longer_is_better(seen.rows))

    card = Card(
        name=out.name,
        base_model=ref,
        summary=f"{ref}, tuned on comparisons by direct preference optimisation",
        ground=ground,
        method=_how(config, trained, len(seen.rows)),
        paper="Rafailov et al. 2023, arXiv 2305.18290",
        data=f"{len(seen.rows):,} comparisons from {data}, and {len(unseen.rows):,} held out by {config.by}",
        license="as the base model's",
        reward=f"implicit: {config.beta:g} log(policy / reference); {figures.rewards.sentence}",
        failures=tuple(filter(None, [figures.warning])),
        untested=("everything: audit it against its base model",),
        reproduce=(f"truing audit {out} --baseline {ref} --suite ...",),
    )
    with new_folder(out, card) as unfinished:
        save_policy(model, adapter, ref, unfinished)
    skipped = added(comparisons.skipped, train.skipped, held_out.skipped, seen.skipped, unseen.skipped)
    return DPOTuned(out, trained, figures, len(seen.rows), skipped, ground)


def _measured(
    rendered: RenderedComparisons,
    laid: "ComparedRows",
    moved: NDArray[np.float32],
    config: DPOTuningConfig,
    *,
    longer: bool,
) -> DPOFigures:
    """`moved` are the policy's log-probabilities minus the reference's, of each held-out answer [N], in nats."""
    each = [moved[a:b].astype(float).tolist() for a, b in zip(laid.groups, laid.groups[1:], strict=False)]
    rewards = [[config.beta * nats for nats in answers] for answers in each]
    pairs = [(n, i, j) for n, row in enumerate(rendered.rows) for i, j in row.pairs]
    better, worse = np.array([(each[n][i], each[n][j]) for n, i, j in pairs]).T
    of = [n for n, _, _ in pairs]
    return DPOFigures(
        rewards=measure_reward(rendered.rows, rewards, longer=longer, key=config.seed),
        margin=_shift(config.beta * (better - worse), of),
        better_shift=_shift(better, of),
        worse_shift=_shift(worse, of),
        per_token=float(moved.sum() / laid.rows.trained.sum()),
    )


def _shift(values: NDArray[np.float64], of: list[int]) -> Shift:
    value, groups = float(values.mean()), len(set(of))
    if groups < 2:
        return Shift(value, None, None)
    ends = student_interval(value, standard_error(values, clusters=of), groups - 1)
    return Shift(value, ends.low, ends.high)


def _how(config: DPOTuningConfig, trained: "Trained", prompts: int) -> str:
    how = f"LoRA of rank {config.lora_rank}" if config.lora_rank else "all weights"
    how += " on a base in four bits" if config.quantize else ""
    return (
        f"{how}; beta {config.beta:g}, {prompts:,} prompts, {config.passes:g} passes, {trained.steps:,} steps, "
        f"learning rate {config.learning_rate:g}, seed {config.seed}"
    )
