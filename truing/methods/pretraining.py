"""Pretraining text, mixed into a training so that what was learnt from it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truing.data import DatasetType, LanguageModeling, dataset_type, place, read_example, read_jsonl
from truing.types import InputError

if TYPE_CHECKING:
    from truing.model import ChatFormat

_AT_ONCE = 1024


def read_pretraining(path: str | Path) -> list[str]:
    """Texts of JSONL rows with `text`, as TRL's language modeling type has them.

    Raises:
        InputError: no such file, no row, or a row of another type; names the row.
    """
    texts = []
    for row in read_jsonl(path):
        with place(path, row.number):
            if dataset_type(row.data) is not DatasetType.language_modeling or "text" not in row.data:
                raise InputError("has no text", mend='give {"text": ...}')
        read = read_example(row, DatasetType.language_modeling, file=str(path))
        assert isinstance(read, LanguageModeling) and isinstance(read.text, str)
        texts.append(read.text)
    if not texts:
        raise InputError("holds no text", file=path, mend='give one {"text": ...} on each line')
    return texts


@dataclass(frozen=True)
class TextRow:
    """Token ids of a text, every one of which is learnt but the first."""

    ids: list[int]

    @property
    def mask(self) -> list[bool]:
        """All true."""
        return [True] * len(self.ids)


def text_rows(texts: Sequence[str], chat: "ChatFormat", *, context: int | None) -> list[TextRow]:
    """The texts as tokens, each ended by the token that ends texts, in pieces that fit into the context.

    What is left of a text as a single token is left out.
    """
    rows = []
    end = chat.tokenizer.eos_token_id
    for at in range(0, len(texts), _AT_ONCE):
        for ids in chat.tokenizer(list(texts[at : at + _AT_ONCE]))["input_ids"]:
            whole = ids if end is None or ids[-1:] == [end] else [*ids, end]
            length = context or len(whole)
            pieces = (whole[start : start + length] for start in range(0, len(whole), length))
            rows += [TextRow(piece) for piece in pieces if len(piece) > 1]
    return rows
