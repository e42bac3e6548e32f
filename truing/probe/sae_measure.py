"""How good an autoencoder is on activations that it was not trained on."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from truing.numerics import dead_share, explained_variance, mean_active
from truing.probe.sae import SAE
from truing.probe.sae_sparse import decode_at
from truing.types import InputError, Record

_ROWS = 4096


@dataclass(frozen=True, slots=True)
class SAEFigures(Record):
    """What an autoencoder does with activations."""

    tokens: int
    """How many activations."""
    explained_variance: float
    """The share of their variance about their mean that is rebuilt."""
    l0: float
    """Latents that are active for a token, on average."""
    dead_share: float
    """The share of latents that are active for none of these tokens; fewer tokens find more of them."""


@torch.no_grad()
def measure_sae(sae: SAE, activations: Tensor) -> SAEFigures:
    """The figures on activations [N, D].

    Raises:
        InputError: the activations are no finite numbers, or all equal, so that there is no variance to explain.
        ValueError: they are not as wide as the autoencoder.
    """
    if activations.shape[1:] != (sae.dim,):
        raise ValueError(f"the autoencoder is of activations of width {sae.dim}, not {activations.shape[1]}")
    x = activations.float()
    if not bool(x.isfinite().all()):
        raise InputError("the activations are no finite numbers", mend="check the model")
    if bool((x == x[:1]).all()):
        raise InputError(
            f"the activations of the {len(x)} tokens to measure on do not differ", mend="give more documents"
        )
    fired = torch.zeros(sae.width, dtype=torch.int64, device=x.device)

    def rebuilt() -> Iterator[Tensor]:
        for rows in torch.split(x, _ROWS):
            codes = sae.codes(rows)
            active = codes.pattern.latents[codes.values > 0]
            fired.add_(torch.bincount(active, minlength=sae.width))
            yield decode_at(codes, sae.decoder) + sae.decoder_bias

    explained = explained_variance(x, torch.cat(list(rebuilt())))
    return SAEFigures(len(x), explained, mean_active(fired, len(x)), dead_share(fired))
