"""The loss of each token of a policy step, and its weight in the whole of it. torch only.

Everything is flat [M]; the weights are made once for the whole step, so that its loss and gradient are
the same however the rows are split over micro-batches and devices. A weight of zero is no protection
from NaN (0 NaN is NaN): what takes no part is selected away, see `weighted_sum`.
"""

from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["token", "sequence", "fixed"]

_STEEPEST = 20.0
"""Above so many nats the ratio to the old policy is held: e^20 is no step, and inf would be NaN."""


def clipped_policy_loss(logp: Tensor, old: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """PPO's loss of each token [M]: max(-A r, -A clip(r, 1 - low, 1 + high)) with r = exp(logp - old).

    Schulman et al. 2017, equation 7, as a loss; `high` above `low` is the "clip-higher" of Yu et al. 2025
    (DAPO). A token without advantage has neither loss nor gradient, whatever its log-probabilities are.

    Args:
        logp: log-probabilities (nats) of the drawn tokens under the policy, with gradient [M].
        old: the same under the policy that the step began with [M].
        advantages: of each token [M].
        low: how far below 1 the ratio still counts.
        high: how far above.
    """
    gap = torch.where(advantages == 0, 0.0, logp - old.detach())
    ratio = gap.clamp(max=_STEEPEST).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - low, 1 + high))


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """PPO's loss of each value [M]: half of max((v - R)^2, (old + clip(v - old, -clip, clip) - R)^2).

    Args:
        values: of the value model, with gradient [M].
        old_values: the same when the step began [M].
        returns: what came [M].
        clip: how far a value may move in a step at a profit.
    """
    held = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (held - returns).square())


def token_weights(
    counts: Tensor, kind: Aggregation, *, fixed: float | None = None, kept: Tensor | None = None
) -> Tensor:
    """What each token's loss weighs in a step of N rows [M], float32: the loss is the weighted sum.

    "token": the mean over all tokens of the step (Yu et al. 2025, equation 8). "sequence": the mean over
    rows of the mean over their tokens (Shao et al. 2024, equation 3). "fixed": the sum over `fixed`, such
    as rows times the longest allowed completion (Liu et al. 2025). A row that is not kept, and one
    without tokens, is in no sum and no denominator.

    Args:
        counts: tokens of each row of the whole step [N].
        kind: the aggregation.
        fixed: the denominator, where it is fixed.
        kept: the rows that take part [N], bool; all of them unless given.

    Raises:
        ValueError: "fixed" without a denominator above 0, or a denominator without "fixed".
    """
    if (kind == "fixed") != (fixed is not None and fixed > 0):
        raise ValueError(f"the aggregation {kind!r} does not go with the denominator {fixed}")
    part = counts.double() if kept is None else torch.where(kept, counts, 0).double()
    if kind == "token":
        weights = (part > 0) / part.sum().clamp(min=1)
    elif kind == "sequence":
        weights = (part > 0) / (part.clamp(min=1) * (part > 0).sum().clamp(min=1))
    else:
        weights = (part > 0) / torch.full_like(part, fixed or 1.0)
    return weights.float().repeat_interleave(counts)


def weighted_sum(weights: Tensor, per_token: Tensor) -> Tensor:
    """The loss of (a shard of) a step: the sum of `per_token` [M] by `weights` [M], a scalar.

    A token of weight zero adds nothing, not even NaN. To hold its gradient off, too, select by
    `weights != 0` before the losses are computed: zero times an infinite slope is NaN.
    """
    return torch.where(weights != 0, weights * per_token, 0.0).sum()
