"""Reading and changing the residual stream at the input or output of decoder layers."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from truing.model.batching import Batch, halving, length_buckets, right_padded
from truing.model.trunk import Trunk
from truing.types import InputError, digest

_TOKENS, _ROWS = 4096, 256


class Point(StrEnum):
    """Which side of a decoder layer."""

    resid_pre = "resid_pre"
    """What enters the layer; the same as what leaves the one before it."""
    resid_post = "resid_post"
    """What leaves the layer, before the final norm where it is the last."""


class Where(StrEnum):
    """Which tokens of a sequence, whose prompt has P tokens at positions 0 to P - 1.

    The activation at a position decides the token *after* it: the first generated token is decided
    at `last`, the further ones at `generated`. Padding is never touched.
    """

    all = "all"
    prompt = "prompt"
    """Positions 0 to P - 1."""
    last = "last"
    """Position P - 1, the last token of the prompt."""
    generated = "generated"
    """Positions from P on: the tokens that were written, as they are read back."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the residual stream: `layer` counts from 0."""

    layer: int
    point: Point = Point.resid_post


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of the residual stream at a site, `where` in every sequence.

    `vector` is [D], in the coordinates of the residual stream. Activations are changed in float32
    and rounded to the model's type once.
    """

    site: Site
    vector: Tensor
    where: Where = field(default=Where.all, kw_only=True)

    def __post_init__(self) -> None:
        vector = self.vector.detach().float()
        if vector.ndim != 1 or not bool(vector.isfinite().all()):
            raise ValueError("the vector of an edit has one dimension and only finite numbers")
        object.__setattr__(self, "vector", vector)

    @property
    def strength(self) -> float:
        """The number beside the vector."""
        raise NotImplementedError

    @property
    def off(self) -> bool:
        """Whether no change at all is asked for."""
        return False

    def change(self, hidden: Tensor) -> Tensor:
        """The activations [B, T, D] in the place of `hidden`, both float32."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Add(Edit):
    """`h + coefficient * vector`, the vector as it is, not normalised (Turner et al. 2023)."""

    coefficient: float = 1.0

    @property
    def strength(self) -> float:
        """The coefficient."""
        return self.coefficient

    @property
    def off(self) -> bool:
        """A coefficient of 0 is the model without the edit, bit for bit."""
        return self.coefficient == 0

    def change(self, hidden: Tensor) -> Tensor:
        """Add the vector."""
        return hidden + self.coefficient * self.vector.to(hidden)


@dataclass(frozen=True, eq=False)
class Clamp(Edit):
    """Set the component along the (here normalised) direction d to `value`: `h + (value - h.d) d`."""

    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        norm = self.vector.norm()
        if norm == 0:
            raise ValueError("the zero vector has no direction")
        object.__setattr__(self, "vector", self.vector / norm)

    @property
    def strength(self) -> float:
        """The value of the component."""
        return self.value

    def change(self, hidden: Tensor) -> Tensor:
        """Move along the direction."""
        direction = self.vector.to(hidden)
        return hidden + (self.value - hidden @ direction)[..., None] * direction


@dataclass(frozen=True, eq=False)
class ProjectOut(Clamp):
    """Remove the component along the direction d: `h - (h.d) d` (Arditi et al. 2024)."""

    value: float = field(default=0.0, init=False)


@contextmanager
def steering(trunk: Trunk, edits: Sequence[Edit]) -> Iterator[None]:
    """Apply the edits, in their order, in every forward pass of `trunk` inside.

    Contexts nest: the edits of the outer one come first. Gradients flow through the edits.

    Raises:
        InputError: an edit does not fit the model, or changed nothing by the end of the context.
    """
    active = [_Active(edit, trunk) for edit in edits if not edit.off]
    with ExitStack() as hooks:
        for hook in active:
            hooks.callback(_attach(trunk, hook.edit.site, hook))
        yield
    for hook in active:
        if not hook.changed:
            edit = hook.edit
            raise InputError(
                f"the {type(edit).__name__} edit at layer {edit.site.layer} {edit.site.point} changed nothing",
                mend=f"no token was at `{edit.where}`, or the change is lost in the rounding of the model's type",
            )


def edits_digest(edits: Sequence[Edit]) -> str:
    """SHA-256 of what the edits do, in their order; "" if they do nothing."""
    live = [edit for edit in edits if not edit.off]
    return digest([_describe(edit) for edit in live]) if live else ""


