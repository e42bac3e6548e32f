"""The six data set types of TRL 1.16 (docs/source/dataset_formats.md), standard and conversational."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeAlias

from truing.data.files import place
from truing.data.jsonl import Row
from truing.data.messages import from_messages, to_messages
from truing.types import FrozenDict, InputError, Message, Role, thaw

Text: TypeAlias = str | tuple[Message, ...]
"""A plain text (standard), or turns (conversational)."""


class DatasetType(StrEnum):
    """What a row is for."""

    language_modeling = "language modeling"
    prompt_only = "prompt-only"
    prompt_completion = "prompt-completion"
    preference = "preference"
    unpaired_preference = "unpaired preference"
    stepwise_supervision = "stepwise supervision"


@dataclass(frozen=True, slots=True)
class LanguageModeling:
    """Text to be continued (`text`), or a whole conversation (`messages`)."""

    text: Text
    tools: tuple[FrozenDict, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptOnly:
    """What is asked."""

    prompt: Text
    tools: tuple[FrozenDict, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptCompletion:
    """What is asked, and the answer to learn."""

    prompt: Text
    completion: Text
    tools: tuple[FrozenDict, ...] = ()


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers, of which `chosen` is better."""

    prompt: Text
    chosen: Text
    rejected: Text
    tools: tuple[FrozenDict, ...] = ()


@dataclass(frozen=True, slots=True)
class UnpairedPreference:
    """An answer that is good (`label` true) or bad."""

    prompt: Text
    completion: Text
    label: bool
    tools: tuple[FrozenDict, ...] = ()


@dataclass(frozen=True, slots=True)
class Stepwise:
    """An answer in steps, each right or wrong; standard only."""

    prompt: str
    completions: tuple[str, ...]
    labels: tuple[bool, ...]


Example: TypeAlias = (
    LanguageModeling | PromptOnly | PromptCompletion | Preference | UnpairedPreference | Stepwise
)


def dataset_type(columns: Iterable[str]) -> DatasetType:
    """Which type a data set with these columns has; columns that no type knows do not count.

    Raises:
        InputError: no type fits, or two do.
    """
    names = set(columns)
    for kind, needed in _BY_COLUMNS.items():
        if needed <= names:
            return kind
    language, prompt = names & {"text", "messages"}, "prompt" in names
    if len(language) + prompt > 1:
        both = " and ".join(sorted(language | ({"prompt"} if prompt else set())))
        raise InputError(f"the columns {both} could each be the data", mend="remove all but one")
    if language:
        return DatasetType.language_modeling
    if prompt:
        return DatasetType.prompt_only
    raise InputError(
        f"the columns {', '.join(sorted(names)) or '(none)'} are none of TRL's data set types",
        mend="name them text, messages, prompt, completion, chosen, rejected, label, completions, labels",
    )


def read_example(row: Row, kind: DatasetType, *, file: str) -> Example:
    """Check a row of a data set of this type and read it; columns of other types are not read.

    Raises:
        InputError: what is wrong with the row, in one sentence.
    """
    with place(file, row.number):
        data = {name: value for name, value in row.data.items() if value is not None}
        return _READERS[kind](data)


def write_example(example: Example) -> dict[str, Any]:
    """The row of TRL's data set that `read_example` reads as this example."""
    out: dict[str, Any] = {}
    for field in fields(example):
        value = getattr(example, field.name)
        if field.name == "tools":
            if value:
                out["tools"] = [thaw(tool) for tool in value]
        elif isinstance(value, tuple) and value and isinstance(value[0], Message):
            out["messages" if field.name == "text" else field.name] = from_messages(value)
        else:
            out[field.name] = list(value) if isinstance(value, tuple) else value
    return out


def _language_modeling(data: dict[str, Any]) -> LanguageModeling:
    if "messages" in data:
        return LanguageModeling(to_messages(data["messages"]), read_tools(data))
    if "text" not in data:
        raise InputError("has neither messages nor text", mend="mend or remove the row")
    return LanguageModeling(_str(data, "text"), read_tools(data))


def _prompt_only(data: dict[str, Any]) -> PromptOnly:
    return PromptOnly(_prompt(data), read_tools(data))


def _prompt_completion(data: dict[str, Any]) -> PromptCompletion:
    prompt, completion = _answered(_prompt(data), data, "completion")
    return PromptCompletion(prompt, completion, read_tools(data))


def _unpaired(data: dict[str, Any]) -> UnpairedPreference:
    prompt, completion = _answered(_prompt(data), data, "completion")
    return UnpairedPreference(prompt, completion, _bool(data.get("label"), "the label"), read_tools(data))


