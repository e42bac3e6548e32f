"""Projections of a model's activations on directions, one number for each text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from truing.probe.collecting import Over, Text, collect
from truing.probe.directions import Direction
from truing.types import InputError

if TYPE_CHECKING:
    from truing.model import LocalModel


def check_direction(model: "LocalModel", direction: Direction) -> None:
    """Raise InputError where the model has no such layer, or activations of another width."""
    layers, width, has = len(model.trunk.layers), len(direction.vector), model.trunk.width
    if not 0 <= direction.site.layer < layers or width != has:
        raise InputError(
            f"the direction {direction.name!r} is of layer {direction.site.layer} and width {width}, "
            f"and the model has {layers} layers of width {has}",
            mend="give directions of this model",
        )


def projections(
    model: "LocalModel", texts: Sequence[Text], directions: Sequence[Direction], over: Over
) -> dict[str, NDArray[np.float64]]:
    """For each direction, by name, the projection of each text's activations on it, float64 [N].

    Where a text has several states (`Over.template`, `Over.each`) it is their mean. One batch of
    activations is in memory at a time.

    Raises:
        InputError: see `collect`; or an activation is no finite number. Names the row.
    """
    found = {one.name: np.full(len(texts), np.nan) for one in directions}
    for batch in collect(model, texts, list(dict.fromkeys(one.site for one in directions)), over):
        for one in directions:
            parts = torch.split(one.projection(batch.states[one.site]), list(batch.counts))
            found[one.name][list(batch.rows)] = [float(part.mean()) for part in parts]
    for values in found.values():
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0]) + 1
            raise InputError("the activations are no finite numbers", row=row, mend="check the model")
    return found
