"""Directions of the residual stream: made of differences, compared, and kept in files.

A direction knows the site at which it was read and acts there again, so that no index has to be
moved by one: `hidden_states[l]` of transformers is the input of block l.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from truing.model import Add, Edit, Site, Where, ablation
from truing.numerics import generator
from truing.probe.collecting import Over, Text, mean_activations
from truing.types import FrozenDict, digest

if TYPE_CHECKING:
    from truing.model import LocalModel

_NOISE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """A vector [D] of the residual stream, float32 on the CPU and as it came out, not normalised.

    Raises:
        ValueError: the vector has not one dimension, is zero, or holds what is no finite number.
    """

    name: str
    vector: Tensor
    site: Site
    """Where it was read and where it acts."""
    position: str
    """Which tokens it was read at, such as `response` or `template -1`."""
    model: str = ""
    """The digest of the fingerprint of the model it was read in."""
    made_of: Mapping[str, str] = FrozenDict()
    """What it was made of, for people."""

    def __post_init__(self) -> None:
        vector = self.vector.detach().cpu().float()
        if vector.ndim != 1 or not bool(vector.isfinite().all()) or not bool(vector.any()):
            raise ValueError(f"the direction {self.name!r} is no vector of finite numbers other than zero")
        object.__setattr__(self, "vector", vector)

    @property
    def norm(self) -> float:
        """Its length, in the units of the residual stream."""
        return float(self.vector.double().norm())

    @property
    def unit(self) -> Tensor:
        """The vector of length 1 along it, float64 [D]."""
        vector = self.vector.double()
        unit: Tensor = vector / vector.norm()
        return unit

    def projection(self, states: Tensor) -> Tensor:
        """The component of states [..., D] along it, float64 [...], in the units of the residual stream."""
        return states.cpu().double() @ self.unit

    def ablated(self, states: Tensor) -> Tensor:
        """States [..., D] without their component along it, float64."""
        return states.cpu().double() - self.projection(states)[..., None] * self.unit

    def added(self, states: Tensor, coefficient: float = 1.0) -> Tensor:
        """States [..., D] plus `coefficient` times the vector, float64."""
        return states.cpu().double() + coefficient * self.vector.double()

    def adding(self, coefficient: float = 1.0, *, where: Where = Where.all) -> Add:
        """The edit of a model that adds it at its site: `h + coefficient * vector`."""
        return Add(self.site, self.vector, coefficient, where=where)

    def removal(self, layers: int) -> list[Edit]:
        """The edits that keep it out of the whole residual stream of a model of so many layers."""
        return ablation(self.vector, layers)


def mean_difference(
    model: "LocalModel", positive: Sequence[Text], negative: Sequence[Text], sites: Sequence[Site], over: Over
) -> dict[Site, Tensor]:
    """Mean activation over `positive` minus that over `negative`, summed in float64: float32 [K, D] for each site.

    For K see `mean_activations`. A difference that is nothing but the rounding of the sums is zero: at a
    token of the template the input of the first layer is often the same whatever was asked.
    """
    plus, minus = (mean_activations(model, texts, sites, over) for texts in (positive, negative))
    out = {}
    for site in sites:
        difference = plus[site] - minus[site]
        noise = difference.norm(dim=-1, keepdim=True) <= _NOISE * minus[site].norm(dim=-1, keepdim=True)
        out[site] = difference.masked_fill(noise, 0.0).float()  # NaN is no noise
    return out


def persona_vectors(
    model: "LocalModel",
    positive: Sequence[Text],
    negative: Sequence[Text],
    sites: Sequence[Site],
    *,
    name: str,
) -> list[Direction]:
    """For each site the mean response of the persona minus that of its opposite (Chen et al. 2025).

    Each text counts once, whatever its length: a mean over its response, then over the texts. Where the
    persona's answers are longer than the others, that is in the vector as well.

    Raises:
        InputError: a text has no response; names the row.
        ValueError: the two sides do not differ at a site.
    """
    found = mean_difference(model, positive, negative, sites, Over.response)
    made_of = FrozenDict({"positive texts": str(len(positive)), "negative texts": str(len(negative))})
    which = digest(model.fingerprint)
    return [Direction(name, found[site][0], site, Over.response, which, made_of) for site in sites]


def random_like(direction: Direction, *, key: int) -> Direction:
    """A direction of the same length at the same site that means nothing: the control of every claim."""
    drawn = torch.tensor(generator(key, "random direction").standard_normal(len(direction.vector)))
    vector = (drawn / drawn.norm() * direction.norm).float()
    return replace(
        direction,
        name=f"random like {direction.name}",
        vector=vector,
        made_of=FrozenDict({"random": f"key {key}, of the length of {direction.name}"}),
    )


def cosine_table(directions: Sequence[Direction]) -> dict[str, dict[str, float]]:
    """The cosine of every two directions, by their names: 1 is the same, 0 unrelated, -1 the opposite.

    Two random directions of width D have a cosine of about 0 ± 1 / sqrt(D).

    Raises:
        ValueError: two have one name, or their widths differ.
    """
    names = [one.name for one in directions]
    if len(set(names)) < len(names):
        raise ValueError("two directions have the same name")
    if len({len(one.vector) for one in directions}) > 1:
        raise ValueError("the directions are of models of different width")
    units = torch.stack([one.unit for one in directions]) if directions else torch.zeros(0, 1)
    table = (units @ units.T).clamp(-1, 1).tolist()
    return {name: dict(zip(names, row, strict=True)) for name, row in zip(names, table, strict=True)}
