"""What goes into policy learning and what it writes down: prompts, a row for each update, rows of samples."""

from dataclasses import dataclass

from truing.types import FrozenDict, Message, Record, Stop


@dataclass(frozen=True, slots=True)
class PromptRow(Record):
    """What the policy is asked."""

    id: str
    messages: tuple[Message, ...]
    """Ends with the user's turn, or a tool's."""
    columns: FrozenDict = FrozenDict()
    """What rewards are given besides, by name."""


@dataclass(frozen=True, slots=True)
class Update(Record):
    """One update of the policy. Means are over the completions of its rollout that took part; None: not measured."""

    update: int
    """Counted from 1."""
    reward: float | None
    """Mean total reward of the rows that took part, before any KL is taken off; None if there were none."""
    reward_std: float | None
    """Standard deviation of those rewards over rows."""
    components: FrozenDict
    """Name of a reward -> mean of weight times value over the rows it applies to; none where it applies to none."""
    missing: FrozenDict
    """Name of a reward -> how many rows it did not apply to."""
    kl: float | None
    """Nats per completion to the reference: mean of the rows' sums of k1. None without a reference."""
    kl_spent: float | None
    """Nats per token to the reference: mean of k3, which is never below 0. None without a reference."""
    kl_coef: float
    """What a nat cost in this update, in units of the reward."""
    entropy: float | None
    """Nats per token of the policy that sampled: the mean of -log p of what it drew."""
    length: float
    """Completion tokens, mean."""
    length_std: float
    stops: FrozenDict
    """Stop reason -> how many completions."""
    groups: int
    """Groups of completions of one prompt."""
    zero_variance_groups: int
    """Groups whose rewards are all alike: they teach nothing."""
    clip_share: float
    """Share of tokens whose ratio was clipped."""
    ratio_max: float
    """The largest ratio of a token's probability to that under the policy that sampled, either way up."""
    grad_norm: float
    """Before clipping, the largest of the optimiser steps."""
    loss: float
    """Mean over the optimiser steps, pretraining text left out."""
    duplicate_ngrams: float
    """Share of the completions' 4-grams (of tokens) that stood earlier in the same completion."""
    tokens: int
    """Completion tokens of the rollout."""
    advantage_std: float
    value_loss: float | None = None
    """None without a value model."""
    ptx_loss: float | None = None
    """Nats per token on pretraining text; None where it is not mixed in."""
    sampler_gap: float | None = None
    """Mean absolute difference (nats per token) of the sampler's log-probabilities and those of the training's
    forward pass; None where the sampler tells none. Far above rounding, samples are not the policy's."""
    held_out: FrozenDict = FrozenDict()
    """Metric -> what it measured of the policy that sampled, more being better: a number, or an object of `value`,
    `low` and `high` (its 95 % interval). Empty at updates where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Sample(Record):
    """One completion of an update's rollout."""

    update: int
    prompt_id: str
    sample: int
    """Which of its group, counted from 0."""
    messages: tuple[Message, ...]
    """The prompt."""
    text: str
    """What was written."""
    reward: float | None
    """None where no reward applied."""
    components: FrozenDict
    """Name of a reward -> weight times value; only those that applied."""
    kl: float | None
    """Nats to the reference: the sum of k1 over the tokens. None without a reference, or if it took no part."""
    length: int
    """Tokens."""
    stop: Stop
