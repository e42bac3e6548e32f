"""The state of a training of autoencoders in one file, so that a killed one goes on where it was."""

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from truing.run import replace_file
from truing.types import InputError, digest

_EVERY = 60.0
_OTHER = "delete it to start afresh, or choose another file"


class _Stateful(Protocol):
    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class TrainingState:
    """Saves what is trained to `path` (None: nowhere), and has put it back if the file was there."""

    step: int
    """Steps that were taken."""
    cpu_seconds: float
    """What the processes before this one took."""

    def __init__(self, path: Path | None, identity: object, trained: Sequence[_Stateful]) -> None:
        """Restore from the file if there is one.

        Raises:
            InputError: it cannot be read, or is of a training with another `identity` (JSON data).
        """
        self.step, self.cpu_seconds = 0, 0.0
        self._path, self._of, self._trained = path, digest(identity), trained
        self._saved_at = time.monotonic()
        if path is not None and path.exists():
            self._restore(path)

    def save(self, step: int, cpu_seconds: float, *, last: bool) -> None:
        """Write the state if a minute has gone by or the training ends; a crash leaves the old or the new file.

        Raises:
            StorageError: the disk refuses.
        """
        if self._path is None or not (last or time.monotonic() >= self._saved_at + _EVERY):
            return
        data = io.BytesIO()
        seconds = self.cpu_seconds + cpu_seconds
        states = [one.state() for one in self._trained]
        torch.save({"of": self._of, "step": step, "cpu_seconds": seconds, "trained": states}, data)
        replace_file(self._path, data.getvalue())
        self._saved_at = time.monotonic()

    def _restore(self, path: Path) -> None:
        try:
            found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            of, states = found["of"], found["trained"]
            self.step, self.cpu_seconds = int(found["step"]), float(found["cpu_seconds"])
        except Exception as why:  # torch.load fails in many ways on a file that is not its own
            raise InputError("is no state of a training of autoencoders", file=path, mend=_OTHER) from why
        if of != self._of:
            raise InputError(
                "is the state of a training with other activations or other numbers", file=path, mend=_OTHER
            )
        for one, state in zip(self._trained, states, strict=True):
            one.restore(state)
