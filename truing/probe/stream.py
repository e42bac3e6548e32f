"""Activations as a stream of blocks that fit into memory, and the shuffled batches that are made of them."""

from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truing.numerics import generator
from truing.types import InputError, digest

if TYPE_CHECKING:
    from truing.model import LocalModel, Site

BUFFER = 2**16
"""Tokens of a block, within which activations are shuffled, where a caller does not say otherwise."""


class Activations(Protocol):
    """Rows of activations, block by block; a block is the same whenever it is asked for."""

    width: int
    """Numbers of a row: D."""
    digest: str
    """Tells this stream from others."""

    @property
    def sizes(self) -> Sequence[int]:
        """Rows of every block."""

    def block(self, number: int) -> Tensor:
        """The rows [sizes[number], D] of a block, in float32."""


class HeldActivations:
    """Activations [N, D] that are in memory already, in blocks of `buffer` rows."""

    def __init__(self, table: Tensor, *, buffer: int = BUFFER) -> None:
        self._parts = torch.split(table, buffer)
        self.width = table.shape[1]
        self.sizes = tuple(map(len, self._parts))
        data = table.contiguous().view(torch.uint8).cpu().numpy()
        self.digest = digest([sha256(data.tobytes()).hexdigest(), buffer])

    def block(self, number: int) -> Tensor:
        """See `Activations.block`."""
        return self._parts[number].float()


class TokenActivations:
    """The residual stream of a model at a site, for the tokens of some documents that count.

    Documents are read in an order that `key` draws for each pass, block by block. Of one that is longer
    than the model's context all tokens are read in pieces, and chosen places up to the end of the context:
    behind it the model has no state that knows all that was said. In memory are the token ids and one block of at most
    `buffer` activations (or one piece of a document, if that is longer). No layer behind the site is
    computed, and no logits.
    """

    def __init__(
        self,
        model: "LocalModel",
        documents: Sequence[Sequence[int]],
        site: "Site",
        *,
        first: int = 1,
        without: Collection[int] = (),
        places: Sequence[Sequence[int]] | None = None,
        passes: int = 1,
        buffer: int = BUFFER,
        key: int = 0,
    ) -> None:
        """Plan the blocks.

        Args:
            model: the model, in this process.
            documents: token ids [N][T_n].
            site: where to read.
            first: the first position of a piece that counts. At position 0, BOS or not, most models
                park attention with a norm that is far from all others.
            without: token ids whose positions are left out, such as special tokens.
            places: the positions [N][P_n] of each document that count, ascending, whatever `first` and
                `without` say; by default all count that these two leave.
            passes: how often every document is read.
            buffer: the most activations of a block.
            key: draws the order.

        Raises:
            InputError: no token counts.
        """
        self.width = model.trunk.width
        self._model, self._site = model, site
        length = model.trunk.context or max(map(len, documents), default=1)
        if places is None:
            pieces = [tuple(ids[at : at + length]) for ids in documents for at in range(0, len(ids), length)]
            kept = [_kept(piece, first, frozenset(without)) for piece in pieces]
        else:
            kept = [[at for at in some if at < length] for some in places]
            ends = [some[-1] + 1 if some else 0 for some in kept]  # what comes later changes no state before
            pieces = [tuple(ids[:end]) for ids, end in zip(documents, ends, strict=True)]
        self._pieces = [piece for piece, places in zip(pieces, kept, strict=True) if places]
        self._kept = [places for places in kept if places]
        if not self._pieces:
            raise InputError(
                "no token of the documents counts", mend="give longer documents, or leave out less"
            )
        counts = np.array([len(places) for places in self._kept])
        orders = [generator(key, "documents", str(p)).permutation(len(counts)) for p in range(passes)]
        self._blocks = _blocks(np.concatenate(orders), counts, buffer)
        self.sizes = tuple(int(counts[block].sum()) for block in self._blocks)
        chosen = [[list(piece), places] for piece, places in zip(self._pieces, self._kept, strict=True)]
        of = [model.fingerprint.short, site.layer, str(site.point), digest(chosen), passes, buffer, key]
        self.digest = digest(of)

    def block(self, number: int) -> Tensor:
        """See `Activations.block`."""
        rows = self._blocks[number]
        found = self._model.capture(
            [self._pieces[i] for i in rows], [self._site], [self._kept[i] for i in rows]
        )
        return found[self._site].float()


def batches(
    stream: Activations, size: int, *, key: int, start: int = 0, first: Tensor | None = None
) -> Iterator[Tensor]:
    """Batches [size, D] of the stream's rows, each block shuffled, from batch number `start` on.

    What is left of a block goes into the next batch together with the beginning of the next block; what
    is left at the end is not used. Batch b holds the same rows whatever `start` is.

    Args:
        stream: where the rows come from.
        size: rows of a batch.
        key: draws the order within each block.
        start: the number of the first batch.
        first: block 0, if it was read already.
    """
    begin, seen = start * size, 0
    rest: list[Tensor] = []
    for number, rows in enumerate(stream.sizes):
        seen += rows
        if seen <= begin:
            continue
        table = first if number == 0 and first is not None else stream.block(number)
        first = None
        order = torch.from_numpy(generator(key, "shuffle", str(number)).permutation(rows)).to(table.device)
        at = max(0, begin - (seen - rows))
        while at < rows:
            part = order[at : at + size - sum(map(len, rest))]
            at += len(part)
            rest.append(table[part])
            if sum(map(len, rest)) == size:
                yield torch.cat(rest) if len(rest) > 1 else rest[0]
                rest = []


def _kept(piece: Sequence[int], first: int, without: frozenset[int]) -> list[int]:
    return [at for at, token in enumerate(piece) if at >= first and token not in without]


def _blocks(order: NDArray[np.int64], counts: NDArray[np.int64], buffer: int) -> list[NDArray[np.int64]]:
    """The order cut where the next piece would make a block longer than the buffer."""
    borders, held = [0], 0
    for at, count in enumerate(counts[order]):
        if held and held + count > buffer:
            borders.append(at)
            held = 0
        held += int(count)
    return [order[a:b] for a, b in zip(borders, [*borders[1:], len(order)], strict=True)]
