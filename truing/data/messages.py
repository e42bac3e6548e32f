"""Messages as chat data sets and the OpenAI API write them, and as `truing.types.Message`."""

from collections.abc import Sequence
from typing import Any

from truing.data.strict_json import parse_json
from truing.types import FrozenDict, InputError, Message, Role, ToolCall, thaw

_REASONING = ("reasoning_content", "thinking", "reasoning")


def to_messages(data: object) -> tuple[Message, ...]:
    """Read a list of chat messages.

    `content` is text, null beside tool calls, or a list of text parts, which are joined; the trace
    is in `reasoning_content`, `thinking` or `reasoning`; tool calls have OpenAI's shape, with
    arguments as an object or as JSON text. Null counts as absent; other keys are not read.

    Raises:
        InputError: the sentence names the turn, and no file (see `place`).
    """
    if not isinstance(data, list) or not data:
        raise InputError(
            "the messages are no list of turns", mend="give [{'role': ..., 'content': ...}, ...]"
        )
    turns = []
    for number, turn in enumerate(data, start=1):
        try:
            turns.append(_message(turn))
        except InputError as why:
            raise InputError(f"turn {number} {why.problem}", mend=why.mend) from None
    return tuple(turns)


def from_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Chat messages as TRL and chat templates take them: tool arguments as objects, no empty keys."""
    return [_turn(message) for message in messages]


def _turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": str(message.role), "content": message.content}
    if message.reasoning is not None:
        turn["reasoning_content"] = message.reasoning
    if message.tool_calls:
        turn["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": thaw(call.arguments)}
    return {**({"id": call.id} if call.id else {}), "type": "function", "function": function}


def _message(turn: object) -> Message:
    if not isinstance(turn, dict):
        raise InputError("is not an object", mend="give it a role and a content")
    if "role" not in turn:
        mend = (
            "rename from and value to role and content" if "from" in turn else "add system, user or assistant"
        )
        raise InputError("has no role", mend=mend)
    if turn["role"] not in list(Role):
        raise InputError(f"has the role {turn['role']!r}", mend=f"roles are {', '.join(Role)}")
    role = Role(turn["role"])
    reasoning, calls = _reasoning(turn), _tool_calls(turn.get("tool_calls"))
    if role is not Role.assistant and (reasoning or calls):
        raise InputError(
            f"is the {role}'s and has reasoning or tool calls", mend="only an assistant has them"
        )
    call_id = turn.get("tool_call_id")
    if call_id is not None and not isinstance(call_id, str):
        raise InputError("has a tool_call_id that is not text", mend="quote it")
    content = _content(turn.get("content"), optional=bool(calls))
    return Message(role, content, reasoning if role is Role.assistant else None, calls, call_id)


def _content(content: object, *, optional: bool) -> str:
    if isinstance(content, str):
        return content
    if content is None and optional:
        return ""
    if not isinstance(content, list):
        raise InputError("has no text in its content", mend="give text, or a list of text parts")
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text":
            raise InputError(f"has a part of type {kind!r}", mend="only text can be read, no images or sound")
        if not isinstance(part.get("text"), str):
            raise InputError("has a text part without text", mend="give {'type': 'text', 'text': ...}")
        texts.append(part["text"])
    return "".join(texts)


def _reasoning(turn: dict[str, Any]) -> str | None:
    found = {turn[key] for key in _REASONING if isinstance(turn.get(key), str)}
    if any(turn.get(key) is not None and not isinstance(turn[key], str) for key in _REASONING):
        raise InputError("has reasoning that is not text", mend="write it as one text")
    if len(found) > 1:
        raise InputError("has two different traces", mend="keep reasoning_content alone")
    return found.pop() if found else None


def _tool_calls(calls: object) -> tuple[ToolCall, ...]:
    if not isinstance(calls, list | None):
        raise InputError("has tool_calls that are no list", mend="give a list of calls")
    return tuple(_tool_call(call) for call in calls or ())


def _tool_call(call: object) -> ToolCall:
    function = call.get("function", call) if isinstance(call, dict) else None
    if (
        not isinstance(call, dict)
        or not isinstance(function, dict)
        or not isinstance(function.get("name"), str)
    ):
        raise InputError(
            "has a tool call without a function name",
            mend="give {'id': ..., 'type': 'function', 'function': {'name': ..., 'arguments': ...}}",
        )
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments)
        except InputError as why:
            raise InputError(f"calls {function['name']} with arguments whose text {why.problem}") from None
    if not isinstance(arguments, dict | None):
        raise InputError(f"calls {function['name']} with arguments that are no object")
    id = call.get("id")
    if id is not None and not isinstance(id, str):
        raise InputError("has a tool call whose id is not text", mend="quote it")
    return ToolCall(id or "", function["name"], FrozenDict(arguments))
