"""Changing the residual stream at the input or output of decoder layers, or what a sublayer adds to it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from truing.model.batching import Batch
from truing.model.sublayers import writers
from truing.model.trunk import Trunk, running
from truing.types import InputError, digest


class Point(StrEnum):
    """Which side of a decoder layer."""

    resid_pre = "resid_pre"
    """What enters the layer; the same as what leaves the one before it."""
    resid_post = "resid_post"
    """What leaves the layer, before the final norm where it is the last."""
    attention = "attention"
    """What the attention of the layer adds to the residual stream."""
    mlp = "mlp"
    """What the MLP of the layer adds to it."""


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


_SUBLAYERS = (Point.attention, Point.mlp)


@dataclass(frozen=True, slots=True)
class Site:
    """A place in the residual stream: `layer` counts from 0."""

    layer: int
    point: Point = Point.resid_post

    @property
    def words(self) -> str:
        """Where that is, for people."""
        return f"{_PLACES[self.point]} layer {self.layer} (counted from 0)"


_PLACES = {
    Point.resid_pre: "input of",
    Point.resid_post: "output of",
    Point.attention: "what attention adds in",
    Point.mlp: "what the MLP adds in",
}


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


def ablation(vector: Tensor, layers: int) -> list[Edit]:
    """Edits that keep the direction of `vector` [D] out of the residual stream of all `layers`.

    It is removed from what enters the first layer and from all that attention and MLP add, at every
    token, so that nothing ever reads it (Arditi et al. 2024, equation 4).
    """
    start = ProjectOut(Site(0, Point.resid_pre), vector)
    added = [ProjectOut(Site(layer, point), vector) for layer in range(layers) for point in _SUBLAYERS]
    return [start, *added]


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
            hooks.callback(attach(trunk, hook.edit.site, hook))
        yield
    for hook in active:
        if not hook.changed:
            edit = hook.edit
            raise InputError(
                f"the {type(edit).__name__} edit at layer {edit.site.layer} {edit.site.point} changed nothing",
                mend=f"no token was at `{edit.where}`, or the change is lost in the rounding of the model's type",
            )


def steering_recomputed(trunk: Trunk, edits: Sequence[Edit]) -> AbstractContextManager[object]:
    """For what a backward pass makes again of the forward pass under way: the edits within layers, on its batch.

    Asked for during the forward pass, opened around what is made again of a layer. Edits at the input or output of
    a layer are outside of what is made again.
    """
    batch, inner = trunk.batch, [edit for edit in edits if edit.site.point in _SUBLAYERS and not edit.off]
    if batch is None or not inner:
        return nullcontext()
    return _again(trunk, inner, batch)


@contextmanager
def _again(trunk: Trunk, edits: Sequence[Edit], batch: Batch) -> Iterator[None]:
    with running(trunk.net, batch), ExitStack() as hooks:
        for edit in edits:
            hooks.callback(attach(trunk, edit.site, _Active(edit, trunk)))
        yield


def edits_digest(edits: Sequence[Edit]) -> str:
    """SHA-256 of what the edits do, in their order; "" if they do nothing."""
    live = [edit for edit in edits if not edit.off]
    return digest([_describe(edit) for edit in live]) if live else ""


class _Active:
    """An edit at work, which notes whether it ever changed anything."""

    def __init__(self, edit: Edit, trunk: Trunk) -> None:
        check_site(edit.site, trunk)
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


def attach(trunk: Trunk, site: Site, use: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
    """Call `use` on the hidden states at the site; what it returns takes their place. Gives the undo."""
    module = trunk.layers[site.layer]
    if site.point in _SUBLAYERS:
        module = writers(trunk)[site.layer][_SUBLAYERS.index(site.point)]

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
        return module.register_forward_pre_hook(before, with_kwargs=True).remove
    return module.register_forward_hook(after).remove


def check_site(site: Site, trunk: Trunk) -> None:
    """Raise ValueError if there is no such layer, and find its sublayers while no hook of ours is on."""
    if not 0 <= site.layer < len(trunk.layers):
        raise ValueError(f"there is no layer {site.layer}: the model has layers 0 to {len(trunk.layers) - 1}")
    if site.point in _SUBLAYERS:
        writers(trunk)


def _describe(edit: Edit) -> list[str | int | float]:
    vector = hashlib.sha256(edit.vector.cpu().numpy().tobytes()).hexdigest()
    site = edit.site
    return [type(edit).__name__, site.layer, site.point, edit.where, edit.strength, vector]
