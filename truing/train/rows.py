"""Rows of token ids with their loss masks, laid end to end in three flat arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from truing.types import InputError


class Row(Protocol):
    """Token ids and, for each, whether it carries loss: `Rendered` is one."""

    @property
    def ids(self) -> Sequence[int]:
        """Token ids [T]."""

    @property
    def mask(self) -> Sequence[bool]:
        """Whether each carries loss [T]."""


@dataclass(frozen=True, eq=False)
class TokenRows:
    """N rows of T tokens in all, at three to five bytes a token.

    A row is whatever the model reads at once: a rendered conversation, or a document of which every
    token is trained on. The first token of a row has no predecessor and never carries loss.
    """

    ids: NDArray[np.uint16] | NDArray[np.uint32]
    """Token ids [T]."""
    mask: NDArray[np.bool_]
    """Whether the token carries loss [T]; False at the first token of every row."""
    offsets: NDArray[np.int64]
    """Row i is ids[offsets[i] : offsets[i + 1]]; [N + 1]."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """Lay out rows that have token ids and a mask (True: this token carries loss), such as `Rendered`.

        Raises:
            InputError: there are no rows, or a row has nothing to train on; rows count from 1.
        """
        ids: list[NDArray[np.uint32]] = []
        masks: list[NDArray[np.bool_]] = []
        for number, row in enumerate(rows, start=1):
            if len(row.ids) != len(row.mask):
                raise ValueError(f"row {number} has {len(row.ids)} ids and {len(row.mask)} mask entries")
            mask = np.array(row.mask, dtype=np.bool_)
            mask[:1] = False
            if not mask.any():
                raise InputError(f"row {number} has no token to train on", mend="leave it out")
            ids.append(np.array(row.ids, dtype=np.uint32))
            masks.append(mask)
        if not ids:
            raise InputError("there are no rows to train on")
        flat = np.concatenate(ids)
        if flat.max() < 2**16:
            flat = flat.astype(np.uint16)
        offsets = np.cumsum([0, *map(len, ids)], dtype=np.int64)
        return cls(flat, np.concatenate(masks), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row [N]."""
        return np.diff(self.offsets)

    @property
    def trained(self) -> NDArray[np.int64]:
        """Tokens of each row that carry loss [N]."""
        return np.add.reduceat(self.mask, self.offsets[:-1], dtype=np.int64)

    def take(self, chosen: NDArray[np.int64]) -> tuple[NDArray[np.unsignedinteger], NDArray[np.bool_]]:
        """Ids and masks of the chosen rows, end to end, in the order in which they are chosen."""
        where = [slice(self.offsets[row], self.offsets[row + 1]) for row in chosen]
        return np.concatenate([self.ids[s] for s in where]), np.concatenate([self.mask[s] for s in where])

    @property
    def digest(self) -> str:
        """SHA-256 of ids, masks and row borders."""
        parts = (self.ids.astype("<u4"), np.packbits(self.mask), self.offsets.astype("<i8"))
        return sha256(b"".join(sha256(part.tobytes()).digest() for part in parts)).hexdigest()
