"""Rows of a training file as what is asked and the response that would be learnt."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.data import (
    DatasetType,
    LanguageModeling,
    PromptCompletion,
    Row,
    dataset_type,
    place,
    read_example,
    read_jsonl,
)
from truing.types import InputError, Message, Request, Role

_KINDS = (DatasetType.language_modeling, DatasetType.prompt_completion)


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A row of a file, and the last turn that a model would learn from it."""

    number: int
    """The line on which it starts."""
    data: Mapping[str, Any]
    """As it stands in the file."""
    prompt: Request
    """What comes before the response; its id is the digest of what is asked."""
    response: Message | None
    """None where there is nothing to learn: the row ends with the user's turn, or with empty words."""

    @property
    def plain(self) -> bool:
        """Whether prompt and completion are plain text, which no supervised training takes for turns."""
        return isinstance(self.data.get("completion"), str)

    @property
    def learnable(self) -> Mapping[str, Any]:
        """As it stands in the file, with plain text as the turns that were scored."""
        if not self.plain:
            return self.data
        turns = {"prompt": Role.user, "completion": Role.assistant}
        said = {name: [{"role": str(role), "content": self.data[name]}] for name, role in turns.items()}
        return {**self.data, **said}


def read_training_rows(path: str | Path) -> list[TrainingRow]:
    """Rows of a JSONL file with `messages`, or with `prompt` and `completion` (TRL's types).

    A prompt and a completion that are plain text count as the user's turn and the assistant's.

    Raises:
        InputError: no such file, no row, a row of another type, or one that cannot be a conversation;
            names the row.
    """
    rows = list(read_jsonl(path))
    if not rows:
        raise InputError("holds no row to screen", file=path, mend="give one conversation for each line")
    with place(path, rows[0].number):
        kind = dataset_type(rows[0].data)
    if kind not in _KINDS:
        raise InputError(f"is a {kind} data set", file=path, mend="give messages, or prompt and completion")
    found = []
    for row in rows:
        example = read_example(row, kind, file=str(path))
        assert isinstance(example, LanguageModeling | PromptCompletion)
        with place(path, row.number):
            found.append(_row(row, example))
    return found


def _row(row: Row, example: LanguageModeling | PromptCompletion) -> TrainingRow:
    if example.tools:
        raise InputError("has tools, which are not read here", mend="leave the row out")
    if isinstance(example, PromptCompletion):
        turns = (*_turns(example.prompt, Role.user), *_turns(example.completion, Role.assistant))
    elif isinstance(example.text, str):
        raise InputError("is plain text, not a conversation", mend="give messages with roles")
    else:
        turns = example.text
    last = turns[-1]
    answered = last.role is Role.assistant
    try:
        asked = Request("", turns[:-1] if answered else turns)
    except ValueError as why:
        raise InputError(str(why), mend="let the assistant's turn follow the user's") from None
    said = last.content.strip() or (last.reasoning or "").strip() or last.tool_calls
    named = Request(asked.prompt_digest, asked.messages)
    return TrainingRow(row.number, row.data, named, last if answered and said else None)


def _turns(text: str | tuple[Message, ...], role: Role) -> tuple[Message, ...]:
    return (Message(role, text),) if isinstance(text, str) else text