@torch.no_grad()
def capture(
    trunk: Trunk,
    sequences: Sequence[Sequence[int]],
    sites: Sequence[Site],
    positions: Sequence[Sequence[int]],
) -> dict[Site, Tensor]:
    """The activations of each site at the given positions, as [M, D] in the model's type.

    Each forward pass ends right after the last site: no later layer and no logits are computed.
    Inside `steering` the activations are those after the edits.

    Args:
        trunk: the model.
        sequences: token ids [N][T_n].
        sites: where to read.
        positions: for each sequence the positions to read, negative ones from its end [N][K_n]; the
            rows of the result are these, sequence by sequence: M is the sum of K_n.

    Raises:
        ValueError: a site or position that does not exist, no site, or an empty sequence.
    """
    wanted = _absolute(sequences, positions)
    for site in sites:
        _check_site(site, trunk)
    if not sites:
        raise ValueError("there is no site to capture")

    def read(rows: Sequence[int]) -> list[list[Tensor]]:
        found = _capture_batch(trunk, [sequences[i] for i in rows], sites)
        return [[states[b, wanted[i]] for states in found] for b, i in enumerate(rows)]

    parts: list[list[Tensor]] = [[] for _ in sequences]
    for bucket in length_buckets([len(s) for s in sequences], tokens=_TOKENS, rows=_ROWS):
        for i, states in zip(bucket, halving(read, bucket), strict=True):
            parts[i] = states
    return {site: torch.cat([part[k] for part in parts]) for k, site in enumerate(sites)}


class _Finished(Exception):
    """Ends a forward pass from inside a hook."""


def _capture_batch(trunk: Trunk, sequences: Sequence[Sequence[int]], sites: Sequence[Site]) -> list[Tensor]:
    """The states [B, T, D] of each site, from one forward pass that stops after the last of them."""
    found: dict[Site, Tensor] = {}
    batch = right_padded(sequences, [len(s) for s in sequences], trunk.device)
    with ExitStack() as hooks:
        for site in set(sites):

            def keep(hidden: Tensor, site: Site = site) -> None:
                found[site] = hidden
                if len(found) == len(set(sites)):
                    raise _Finished

            hooks.callback(_attach(trunk, site, keep))
        with suppress(_Finished):
            trunk.hidden(batch)
    return [found[site] for site in sites]


class _Active:
    """An edit at work, which notes whether it ever changed anything."""

    def __init__(self, edit: Edit, trunk: Trunk) -> None:
        _check_site(edit.site, trunk)
        if len(edit.vector) != trunk.width:
            raise ValueError(f"the model is {trunk.width} wide, the vector of the edit {len(edit.vector)}")
        self.edit = copy(edit)
        # Moved once, here, so that no forward pass waits for it.
        object.__setattr__(self.edit, "vector", edit.vector.to(trunk.device))
        self._trunk = trunk
        self._changed: Tensor | bool = False

    @property
    def changed(self) -> bool:
        return bool(self._changed)

    def __call__(self, hidden: Tensor) -> Tensor:
        if self._trunk.batch is None:
            raise RuntimeError(
                "a steered model runs through its trunk, which knows what is prompt and padding"
            )
        touched = _selected(self._trunk.batch, self.edit.where).to(hidden.device)[..., None]
        changed = torch.where(touched, self.edit.change(hidden.float()).to(hidden.dtype), hidden)
        # Kept as a tensor: asking now would wait for the device in every layer.
        self._changed = (changed != hidden).any() | self._changed
        return changed


def _selected(batch: Batch, where: Where) -> Tensor:
    """True at the tokens that `where` names: [B, T]."""
    positions, prompt = batch.positions, batch.prompt_lengths
    chosen = {
        Where.all: positions >= 0,
        Where.prompt: positions < prompt,
        Where.last: positions == prompt - 1,
        Where.generated: positions >= prompt,
    }[where]
    return chosen & (positions >= 0)


def _attach(trunk: Trunk, site: Site, use: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
    """Call `use` on the hidden states at the site; what it returns takes their place. Gives the undo."""
    layer = trunk.layers[site.layer]

    def before(_: Any, args: Any, kwargs: Any) -> Any:
        new = use(args[0] if args else kwargs["hidden_states"])
        if new is None:
            return None
        return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})

    def after(_: Any, __: Any, output: Any) -> Any:
        alone = isinstance(output, Tensor)
        new = use(output if alone else output[0])
        return new if new is None or alone else (new, *output[1:])

    if site.point is Point.resid_pre:
        return layer.register_forward_pre_hook(before, with_kwargs=True).remove
    return layer.register_forward_hook(after).remove


def _check_site(site: Site, trunk: Trunk) -> None:
    if not 0 <= site.layer < len(trunk.layers):
        raise ValueError(f"there is no layer {site.layer}: the model has layers 0 to {len(trunk.layers) - 1}")


def _absolute(sequences: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]) -> list[list[int]]:
    """The positions counted from the start of each sequence."""
    if len(positions) != len(sequences):
        raise ValueError(f"there are {len(sequences)} sequences, and positions for {len(positions)}")
    wanted = []
    for row, (tokens, places) in enumerate(zip(sequences, positions, strict=True)):
        if not tokens:
            raise ValueError(f"sequence {row} is empty")
        if bad := [p for p in places if not -len(tokens) <= p < len(tokens)]:
            raise ValueError(f"sequence {row} has {len(tokens)} tokens and no position {bad[0]}")
        wanted.append([p % len(tokens) for p in places])
    return wanted


def _describe(edit: Edit) -> list[str | int | float]:
    vector = hashlib.sha256(edit.vector.cpu().numpy().tobytes()).hexdigest()
    site = edit.site
    return [type(edit).__name__, site.layer, site.point, edit.where, edit.strength, vector]
