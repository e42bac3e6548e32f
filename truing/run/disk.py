"""Files that are whole or as before, and the disk's refusals as sentences."""

import os
from contextlib import suppress
from pathlib import Path

from truing.types import InputError, StorageError


def refused(path: str | Path, why: OSError) -> StorageError:
    """The sentence for a write that the disk refused."""
    return StorageError(
        f"{path} cannot be written ({why.strerror}); what was written before is kept: "
        "run the same command again when that is mended."
    )


def check_folder(out: Path) -> None:
    """Say no to a folder that cannot be made, before hours are spent on what would go there.

    Raises:
        InputError: `out`, or what it would lie in, is a file.
    """
    there = next((place for place in (out, *out.parents) if place.exists()), out)
    if there.exists() and not there.is_dir():
        raise InputError("is a file, not a folder", file=there, mend="choose another --out")


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` under the name `path`; after a crash at any moment the old or the new content is there.

    Raises:
        StorageError: the disk refuses.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as why:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise refused(path, why) from why


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a new file survives a power cut only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
