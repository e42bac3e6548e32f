"""Samples of one prompt that attend to its keys and values together, which are held once.

Most of what a decoding step reads from the memory is the keys and values of the prompts, the same for all
samples of a prompt. Here they are read once for each prompt, and what the samples' queries make of them is
one matrix product (Juravsky et al. 2024, "Hydragen", arXiv 2402.05099, section 3). There the softmax is
put together from those over the prompt and over what was written; at the few queries of a decoding step it
is taken over both at once.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from truing.model.batching import Batch, left_padded
from truing.model.cache import GrowingLayer, decode_cache
from truing.model.continued import last_states
from truing.model.packing import attending_by, refuse_unplain
from truing.model.trunk import Trunk, close, evaluating

if TYPE_CHECKING:
    from transformers import DynamicCache

_NAME = "truing_forked"
_FORKS: "WeakKeyDictionary[Trunk, bool]" = WeakKeyDictionary()


@dataclass(eq=False, slots=True)
class Prompts:
    """P prompts of at most T tokens and the R rows that go on from them, at most C from each."""

    layers: list[tuple[Tensor, Tensor]]
    """Keys and values [P, K, T, D] of every layer."""
    bias: Tensor | None
    """Added to scores, -inf at padding [P, 1, 1, T]; None: there is none."""
    rows: Tensor
    """The rows of each prompt [P, C]; row 0 stands where there are fewer."""
    of: Tensor
    """The prompt of each row [R]."""
    within: Tensor
    """Which of its prompt's rows each row is [R]."""

    def together(self, of_rows: Tensor) -> Tensor:
        """What the rows have [R, K, G, E], side by side for each prompt [P, K, C * G, E]."""
        heads = torch.arange(of_rows.shape[1], device=of_rows.device)
        return of_rows[self.rows.to(of_rows.device)[:, None], heads[:, None]].flatten(2, 3)

    def apart(self, of_prompts: Tensor) -> Tensor:
        """The other way round: [R, K, G, E] of [P, K, C * G, E]."""
        heads = torch.arange(of_prompts.shape[1], device=of_prompts.device)
        of, within = (index.to(of_prompts.device)[:, None] for index in (self.of, self.within))
        each = of_prompts.view(*of_prompts.shape[:2], self.rows.shape[1], -1, of_prompts.shape[-1])
        return each[of, heads, within]


def forked_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001  transformers' signature
    *,
    prompts: Prompts,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention of each row's newest token to its prompt and to the row itself.

    Queries [R, H, 1, D] and keys of the rows alone [R, K, t, D] to [R, 1, H, D]; G is H / K. An attention
    implementation for transformers, as `packed_attention` is.

    Raises:
        ValueError: the model asks for what this attention does not do.
    """
    refuse_unplain(more)
    if sliding_window is not None:
        raise ValueError("this attention has no window")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    own = (query * scale).reshape(*key.shape[:2], -1, query.shape[-1])
    keys, values = prompts.layers[module.layer_idx]  # type: ignore[index]
    begun = prompts.together(own) @ keys.mT
    if prompts.bias is not None:
        begun = begun + prompts.bias.to(begun)
    scores = torch.cat([begun, prompts.together(own @ key.mT)], -1)
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    begun, written = torch.split_with_sizes(weights, [keys.shape[2], key.shape[2]], -1)
    out = prompts.apart(begun @ values) + prompts.apart(written) @ value
    return out.reshape(len(query), 1, query.shape[1], -1), None


class ForkedState:
    """What the model remembers of the rows that are still being written, and of their prompts."""

    def __init__(self, cache: "DynamicCache", batch: Batch, index: Tensor) -> None:
        """Row k goes on from prompt `index[k]` of the `cache`, which read the prompts of `batch`."""
        self._layers = [(layer.keys, layer.values) for layer in cache.layers]
        self._bias = None
        if batch.attention_mask is not None:
            seen = batch.attention_mask[:, None, None]
            self._bias = torch.zeros(seen.shape, device=seen.device).masked_fill(~seen, -torch.inf)
        self._written: DynamicCache | None = None
        self._of = index
        self._prompt_lengths, self._positions = batch.prompt_lengths[index], batch.positions[index, -1:]
        self._lay_out()

    def keep(self, index: Tensor) -> None:
        """Make row k what row `index[k]` was."""
        if self._written is not None:
            self._written.batch_select_indices(index)
        self._of = self._of[index]
        self._prompt_lengths, self._positions = self._prompt_lengths[index], self._positions[index]
        self._lay_out()

    def advance(self, trunk: Trunk, tokens: Tensor) -> Tensor:
        """Read one more token per row [R]; the next logits [R, V]."""
        return trunk.logits(self.hidden(trunk, tokens))

    def hidden(self, trunk: Trunk, tokens: Tensor) -> Tensor:
        """The same before the head [R, D]."""
        if self._written is None:
            self._written = decode_cache(trunk.net.config)
        self._positions = self._positions + 1
        batch = Batch(
            tokens[:, None].to(self._positions.device),
            self._positions,
            self._prompt_lengths,
            position_ids=self._positions,
        )
        with attending_by(trunk.net, _NAME, forked_attention):
            return trunk.hidden(batch, self._written, prompts=self._prompts)[:, -1]

    def _lay_out(self) -> None:
        """Give each row its slot; forget the prompts without a row when they are half of all."""
        alive, of = torch.unique(self._of, return_inverse=True)
        if 2 * len(alive) <= len(self._layers[0][0]):
            self._layers = [(keys[alive], values[alive]) for keys, values in self._layers]
            self._bias = None if self._bias is None else self._bias[alive]
            self._of = of
        order = self._of.argsort(stable=True)
        counts = self._of.bincount(minlength=len(self._layers[0][0]))
        within = torch.empty_like(order)
        within[order] = torch.arange(len(order)) - (counts.cumsum(0) - counts)[self._of[order]]
        rows = torch.zeros(len(counts), int(counts.max()), dtype=torch.int64)
        rows[self._of, within] = torch.arange(len(order))
        at = [index.to(self._positions.device) for index in (rows, self._of, within)]
        self._prompts = Prompts(self._layers, self._bias, *at)


def forks(trunk: Trunk) -> bool:
    """Whether `ForkedState` computes what the model does.

    Measured once, not looked up: on three rows of two prompts, two tokens far.
    """
    if trunk not in _FORKS:
        _FORKS[trunk] = _measured(trunk)
    return _FORKS[trunk]


def _measured(trunk: Trunk) -> bool:
    cache = decode_cache(trunk.net.config)
    if any(type(layer) is not GrowingLayer for layer in cache.layers):
        return False
    if not trunk.net.is_backend_compatible():  # it would refuse, and warn
        return False
    prompts, written = [(1, 2, 3, 2), (3, 1)], [(0, (1, 2)), (1, (2, 0)), (0, (3, 3))]
    rows = [prompts[p] + tokens for p, tokens in written]
    batch = left_padded(prompts, trunk.device)
    with evaluating(trunk.net), torch.inference_mode():
        whole = last_states(trunk, rows)
        trunk.hidden(batch, cache)
        state = ForkedState(cache, batch, torch.tensor([p for p, _ in written]))
        try:
            for tokens in zip(*(tokens for _, tokens in written), strict=True):
                hidden = state.hidden(trunk, torch.tensor(tokens))
        except Exception:  # the prompts do not arrive, or there is more to this model's attention
            return False
    return close(hidden, whole)
