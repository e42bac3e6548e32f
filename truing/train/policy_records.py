"""What a run of policy learning writes down: a row for each update, and rows of what was sampled."""

from dataclasses import dataclass

from truing.types import FrozenDict, Message, Record, Stop


@dataclass(frozen=True, slots=True)
class Update(Record):
    """One update of the policy. Means are over the completions of its rollout; NaN is "not measured"."""

    update: int
    """Counted from 1."""
    reward: float
    """Mean total reward of the rows that have one, before any KL is taken off."""
    reward_std: float
    """Standard deviation of those rewards over rows."""
    components: FrozenDict
    """Name of a reward -> mean of weight times value over the rows it applies to; none where it applies to none."""
    missing: FrozenDict
    """Name of a reward -> how many rows it did not apply to."""
    kl: float
    """Nats per completion to the reference: mean of the rows' sums of k1. NaN without a reference."""
    kl_spent: float
    """Nats per token to the reference: mean of k3, which is never below 0. NaN without a reference."""
    kl_coef: float
    """What a nat cost in this update, in units of the reward."""
    entropy: float
    """Nats per token of the policy that sampled."""
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
    grad_norm: float
    """Before clipping."""
    loss: float
    duplicate_ngrams: float
    """Share of the completions' 4-grams (of tokens) that stood earlier in the same completion."""
    tokens: int
    """Completion tokens of the rollout."""
    advantage_std: float
    value_loss: float | None = None
    """None without a value model."""
    ptx_loss: float | None = None
    """Nats per token on pretraining text; None where it is not mixed in."""
    held_out: FrozenDict = FrozenDict()
    """Metric -> what it measured of the policy that sampled, more being better: a number, or an object of `value`,
    `low` and `high` (its 95 % interval). Empty at updates where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Sample(Record):
    """One completion that an update learnt from."""

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
    kl: float
    """Nats to the reference: the sum of k1 over the tokens. NaN without a reference."""
    length: int
    """Tokens."""
    stop: Stop
