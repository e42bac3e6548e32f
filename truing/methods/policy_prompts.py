"""What a policy is asked: prompts of a file, and those among them that are held out of its training."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.data import (
    DatasetType,
    PromptOnly,
    Row,
    leaks,
    place,
    prefix_groups,
    read_example,
    read_jsonl,
    split_by_group,
)
from truing.train import PromptRow
from truing.types import FrozenDict, InputError, Message, Request, Role

if TYPE_CHECKING:
    from truing.model import ChatFormat

_MIN_PREFIX = 200
_LEAKS, _TOO_LONG = (
    "a prompt leaks from the training side to the held-out side",
    "a prompt leaves no room for an answer in the model's context",
)
_TAKEN = ("prompts", "completions", "completion_ids")


@dataclass(frozen=True)
class PolicyPrompts:
    """Prompts to learn on, and others to measure on that have nothing to do with them."""

    train: tuple[PromptRow, ...]
    held_out: tuple[PromptRow, ...] = ()
    texts: bool = False
    """The file tells prompts as texts, so that rewards get texts, and not lists of messages."""
    skipped: Mapping[str, int] = FrozenDict()
    """Why prompts were left out -> how many."""


def read_prompts(path: str | Path, *, held_out: float, key: int) -> PolicyPrompts:
    """Read JSONL rows of TRL's prompt-only type, and hold a share of them out.

    A prompt is a text, which is the user's turn, or messages; a file has one of the two. Each further column goes to
    the rewards, as with TRL. `id` names a row where it is there, else its line does. Prompts that begin alike go
    to one side; what the training side holds, or mostly contains, is left out of the held-out side.

    Args:
        path: the file, `.gz` too.
        held_out: the expected share of prompts that is held out; 0 for none.
        key: decides which.

    Raises:
        InputError: no such file, no row, a row that is no prompt, or a side that is empty; names the row.
    """
    rows = list(read_jsonl(path))
    if not rows:
        raise InputError("holds no prompt", file=path, mend='give one {"prompt": ...} on each line')
    texts = isinstance(rows[0].data.get("prompt"), str)
    prompts = [_prompt(row, texts, path) for row in rows]
    names = Counter(prompt.id for prompt in prompts)
    twice = next((i for i, prompt in enumerate(prompts) if names[prompt.id] > 1), None)
    if twice is not None:
        problem = f"the id {prompts[twice].id!r} is there twice"
        raise InputError(problem, file=path, row=rows[twice].number, mend="give each its own, or none any")
    train, unseen, leaked = _split(prompts, held_out, key)
    if not train or (held_out and not unseen):
        raise InputError(
            f"its {len(prompts)} prompts leave nothing on one side ({leaked} leak)",
            file=path,
            mend="change held_out or the seed, or give more prompts",
        )
    return PolicyPrompts(tuple(train), tuple(unseen), texts, {_LEAKS: leaked} if leaked else {})


def fitting(
    prompts: PolicyPrompts, chat: "ChatFormat", *, context: int | None, room: int, data: str
) -> PolicyPrompts:
    """The prompts that leave `room` tokens for an answer; the others are left out and counted, never cut.

    Raises:
        InputError: the template refuses a prompt, or none fits; `data` names the file.
    """
    left = Counter(prompts.skipped)

    def kept(rows: Sequence[PromptRow]) -> tuple[PromptRow, ...]:
        out = []
        for row in rows:
            try:
                ids = chat.prompt_ids(Request(row.id, row.messages))
            except InputError as why:
                raise InputError(f"prompt {row.id}: {why.problem}", file=data, mend=why.mend) from None
            if context is not None and len(ids) + room > context:
                left[_TOO_LONG] += 1
            else:
                out.append(row)
        return tuple(out)

    train, held_out = kept(prompts.train), kept(prompts.held_out)
    if not train or (prompts.held_out and not held_out):
        problem = f"no prompt leaves room for {room} tokens in the model's context of {context}"
        raise InputError(problem, file=data, mend="lower max_new_tokens or shorten the prompts")
    return PolicyPrompts(train, held_out, prompts.texts, dict(left))


def _prompt(row: Row, texts: bool, path: str | Path) -> PromptRow:
    with place(path, row.number):
        if "prompt" not in row.data:
            raise InputError("has no prompt", mend="add the column prompt, a text or messages")
        if isinstance(row.data["prompt"], str) is not texts:
            raise InputError(
                "tells its prompt as a text where the first row has messages, or the other way round",
                mend="write all alike",
            )
        read = read_example(row, DatasetType.prompt_only, file=str(path))
        assert isinstance(read, PromptOnly)
        if read.tools:
            raise InputError("has tools, and an answer here is one turn without them", mend="remove the row")
        turns = (Message(Role.user, read.prompt),) if isinstance(read.prompt, str) else read.prompt
        if turns[-1].role not in (Role.user, Role.tool):
            raise InputError(f"ends with the {turns[-1].role}'s turn", mend="end it with the user's")
        columns: dict[str, Any] = {k: v for k, v in row.data.items() if k not in ("prompt", "tools")}
        if taken := [name for name in columns if name in _TAKEN]:
            raise InputError(f"has a column {taken[0]}, which rewards are given anyway", mend="rename it")
        id = columns.get("id")
        return PromptRow(str(row.number if id is None else id), turns, FrozenDict(columns))


def _split(
    prompts: Sequence[PromptRow], held_out: float, key: int
) -> tuple[list[PromptRow], list[PromptRow], int]:
    """The two sides, and how many prompts leaked from one into the other."""
    texts = ["\n".join(t.content for t in row.messages if t.role is not Role.system) for row in prompts]
    shares = {"train": 1 - held_out, "held out": held_out}
    sides = split_by_group(prefix_groups(texts, _MIN_PREFIX), shares, key=key)
    train, unseen = sides["train"], sides["held out"]
    found = {leak.heldout for leak in leaks([texts[i] for i in train], [texts[i] for i in unseen])}
    fresh = [prompts[i] for n, i in enumerate(unseen) if n not in found]
    return [prompts[i] for i in train], fresh, len(found)
