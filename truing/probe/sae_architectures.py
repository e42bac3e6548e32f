"""Which latents are active: the k greatest of a row, of a batch, or those above a threshold that is learnt."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from truing.probe.sae import SAE
from truing.probe.sae_sparse import Codes, Pattern, above, top_entries, top_latents, uniform

_THRESHOLD_RATE = 0.1


class TopK(SAE):
    """The k greatest pre-activations of each row, of these the ones above 0 (Gao et al. 2024)."""

    def __init__(self, width: int, dim: int, k: int) -> None:
        super().__init__(width, dim)
        self.k = k

    def empty(self) -> Self:
        """See `SAE.empty`."""
        return type(self)(self.width, self.dim, self.k)

    def _chosen(self, pre: Tensor, *, training: bool) -> Pattern:  # noqa: ARG002
        return uniform(top_latents(pre, self.k), self.width)


class JumpReLU(SAE):
    """Pre-activations above a threshold of each latent (Rajamanoharan et al. 2024); a threshold of 0 is the ReLU.

    Neither latents nor L0 are continuous in the thresholds, which learn by straight-through estimates of the
    gradients of their means, with a rectangular kernel of the width `bandwidth` (their equations 11 and 12).
    Thresholds are learnt themselves, not their logarithms as there: Adam moves a parameter by about the
    learning rate a step, which is much for a threshold and little for its logarithm.
    """

    threshold: nn.Parameter

    def __init__(self, width: int, dim: int, bandwidth: float = 0.01) -> None:
        super().__init__(width, dim)
        self.threshold = nn.Parameter(torch.zeros(width))
        self.bandwidth = bandwidth

    def empty(self) -> Self:
        """See `SAE.empty`."""
        return type(self)(self.width, self.dim, self.bandwidth)

    def training_codes(self, x: Tensor) -> tuple[Codes, Tensor]:
        """See `SAE.training_codes`; L0 has a gradient for the thresholds."""
        values, pattern = self._kept(x, training=True)
        threshold = self.threshold[pattern.latents]
        latents, active = jump(values, threshold, self.bandwidth)
        return Codes(latents, pattern), active.sum() / len(x)

    def after_step(self, codes: Codes) -> None:  # noqa: ARG002
        """Keep the thresholds from going below 0, where negative numbers would be latents."""
        with torch.no_grad():
            self.threshold.clamp_(min=0)

    def _chosen(self, pre: Tensor, *, training: bool) -> Pattern:
        # What lies just below its threshold is 0, but has a part in the threshold's gradient.
        return above(pre, self.threshold - self.bandwidth / 2 if training else self.threshold)

    def _rescale_thresholds(self, scale: float) -> None:
        self.threshold.div_(scale)


class BatchTopK(SAE):
    """The n k greatest pre-activations of a batch of n rows, those above 0 (Bussmann et al. 2024).

    Outside of training it is a JumpReLU with one threshold for all latents, the mean over batches of the
    smallest one that was kept; here a running mean over about the last ten, so that it follows the weights.
    """

    threshold: Tensor

    def __init__(self, width: int, dim: int, k: int) -> None:
        super().__init__(width, dim)
        self.k = k
        self.register_buffer("threshold", torch.tensor(-1.0))  # below 0: nothing is known yet

    def empty(self) -> Self:
        """See `SAE.empty`."""
        return type(self)(self.width, self.dim, self.k)

    def after_step(self, codes: Codes) -> None:
        """Move the threshold towards the smallest latent of the batch."""
        if len(codes.values):
            least = codes.values.detach().amin()
            moved = torch.lerp(self.threshold, least, _THRESHOLD_RATE)
            self.threshold.copy_(torch.where(self.threshold < 0, least, moved))

    def inference(self) -> JumpReLU:
        """The JumpReLU that it is outside of training."""
        other = JumpReLU(self.width, self.dim)
        threshold = self.threshold.clamp(min=0).expand(self.width)
        other.load_state_dict(self.state_dict() | {"threshold": threshold})
        return other

    def _chosen(self, pre: Tensor, *, training: bool) -> Pattern:
        if training:
            return top_entries(pre, self.k * len(pre))
        return above(pre, self.threshold.clamp(min=0))

    def _rescale_thresholds(self, scale: float) -> None:
        self.threshold.div_(scale)


def jump(pre: Tensor, threshold: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
    """Pre-activations that are above their threshold, else 0; and 1 where they are, else 0: of equal shape each.

    With K the indicator of |pre - threshold| < bandwidth / 2, the gradients for the threshold are
    -threshold K / bandwidth of the first and -K / bandwidth of the second; for pre, 1 where it is above of
    the first and none of the second.
    """
    latents, active = _Jump.apply(pre, threshold, bandwidth)  # type: ignore[no-untyped-call]
    return latents, active


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        active = (pre > threshold).to(pre.dtype)
        return pre * active, active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_latents, of_active = gradients
        pre, threshold = ctx.saved_tensors
        near = ((pre - threshold).abs() < ctx.bandwidth / 2) / ctx.bandwidth
        of_threshold = -near * (threshold * of_latents + of_active)
        return of_latents * (pre > threshold), of_threshold, None
