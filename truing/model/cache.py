"""A KV cache whose rows come, go and grow cheaply."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_BLOCK = 64


def decode_cache(config: "PreTrainedConfig") -> DynamicCache:
    """The model's own kinds of cache layers, those of full attention exchanged for `GrowingLayer`."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def joinable(cache: DynamicCache) -> bool:
    """Whether `join` knows every kind of layer in the cache (recurrent states it does not)."""
    return all(type(layer) in (GrowingLayer, DynamicSlidingWindowLayer) for layer in cache.layers)


def join(caches: Sequence[DynamicCache]) -> DynamicCache:
    """One cache with the rows of all, the newest tokens in the same column; the others are used up."""
    joined = caches[0]
    for first, *others in zip(*(cache.layers for cache in caches), strict=True):
        layers = [first, *others]
        longest = max(layer.keys.shape[-2] for layer in layers)
        keys, values = (
            torch.cat([pad(states, (0, 0, longest - states.shape[-2], 0)) for states in halves])
            for halves in ([layer.keys for layer in layers], [layer.values for layer in layers])
        )
        first.keys, first.values = keys, values
        if isinstance(first, GrowingLayer):
            first.buffers = [keys, values]
        else:
            first.cumulative_length = max(layer.cumulative_length for layer in layers)
    return joined


def lend(cache: DynamicCache, index: Tensor) -> DynamicCache:
    """A cache in which row k begins with what row `index[k]` of `cache` holds; it keeps nothing that is added.

    It is good for one forward pass of a `joinable` cache. Repeated rows exist in one layer at a time only,
    where `batch_select_indices` would make them in all.
    """
    lent = DynamicCache()
    lent.layers = [_LentLayer(layer, index) for layer in cache.layers]
    return lent


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [B, H, T, D] that are views of buffers with room for more tokens.

    The layer it stands for copies itself at every token and at every row that ends, which at a few
    hundred tokens costs as much as attention.
    """

    buffers: list[Tensor]

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values [B, H, t, D]; returns all of them so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.buffers = [key_states[:, :, :0], value_states[:, :, :0]]
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        for i, new in enumerate((key_states, value_states)):
            if end > self.buffers[i].shape[-2]:
                grown = new.new_empty(*new.shape[:2], end + _BLOCK, new.shape[-1])
                grown[:, :, :start] = self.buffers[i][:, :, :start]
                self.buffers[i] = grown
            self.buffers[i][:, :, start:end] = new
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Make row k what row `indices[k]` was; cheap where only rows from the end fill gaps."""
        left = len(indices)
        gaps = (indices != torch.arange(left)).nonzero().squeeze(-1)
        if bool((indices[gaps] >= left).all()):
            for buffer in self.buffers:
                buffer[gaps] = buffer[indices[gaps]]
            self.buffers = [buffer[:left] for buffer in self.buffers]
        else:
            self.buffers = [buffer[indices] for buffer in self.buffers]
        self._show(self.get_seq_length())

    def _show(self, length: int) -> None:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self.buffers)


class _LentLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [G, H, T, D] of another layer, as the beginnings of R rows."""

    def __init__(self, layer: DynamicLayer, index: Tensor) -> None:
        super().__init__()
        self._layer, self._index = layer, index
        self.is_sliding = layer.is_sliding
        self.keys, self.values, self.is_initialized = layer.keys, layer.values, True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """The beginnings with keys and values [R, H, t, D] after them."""
        return self._after(self.keys, key_states), self._after(self.values, value_states)

    def get_seq_length(self) -> int:
        """Tokens of the beginnings, those that left a sliding window included."""
        length: int = self._layer.get_seq_length()
        return length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of what the attention sees."""
        sizes: tuple[int, int] = self._layer.get_mask_sizes(query_length)
        return sizes

    def _after(self, begun: Tensor, new: Tensor) -> Tensor:
        # A single beginning is repeated without a copy of its own.
        rows = begun.expand(len(new), -1, -1, -1) if len(begun) == 1 else begun[self._index]
        return torch.cat([rows, new], dim=-2)