def _preference(data: dict[str, Any]) -> Preference:
    """TRL's `maybe_extract_prompt`: also where a text prompt stands beside whole conversations."""
    conversational = isinstance(data.get("chosen"), list)
    if "prompt" not in data or (conversational and isinstance(data["prompt"], str)):
        data = {**data, **_extracted(data)}
    prompt = _prompt(data)
    _, chosen = _answered(prompt, data, "chosen")
    _, rejected = _answered(prompt, data, "rejected")
    return Preference(prompt, chosen, rejected, read_tools(data))


def _stepwise(data: dict[str, Any]) -> Stepwise:
    completions, labels = data.get("completions"), data.get("labels")
    if not isinstance(completions, list) or not all(isinstance(step, str) for step in completions):
        raise InputError("the completions are no list of texts", mend="give one text for each step")
    if not isinstance(labels, list) or len(labels) != len(completions) or not labels:
        raise InputError("there is not one label for each completion", mend="give as many, at least one")
    return Stepwise(
        _str(data, "prompt"), tuple(completions), tuple(_bool(label, "a label") for label in labels)
    )


def _extracted(data: dict[str, Any]) -> dict[str, Any]:
    """Prompt, chosen and rejected, from the longest common prefix of two whole texts or conversations.

    Neither answer is left empty, and a space before the answers belongs to them (TRL's `extract_prompt`).
    """
    chosen, rejected = _both(data)
    if chosen == rejected:
        raise InputError("chosen and rejected are the same", mend="remove the row")
    limit = min(len(chosen), len(rejected)) - 1
    same = next((i for i in range(limit) if chosen[i] != rejected[i]), max(limit, 0))
    if same and chosen[same - 1] == " " and chosen[same] != rejected[same]:
        same -= 1
    if same == 0:
        raise InputError("chosen and rejected share no prompt", mend="add the column prompt")
    return {"prompt": chosen[:same], "chosen": chosen[same:], "rejected": rejected[same:]}


def _both(data: dict[str, Any]) -> tuple[Any, Any]:
    chosen, rejected = data.get("chosen"), data.get("rejected")
    if type(chosen) is not type(rejected) or not isinstance(chosen, str | list):
        raise InputError("chosen and rejected are neither two texts nor two lists of messages")
    return chosen, rejected


def _prompt(data: dict[str, Any]) -> Text:
    if not isinstance(data.get("prompt"), list):
        return _str(data, "prompt")
    prompt = to_messages(data["prompt"])
    if prompt[-1].role is Role.system:
        raise InputError("the prompt ends with the system's turn", mend="add what the user says")
    return prompt


def _answered(prompt: Text, data: dict[str, Any], name: str) -> tuple[Text, Text]:
    """The prompt, and the answer to it in the column `name`, in the same form."""
    if isinstance(prompt, str):
        return prompt, _str(data, name)
    if not isinstance(data.get(name), list):
        raise InputError(f"the prompt is a list of messages and {name} is not", mend="write both alike")
    with_turns = to_messages(data[name])
    if with_turns[0].role is not Role.assistant:
        mend = "it holds what comes after the prompt"
        raise InputError(f"the column {name} begins with the {with_turns[0].role}'s turn", mend=mend)
    return prompt, with_turns


def _str(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise InputError(f"the column {name} holds no text", mend="mend or remove the row")
    return value


def _bool(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{what} is not true or false", mend="write true or false")
    return value


def read_tools(data: Mapping[str, Any]) -> tuple[FrozenDict, ...]:
    """The column `tools`, which any type may have.

    Raises:
        InputError: it is no list of objects.
    """
    tools = data.get("tools", [])
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InputError("the tools are no list of JSON schemas")
    return tuple(FrozenDict(tool) for tool in tools)


_BY_COLUMNS = {
    DatasetType.stepwise_supervision: {"prompt", "completions", "labels"},
    DatasetType.preference: {"chosen", "rejected"},
    DatasetType.unpaired_preference: {"prompt", "completion", "label"},
    DatasetType.prompt_completion: {"prompt", "completion"},
}
_READERS: dict[DatasetType, Callable[[dict[str, Any]], Example]] = {
    DatasetType.language_modeling: _language_modeling,
    DatasetType.prompt_only: _prompt_only,
    DatasetType.prompt_completion: _prompt_completion,
    DatasetType.preference: _preference,
    DatasetType.unpaired_preference: _unpaired,
    DatasetType.stepwise_supervision: _stepwise,
}
