"""What a reference stands for right now, told without loading it."""

import hashlib
from pathlib import Path

from truing.model.fingerprint import fingerprint_folder
from truing.model.refs import base_and_adapter, find_folder
from truing.types import FrozenDict

_SPOKEN = (
    *(
        "tokenizer*",
        "chat_template*",
        "generation_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ),
    *("*.model", "vocab*", "merges.txt", "tekken.json"),
)
"""Files that decide how a checkpoint is spoken to."""


def identify(ref: str) -> FrozenDict:
    """Digests of everything on disk that decides the answers of `ref`; for an endpoint, its reference.

    Equal for equal files, wherever they lie. A run compares it before it goes on after a crash.

    Raises:
        InputError: the reference names nothing that could be loaded.
    """
    if ref.startswith("endpoint:"):
        from truing.model.endpoint import EndpointModel

        return FrozenDict({"endpoint": EndpointModel.from_ref(ref).fingerprint.weights})
    base, adapter = base_and_adapter(find_folder(ref))
    found = fingerprint_folder(base, adapter=adapter)
    spoken = {name: digest for folder in (base, adapter) if folder for name, digest in _spoken(folder)}
    return FrozenDict({"weights": found.weights, "adapter": found.adapter, "files": spoken})


def _spoken(folder: Path) -> list[tuple[str, str]]:
    files = sorted({file for pattern in _SPOKEN for file in folder.glob(pattern) if file.is_file()})
    return [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
