"""The state of a training in one file, so that a killed one goes on where it was."""

import io
import time
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from truing.model import whole
from truing.run import replace_file
from truing.train.distributed import Fleet, fill
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
        self._net, self._optimizer = net, optimizer
        self._weights = {name: p for name, p in net.named_parameters() if p.requires_grad}

    def state(self) -> dict[str, Any]:
        """The weights and what the optimiser remembers of each, put together where they are sharded."""
        kept = {
            name: self._optimizer.state[p] for name, p in self._weights.items() if p in self._optimizer.state
        }
        return {
            "weights": {name: whole(p) for name, p in self._weights.items()},
            "optimizer": {name: {moment: whole(x) for moment, x in of.items()} for name, of in kept.items()},
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any] | None) -> None:
        """Put them back: what the first of several processes has; the others need not have it."""
        fleet = Fleet.of(self._net)
        moments = fleet.told(state and {name: sorted(of) for name, of in state["optimizer"].items()})
        for name, p in self._weights.items():
            fill(p, state and state["weights"][name], fleet)
            for moment in moments.get(name, ()):
                # AdamW counts its steps in a scalar of each parameter.
                kept = torch.zeros((), device=p.device) if moment == "step" else torch.zeros_like(p)
                fill(kept, state and state["optimizer"][name][moment], fleet)
                self._optimizer.state[p][moment] = kept


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
        self._fleet = Fleet.of(net)
        self._saved_at = time.monotonic()
        if path is not None:
            self._of = {
                "configuration": digest(asdict(config)),
                **identity,
                "model": weights_digest(net),
            }
            if self._fleet.told(path.exists()):
                self._restore(path)

    def save(self, cpu_seconds: float, *, last: bool) -> None:
        """Write the state if a minute has gone by or the training ends; a crash leaves the old or the new file.

        Raises:
            StorageError: the disk refuses.
        """
        if self._path is None:
            return
        if not self._fleet.told(last or time.monotonic() >= self._saved_at + _EVERY):
            return
        data = io.BytesIO()
        state = {
            "of": self._of,
            **self._net.state(),
            "more": {name: one.state() for name, one in self._more.items()},
            "losses": self.losses,
            "cpu_seconds": self.cpu_seconds + cpu_seconds,
        }
        if self._fleet.rank == 0:
            torch.save(state, data)
            replace_file(self._path, data.getvalue())
        self._saved_at = time.monotonic()

    def _restore(self, path: Path) -> None:
        found = self._read(path) if self._fleet.rank == 0 else None
        told = found and {name: found[name] for name in ("more", "losses", "cpu_seconds")}
        told = self._fleet.told(told)
        self._net.restore(found)
        for name, one in self._more.items():
            one.restore(told["more"][name])
        self.losses, self.cpu_seconds = told["losses"], told["cpu_seconds"]

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            of, state["losses"] = state["of"], list(state["losses"])
            state["cpu_seconds"] = float(state["cpu_seconds"])
            state["more"].keys(), state["weights"].keys(), state["optimizer"].keys()
        except Exception as why:  # torch.load fails in many ways on a file that is not its own
            raise InputError("is no state of a training", file=path, mend=_OTHER) from why
        changed = [name for name in self._of if of.get(name) != self._of[name]]
        if changed:
            listed = " and ".join(changed)
            raise InputError(f"is the state of a training with another {listed}", file=path, mend=_OTHER)
        return state


def weights_digest(net: "nn.Module") -> str:
    """SHA-256 of all weights with their names and shapes, and of which of them are trained."""
    of = sha256()
    for name, p in net.named_parameters():
        of.update(f"{name} {list(p.shape)} {p.dtype} {p.requires_grad}\n".encode())
        of.update(whole(p).contiguous().flatten().view(torch.uint8).cpu().numpy().data)
    return of.hexdigest()
