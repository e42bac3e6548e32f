"""How well a dictionary of directions rebuilds vectors, and how sparsely. torch only."""

import torch
from torch import Tensor


def explained_variance(data: Tensor, rebuilt: Tensor) -> float:
    """The share of the variance of `data` [N, D] that `rebuilt` [N, D] keeps: 1 is all, 0 the mean alone.

    1 - sum |x - r|^2 / sum |x - mean|^2, the variance about the mean of these N rows: about zero, as it
    is often computed, whoever returns the mean explains nearly all of activations that are far from
    zero. Below 0 it is worse than the mean. Summed in float64.

    Raises:
        ValueError: the shapes differ, or all rows are equal.
    """
    if data.ndim != 2 or data.shape != rebuilt.shape:
        raise ValueError(f"two tables [N, D] are compared, not {data.shape} and {rebuilt.shape}")
    x = data.double()
    total = float((x - x.mean(0)).square().sum())
    if not total > 0:
        raise ValueError("rows that are all equal have no variance to explain")
    return 1 - float((x - rebuilt.double()).square().sum()) / total


def mean_active(fired: Tensor, rows: int) -> float:
    """L0: how many latents are active for a row, on average, where latent j is active in fired[j] of them."""
    if rows < 1:
        raise ValueError("a mean needs at least 1 row")
    return float(fired.double().sum()) / rows


def dead_share(fired: Tensor) -> float:
    """The share of latents [W] that are active nowhere: fired[j] says in how many rows latent j is."""
    if not len(fired):
        raise ValueError("there are no latents")
    return float((fired == 0).double().mean())


def mean_max_cosine(found: Tensor, planted: Tensor) -> float:
    """The mean over the directions `planted` [K, D] of the greatest cosine with one of `found` [W, D].

    1 means that every planted direction was found (Sharkey et al. 2022). The directions need no norm.
    """
    unit = torch.nn.functional.normalize
    cosines = unit(planted.double(), dim=-1) @ unit(found.double(), dim=-1).T
    return float(cosines.amax(-1).mean())


def geometric_median(points: Tensor, *, tolerance: float = 1e-6, most: int = 200) -> Tensor:
    """The vector [D], float64, with the least sum of distances to `points` [N, D].

    Unlike the mean it is not drawn towards a few points far out, such as the first tokens of a
    sequence. Found by Weiszfeld's iteration, from the mean, until a step is shorter than `tolerance`
    times the mean distance.

    Raises:
        ValueError: there is no point.
    """
    if not len(points):
        raise ValueError("no points have no median")
    x = points.double()
    centre = x.mean(0)
    for _ in range(most):
        distance = (x - centre).norm(dim=-1)
        scale = float(distance.mean())
        # A centre that lies on a point stays there for a while instead of dividing by zero.
        weights = 1 / distance.clamp(min=1e-12 * scale + 1e-300)
        moved = (weights @ x) / weights.sum()
        step = float((moved - centre).norm())
        centre = moved
        if step <= tolerance * scale:
            break
    return centre
