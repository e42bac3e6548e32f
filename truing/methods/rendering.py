"""Conversations as a model reads them, each of which it must be able to learn whole."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from truing.data import place
from truing.types import InputError, Message

if TYPE_CHECKING:
    from truing.model import ChatFormat, Rendered

Conversation = tuple[Message, ...]


def render_rows(
    chat: "ChatFormat", rows: Sequence[Conversation], data: str, *, context: int | None
) -> "Iterator[Rendered]":
    """What the model reads of each row; one that it cannot learn whole is named by its number in `data`.

    Raises:
        InputError: the template refuses a row, or it has nothing to train on or is longer than the context.
    """
    for number, row in enumerate(rows, start=1):
        with place(data, number):
            shown = chat.training_example(row)
            if context is not None and len(shown.ids) > context:
                raise InputError(
                    f"has {len(shown.ids)} tokens, the model's context is {context}",
                    mend="shorten it or leave it out",
                )
            if not any(shown.mask):
                raise InputError("has no token to train on", mend="leave it out")
        yield shown
