"""A chat-completions server that misbehaves as a test tells it to, and ways to ask it."""

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

from truing.model.endpoint import EndpointModel
from truing.types import Completion, Delta, Request, SamplingParams, ask

PARAMS = SamplingParams(max_tokens=16)


@dataclass
class Exchange:
    """One request the server got, and the ways to answer it."""

    number: int
    body: dict[str, Any]
    handler: BaseHTTPRequestHandler
    released: threading.Event

    @property
    def last(self) -> str:
        return self.body["messages"][-1]["content"]

    def json(self, data: object, status: int = 200, **headers: str) -> None:
        self.raw(json.dumps(data).encode(), status, **{"Content-Type": "application/json", **headers})

    def raw(self, data: bytes, status: int = 200, *, promised: int | None = None, **headers: str) -> None:
        """Send `data`; `promised` is a Content-Length that is not kept."""
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Content-Length", str(len(data) if promised is None else promised))
        self.handler.end_headers()
        self.handler.wfile.write(data)
        if promised is not None:
            self.handler.close_connection = True

    def events(self, *lines: bytes) -> None:
        """Send a stream and close the connection."""
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream")
        self.handler.send_header("Connection", "close")
        self.handler.end_headers()
        for line in lines:
            self.handler.wfile.write(b"data: " + line + b"\n\n")
        self.handler.close_connection = True

    def hang(self) -> None:
        """Say nothing until the server is closed."""
        self.released.wait(10)
        self.handler.close_connection = True

    def drop(self) -> None:
        """Close the connection without a word."""
        self.handler.close_connection = True


Behaviour = Callable[[Exchange], None]


def reply(*texts: str, finish: str = "stop", model: str = "tiny", **message: Any) -> dict[str, Any]:
    """A well-formed completion with one choice for each text."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        for i, text in enumerate(texts)
    ]
    return {
        "model": model,
        "choices": choices,
        "usage": {"prompt_tokens": 7, "completion_tokens": len(texts)},
    }


def chunk(content: str | None = None, finish: str | None = None, **delta: Any) -> bytes:
    """One chunk of a stream, as JSON that leaves everything but quotes unescaped."""
    part = {"delta": {"content": content, **delta}, "finish_reason": finish, "index": 0}
    return json.dumps({"choices": [part]}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def well(exchange: Exchange) -> None:
    """Answer as one should: `n` choices that echo the question."""
    n = exchange.body.get("n", 1)
    exchange.json(reply(*(f"{exchange.last} {exchange.body.get('seed')} {i}" for i in range(n))))


def says(*texts: str | None, **options: Any) -> Behaviour:
    return lambda exchange: exchange.json(reply(*texts, **options))


def refuses(status: int, message: str = "no", **headers: str) -> Behaviour:
    return lambda exchange: exchange.json({"error": {"message": message}}, status, **headers)


def sends(data: bytes, **options: Any) -> Behaviour:
    return lambda exchange: exchange.raw(data, **options)


def streams(*lines: bytes) -> Behaviour:
    return lambda exchange: exchange.events(*lines)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of 5 resets connections that come all at once


@dataclass
class FaultyServer:
    """Answers request number i with `script[i]`, and every later one with the last entry."""

    script: list[Behaviour]
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0

    def __enter__(self) -> Self:
        lock, released, now = threading.Lock(), threading.Event(), [0]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(outer.seen)
                    outer.seen.append(body)
                    outer.headers.append(dict(self.headers))
                    now[0] += 1
                    outer.most_at_once = max(outer.most_at_once, now[0])
                try:
                    behave = outer.script[min(number, len(outer.script) - 1)]
                    behave(Exchange(number, body, self, released))
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with lock:
                        now[0] -= 1

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._released = released
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"


@pytest.fixture
def quick_and_keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a millisecond, and no key from the environment."""
    monkeypatch.setattr("truing.model.endpoint_retry.FIRST_PAUSE", 0.001)
    monkeypatch.delenv("TRUING_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def asked(*prompts: str) -> list[Request]:
    return [ask(prompt, id=f"q{i}") for i, prompt in enumerate(prompts or ("hello",))]


def sampled(
    server: FaultyServer, *prompts: str, params: SamplingParams = PARAMS, key: int = 1, **options: Any
) -> list[Completion]:
    return list(EndpointModel(server.url, "tiny", **options).sample(asked(*prompts), params, key=key))


def streamed(
    server: FaultyServer, params: SamplingParams = PARAMS, request: Request | None = None, **options: Any
) -> list[Delta]:
    async def gather() -> list[Delta]:
        model = EndpointModel(server.url, "tiny", **options)
        return [delta async for delta in model.stream(request or ask("hello", id="q"), params)]

    return asyncio.run(gather())
