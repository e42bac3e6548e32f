"""The decode loop: one prefill for each prompt, a shrinking batch of rows on the KV cache."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from truing.model.batching import Batch, left_padded
from truing.model.cache import decode_cache, join, joinable
from truing.model.forked import ForkedState, forks
from truing.model.trunk import Trunk
from truing.numerics import inverse_cdf, uniforms, warp_logits
from truing.types import SamplingParams, Stop

if TYPE_CHECKING:
    from transformers import DynamicCache

_BLOCK = 64
"""Steps whose random numbers are drawn at once."""

_WORTH_SHARING = 1024
"""Prompt tokens that a step must spare for rows to share their prompts' keys and values; below, it costs more."""

_ALIKE, _WORTH_A_PASS = 0.8, 512
"""A prompt shorter than this share of the longest starts a new prefill, if the last has so many tokens."""


@dataclass(frozen=True, slots=True)
class Row:
    """One completion to write: `prompt` are token ids, (`item`, `sample`) names its random numbers."""

    prompt: Sequence[int]
    item: str
    sample: int


@dataclass(slots=True)
class Written:
    """What a row came to. `token_ids` include the end token, or the token that completed a stop string."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stop: Stop = Stop.length
    error: str = ""


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends a text besides its length."""

    token_ids: frozenset[int]
    strings: tuple[str, ...]
    decode: Callable[[Sequence[int]], str]

    def cut(self, token_ids: Sequence[int]) -> str | None:
        """The text before the first stop string, or None where there is none."""
        text = self.decode(token_ids)
        found = [at for string in self.strings if (at := text.find(string)) >= 0]
        return text[: min(found)] if found else None

    def text(self, token_ids: Sequence[int], stop: Stop) -> str:
        """What the row says: without the end token, or what follows a stop string."""
        if stop is Stop.eos:
            token_ids = token_ids[:-1]
        cut = self.cut(token_ids) if stop is Stop.stop else None
        return self.decode(token_ids) if cut is None else cut

    def stopped(self, token_ids: Sequence[int]) -> bool:
        """Whether the newest token completed a stop string."""
        if not self.strings:
            return False
        # A character is at most four byte tokens, so a look at the tail spares most full decodings.
        # The margin keeps a half character, or a space that decoding strips, away from the match.
        tail = token_ids[-4 * max(map(len, self.strings)) - 8 :]
        return self.cut(tail) is not None and self.cut(token_ids) is not None


def decode(
    trunk: Trunk, rows: Sequence[Row], params: SamplingParams, ends: Ends, *, key: int
) -> list[Written]:
    """Write every row.

    The draw of a row at a step is the quantile of its distribution at `uniforms(key, item, sample,
    step)`: it depends on no other row. `logprobs` are under the distribution drawn from; with
    temperature 0 the likeliest token is taken (of equals the lowest id) and its log-probability is
    that under the full softmax at temperature 1. A row whose logits are not finite ends with
    `Stop.error`; the others go on.
    """
    written = [Written() for _ in rows]
    active = list(range(len(rows)))
    items, samples = [row.item for row in rows], [row.sample for row in rows]
    state, logits = _prefill(trunk, [tuple(row.prompt) for row in rows], params.max_tokens)
    for step in range(params.max_tokens):
        if step % _BLOCK == 0:
            steps = np.arange(step, min(step + _BLOCK, params.max_tokens))
            quantiles = torch.from_numpy(uniforms(key, items, samples, steps[:, None]))
        finite = logits.amax(-1).isfinite().tolist()
        tokens, logprobs = _draw(logits, quantiles[step % _BLOCK, active], params)
        kept = []
        for k, (i, token, logprob) in enumerate(zip(active, tokens.tolist(), logprobs.tolist(), strict=True)):
            row = written[i]
            if not finite[k]:
                row.stop, row.error = Stop.error, f"The logits of token {step + 1} are not finite."
                continue
            row.token_ids.append(token)
            row.logprobs.append(logprob)
            if token in ends.token_ids:
                row.stop = Stop.eos
            elif ends.stopped(row.token_ids):
                row.stop = Stop.stop
            else:
                kept.append(k)
        if not kept or step + 1 == params.max_tokens:
            break
        if len(kept) < len(active):
            kept = _closing_gaps(kept)
            active = [active[k] for k in kept]
            state.keep(torch.tensor(kept))
            tokens = tokens[kept]
        logits = state.advance(trunk, tokens)
    return written


