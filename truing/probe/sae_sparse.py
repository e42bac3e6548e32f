"""The arithmetic of a sparse autoencoder that never touches a latent which is not active.

Of the five products of the size N x W x D in a training step, one is left: the pre-activations, of
which the active ones are chosen. Decoding and all gradients go over the M active entries alone, as sums
of rows and as products sampled at those entries; on a CPU that is most of a step's time.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_GROUP = 16
"""Entries of which one maximum is taken, before the greatest are looked for."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which latents are active for which row: M entries, row by row."""

    latents: Tensor
    """The latent of each entry [M]."""
    starts: Tensor
    """Row n has the entries starts[n] : starts[n + 1]; [N + 1]."""
    width: int
    """How many latents there are."""

    @cached_property
    def rows(self) -> Tensor:
        """The row of each entry [M]."""
        numbers = torch.arange(len(self.starts) - 1, device=self.starts.device)
        return numbers.repeat_interleave(self.starts.diff(), output_size=len(self.latents))

    @cached_property
    def fired(self) -> Tensor:
        """In how many rows each latent is active [W]."""
        return torch.bincount(self.latents, minlength=self.width)

    @cached_property
    def by_latent(self) -> tuple[Tensor, "Pattern"]:
        """The order of the entries [M] latent by latent, and the pattern with rows and latents exchanged."""
        order = self.latents.argsort()
        starts = F.pad(self.fired.cumsum(0), (1, 0))
        return order, Pattern(self.rows[order], starts, len(self.starts) - 1)


class Codes(NamedTuple):
    """Latents of N rows, the active ones alone."""

    values: Tensor
    """The value of each entry [M]."""
    pattern: Pattern
    """Where they are."""

    def dense(self) -> Tensor:
        """All latents [N, W], zeros included."""
        rows = len(self.pattern.starts) - 1
        table = self.values.new_zeros(rows, self.pattern.width)
        return table.index_put((self.pattern.rows, self.pattern.latents), self.values)


def uniform(latents: Tensor, width: int) -> Pattern:
    """The pattern of rows that have equally many latents [N, k] each."""
    rows, k = latents.shape
    starts = torch.arange(0, rows * k + 1, k, device=latents.device) if k else latents.new_zeros(rows + 1)
    return Pattern(latents.flatten(), starts, width)


