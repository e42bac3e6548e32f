"""The state of a training in one file, so that a killed one goes on where it was."""

import io
import time
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from truing.run import replace_file
from truing.types import InputError, digest

if TYPE_CHECKING:
    from torch import nn

    from truing.train.optimizer import AdamWConfig

_EVERY = 60.0
_OTHER = "delete it to start afresh, or choose another file"


class Stateful(Protocol):
    """Something that a training changes besides its model."""

    def state(self) -> Any:
        """Tensors, numbers and text, in lists and dictionaries."""

    def restore(self, state: Any) -> None:
        """Be as when `state` was called.

        Raises:
            LookupError: the state is of something else.
        """


class Weights:
    """The trained weights of a net, with their optimiser, as something that can be kept."""

    def __init__(self, net: "nn.Module", optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._weights = {name: p for name, p in net.named_parameters() if p.requires_grad}

    def state(self) -> dict[str, Any]:
        """The weights and what the optimiser remembers."""
        weights = {name: p.detach() for name, p in self._weights.items()}
        return {"weights": weights, "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Put them back."""
        with torch.no_grad():
            for name, p in self._weights.items():
                p.copy_(state["weights"][name])
        self._optimizer.load_state_dict(state["optimizer"])


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
        config: "AdamWConfig",
        identity: Mapping[str, str],
        more: Mapping[str, Stateful] | None = None,
    ) -> None:
        """Restore from the file if there is one, what is kept besides the model as `more` (by name) included.

        Raises:
            InputError: it cannot be read, or is of another configuration, another `identity` (name ->
                digest) or other weights.
        """
        self.losses, self.cpu_seconds = [], 0.0
        self._path, self._net, self._more = path, Weights(net, optimizer), dict(more or {})
        self._saved_at = time.monotonic()
        if path is not None:
            self._of = {
                "configuration": digest(asdict(config)),
                **identity,
                "model": weights_digest(net),
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
            **self._net.state(),
            "more": {name: one.state() for name, one in self._more.items()},
            "losses": self.losses,
            "cpu_seconds": self.cpu_seconds + cpu_seconds,
        }
        torch.save(state, data)
        replace_file(self._path, data.getvalue())
        self._saved_at = time.monotonic()

    def _restore(self, path: Path) -> None:
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            of, more, losses = state["of"], state["more"], list(state["losses"])
            cpu_seconds = float(state["cpu_seconds"])
        except Exception as why:  # torch.load fails in many ways on a file that is not its own
            raise InputError("is no state of a training", file=path, mend=_OTHER) from why
        changed = [name for name in self._of if of.get(name) != self._of[name]]
        if changed:
            listed = " and ".join(changed)
            raise InputError(f"is the state of a training with another {listed}", file=path, mend=_OTHER)
        self._net.restore(state)
        for name, one in self._more.items():
            one.restore(more[name])
        self.losses, self.cpu_seconds = losses, cpu_seconds


def weights_digest(net: "nn.Module") -> str:
    """SHA-256 of all weights with their names and shapes, and of which of them are trained."""
    whole = sha256()
    for name, p in net.named_parameters():
        whole.update(f"{name} {list(p.shape)} {p.dtype} {p.requires_grad}\n".encode())
        whole.update(p.detach().contiguous().flatten().view(torch.uint8).cpu().numpy().data)
    return whole.hexdigest()
