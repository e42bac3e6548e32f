"""Which model is it: a hash of everything in a folder that decides the answers."""

import functools
import hashlib
from pathlib import Path
from typing import Any

from truing.model.files import read_json, weight_files
from truing.types import Fingerprint, digest

# Book-keeping that differs between two copies of one model.
_IRRELEVANT = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures", "use_cache"}
_IRRELEVANT |= {"base_model_name_or_path", "revision", "inference_mode", "peft_version", "auto_mapping"}


def fingerprint_folder(
    folder: Path, *, adapter: Path | None = None, template: str = "", dtype: str = ""
) -> Fingerprint:
    """The fingerprint of a checkpoint: equal for equal files, wherever they lie.

    `weights` covers the weight files and the configuration (a changed rope base is another model);
    names of folders and versions of libraries do not count. Sharding does.

    Args:
        folder: the checkpoint, or the adapter's base.
        adapter: a PEFT adapter folder on top of it.
        template: `ChatFormat.template_digest`.
        dtype: what the weights were loaded as.

    Raises:
        InputError: weights or configuration are missing or broken.
    """
    return Fingerprint(
        weights=_hashed(folder, "model", "config.json"),
        adapter=_hashed(adapter, "adapter_model", "adapter_config.json") if adapter else "",
        template=template,
        dtype=dtype,
    )


def _hashed(folder: Path, stem: str, config: str) -> str:
    hashes = {}
    for file in weight_files(folder, stem):
        stat = file.stat()
        hashes[file.name] = _sha256(file.resolve(), stat.st_size, stat.st_mtime_ns)
    return digest({"files": hashes, "config": _relevant(read_json(folder / config))})


def _relevant(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _relevant(v) for k, v in value.items() if k not in _IRRELEVANT}
    if isinstance(value, list):
        return [_relevant(v) for v in value]
    # A configuration may hold Infinity, which JSON proper has no form for.
    return repr(value) if isinstance(value, float) else value


@functools.lru_cache(maxsize=1024)
def _sha256(file: Path, _size: int, _mtime_ns: int) -> str:
    """Size and time of the last change are there for the cache: a file that was rewritten is read again."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
