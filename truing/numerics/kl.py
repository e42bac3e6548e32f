"""The divergence of a policy from its reference as a training signal: estimates, penalties, rewards. torch only.

All is flat: the completion tokens of every row lie end to end [M], with `counts` [N] tokens per row.
What the estimators are, and what they expect, says `divergence.py`. A value and its gradient are two
things: differentiated as it stands, k1 has a gradient of mean zero and k3 that of the other divergence.
"""

from typing import Literal

from torch import Tensor

from truing.numerics.distillation import generalised_jsd
from truing.numerics.divergence import k1, k2, k3

KLKind = Literal["k1", "k2", "k3"]

_ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}
_STEEPEST = 20.0
"""Above so many nats a ratio of probabilities is held, far beyond what any step should bring."""


def kl_estimate(logp: Tensor, ref: Tensor, kind: KLKind) -> Tensor:
    """An estimate of KL(policy || reference) at each drawn token [M], in nats, finite where both inputs are.

    k1 and k3 have the expectation of the divergence under draws of the policy; k2 only close to it.
    For the gradient that belongs to it see `kl_penalty`. Source: Schulman 2020.

    Args:
        logp: log-probabilities of the drawn tokens under the policy [M].
        ref: the same under the reference [M].
        kind: "k1" is log(p/q), "k2" half its square, "k3" q/p - 1 - log(q/p).
    """
    return _ESTIMATORS[kind](logp, ref)


def kl_penalty(logp: Tensor, ref: Tensor, kind: KLKind, *, behaviour: Tensor | None = None) -> Tensor:
    """`kl_estimate` [M], with the gradient of the divergence itself: in expectation that of `exact_kl`.

    The gradient is log(p/q) times that of log p, which is k2's, whatever the value is (straight through);
    it is that of the divergence of the next token after the text as drawn, and does not reach the
    texts that a token leads to. Where that is meant, the penalty belongs into the rewards: `kl_rewards`.

    Args:
        logp: log-probabilities of the drawn tokens under the policy, with gradient [M].
        ref: the same under the reference [M].
        kind: which estimate is the value.
        behaviour: the same under the policy that drew them, where that is an earlier one [M]; value and
            gradient are then weighed by the ratio p/behaviour, so that both expect what they should.
    """
    value = kl_estimate(logp, ref, kind).detach()
    slope = k1(logp, ref).detach()
    if behaviour is not None:
        weight = (logp - behaviour).detach().clamp(max=_STEEPEST).exp()
        value, slope = weight * value, weight * slope
    return value + slope * (logp - logp.detach())


def exact_kl(logits: Tensor, ref_logits: Tensor) -> Tensor:
    """KL(policy || reference) of the next token over the whole vocabulary [M], in nats, with its gradient.

    Args:
        logits: those of the policy at the temperature that is drawn at [M, V].
        ref_logits: the same of the reference [M, V].
    """
    return generalised_jsd(logits, ref_logits, 1.0)


def kl_rewards(logp: Tensor, ref: Tensor, scores: Tensor, counts: Tensor, beta: float) -> Tensor:
    """The reward of each token [M]: -beta log(p/q), and at the last of each row its score. Without gradient.

    Ouyang et al. 2022 (InstructGPT), section 3.5, equation 2; per token as in Ziegler et al. 2019.

    Args:
        logp: log-probabilities of the drawn tokens under the policy that drew them [M].
        ref: the same under the reference [M].
        scores: what each row earned [N].
        counts: tokens of each row, at least one [N].
        beta: what a nat costs.

    Raises:
        ValueError: a row has no token, which could not be rewarded.
    """
    rewards = -beta * k1(logp, ref).detach()
    return rewards.index_add(0, last_tokens(counts), scores.to(rewards))


def last_tokens(counts: Tensor) -> Tensor:
    """Where the last token of each row is [N], of `counts` tokens per row laid end to end.

    Raises:
        ValueError: a row has no token.
    """
    if bool((counts < 1).any()):
        raise ValueError(f"row {int((counts < 1).int().argmax())} has no token")
    return counts.cumsum(0) - 1
