"""Activations whose dictionary is known: few directions out of many, each with a coefficient above 0, and noise.

Import as `from probe.planted import ...` (tests/ is on the path).
"""

import torch
from torch import Tensor

DIM, PLANTED, ACTIVE = 24, 32, 3


def planted(rows: int = 4096, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Directions [K, D] of norm 1, and rows [N, D] far from zero that are sums of about three of them."""
    drawn = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(PLANTED, DIM, generator=drawn), dim=-1)
    on = torch.rand(rows, PLANTED, generator=drawn) < ACTIVE / PLANTED
    strengths = on * (1 + torch.rand(rows, PLANTED, generator=drawn))
    noise = 0.02 * torch.randn(rows, DIM, generator=drawn)
    return directions, strengths @ directions + noise + 3


def shuffled(rows: Tensor, *, seed: int = 0) -> Tensor:
    """The rows with each of their numbers drawn from another row: equal margins, no directions."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.stack([column[torch.randperm(len(rows), generator=drawn)] for column in rows.T], dim=1)
