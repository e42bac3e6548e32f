"""A reward model from comparisons (Ouyang et al. 2022, section 3.5): one number for an answer, in people's order.

The unembedding of a language model is replaced by a new head with one number out; the loss is the mean over a
prompt's pairs of -log sigmoid(R(better) - R(worse)).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truing.data import Comparisons, split_comparisons
from truing.grade import RewardFigures, longer_is_better, measure_reward
from truing.methods.adapters import lora
from truing.methods.comparing import By, added, render_comparisons
from truing.methods.ranges import check_ranges
from truing.methods.saving import new_folder, place_to_load, refuse_taken
from truing.model import ScalarModel
from truing.run import Card
from truing.types import InputError, Message

if TYPE_CHECKING:
    from truing.methods.comparing import RenderedComparisons
    from truing.train import Trained


@dataclass(frozen=True)
class RewardModelConfig:
    """The numbers of a reward model. Weights are trained in float32.

    Raises:
        InputError: the seed, the rank or the share is out of its range; what the others may be, training says.
    """

    learning_rate: float = 1e-5
    """The highest learning rate; it falls to a tenth along a cosine. For a million parameters 3e-4, for LoRA 1e-4."""
    prompts_per_step: int = 64
    """Prompts per optimiser step, each with all its answers."""
    passes: float = 1.0
    """How often every prompt is trained on; more than once overfits."""
    warmup: float = 0.03
    """The share of the steps in which the learning rate rises."""
    lora_rank: int = 0
    """0 trains every weight; above it, the head and LoRA matrices of this rank, merged when the model is saved."""
    recompute: bool = False
    """Makes activations again in the backward pass: a third more work, far less memory."""
    by: By = "prompt"
    """What training and held-out side do not share: a prompt, a customer or a labeler."""
    held_out: float = 0.2
    """The share of prompts, customers or labelers that is held out."""
    seed: int = 0
    """Decides the split, the order of the prompts, and the first weights of the head."""

    def __post_init__(self) -> None:
        check_ranges(seed=self.seed, lora_rank=self.lora_rank)
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out is a share between 0 and 1, not {self.held_out}")


REWARD_PRESETS: Mapping[str, RewardModelConfig] = {
    # Ouyang et al. 2022, appendix C.2: 64 prompts with all their answers, one pass, cosine to a tenth.
    "instructgpt-6b": RewardModelConfig(learning_rate=9e-6, prompts_per_step=64, passes=1, warmup=0),
}
"""Published numbers by name; not run on pretrained weights here."""


@dataclass(frozen=True)
class RewardModelTrained:
    """A reward model: where it lies, how its training went, and what it does on held-out comparisons."""

    folder: Path
    trained: "Trained"
    figures: RewardFigures
    prompts: int
    """Comparisons that were trained on."""
    skipped: Mapping[str, int]
    """Why comparisons and demonstrations were left out -> how many."""
    bias: float
    """What is added to the head's number so that the mean of the demonstrations is 0."""
    ground: str
    """What this can claim."""


