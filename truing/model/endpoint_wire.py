"""OpenAI's chat completions on the wire: the body that is sent, and the only shapes that may come back."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from truing.model.endpoint_retry import RequestFailed
from truing.model.reasoning import OPEN, Split, split_reasoning, with_reasoning
from truing.types import Completion, Fingerprint, Message, Request, SamplingParams, Stop, Trace, Usage, thaw

# `stop` is also what most servers say for a stop string; `_stop` tells the two apart where that is possible.
_STOPS = {
    "stop": Stop.eos,
    "eos_token": Stop.eos,
    "stop_sequence": Stop.stop,
    "length": Stop.length,
    "tool_calls": Stop.tool,
    "function_call": Stop.tool,
    "content_filter": Stop.filtered,
}


class Function(BaseModel):
    """The call of a tool; in a stream, a piece of one."""

    name: str | None = None
    arguments: str | None = None


class Call(BaseModel):
    """One tool call, numbered in a stream."""

    index: int = 0
    function: Function


class Turn(BaseModel):
    """What the assistant said: a whole message, or the next piece of one."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None


class Logprob(BaseModel):
    """Log-probability (nats) of one token."""

    logprob: float


class Logprobs(BaseModel):
    """Log-probabilities of the tokens of a choice, in order."""

    content: list[Logprob] | None = None


class Choice(BaseModel):
    """One of the `n` answers. `token_ids` and `stop_reason` are vLLM's."""

    index: int = 0
    message: Turn
    finish_reason: str
    stop_reason: str | int | None = None
    logprobs: Logprobs | None = None
    token_ids: list[int] | None = None


class Tokens(BaseModel):
    """Tokens counted by the server."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Reply(BaseModel):
    """A whole answer to one request."""

    model: str | None = None
    choices: list[Choice] = Field(min_length=1)
    usage: Tokens | None = None
    prompt_token_ids: list[int] | None = None


def request_body(model: str, request: Request, params: SamplingParams) -> dict[str, Any]:
    """The JSON body that asks for one answer.

    `temperature` and `top_p` are always named, since several servers fill what is missing from the
    model's own generation config. `top_k` is no part of the protocol and goes out only where it is
    on. The reasoning of earlier turns is left out, as chat templates leave it out.
    """
    body: dict[str, Any] = {"model": model, "messages": [_message(m) for m in request.messages]}
    body |= {"temperature": params.temperature, "top_p": params.top_p, "max_tokens": params.max_tokens}
    if params.top_k:
        body["top_k"] = params.top_k
    if params.stop:
        body["stop"] = list(params.stop)
    if request.tools:
        body["tools"] = thaw(request.tools)
    return body


def read_reply(body: bytes) -> Reply:
    """The reply a body holds, its choices in the order of their index.

    Raises:
        RequestFailed: it is not JSON, it reports an error under status 200, or it has another shape.
    """
    data = read_json(body)
    try:
        reply = Reply.model_validate(data)
    except ValidationError as why:
        raise misshapen(why) from None
    reply.choices.sort(key=lambda choice: choice.index)
    return reply


def read_json(body: bytes) -> Any:
    """The JSON value of a body; an object with an `error` in it is raised as one.

    Raises:
        RequestFailed: it is not JSON, or it reports an error.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise RequestFailed("the endpoint's answer is not JSON", again=True) from None
    if isinstance(data, Mapping) and data.get("error"):
        raise RequestFailed(f"the endpoint reported an error: {told(body)}", again=True)
    return data


def misshapen(why: ValidationError) -> RequestFailed:
    """The failure of a body that is JSON but no chat completion."""
    first = why.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return RequestFailed(f"the endpoint's answer is no chat completion ({place}: {first['msg']})", again=True)


def told(body: bytes) -> str:
    """What an error body says, in one line."""
    text = body.decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, Mapping):
        error = data.get("error") or data.get("detail") or data.get("message") or data
        said = error.get("message", error) if isinstance(error, Mapping) else error
        text = said if isinstance(said, str) else json.dumps(said)
    return " ".join(text.split()) or "nothing more was said"


