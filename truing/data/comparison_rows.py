"""The forms in which a row of a file tells a comparison, each read into the fields of a `Comparison`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from truing.data.files import place
from truing.data.jsonl import Row
from truing.data.messages import to_messages
from truing.data.trl import DatasetType, Preference, Text, read_example, read_tools
from truing.types import InputError, Message, Role

Parts = dict[str, Any]
"""Fields of a `Comparison` by name."""
Turns = tuple[Message, ...]

_SPEAKER = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": Role.user, "Assistant": Role.assistant}
_NAMES = ("id", "labeler", "customer", "group")


class _Pair(NamedTuple):
    prompt: Turns
    chosen: Turns
    rejected: Turns


def compared(row: Row, file: str | Path) -> Parts:
    """The comparison that a row of `file` tells, whatever its form.

    Raises:
        InputError: the row has none of the forms, or is malformed.
    """
    data = {name: value for name, value in row.data.items() if value is not None}
    with place(file, row.number):
        parts: Parts = {name: _name(data[name], name) for name in _NAMES if name in data}
        if {"chosen", "rejected"} <= data.keys():
            pair = _of_texts(data) or _of_conversations(data) or _of_example(row, file)
            parts |= {"prompt": pair.prompt, "answers": pair[1:], "ranks": (1, 2)}
        elif "ranks" in data:
            parts |= _listed(data) | {"ranks": _whole(data["ranks"])}
        elif "ratings" in data:
            parts |= _listed(data) | {"ranks": _places(_numbers(data["ratings"], "ratings"))}
        else:
            raise InputError(
                "has neither chosen and rejected nor ranks nor ratings",
                mend="give prompt, chosen and rejected, or prompt, answers and ranks",
            )
        return parts | {"tools": read_tools(data)}


def _of_texts(data: Mapping[str, Any]) -> _Pair | None:
    """Two dialogues written as texts; None if the row holds something else."""
    texts = [data.get("prompt", ""), data["chosen"], data["rejected"]]
    if not all(isinstance(text, str) for text in texts):
        return None
    before, *pair = texts
    if _SPEAKER.match(before or pair[0]):
        return _part(*(_dialogue(before + text, name) for text, name in zip(pair, _PAIR, strict=True)))
    if not before and pair[0] == pair[1]:  # TRL finds no prompt in them; there is nothing to learn from it
        return _Pair(*(_said(pair[0], role) for role in (Role.user, Role.assistant, Role.assistant)))
    return None


def _of_conversations(data: Mapping[str, Any]) -> _Pair | None:
    """Two whole conversations, beside which TRL passes over a text prompt; None if it is something else."""
    pair = (data["chosen"], data["rejected"])
    if isinstance(data.get("prompt"), list) or not all(isinstance(turns, list) for turns in pair):
        return None
    return _part(*map(to_messages, pair))


def _of_example(row: Row, file: str | Path) -> _Pair:
    """TRL's preference with a prompt, or two texts that begin alike."""
    example = read_example(row, DatasetType.preference, file=str(file))
    assert isinstance(example, Preference)
    return _Pair(
        _said(example.prompt, Role.user),
        _said(example.chosen, Role.assistant),
        _said(example.rejected, Role.assistant),
    )


_PAIR = ("chosen", "rejected")


def _dialogue(text: str, name: str) -> Turns:
    """The turns of a dialogue; what one speaker says in several pieces is one turn."""
    start, *pieces = _SPEAKER.split(text)
    if start.strip() or len(pieces) < 4:
        raise InputError(f"the dialogue in {name} has no question and answer", mend="remove the row")
    turns: list[Message] = []
    for speaker, said in zip(pieces[::2], pieces[1::2], strict=True):
        role, content = _ROLES[speaker], said.strip()
        if turns and turns[-1].role is role:
            content = f"{turns.pop().content}\n\n{content}".strip()
        turns.append(Message(role, content))
    return tuple(turns)


def _part(chosen: Turns, rejected: Turns) -> _Pair:
    """The turns that both have in common, up to the last of them that asks, and what follows in each."""
    for name, turns in zip(_PAIR, (chosen, rejected), strict=True):
        if turns[-1].role is not Role.assistant:
            raise InputError(
                f"{name} ends with the {turns[-1].role}'s turn", mend="end it with an assistant turn"
            )
    limit = min(len(chosen), len(rejected)) - 1
    same = next((i for i in range(limit) if chosen[i] != rejected[i]), limit)
    while same and chosen[same - 1].role not in (Role.user, Role.tool):
        same -= 1
    if not same:
        raise InputError("chosen and rejected share no prompt", mend="add the column prompt")
    return _Pair(chosen[:same], chosen[same:], rejected[same:])


def _listed(data: Mapping[str, Any]) -> Parts:
    """Prompt, answers and flags of a row that lists K answers."""
    if "prompt" not in data:
        raise InputError("has no prompt", mend="add the column prompt")
    answers = data.get("answers", data.get("completions"))
    if not isinstance(answers, list):
        raise InputError("has no list of answers", mend="give a list of texts, or of lists of messages")
    parts: Parts = {
        "prompt": _turns(data["prompt"], Role.user, "the prompt"),
        "answers": tuple(
            _turns(answer, Role.assistant, f"answer {i}") for i, answer in enumerate(answers, start=1)
        ),
    }
    if "flags" in data:
        parts["flags"] = _flags(data["flags"])
    if "ratings" in data:
        parts["ratings"] = _numbers(data["ratings"], "ratings")
    return parts


def _whole(values: object) -> tuple[int, ...]:
    ranks = _numbers(values, "ranks")
    if any(rank != int(rank) for rank in ranks):
        raise InputError("has ranks that are no whole numbers", mend="rank from 1, the best; ties are equal")
    return tuple(map(int, ranks))


def _places(ratings: tuple[float, ...]) -> tuple[int, ...]:
    """An answer's place is one more than the number of different ratings above its own."""
    return tuple(1 + len({other for other in ratings if other > own}) for own in ratings)


def _numbers(values: object, name: str) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise InputError(f"has {name} that are no list", mend="give one for each answer")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"has {value!r} among its {name}", mend="give one number for each answer")
    return tuple(values)


def _flags(values: object) -> tuple[tuple[str, ...], ...]:
    lists = values if isinstance(values, list) else [None]
    if not all(isinstance(names, list) and all(isinstance(n, str) for n in names) for names in lists):
        raise InputError("has flags that are no lists of names", mend="give a list of names for each answer")
    return tuple(map(tuple, lists))


def _name(value: object, column: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"has a {column} that is no text", mend="quote it")
    return str(value)


def _turns(value: object, role: Role, what: str) -> Turns:
    """A text as one turn of `role`, or a list of messages."""
    if isinstance(value, str):
        return (Message(role, value),)
    try:
        return to_messages(value)
    except InputError as why:
        raise InputError(f"{what}: {why.problem}", mend=why.mend) from None


def _said(text: Text, role: Role) -> Turns:
    return (Message(role, text),) if isinstance(text, str) else text