def train_reward_model(
    ref: str,
    comparisons: Comparisons,
    out: Path,
    config: RewardModelConfig,
    *,
    data: str,
    demonstrations: Sequence[tuple[Message, ...]] = (),
    checkpoint: Path | None = None,
    device: str = "auto",
) -> RewardModelTrained:
    """Train a reward model that begins as `ref`, measure it on held-out comparisons, save it in `out` with a card.

    Args:
        ref: a causal language model, by reference.
        comparisons: what people preferred.
        out: the new folder: transformers' `AutoModelForSequenceClassification` with `num_labels=1`.
        config: how.
        data: where the rows come from; errors name it.
        demonstrations: conversations that end with an answer people wrote; their mean reward is set to 0.
        checkpoint: a file that receives the state about once a minute; if it is there, training goes on from it.
        device: as for `load`.

    Raises:
        InputError: the model cannot be loaded or is an adapter, the split leaves a side empty, nothing fits
            into the context, or `out` holds something.
    """
    from truing.model import context_length, evaluating, unwrapped
    from truing.train import RewardConfig, reward_modelling, sharding, spread

    refuse_taken(out)
    if config.lora_rank and sharding():
        mend = "train all weights, or launch without FSDP"
        raise InputError("a reward model's LoRA matrices cannot be merged into a sharded model", mend=mend)
    if ref.startswith("endpoint:"):
        raise InputError(
            f"this needs a model's weights, and {ref} has none here", mend="give a folder or hub:ID"
        )
    train, held_out = split_comparisons(
        comparisons.rows, by=config.by, held_out=config.held_out, key=config.seed
    )
    model = ScalarModel.from_base(ref, config.seed, device=place_to_load(device))
    ground = model.ground or "held-out comparisons of the file it was trained on; no other texts"
    context = context_length(model.net)
    seen = render_comparisons(model.chat, train.rows, context=context, data=data)
    unseen = render_comparisons(model.chat, held_out.rows, context=context, data=data)

    if config.lora_rank:
        net = lora(model.net, ref, rank=config.lora_rank, key=config.seed, task="SEQ_CLS", kept=("score",))
        model.net = net
    spread(unwrapped(model.net))
    numbers = RewardConfig(
        learning_rate=config.learning_rate,
        prompts_per_step=config.prompts_per_step,
        passes=config.passes,
        warmup=config.warmup,
        weight_decay=0.0,
        recompute=config.recompute,
        key=config.seed,
    )
    trained = reward_modelling(
        model.net,
        seen.laid_out(),
        numbers,
        what="reward model",
        checkpoint=checkpoint,
        forward_context=lambda: evaluating(model.net),  # two answers compared under different dropout are not
    )
    figures = measure_reward(
        unseen.rows, _rewards(model, unseen), longer=longer_is_better(seen.rows), key=config.seed
    )
    unfit: dict[str, int] = {}
    if demonstrations:
        unfit = _set_mean(model, demonstrations, context, data)

    card = Card(
        name=out.name,
        base_model=ref,
        summary=f"A reward model: one number for an answer, trained on comparisons, begun as {ref}",
        ground=ground,
        method=_how(config, trained, len(seen.rows)),
        paper="Ouyang et al. 2022, arXiv 2203.02155, section 3.5",
        data=f"{len(seen.rows):,} comparisons from {data}, and {len(unseen.rows):,} held out by {config.by}",
        reward=figures.sentence,
        license="as the base model's",
        failures=("a policy that is trained on it finds what it pays for, whether people want it or not",),
        untested=("answers of other models than those compared",),
    )
    with new_folder(out, card) as unfinished:
        model.save(unfinished)
    skipped = added(comparisons.skipped, train.skipped, held_out.skipped, seen.skipped, unseen.skipped, unfit)
    return RewardModelTrained(out, trained, figures, len(seen.rows), skipped, model.bias, ground)


def _rewards(model: ScalarModel, rendered: "RenderedComparisons") -> list[tuple[float, ...]]:
    rewards = iter(model.score([one.ids for each in rendered.answers for one in each]).tolist())
    return [tuple(next(rewards) for _ in each) for each in rendered.answers]


def _set_mean(
    model: ScalarModel, demonstrations: Sequence[tuple[Message, ...]], context: int | None, data: str
) -> dict[str, int]:
    """Set the bias so that the mean reward of what people wrote is 0 (appendix C.2); those too long are left out."""
    rows = [model.chat.training_example(shown).ids for shown in demonstrations]
    fit = [row for row in rows if context is None or len(row) <= context]
    if not fit:
        raise InputError("no demonstration fits into the model's context", file=data, mend="shorten them")
    model.bias -= float(model.score(fit).mean())
    too_long = len(rows) - len(fit)
    return {"a demonstration is longer than the model's context": too_long} if too_long else {}


def _how(config: RewardModelConfig, trained: "Trained", prompts: int) -> str:
    how = f"the head and LoRA of rank {config.lora_rank}, merged" if config.lora_rank else "all weights"
    return (
        f"{how}; {prompts:,} prompts, {config.passes:g} passes, {trained.steps:,} steps, "
        f"learning rate {config.learning_rate:g}, seed {config.seed}"
    )