def read_choice(
    reply: Reply, place: int, request_id: str, sample: int, params: SamplingParams, model: Fingerprint
) -> Completion:
    """The completion that choice `place` of a reply is.

    Reasoning that the server kept apart stands in `text` between `<think>` marks, and tool calls
    between `<tool_call>` marks, so that nothing the model wrote is lost. The usage of a reply is
    counted once, at its first choice. Log-probabilities are taken only with their token ids.

    Raises:
        RequestFailed: the choice holds nothing, or ended for a reason unknown here.
    """
    choice = reply.choices[place]
    turn = choice.message
    content = turn.content if turn.content is not None else turn.refusal
    calls = "".join(written_call(call.function) for call in turn.tool_calls or ())
    reasoning = turn.reasoning_content or turn.reasoning
    if content is None and not (calls or reasoning) and choice.finish_reason != "content_filter":
        raise RequestFailed("the endpoint's answer holds neither content nor tool calls", again=True)
    said, cut = cut_at(content or "", params.stop)
    said = said if cut else said + calls
    stop = Stop.stop if cut else stop_of(choice.finish_reason, choice.stop_reason)
    text, parts = _apart(reasoning, said, stop) if reasoning else (said, split_reasoning(said))
    ids, logprobs = _tokens(choice)
    usage = reply.usage if reply.usage is not None and place == 0 else Tokens()
    return Completion(
        request_id,
        sample,
        text,
        parts.answer,
        stop,
        model,
        reasoning=parts.reasoning,
        trace=parts.trace,
        prompt_ids=None if reply.prompt_token_ids is None else tuple(reply.prompt_token_ids),
        token_ids=ids,
        logprobs=logprobs,
        usage=Usage(usage.prompt_tokens, usage.completion_tokens),
    )


def written_call(function: Function) -> str:
    """A tool call as text, in the form that most chat templates train."""
    try:
        arguments = json.loads(function.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = function.arguments  # the model wrote broken JSON: that is what it said
    call = json.dumps({"name": function.name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


def cut_at(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """The text before the first stop string, and whether there was one: not every server cuts."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def stop_of(finish_reason: str, stop_reason: str | int | None) -> Stop:
    """Why the text ended; vLLM's `stop_reason` names the stop string.

    Where a server cuts a stop string off and does not name it, the stop counts as `eos`.

    Raises:
        RequestFailed: the reason is unknown, so that the text may be only a part of the answer.
    """
    stop = _STOPS.get(finish_reason)
    if stop is None:
        raise RequestFailed(f"the endpoint ended an answer for the reason {finish_reason[:40]!r}", again=True)
    return Stop.stop if stop is Stop.eos and isinstance(stop_reason, str) else stop


def _apart(reasoning: str, said: str, stop: Stop) -> tuple[str, Split]:
    """Text and parts of an answer whose reasoning the server has split off already."""
    if not said and stop in (Stop.length, Stop.filtered):
        return f"{OPEN}\n{reasoning}", Split(reasoning, "", Trace.unclosed)
    trace = Trace.closed if said.strip() else Trace.empty
    return with_reasoning(said, reasoning), Split(reasoning, said.lstrip(), trace)


def _tokens(choice: Choice) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
    """Token ids and their log-probabilities, each None unless it came back and they match."""
    if choice.token_ids is None:
        return None, None
    ids = tuple(choice.token_ids)
    values = choice.logprobs.content if choice.logprobs is not None else None
    if values is None or len(values) != len(ids) or not all(v.logprob <= 0 for v in values):
        return ids, None
    return ids, tuple(v.logprob for v in values)


def _message(message: Message) -> dict[str, Any]:
    out: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.tool_calls:
        out["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(thaw(call.arguments))},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    return out
