"""A chat-completions server around a tiny model that speaks vLLM's calls for adapters and for new weights."""

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from truing.model import LocalModel, load_local
from truing.types import Message, Request, Role, SamplingParams


@dataclass
class ReloadingServer:
    """Started on a folder, as vLLM is; what it is told is kept in `calls`."""

    folder: Path
    calls: list[tuple[str, Any]] = field(default_factory=list)
    deaf: bool = False
    """Answers 200 to calls for new weights and does nothing."""
    tells_ids: bool = True
    dev_mode: bool = True

    def __enter__(self) -> Self:
        self._models: dict[str, LocalModel] = {"base": self._open(self.folder)}
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                with outer._lock:
                    status, said = outer._answer(self.path, body)
                data = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with suppress(
                    BrokenPipeError, ConnectionResetError
                ):  # who asked has given up: that is tested, too
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def _open(self, folder: Path) -> LocalModel:
        return load_local(folder, device="cpu", dtype="float32")

    def _answer(self, path: str, body: Any) -> tuple[int, Any]:
        if path == "/v1/chat/completions":
            return self._chat(body)
        self.calls.append((path, body))
        where = urlsplit(path).path
        if where == "/v1/load_lora_adapter":
            self._models[body["lora_name"]] = (
                self._models["base"] if self.deaf else self._open(Path(body["lora_path"]))
            )
        elif where == "/v1/unload_lora_adapter":
            del self._models[body["lora_name"]]
        elif not self.dev_mode:
            return 404, {"detail": "Not Found"}
        elif where == "/collective_rpc" and not self.deaf:
            assert body == {"method": "reload_weights"}
            self._models["base"] = self._open(self.folder)
        return 200, {}

    def _chat(self, body: Any) -> tuple[int, Any]:
        model = self._models.get(body["model"])
        if model is None:
            return 404, {"error": {"message": f"The model {body['model']} does not exist."}}
        turns = tuple(Message(Role(turn["role"]), turn["content"]) for turn in body["messages"])
        params = SamplingParams(temperature=1, max_tokens=body["max_tokens"], n=body.get("n", 1))
        drawn = list(model.sample([Request("q", turns)], params, key=body["seed"]))
        choices = [
            {
                "index": one.sample,
                "message": {"role": "assistant", "content": one.text},
                "finish_reason": "length" if one.stop.value == "length" else "stop",
                "logprobs": {"content": [{"token": "", "logprob": nats} for nats in one.logprobs or ()]},
                **({"token_ids": list(one.token_ids or ())} if self.tells_ids else {}),
            }
            for one in drawn
        ]
        prompt = {"prompt_token_ids": list(drawn[0].prompt_ids or ())} if self.tells_ids else {}
        return 200, {"model": body["model"], "choices": choices, **prompt}
