"""A sparse autoencoder: x is rebuilt as a sum of few directions out of many, each with a coefficient above 0.

z = act(E (x - b) + e),  x ~ z D + b, with an encoder E [W, D], its bias e [W], a decoder D [W, D] and its
bias b [D] (Bricken et al. 2023). What differs between the architectures is which latents are active.

**The decoder's rows have norm 1**: a latent's value is how far it moves the residual stream, in the units
of the activations. As all is positively homogeneous, another unit only rescales biases and thresholds,
which is how the normalisation of training is folded into the weights.
"""

from abc import ABC, abstractmethod
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truing.numerics import generator
from truing.probe.sae_sparse import Codes, Pattern, decode_at, encode_at


class SAE(nn.Module, ABC):
    """An autoencoder of activations [N, D] with W latents; float32."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.encoder = nn.Parameter(torch.zeros(width, dim))
        """What each latent reads [W, D]."""
        self.encoder_bias = nn.Parameter(torch.zeros(width))
        """[W]."""
        self.decoder = nn.Parameter(torch.zeros(width, dim))
        """What each latent writes, of norm 1 [W, D]."""
        self.decoder_bias = nn.Parameter(torch.zeros(dim))
        """What is there without any latent [D]."""

    @torch.no_grad()
    def begin(self, centre: Tensor, *, key: int) -> Self:
        """First weights: random directions, read as they are written, around `centre` [D] (Gao et al. 2024, A.1)."""
        drawn = generator(key, "sae").standard_normal(tuple(self.decoder.shape), dtype="float32")
        self.decoder.copy_(F.normalize(torch.from_numpy(drawn), dim=-1))
        self.encoder.copy_(self.decoder)
        self.encoder_bias.zero_()
        self.decoder_bias.copy_(centre)
        return self

    @torch.no_grad()
    def match(self, sample: Tensor) -> Self:
        """Multiply all latents by one number, with which a sample [N, D] is rebuilt best (cf. Gao et al. 2024, A.1)."""
        codes, _ = self.training_codes(sample)
        made = decode_at(codes, self.decoder)
        along, square = float((made * (sample - self.decoder_bias)).sum()), float(made.square().sum())
        if along > 0:
            self.encoder.mul_(along / square)
            self.encoder_bias.mul_(along / square)
            self._rescale_thresholds(square / along)
        return self

    @property
    def width(self) -> int:
        """How many latents there are: W."""
        return self.decoder.shape[0]

    @property
    def dim(self) -> int:
        """How long an activation is: D."""
        return self.decoder.shape[1]

    def encode(self, x: Tensor) -> Tensor:
        """All latents [..., W] of activations [..., D], zeros included."""
        return self.codes(x.reshape(-1, self.dim)).dense().view(*x.shape[:-1], self.width)

    def decode(self, latents: Tensor) -> Tensor:
        """Activations [..., D] of latents [..., W]."""
        return latents @ self.decoder + self.decoder_bias

    def forward(self, x: Tensor) -> Tensor:
        """Activations [..., D], rebuilt."""
        made = decode_at(self.codes(x.reshape(-1, self.dim)), self.decoder) + self.decoder_bias
        return made.view(x.shape)

    def codes(self, x: Tensor) -> Codes:
        """The active latents of activations [N, D], with gradients for the weights and `x`."""
        values, pattern = self._kept(x, training=False)
        return Codes(values.relu(), pattern)

    def training_codes(self, x: Tensor) -> tuple[Codes, Tensor]:
        """The latents of a training batch [N, D], which may be chosen together, and their L0, a scalar.

        Entries may be 0 that matter for a gradient alone.
        """
        values, pattern = self._kept(x, training=True)
        codes = Codes(values.relu(), pattern)
        return codes, (codes.values.detach() > 0).sum() / len(x)

    def after_step(self, codes: Codes) -> None:
        """Learn what is not learnt by gradients, from the latents of a batch."""

    def folded(self, scale: float) -> Self:
        """The autoencoder of x that this one is of `scale` * x: its latents and what it rebuilds, / scale."""
        other = self.empty()
        other.load_state_dict(self.state_dict())
        with torch.no_grad():
            other.encoder_bias.div_(scale)
            other.decoder_bias.div_(scale)
            other._rescale_thresholds(scale)
        return other

    def inference(self) -> "SAE":
        """The autoencoder that is saved and used: one in which no row depends on another."""
        return self

    @abstractmethod
    def empty(self) -> Self:
        """Another one of the same sizes, its weights 0."""

    @abstractmethod
    def _chosen(self, pre: Tensor, *, training: bool) -> Pattern:
        """Which pre-activations [N, W] are kept."""

    def _rescale_thresholds(self, scale: float) -> None:
        """Divide what pre-activations are compared with."""

    def _kept(self, x: Tensor, *, training: bool) -> tuple[Tensor, Pattern]:
        """The pre-activations [M] that are kept, and where they are."""
        inputs = x.to(self.encoder.dtype) - self.decoder_bias
        with torch.no_grad():
            pre = torch.addmm(self.encoder_bias, inputs, self.encoder.T)
            pattern = self._chosen(pre, training=training)
        return encode_at(inputs, self.encoder, self.encoder_bias, pre, pattern), pattern
