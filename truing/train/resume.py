"""The state of a training in one file, so that a killed one goes on where it was."""

import io
import time
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from truing.run import replace_file
from truing.types import InputError, digest

if TYPE_CHECKING:
    from torch import nn

    from truing.train.optimizer import OptimizerConfig

_EVERY = 60.0
_OTHER = "delete it to start afresh, or choose another file"


class Resume:
    """Saves weights and optimiser to `path` (None: nowhere), and has put them back if the file was there.

    The order of the rows and the learning rate are functions of the step, so they need no saving.
    """

    losses: list[float]
    """The loss of every step done; empty at a fresh start."""
    cpu_seconds: float
    """What the processes before this one took."""

    def __init__(
        self,
        path: Path | None,
        net: "nn.Module",
        optimizer: torch.optim.Optimizer,
        config: "OptimizerConfig",
        identity: Mapping[str, str],
    ) -> None:
        """Restore from the file if there is one.

        Raises:
            InputError: it cannot be read, or is of another configuration, another `identity` (name ->
                digest) or other weights.
        """
        self.losses, self.cpu_seconds = [], 0.0
        self._path, self._optimizer = path, optimizer
        self._weights = {name: p for name, p in net.named_parameters() if p.requires_grad}
        self._saved_at = time.monotonic()
        if path is not None:
            self._of = {
                "configuration": digest(asdict(config)),
                **identity,
                "model": _digest(net),
            }
            if path.exists():
                self._restore(path)

    def save(self, cpu_seconds: float, *, last: bool) -> None:
        """Write the state if a minute has gone by or the training ends; a crash leaves the old or the new file.

        Raises:
            StorageError: the disk refuses.
        """
        if self._path is None or (time.monotonic() < self._saved_at + _EVERY and not last):
            return
        data = io.BytesIO()
        state = {
            "of": self._of,
            "weights": {name: p.detach() for name, p in self._weights.items()},
            "optimizer": self._optimizer.state_dict(),
            "losses": self.losses,
            "cpu_seconds": self.cpu_seconds + cpu_seconds,
        }
        torch.save(state, data)
        replace_file(self._path, data.getvalue())
        self._saved_at = time.monotonic()

    def _restore(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            of, weights, losses = state["of"], state["weights"], list(state["losses"])
            optimizer, cpu_seconds = state["optimizer"], float(state["cpu_seconds"])
        except Exception as why:  # torch.load fails in many ways on a file that is not its own
            raise InputError("is no state of a training", file=path, mend=_OTHER) from why
        changed = [name for name in self._of if of.get(name) != self._of[name]]
        if changed:
            listed = " and ".join(changed)
            raise InputError(f"is the state of a training with another {listed}", file=path, mend=_OTHER)
        with torch.no_grad():
            for name, p in self._weights.items():
                p.copy_(weights[name])
        self._optimizer.load_state_dict(optimizer)
        self.losses, self.cpu_seconds = losses, cpu_seconds


def _digest(net: "nn.Module") -> str:
    """SHA-256 of all weights with their names and shapes, and of which of them are trained."""
    whole = sha256()
    for name, p in net.named_parameters():
        whole.update(f"{name} {list(p.shape)} {p.dtype} {p.requires_grad}\n".encode())
        whole.update(p.detach().contiguous().flatten().view(torch.uint8).cpu().numpy().data)
    return whole.hexdigest()
