"""Reading activations: forward passes that end where the last of them is, batch by batch."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from truing.model.batching import halving, length_buckets, right_padded
from truing.model.hooks import Site, attach, check_site
from truing.model.score import check_prefixes
from truing.model.trunk import Trunk, evaluating

_TOKENS, _ROWS = 4096, 256


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """The activations of one batch: those of a sequence lie together, in the order asked for."""

    rows: tuple[int, ...]
    """Which sequences, by their index in what was given."""
    counts: tuple[int, ...]
    """How many activations of each."""
    states: dict[Site, Tensor]
    """For each site [M, D] in the model's type, M being the sum of `counts`."""


def captured(
    trunk: Trunk,
    sequences: Sequence[Sequence[int]],
    sites: Sequence[Site],
    positions: Sequence[Sequence[int]],
) -> Iterator[Captured]:
    """The activations of each site at the given positions, a batch of about equally long sequences at a time.

    Each forward pass ends right after the last site: no later layer and no logits are computed. No
    more than one batch is held. Inside `steering` the activations are those after the edits.

    Args:
        trunk: the model.
        sequences: token ids [N][T_n].
        sites: where to read.
        positions: for each sequence the positions to read, negative ones from its end [N][K_n].

    Raises:
        ValueError: a site or position that does not exist, no site, or a sequence that is empty or
            longer than the model's context.
    """
    wanted = _absolute(trunk, sequences, positions)
    for site in sites:
        check_site(site, trunk)
    if not sites:
        raise ValueError("there is no site to capture")
    return _captured(trunk, sequences, list(dict.fromkeys(sites)), wanted)


def capture(
    trunk: Trunk,
    sequences: Sequence[Sequence[int]],
    sites: Sequence[Site],
    positions: Sequence[Sequence[int]],
) -> dict[Site, Tensor]:
    """All that `captured` reads, in the order of the sequences: [M, D] for each site."""
    parts: list[dict[Site, Tensor]] = [{} for _ in sequences]
    for batch in captured(trunk, sequences, sites, positions):
        for site, states in batch.states.items():
            for row, part in zip(batch.rows, torch.split(states, list(batch.counts)), strict=True):
                parts[row][site] = part
    return {site: torch.cat([part[site] for part in parts]) for site in sites}


@contextmanager
def tapping(trunk: Trunk, site: Site) -> Iterator[list[Tensor]]:
    """Yield a list to which each forward pass inside adds its activations at the site, with their gradients.

    Each is [B * T, D], in the model's type, padding included. For a loss on activations.

    Raises:
        ValueError: there is no such layer.
    """
    check_site(site, trunk)
    found: list[Tensor] = []
    undo = attach(trunk, site, lambda hidden: found.append(hidden.flatten(0, 1)))
    try:
        yield found
    finally:
        undo()


def _captured(
    trunk: Trunk, sequences: Sequence[Sequence[int]], sites: Sequence[Site], wanted: Sequence[Sequence[int]]
) -> Iterator[Captured]:
    def read(rows: Sequence[int]) -> list[list[Tensor]]:
        states = _read(trunk, [sequences[i] for i in rows], sites, [wanted[i] for i in rows])
        counts = [len(wanted[i]) for i in rows]
        return [list(part) for part in zip(*(torch.split(table, counts) for table in states), strict=True)]

    for bucket in length_buckets([len(s) for s in sequences], tokens=_TOKENS, rows=_ROWS):
        with evaluating(trunk.net), torch.no_grad():
            found = halving(read, bucket)
        states = {site: torch.cat([part[k] for part in found]) for k, site in enumerate(sites)}
        yield Captured(tuple(bucket), tuple(len(wanted[i]) for i in bucket), states)


def _read(
    trunk: Trunk, sequences: Sequence[Sequence[int]], sites: Sequence[Site], wanted: Sequence[Sequence[int]]
) -> list[Tensor]:
    """The states [M, D] of each site, from one forward pass that stops after the last of them."""
    batch = right_padded(sequences, [len(s) for s in sequences], trunk.device)
    width = batch.ids.shape[1]
    index = torch.tensor([row * width + at for row, places in enumerate(wanted) for at in places])
    found: dict[Site, Tensor] = {}
    with ExitStack() as hooks:
        for site in sites:

            def keep(hidden: Tensor, site: Site = site) -> None:
                # Chosen at once: of what is not asked for nothing outlives its layer.
                found[site] = hidden.flatten(0, 1)[index.to(hidden.device)]
                if len(found) == len(sites):
                    raise _Finished

            hooks.callback(attach(trunk, site, keep))
        with suppress(_Finished):
            trunk.hidden(batch)
    return [found[site] for site in sites]


class _Finished(Exception):
    """Ends a forward pass from inside a hook."""


def _absolute(
    trunk: Trunk, sequences: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]
) -> list[list[int]]:
    """The positions counted from the start of each sequence."""
    if len(positions) != len(sequences):
        raise ValueError(f"there are {len(sequences)} sequences, and positions for {len(positions)}")
    check_prefixes(trunk, sequences, [0] * len(sequences))
    wanted = []
    for row, (tokens, places) in enumerate(zip(sequences, positions, strict=True)):
        if bad := [p for p in places if not -len(tokens) <= p < len(tokens)]:
            raise ValueError(f"sequence {row} has {len(tokens)} tokens and no position {bad[0]}")
        wanted.append([p % len(tokens) for p in places])
    return wanted