def _draw(logits: Tensor, quantiles: Tensor, params: SamplingParams) -> tuple[Tensor, Tensor]:
    """Token ids [R] and their log-probabilities [R], from logits [R, V]."""
    if params.temperature == 0:
        tokens, table = logits.argmax(-1), logits.log_softmax(-1)
    else:
        table = warp_logits(logits, temperature=params.temperature, top_k=params.top_k, top_p=params.top_p)
        tokens = inverse_cdf(table, quantiles.to(table.device))
    return tokens, table.gather(-1, tokens[:, None]).squeeze(-1)


def _prefill(
    trunk: Trunk, prompts: Sequence[tuple[int, ...]], room: int
) -> tuple["_State | ForkedState", Tensor]:
    """Read each different prompt once; the state and the next logits [R, V] of every row."""
    different = sorted(dict.fromkeys(prompts), key=len, reverse=True)
    mixed = joinable(decode_cache(trunk.net.config))
    caches, logits = [], []
    for group in _alike(different) if mixed else [different]:
        caches.append(decode_cache(trunk.net.config))
        hidden = trunk.hidden(left_padded(group, trunk.device), caches[-1])
        logits.append(trunk.logits(hidden[:, -1]))
    cache = join(caches) if len(caches) > 1 else caches[0]
    row_of = {prompt: i for i, prompt in enumerate(different)}
    index = torch.tensor([row_of[prompt] for prompt in prompts])
    batch = left_padded(different, trunk.device)
    state: _State | ForkedState
    if _shares(trunk, prompts, different):
        state = ForkedState(cache, batch, index)
    else:
        state = _State(cache, batch, room)
        state.keep(index)
    return state, torch.cat(logits)[index]


def _shares(trunk: Trunk, prompts: Sequence[tuple[int, ...]], different: Sequence[tuple[int, ...]]) -> bool:
    """Whether rows are to share the keys and values of their prompts."""
    spared = sum(map(len, prompts)) - sum(map(len, different))
    # On a GPU, where every small operation has a price of its own, it was not measured.
    return spared >= _WORTH_SHARING and trunk.device.type == "cpu" and forks(trunk)


def _alike(prompts: Sequence[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Prompts, longest first, in groups worth a forward pass of their own for the padding they save."""
    groups = [[prompts[0]]]
    for prompt in prompts[1:]:
        longest = len(groups[-1][0])
        if len(prompt) < _ALIKE * longest and longest * len(groups[-1]) >= _WORTH_A_PASS:
            groups.append([prompt])
        else:
            groups[-1].append(prompt)
    return groups


def _closing_gaps(kept: Sequence[int]) -> list[int]:
    """The kept rows such that as few as possible move: the last ones go where rows ended."""
    staying = set(kept[: bisect_left(kept, len(kept))])
    moving = list(kept[len(staying) :])
    return [k if k in staying else moving.pop() for k in range(len(kept))]


class _State:
    """What the model remembers of the rows that are still being written."""

    def __init__(self, cache: "DynamicCache", batch: Batch, room: int) -> None:
        self._cache = cache
        self._prompt_lengths = batch.prompt_lengths
        self._positions = batch.positions[:, -1:]
        self._seen = batch.ids.shape[1]
        self._mask = batch.attention_mask
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), room)], dim=1)

    def keep(self, index: Tensor) -> None:
        """Make row k what row `index[k]` was: rows are dropped, or a prompt's row is repeated."""
        # The index stays on the CPU: the layers of a large model may lie on several devices.
        self._cache.batch_select_indices(index)
        self._prompt_lengths, self._positions = self._prompt_lengths[index], self._positions[index]
        if self._mask is not None:
            self._mask = self._mask[index]

    def advance(self, trunk: Trunk, tokens: Tensor) -> Tensor:
        """Read one more token per row [R]; the next logits [R, V]."""
        self._positions = self._positions + 1
        self._seen += 1
        batch = Batch(
            tokens[:, None].to(self._positions.device),
            self._positions,
            self._prompt_lengths,
            None if self._mask is None else self._mask[:, : self._seen],
            self._positions,
        )
        return trunk.logits(trunk.hidden(batch, self._cache)[:, -1])
