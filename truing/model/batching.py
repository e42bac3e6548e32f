"""Which sequences go into one forward pass, and how they lie in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Row = TypeVar("Row")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Batch:
    """The token ids of one forward pass, and which token of which sequence each of them is.

    Padding repeats a token of its own row, so that no padding token can bring NaN into a row that is
    free of it.
    """

    ids: Tensor
    """Token ids [B, T]."""
    positions: Tensor
    """Index of each token in its own sequence [B, T], -1 at padding."""
    prompt_lengths: Tensor
    """How many tokens of the sequence are prompt, [B, 1] or, in packed rows, [B, T]."""
    attention_mask: Tensor | None = None
    """True where a token of the row (with those in the cache) is real [B, T]; None: all, causally."""
    position_ids: Tensor | None = None
    """What the model is told [B, T]; None: 0, 1, 2 ... in every row."""


def left_padded(prompts: Sequence[Sequence[int]], device: torch.device) -> Batch:
    """Prompts that end in the same column, as decoding needs them."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[*[row[0]] * (longest - len(row)), *row] for row in prompts], device=device)
    lengths = torch.tensor([[len(row)] for row in prompts], device=device)
    positions = torch.arange(longest, device=device) - (longest - lengths)
    mask = None if bool((lengths == longest).all()) else positions >= 0
    return Batch(ids, positions.clamp(min=-1), lengths, mask, positions.clamp(min=0))


def right_padded(sequences: Sequence[Sequence[int]], prompts: Sequence[int], device: torch.device) -> Batch:
    """Sequences that start in the same column. Causal attention never looks at the padding.

    `prompts` are the lengths of the part of each sequence that is prompt.
    """
    longest = max(map(len, sequences))
    ids = torch.tensor([[*row, *[row[0]] * (longest - len(row))] for row in sequences], device=device)
    lengths = torch.tensor([[len(row)] for row in sequences], device=device)
    columns = torch.arange(longest, device=device).expand_as(ids)
    positions = columns.where(columns < lengths, -1)
    return Batch(ids, positions, torch.tensor(prompts, device=device)[:, None])


def packed(
    sequences: Sequence[Sequence[int]],
    prompts: Sequence[int],
    rows: Sequence[Sequence[int]],
    device: torch.device,
) -> Batch:
    """Several sequences in each row, one after another: `rows` lists the sequences of each row.

    The model is told where they start by position ids that begin again at 0, with neither attention
    mask nor cache.
    """
    width = max(sum(len(sequences[i]) for i in row) for row in rows)
    ids, positions, lengths = [], [], []
    for row in rows:
        tokens = [token for i in row for token in sequences[i]]
        pad = width - len(tokens)
        ids.append(tokens + [tokens[0]] * pad)
        positions.append([p for i in row for p in range(len(sequences[i]))] + [-1] * pad)
        lengths.append([prompts[i] for i in row for _ in sequences[i]] + [0] * pad)
    where = torch.tensor(positions, device=device)
    # Padding at the end is one more sequence of its own.
    return Batch(
        torch.tensor(ids, device=device),
        where,
        torch.tensor(lengths, device=device),
        position_ids=where.clamp(min=0),
    )


def first_fit(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Rows of at most `width` tokens: each sequence, longest first, goes into the first row with room."""
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        home = next((r for r, free in enumerate(room) if free >= lengths[i]), None)
        if home is None:
            rows.append([i])
            room.append(width - lengths[i])
        else:
            rows[home].append(i)
            room[home] -= lengths[i]
    return rows


def length_buckets(lengths: Sequence[int], *, tokens: int, rows: int) -> list[list[int]]:
    """Batches of indices, longest sequences first, of equal or falling length.

    A batch holds at most `tokens` padded tokens and `rows` rows, but always one. Each batch on its
    own, given to this function again, is one batch in the same order: a resumed run repeats exactly
    the forward passes of the first.
    """
    buckets: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        bucket = buckets[-1] if buckets else []
        if bucket and len(bucket) < rows and lengths[bucket[0]] * (len(bucket) + 1) <= tokens:
            bucket.append(i)
        else:
            buckets.append([i])
    return buckets


def halving(
    run: Callable[[Sequence[Row]], list[Result]],
    rows: Sequence[Row],
    *,
    alone: Callable[[Row], Result] | None = None,
) -> list[Result]:
    """`run(rows)`, in halves as often as the device runs out of memory.

    A single row that does not fit becomes `alone(row)`.

    Raises:
        torch.OutOfMemoryError: a single row does not fit and there is no `alone`.
    """
    try:
        return run(rows)
    except (torch.OutOfMemoryError, RuntimeError) as error:
        if not _out_of_memory(error) or (len(rows) == 1 and alone is None):
            raise
    # Outside the except block: the traceback held the tensors that did not fit.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(rows) == 1 and alone is not None:
        return [alone(rows[0])]
    half = len(rows) // 2
    return [*halving(run, rows[:half], alone=alone), *halving(run, rows[half:], alone=alone)]


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
