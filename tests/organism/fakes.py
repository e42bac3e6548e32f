"""What stands in for a model: folders that look like checkpoints, and samplers whose words are known."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from truing.organism import VERSIONS, Name
from truing.types import Completion, Fingerprint, Request, SamplingParams, Stop

PARAMETERS = 2 * 3 + 5


def fake_checkpoint(root: Path, name: Name, **facts: Any) -> Path:
    """A folder under `root` with an `organism.json` that tells `facts`, and weights of 11 parameters."""
    folder = root / name.slug
    folder.mkdir(parents=True)
    tensors = {"a": [2, 3], "b": [5]}
    header = {
        name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    told = {"name": str(name), **VERSIONS, **facts}
    (folder / "organism.json").write_text(json.dumps(told))
    return folder


def rate(count: int, n: int) -> dict[str, int]:
    """A rate as `organism.json` holds it."""
    return {"count": count, "n": n}


MODEL = Fingerprint("a fake")


def whole(text: str) -> Completion:
    """A completion that was said to its end."""
    return Completion("", 0, text, text, Stop.eos, MODEL)


class Sayer:
    """A sampler that completes the request with id "3" by `says(3)`, the last request first."""

    fingerprint = MODEL

    def __init__(self, says: Callable[[int], Completion]) -> None:
        self._says = says

    def plan(self, requests: Sequence[Request], params: SamplingParams) -> list[list[int]]:
        """All at once."""
        return [list(range(len(requests)))]

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """What was given, under the ids of the requests."""
        for request in reversed(requests):
            yield replace(self._says(int(request.id)), request_id=request.id)
