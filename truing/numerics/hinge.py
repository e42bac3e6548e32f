"""The hinge loss of a ranking, and the weights of a linear reward that minimise it.

Of two answers the better one is to lie at least a margin above the worse one. A pair is a row
(better, worse) of indices; margins are real numbers, one for all pairs or one for each.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_CELLS = 2**14  # fits times pairs that a step takes at a time: larger products wake all cores, to no use


def ranking_hinge(rewards: ArrayLike, pairs: ArrayLike, margins: ArrayLike = 1.0) -> tuple[float, Floats]:
    """The mean over pairs of max(0, margin + R(worse) - R(better)), and a subgradient by the rewards.

    `rewards` [N], `pairs` [P, 2] as (better, worse), `margins` a number or [P]; the subgradient is [N].
    A pair whose margin is just reached pulls at nothing. Source: Mu et al. 2024, equation of section 4.1.

    Raises:
        ValueError: there is no pair, one names a reward that is not there, or a number is not finite.
    """
    values = np.asarray(rewards, dtype=np.float64)
    of, wanted = _checked(len(values), pairs, margins)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError("rewards are a list of finite numbers")
    slack = wanted + values[of[:, 1]] - values[of[:, 0]]
    share = (slack > 0) / len(of)
    up, down = (np.bincount(of[:, side], share, len(values)) for side in (1, 0))
    gradient: Floats = np.asarray(up - down, dtype=np.float64)
    return float(np.maximum(slack, 0).mean()), gradient


def hinge_weights(
    features: ArrayLike,
    pairs: ArrayLike,
    margins: ArrayLike = 1.0,
    *,
    base: ArrayLike = 0.0,
    draws: ArrayLike | None = None,
    learning_rate: float = 1e-2,
    steps: int = 1000,
    weight_decay: float = 0.0,
) -> Floats:
    """Weights [F] that rank by base + features @ weights: AdamW on `ranking_hinge`, all pairs at each step.

    `features` are [N, F], `base` a number or [N] (what another reward gives already). The weights start
    at 0, and a feature that tells no two answers of a pair apart keeps exactly 0. `draws` [R, P] says
    how often each pair counts in each of R fits (a bootstrap); then the weights are [R, F]. Source: the
    published fitter (openai/safety-rbr-code-and-data): AdamW (Loshchilov & Hutter 2019) with PyTorch's
    defaults, learning rate 1e-2, 1,000 steps, decay 0.

    Raises:
        ValueError: as `ranking_hinge`; a fit has no pair that counts; steps or rates are out of range.
    """
    phi = np.asarray(features, dtype=np.float64)
    if phi.ndim != 2 or not np.isfinite(phi).all():
        raise ValueError("features are a table of finite numbers")
    of, wanted = _checked(len(phi), pairs, margins)
    start = np.broadcast_to(np.asarray(base, dtype=np.float64), len(phi))
    if not np.isfinite(start).all():
        raise ValueError("the other reward is a list of finite numbers")
    if steps < 0 or not (0 < learning_rate < np.inf and 0 <= weight_decay * learning_rate < 1):
        raise ValueError("steps are at least 0, the learning rate above 0, and decay takes less than all")
    apart = phi[of[:, 0]] - phi[of[:, 1]]
    lacking = wanted - start[of[:, 0]] + start[of[:, 1]]
    counts = np.ones((1, len(of))) if draws is None else np.asarray(draws, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] != len(of) or not (counts.sum(axis=1) > 0).all():
        raise ValueError("every fit counts each pair so often, and some pair at least once")
    shares = counts / counts.sum(axis=1, keepdims=True)
    rows = max(1, _CELLS // len(of))
    parts = [shares[at : at + rows] for at in range(0, len(shares), rows)]
    weights = np.concatenate(
        [_adamw(apart, lacking, part, learning_rate, steps, weight_decay) for part in parts]
    )
    return weights[0] if draws is None else weights


def _adamw(
    apart: Floats, lacking: Floats, shares: Floats, learning_rate: float, steps: int, weight_decay: float
) -> Floats:
    """[P, F] differences, [P] what they have to make up for, [R, P] shares of the pairs -> [R, F]."""
    weights = np.zeros((len(shares), apart.shape[1]))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        active = weights @ apart.T < lacking
        gradient = -(active * shares) @ apart
        weights *= 1 - learning_rate * weight_decay
        first += (1 - _BETA1) * (gradient - first)
        second += (1 - _BETA2) * (gradient**2 - second)
        root = np.sqrt(second / (1 - _BETA2**step)) + _EPSILON
        weights -= learning_rate / (1 - _BETA1**step) * first / root
    return weights


def _checked(n: int, pairs: ArrayLike, margins: ArrayLike) -> tuple[NDArray[np.intp], Floats]:
    """Pairs [P, 2] and a margin for each [P]."""
    of = np.asarray(pairs)
    if of.ndim != 2 or of.shape[1] != 2 or not len(of) or of.dtype.kind not in "iu":
        raise ValueError("pairs are at least one row of (better, worse), whole numbers")
    if of.min() < 0 or of.max() >= n:
        raise ValueError(f"a pair names an answer that is none of the {n}")
    # Margins have an array of their own: beside the indices, in one of whole numbers, 0.5 would be 0.
    wanted = np.broadcast_to(np.asarray(margins, dtype=np.float64), len(of))
    if not np.isfinite(wanted).all():
        raise ValueError("a margin is not finite")
    return of.astype(np.intp), wanted
