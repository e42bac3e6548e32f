"""Server-sent events of a streamed chat completion, as pieces of its answer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from truing.model.endpoint_retry import RequestFailed
from truing.model.endpoint_wire import Function, Turn, cut_at, misshapen, read_json, stop_of, written_call
from truing.types import Delta, Stop


class _ChunkChoice(BaseModel):
    delta: Turn = Turn()
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class _Chunk(BaseModel):
    choices: list[_ChunkChoice] = []


async def deltas(lines: AsyncIterator[bytes], stops: tuple[str, ...]) -> AsyncIterator[Delta]:
    """Pieces of the answer; the last one has the stop reason.

    Text that may be the start of a stop string is held back until that is known. Tool calls come
    whole, in the last piece.

    Raises:
        RequestFailed: the stream broke off, or held something other than chunks.
    """
    held = ""
    calls = _Calls()
    longest = max(map(len, stops), default=1)
    async for line in lines:
        choice = _choice(line)
        if choice is None:
            continue
        held += choice.delta.content or choice.delta.refusal or ""
        calls.add(choice.delta)
        text, cut = cut_at(held, stops)
        if cut:
            yield Delta(text, Stop.stop)
            return
        if choice.finish_reason is not None:
            yield Delta(held + calls.text(), stop_of(choice.finish_reason, choice.stop_reason))
            return
        ready = len(held) - (longest - 1)
        if ready > 0:
            yield Delta(held[:ready])
            held = held[ready:]
    raise RequestFailed("the endpoint's stream broke off before the answer ended")


async def event_lines(body: AsyncIterator[bytes], *, largest: int) -> AsyncIterator[bytes]:
    """The lines of a stream: those that end in a newline.

    httpx would also cut at U+2028 and its like, which stand raw in the JSON of some servers.

    Raises:
        RequestFailed: the stream is longer than `largest` bytes.
    """
    rest, total = b"", 0
    async for piece in body:
        total += len(piece)
        if total > largest:
            raise RequestFailed(f"the endpoint's stream is longer than {largest} bytes")
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _choice(line: bytes) -> _ChunkChoice | None:
    if not line.startswith(b"data:"):
        return None
    data = line[5:].strip()
    if not data or data == b"[DONE]":
        return None
    try:
        chunk = _Chunk.model_validate(read_json(data))
    except ValidationError as why:
        raise misshapen(why) from None
    return chunk.choices[0] if chunk.choices else None


@dataclass
class _Calls:
    """Tool calls gathered from their pieces."""

    calls: dict[int, Function] = field(default_factory=dict)

    def add(self, turn: Turn) -> None:
        for piece in turn.tool_calls or ():
            call = self.calls.setdefault(piece.index, Function(name="", arguments=""))
            call.name = (call.name or "") + (piece.function.name or "")
            call.arguments = (call.arguments or "") + (piece.function.arguments or "")

    def text(self) -> str:
        return "".join(written_call(self.calls[index]) for index in sorted(self.calls))
