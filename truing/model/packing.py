"""Rows laid end to end in one forward pass: every matrix product is as large as can be, nothing is padding.

Attention alone has to know where a row ends. `packed_attention` is an attention implementation for
transformers (its `AttentionInterface`), which hands it the rows' lengths from the model's call.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface

from truing.model.batching import Batch
from truing.model.trunk import close, running

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NAME = "truing_packed"
_BESIDE = 16
"""Tokens of the other rows when one is measured."""
# Gemma 2, gpt-oss, T5. Small weights can hide what these do.
_NEEDS_MORE = ("softcap", "s_aux", "position_bias")


class PackedForward:
    """Makes hidden states of whole rows, packed where the model leaves packed rows alone.

    Whether it does is measured on two rows: a recurrent state, attention that is not transformers'
    functional one, or an option that `packed_attention` does not know would mix or change them
    without a word. Such a model reads rows of equal length together, and others one after another.

    Where it packs, rows may also go on from a row that they share: answers, from their prompt.
    """

    def __init__(self, net: "PreTrainedModel", sample: Sequence[Tensor]) -> None:
        """Measure on the rows `sample`, token ids [T] each, the longest last; the model is in `eval` mode then."""
        self._net = net
        self.packs = self._agrees(sample)

    def __call__(
        self,
        ids: Tensor,
        lengths: Sequence[int],
        *,
        after: Sequence[int] = (),
        prompts: Sequence[int] | None = None,
    ) -> Tensor:
        """The last hidden states [T, D], after the final norm, of rows of these lengths end to end in `ids` [T].

        Rows of equal length should lie side by side.

        Args:
            ids: token ids [T].
            lengths: tokens of each row.
            after: the last rows may each go on from an earlier one, as if that stood before them: the
                numbers of those, which go on from none themselves.
            prompts: how many tokens of each row, with those it goes on from, are prompt: what hooks on
                activations are told. Without it all are.

        Raises:
            ValueError: rows go on from others in a model that does not pack.
        """
        begun = [0] * (len(lengths) - len(after)) + [lengths[row] for row in after]
        ends = [start + length for start, length in zip(begun, lengths, strict=True)]
        at = [torch.arange(*span, device=ids.device) for span in zip(begun, ends, strict=True)]
        asked = torch.tensor(ends if prompts is None else prompts, device=ids.device)
        if self.packs:
            of_each = asked.repeat_interleave(torch.tensor(lengths, device=ids.device))
            batch = Batch(ids[None], torch.cat(at)[None], of_each[None])
            more = {"position_ids": batch.positions, "row_lengths": lengths, "row_after": after}
            return self._states(batch, **more)
        if after:
            raise ValueError("this model reads every row from its beginning")
        states, first = [], 0
        for part, (count, length) in zip(_split(ids, runs := _runs(lengths)), runs, strict=True):
            rows = slice(first, first := first + count)
            batch = Batch(part.view(count, length), torch.stack(at[rows]), asked[rows, None])
            states.append(self._states(batch))
        return torch.cat(states)

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Inside, the model attends as a call of this needs it."""
        if not self.packs:
            yield
            return
        self._usual = self._net.config._attn_implementation
        with attending_by(self._net, _NAME, packed_attention):
            yield

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Within `attending`, the model attends as it did outside: padded batches and caches can go through it."""
        if not self.packs:
            yield
            return
        self._net.set_attn_implementation(self._usual)
        try:
            yield
        finally:
            self._net.set_attn_implementation(_NAME)

    def _states(self, batch: Batch, **more: Any) -> Tensor:
        with running(self._net, batch):
            out: Any = self._net.base_model(input_ids=batch.ids, use_cache=False, **more)
        states: Tensor = out.last_hidden_state
        return states.flatten(0, 1)

    def _agrees(self, sample: Sequence[Tensor]) -> bool:
        self.packs = False
        self._net.eval()  # two passes with dropout never agree
        # Whether rows mix shows beside any row; what depends on the length shows in the longest.
        rows = [*(row[:_BESIDE] for row in sample[:-1]), sample[-1]]
        flat, lengths = torch.cat(rows), [len(row) for row in rows]
        with torch.no_grad():
            apart = self(flat, lengths)
            self.packs = True
            half = lengths[-1] // 2
            forked = [*lengths[:-1], half, lengths[-1] - half] if half else lengths
            try:
                with self.attending():
                    together = self(flat, forked, after=[len(lengths) - 1] if half else [])
            except (TypeError, ValueError):  # the lengths do not arrive, or there is no such interface
                return False
        return close(together, apart)


@contextmanager
def attending_by(net: "PreTrainedModel", name: str, attention: Callable[..., Any]) -> Iterator[None]:
    """Inside, the model attends by this function, an attention implementation called `name`."""
    before = net.config._attn_implementation
    AttentionInterface.register(name, attention)
    net.set_attn_implementation(name)
    try:
        yield
    finally:
        net.set_attn_implementation(before)


def refuse_unplain(asked: Mapping[str, Any]) -> None:
    """Raise ValueError where a model asks its attention for more than softmax over products."""
    if any(asked.get(name) is not None for name in _NEEDS_MORE):
        raise ValueError("this model's attention is not plain")


def packed_attention(  # noqa: PLR0913  transformers decides on them
    module: nn.Module,  # noqa: ARG001  transformers' signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    *,
    row_lengths: Sequence[int] = (),
    row_after: Sequence[int] = (),
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Causal attention of each row to itself, and to the row it goes on from.

    Queries [1, H, T, D] and keys [1, K, T, D] to [1, T, H, D]; for `row_after` see `PackedForward`. Who tells no
    lengths, as somebody does who only looks at the model's modules, reads one row.

    Raises:
        ValueError: the model asks for what this attention does not do.
    """
    refuse_unplain(more)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries [B, H, A, D], the last of the [B, K, T, D] keys, to [B * A, H, D]."""
        mask = None
        if q.shape[2] < k.shape[2] or (sliding_window is not None and k.shape[2] > sliding_window):
            mask = _seen(q.shape[2], k.shape[2], sliding_window, q.device)
        gqa = q.shape[1] != k.shape[1]
        out = F.scaled_dot_product_attention(
            q, k, v, mask, dropout, mask is None, scale=scaling, enable_gqa=gqa
        )
        return out.transpose(1, 2).flatten(0, 1)

    if not row_lengths:
        if len(query) > 1:
            raise ValueError("rows end to end are one batch, with the length of each")
        row_lengths = (query.shape[2],)
    roots = len(row_lengths) - len(row_after)
    # Rows of equal length that go on from the same one are attended to together.
    going_on = [
        (len(list(run)), length, row)
        for (length, row), run in groupby(zip(row_lengths[roots:], row_after, strict=True))
    ]
    runs = _runs(row_lengths[:roots]) + [(count, length) for count, length, _ in going_on]
    flat = [_split(x.transpose(1, 2)[0], runs) for x in (query, key, value)]
    cut = [
        [x.view(-1, length, *x.shape[1:]).transpose(1, 2) for x, (_, length) in zip(part, runs, strict=True)]
        for part in flat
    ]
    whole = len(runs) - len(going_on)
    out = [attend(*qkv) for qkv in zip(*(part[:whole] for part in cut), strict=True)]
    if row_after:
        begun = [[row[None] for block in part[:whole] for row in block] for part in cut[1:]]
        for q, k, v, (count, _, row) in zip(*(part[whole:] for part in cut), going_on, strict=True):
            first = [states[row].expand(count, -1, -1, -1) for states in begun]
            out.append(attend(q, torch.cat([first[0], k], 2), torch.cat([first[1], v], 2)))
    return torch.cat(out)[None], None


def _runs(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """(how many rows, their length) of each run of neighbours of equal length."""
    return [(len(list(run)), length) for length, run in groupby(lengths)]


def _split(flat: Tensor, runs: Sequence[tuple[int, int]]) -> Sequence[Tensor]:
    return torch.split_with_sizes(flat, [count * length for count, length in runs])


def _seen(queries: int, keys: int, width: int | None, device: torch.device) -> Tensor:
    """True where one of the last tokens sees a key: itself and the `width` - 1 before it [queries, keys]."""
    at = torch.arange(keys, device=device)
    behind = at[keys - queries :, None] - at
    return behind >= 0 if width is None else (behind >= 0) & (behind < width)
