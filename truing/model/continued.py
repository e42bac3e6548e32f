"""Rows that go on from a beginning which they share with others, and which is read once."""

from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from truing.model.batching import Batch, first_fit, left_padded, packed, right_padded
from truing.model.cache import GrowingLayer, decode_cache, lend
from truing.model.families import Ids
from truing.model.trunk import Trunk, close, evaluating

Begun = tuple[Ids, int]
"""A row, and how many of its first tokens are its beginning; at least one is not."""

_WIDTH = 512
"""Tokens of a line of continuations; in a wider one, too much attention would be masked away."""


def last_states(trunk: Trunk, rows: Sequence[Ids]) -> Tensor:
    """The last hidden state of each row [R, D], by one forward pass over all of it."""
    lengths = [len(row) for row in rows]
    hidden = trunk.hidden(right_padded(rows, lengths, trunk.device))
    return hidden[torch.arange(len(rows)), torch.tensor(lengths) - 1]


def last_states_begun(trunk: Trunk, rows: Sequence[Begun]) -> Tensor:
    """The same, each different beginning read once: two forward passes over fewer tokens.

    What follows the same beginning lies in one line, under a mask that parts it, where the model can
    do that: nothing is padded, and no keys and values are repeated. Otherwise each row is a line.
    """
    states = _last_states_begun(trunk, rows, width=_WIDTH if packs_after(trunk) else 0)
    if packs_after(trunk) and not bool(states.isfinite().all()):
        # NaN times an attention weight of zero is NaN: one row spoils its line.
        return _last_states_begun(trunk, rows, width=0)
    return states


def _last_states_begun(trunk: Trunk, rows: Sequence[Begun], *, width: int) -> Tensor:
    lines = _lines(rows, width)
    begun = [rows[line[0]][0][: rows[line[0]][1]] for line in lines]
    different = list(dict.fromkeys(begun))
    before = left_padded(different, trunk.device)
    cache = decode_cache(trunk.net.config)
    # No token of a beginning is the last of its prompt, which an edit may look for.
    trunk.hidden(replace(before, prompt_lengths=before.prompt_lengths + 1), cache)
    # The index stays on the CPU: the layers of a large model may lie on several devices.
    index = torch.tensor([different.index(part) for part in begun])
    after = _after(before, index, rows, lines)
    hidden = trunk.hidden(after, lend(cache, index))
    return hidden.flatten(0, 1)[_ends(rows, lines, hidden.shape[1])]


def _lines(rows: Sequence[Begun], width: int) -> list[list[int]]:
    """Which rows lie in one line: those with the same beginning, as many as `width` tokens hold."""
    same: dict[Ids, list[int]] = {}
    for i, (row, length) in enumerate(rows):
        same.setdefault(row[:length], []).append(i)
    lines = []
    for members in same.values():
        lengths = [len(rows[i][0]) - rows[i][1] for i in members]
        lines += [[members[k] for k in line] for line in first_fit(lengths, max(width, *lengths, 0))]
    return lines if width else [[i] for i in range(len(rows))]


def _after(before: Batch, index: Tensor, rows: Sequence[Begun], lines: Sequence[Sequence[int]]) -> Batch:
    """What follows the beginnings, which are the rows `index` of `before` and lie in the cache."""
    device = before.ids.device
    rest = packed([row[n:] for row, n in rows], [len(row) for row, _ in rows], lines, device)
    starts = torch.tensor([[rows[line[0]][1]] for line in lines], device=device)
    positions = torch.where(rest.positions >= 0, rest.positions + starts, -1)
    seen = before.attention_mask
    begun = before.ids.new_ones(before.ids.shape, dtype=torch.bool)[index] if seen is None else seen[index]
    if max(map(len, lines)) > 1:
        mask: Tensor | None = _parting(begun, rest.positions)
    else:  # causal attention never looks at the padding behind a row
        mask = None if seen is None else torch.cat([begun, begun.new_ones(rest.ids.shape)], dim=1)
    return replace(rest, positions=positions, attention_mask=mask, position_ids=positions.clamp(min=0))


def _parting(begun: Tensor, places: Tensor) -> Tensor:
    """True where a token may look [R, 1, T, P + T]: at the beginning, and back to the start of its own row.

    `begun` [R, P] is false at padding; `places` [R, T] count from 0 in every row, with -1 at padding.
    """
    width = places.shape[1]
    members = (places == 0).cumsum(-1)
    own = (members[:, :, None] == members[:, None, :]) & (places >= 0)[:, None, :]
    causal = torch.ones(width, width, dtype=torch.bool, device=places.device).tril()
    looks = torch.cat([begun[:, None, :].expand(-1, width, -1), own & causal], dim=2)
    return looks[:, None]


def _ends(rows: Sequence[Begun], lines: Sequence[Sequence[int]], width: int) -> Tensor:
    """Where in the flattened lines each row ends."""
    ends = [0] * len(rows)
    for k, line in enumerate(lines):
        at = k * width
        for i in line:
            at += len(rows[i][0]) - rows[i][1]
            ends[i] = at - 1
    return torch.tensor(ends)


_PACKS: "WeakKeyDictionary[Trunk, bool]" = WeakKeyDictionary()


def packs_after(trunk: Trunk) -> bool:
    """Whether several rows in one line leave each other alone under a mask of ours.

    Measured once, not looked up: it depends on the attention implementation, and on what else a model
    makes of its mask. A sliding window has masks of its own.
    """
    if trunk not in _PACKS:
        _PACKS[trunk] = _measured(trunk)
    return _PACKS[trunk]


def _measured(trunk: Trunk) -> bool:
    config = trunk.net.config
    if getattr(config, "_attn_implementation", "") != "sdpa":
        return False
    if any(type(layer) is not GrowingLayer for layer in decode_cache(config).layers):
        return False
    rows: list[Begun] = [((1, 2, 3, 2), 2), ((1, 2, 1), 2), ((3, 1), 1), ((3, 2, 0, 1), 1)]
    with evaluating(trunk.net), torch.inference_mode():
        apart = last_states(trunk, [row for row, _ in rows])
        try:
            together = _last_states_begun(trunk, rows, width=_WIDTH)
        except Exception:  # a mask of this shape is not taken
            return False
    return close(together, apart)
