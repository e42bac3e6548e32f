"""What a sparse autoencoder minimises, on activations whose variance about the mean is 1."""

from dataclasses import dataclass

import torch
from torch import Tensor

from truing.probe.sae import SAE
from truing.probe.sae_sparse import Codes, decode_at


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of a batch in its parts, scalars; with that variance, shares of it."""

    total: Tensor
    """What is back-propagated."""
    reconstruction: Tensor
    """The mean squared error of a row, summed over its D numbers: the share of variance not explained."""
    active: Tensor
    """L0: latents that are active for a row, on average."""
    codes: Codes
    """The latents."""
    fired: Tensor
    """Which of them were active [W], as truth values."""


def loss(
    sae: SAE, x: Tensor, *, dead: Tensor, auxiliary: float, auxiliary_k: int, target: float, sparsity: float
) -> Loss:
    """Reconstruction + sparsity * (L0 / target - 1)^2 + auxiliary * what the dead latents miss of the error.

    The penalty aims at an L0, as SAELens' quadratic mode does; where k is fixed, it has neither a weight nor a
    gradient.

    Args:
        sae: the autoencoder.
        x: activations [N, D], scaled.
        dead: the latents [A] that count as dead.
        auxiliary: the weight of the auxiliary loss.
        auxiliary_k: how many dead latents each row may use.
        target: the L0 aimed at.
        sparsity: the weight of the penalty.
    """
    codes, active = sae.training_codes(x)
    error = x - decode_at(codes, sae.decoder) - sae.decoder_bias
    reconstruction = error.square().sum(-1).mean()
    total = reconstruction
    if sparsity:
        total = total + sparsity * (active / target - 1).square()
    if auxiliary and len(dead):
        total = total + auxiliary * auxiliary_loss(sae, x, error.detach(), dead, auxiliary_k)
    fired = x.new_zeros(sae.width, dtype=torch.bool)
    fired[codes.pattern.latents[codes.values.detach() > 0]] = True
    return Loss(total, reconstruction.detach(), active.detach(), codes, fired)


def auxiliary_loss(sae: SAE, x: Tensor, error: Tensor, dead: Tensor, k: int) -> Tensor:
    """The share of the squared error [N, D] that the k greatest dead latents of each row do not rebuild, a scalar.

    It gives a gradient to latents that are never active, and so has none else (Gao et al. 2024, A.2). 1
    where they rebuild nothing. Their pre-activations count as they are, below 0 too: through a ReLU a
    latent that is below 0 everywhere would stay there.
    """
    encoder, decoder = sae.encoder[dead], sae.decoder[dead]
    # The dead learn from what the living leave over: what both share stays as it is.
    pre = torch.addmm(sae.encoder_bias[dead], x - sae.decoder_bias.detach(), encoder.T)
    values, latents = pre.topk(min(k, len(dead)), dim=-1)
    rebuilt = torch.zeros_like(pre).scatter(-1, latents, values) @ decoder
    return (error - rebuilt).square().sum() / error.square().sum().clamp(min=torch.finfo(error.dtype).tiny)


@torch.no_grad()
def keep_unit_norm(decoder: Tensor) -> None:
    """Scale every row of a decoder [W, D] to norm 1, in place."""
    decoder.div_(decoder.norm(dim=-1, keepdim=True).clamp(min=1e-12))


@torch.no_grad()
def remove_parallel(gradient: Tensor, decoder: Tensor) -> None:
    """Take from a decoder's gradient [W, D], in place, what would only change the norm of its rows."""
    along = (gradient * decoder).sum(-1, keepdim=True)
    gradient.addcmul_(decoder, along, value=-1)
