"""One writer for a folder, held by the operating system: it ends with the process, however that ends."""

import os
from pathlib import Path

from truing.types import InputError, LockedError


def take_lock(path: Path) -> int:
    """Lock the file `path`, leave this process's id in it, and return the descriptor that holds the lock.

    Raises:
        LockedError: another process (or an open run of this one) holds it.
        InputError: this system has no such locks.
        OSError: the file cannot be opened or written.
    """
    try:
        import fcntl
    except ImportError:
        raise InputError("a run needs POSIX file locks", mend="on Windows, use WSL") from None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise LockedError(
            f"{f'process {holder}' if holder else 'another process'} is writing this run",
            file=path.parent,
            mend="wait until it ends, or choose another --out",
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