def at_entries(flat: Tensor, rows: int, width: int) -> Pattern:
    """The pattern of places in a table [N, W] that is counted through row by row: [M], ascending."""
    in_row = torch.bincount(flat // width, minlength=rows)
    return Pattern(flat % width, F.pad(in_row.cumsum(0), (1, 0)), width)


def above(table: Tensor, threshold: Tensor) -> Pattern:
    """Where a table [N, W] is above a threshold, one for all or one for each latent [W]."""
    return at_entries((table > threshold).flatten().nonzero()[:, 0], *table.shape)


def sums_of_rows(values: Tensor, pattern: Pattern, table: Tensor) -> Tensor:
    """For each row n the sum of values[e] * table[latents[e]] over its entries e: [N, D], no gradient."""
    return F.embedding_bag(
        pattern.latents,
        table,
        pattern.starts,
        mode="sum",
        per_sample_weights=values,
        include_last_offset=True,
    )


def sampled_products(left: Tensor, right: Tensor, pattern: Pattern) -> Tensor:
    """left[row] . right[latent] at every entry [M], of left [N, D] and right [W, D]; no gradient."""
    shape = (len(left), len(right))
    zeros = left.new_zeros(len(pattern.latents))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its sparse tensors a beta, once
        at = torch.sparse_csr_tensor(pattern.starts, pattern.latents, zeros, shape, check_invariants=False)
    products: Tensor = torch.sparse.sampled_addmm(at, left, right.T, beta=0.0).values()
    return products


class _Encode(torch.autograd.Function):
    """Values [M] of the pre-activations at a pattern that was chosen from all of them."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        encoder: Tensor,
        bias: Tensor,  # noqa: ARG004  for its gradient
        pre: Tensor,
        pattern: Pattern,
    ) -> Tensor:
        ctx.save_for_backward(inputs, encoder)
        ctx.pattern = pattern
        return pre[pattern.rows, pattern.latents]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (inputs, encoder) = gradients, ctx.saved_tensors
        order, by_latent = ctx.pattern.by_latent
        sorted_ = gradient[order]
        of_inputs = sums_of_rows(gradient, ctx.pattern, encoder) if ctx.needs_input_grad[0] else None
        of_encoder = sums_of_rows(sorted_, by_latent, inputs) if ctx.needs_input_grad[1] else None
        of_bias = None
        if ctx.needs_input_grad[2]:
            of_bias = gradient.new_zeros(len(encoder)).index_add_(0, ctx.pattern.latents, gradient)
        return of_inputs, of_encoder, of_bias, None, None


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, pattern: Pattern, decoder: Tensor) -> Tensor:
        ctx.save_for_backward(values, decoder)
        ctx.pattern = pattern
        return sums_of_rows(values, pattern, decoder)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (values, decoder) = gradients, ctx.saved_tensors
        gradient = gradient.contiguous()
        of_values = sampled_products(gradient, decoder, ctx.pattern) if ctx.needs_input_grad[0] else None
        of_decoder = None
        if ctx.needs_input_grad[2]:
            order, by_latent = ctx.pattern.by_latent
            of_decoder = sums_of_rows(values[order], by_latent, gradient)
        return of_values, None, of_decoder


def encode_at(inputs: Tensor, encoder: Tensor, bias: Tensor, pre: Tensor, pattern: Pattern) -> Tensor:
    """The values [M] of `pre` = inputs @ encoder.T + bias at the pattern, with gradients for all three.

    Args:
        inputs: [N, D].
        encoder: [W, D].
        bias: [W].
        pre: [N, W], made without gradients.
        pattern: the entries that are wanted.
    """
    values: Tensor = _Encode.apply(inputs, encoder, bias, pre, pattern)  # type: ignore[no-untyped-call]
    return values


def decode_at(codes: Codes, decoder: Tensor) -> Tensor:
    """codes.dense() @ decoder: [N, D] of a decoder [W, D], with gradients for both."""
    made: Tensor = _Decode.apply(codes.values, codes.pattern, decoder)  # type: ignore[no-untyped-call]
    return made


def top_latents(pre: Tensor, k: int) -> Tensor:
    """Which are the k greatest of each row of `pre` [N, W], in no order: [N, k].

    Exact, in two steps: the k greatest lie in the k groups with the greatest maxima.
    """
    rows, width = pre.shape
    group = _GROUP // 2
    if width % group or width // group < 2 * k:
        return pre.topk(k, dim=-1, sorted=False).indices
    # Group g is the columns g, g + G, g + 2 G ..., so that the maxima are taken over whole rows of memory.
    grouped = pre.view(rows, group, width // group)
    groups = grouped.amax(1).topk(k, dim=-1, sorted=False).indices
    found = grouped.gather(2, groups[:, None, :].expand(-1, group, -1)).flatten(1)
    best = found.topk(k, dim=-1, sorted=False).indices
    return groups.gather(1, best % k) + (best // k) * (width // group)


def top_entries(pre: Tensor, count: int) -> Pattern:
    """Those of the `count` greatest entries of `pre` [N, W] that are above 0; exact, as `top_latents`."""
    rows, width = pre.shape
    least = pre.new_zeros(())
    if width % _GROUP == 0 and rows * width // _GROUP > count > 0:
        # So many groups have an entry that is at least this, so the last of the greatest is, too.
        maxima = pre.view(rows, _GROUP, width // _GROUP).amax(1).flatten()
        least = maxima.topk(count, sorted=False).values.amin().clamp(min=0)
    flat = pre.flatten()
    places = ((flat >= least) if least > 0 else (flat > 0)).nonzero()[:, 0]
    if len(places) > count:
        places = places[flat[places].topk(count, sorted=False).indices].sort().values
    return at_entries(places, rows, width)
