"""The files of a checkpoint folder, looked at before anything is loaded."""

import json
from pathlib import Path
from typing import Any

from truing.types import InputError

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tekken.json")


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        value = json.loads(file.read_bytes())
    except OSError as why:
        raise InputError(f"cannot be read ({why.strerror})", file=file) from why
    except ValueError as why:
        raise InputError(f"is broken JSON ({why})", file=file) from why
    if not isinstance(value, dict):
        raise InputError("holds no JSON object", file=file)
    return value


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """The files that hold the weights, safetensors before pickles, in the order of their names.

    `stem` is `adapter_model` for adapters.

    Raises:
        InputError: there are none, one of a sharded checkpoint is missing, or one is cut off.
    """
    pickles = "pytorch_model" if stem == "model" else stem
    for name in (f"{stem}.safetensors", f"{pickles}.bin"):
        if (folder / name).is_file():
            return _whole([folder / name])
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _whole(_shards(index))
    raise InputError("holds no weights", file=folder, mend=f"expected is {stem}.safetensors")


def has_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer was saved in the folder."""
    return any((folder / name).is_file() for name in _TOKENIZERS)


def _shards(index: Path) -> list[Path]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise InputError("names no files of weights", file=index)
    shards = [index.parent / name for name in sorted(set(names.values()))]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        problem = f"{len(missing)} of {len(shards)} files of weights are missing, the first is {missing[0]}"
        raise InputError(problem, file=index.parent)
    return shards


def _whole(files: list[Path]) -> list[Path]:
    from safetensors import SafetensorError, safe_open

    for file in files:
        if file.suffix == ".safetensors":
            try:
                with safe_open(file, framework="numpy"):  # checks the header against the file's length
                    pass
            except (SafetensorError, OSError) as why:
                raise InputError(f"is broken or cut off ({why})", file=file, mend="fetch it again") from why
    return files
