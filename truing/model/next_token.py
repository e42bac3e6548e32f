"""Next-token distributions: what several prefixes begin with in common is read once."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from truing.model.batching import halving, length_buckets
from truing.model.cache import decode_cache, joinable
from truing.model.continued import Begun, last_states, last_states_begun
from truing.model.families import Family, Ids, families
from truing.model.memory import BATCH_TOKENS
from truing.model.score import check_prefixes
from truing.model.trunk import Trunk
from truing.types import Dist

_TOKENS, _ROWS = 4096, 256
_EQUAL, _SMALL = 0.8, 512
"""Beginnings go into one forward pass if they are about equally long, or so few tokens altogether."""


def next_token(trunk: Trunk, prefixes: Sequence[Sequence[int]], candidates: Sequence[int]) -> list[Dist]:
    """The next-token distribution over `candidates` after each prefix, at temperature 1.

    Prefixes that begin alike, as many questions about one text do, are a family: their common beginning
    is read once, and its keys and values serve all of them. `covered` is 0 where the model's output is
    not a number.

    Raises:
        ValueError: a prefix is empty or longer than the model's context, or a candidate is given twice.
    """
    if len(set(candidates)) != len(candidates):
        raise ValueError("a candidate token is given twice, which would count its probability twice")
    check_prefixes(trunk, prefixes, [0] * len(prefixes))
    rows = [tuple(prefix) for prefix in prefixes]
    shares = joinable(decode_cache(trunk.net.config))
    single: list[Ids] = []
    together: list[Family] = []
    for family in families(sorted(set(rows))):
        if shares and family.common:
            together += family.parts(_most_rows(family))
        else:
            single += family.rows

    def alone(some: Sequence[Ids]) -> list[Dist]:
        return _distributions(trunk, last_states(trunk, some), candidates)

    def begun(some: Sequence[Begun]) -> list[Dist]:
        return _distributions(trunk, last_states_begun(trunk, some), candidates)

    found: dict[Ids, Dist] = {}
    for bucket in length_buckets([len(row) for row in single], tokens=_TOKENS, rows=_ROWS):
        some = [single[i] for i in bucket]
        found.update(zip(some, halving(alone, some), strict=True))
    for bunch in _buckets(together):
        pairs = [(row, family.common) for family in bunch for row in family.rows]
        found.update(zip((row for row, _ in pairs), halving(begun, pairs), strict=True))
    return [found[row] for row in rows]


def next_logits(trunk: Trunk, prefixes: Sequence[Sequence[int]]) -> Tensor:
    """All logits of the token after each prefix: float32 [N, V], on the CPU.

    Raises:
        ValueError: a prefix is empty or longer than the model's context, or there is none.
    """
    if not prefixes:
        raise ValueError("there is no prefix")
    check_prefixes(trunk, prefixes, [0] * len(prefixes))
    found: dict[int, Tensor] = {}

    def run(rows: Sequence[int]) -> list[Tensor]:
        logits = trunk.logits(last_states(trunk, [tuple(prefixes[i]) for i in rows]))
        return list(logits.cpu())

    for bucket in length_buckets([len(prefix) for prefix in prefixes], tokens=_TOKENS, rows=_ROWS):
        found.update(zip(bucket, halving(run, bucket), strict=True))
    return torch.stack([found[i] for i in range(len(prefixes))])


def _most_rows(family: Family) -> int:
    """How many rows go into one forward pass, and their keys and values into the memory."""
    return max(1, min(_ROWS, _TOKENS // family.rest, BATCH_TOKENS // (family.common + family.rest)))


def _buckets(some: Sequence[Family]) -> Iterator[list[Family]]:
    """Families in batches, those with the longest beginnings first: as many as go into one forward pass."""
    bucket: list[Family] = []
    for family in sorted(some, key=lambda family: -family.common):
        together = [*bucket, family]
        count, rest = sum(len(f.rows) for f in together), max(f.rest for f in together)
        common = together[0].common
        fits = (
            count <= _ROWS
            and (family.common >= _EQUAL * common or len(together) * common <= _SMALL)
            and len(together) * common <= _TOKENS
            and count * rest <= _TOKENS
            and count * (common + rest) <= BATCH_TOKENS
        )
        if bucket and not fits:
            yield bucket
            bucket = []
        bucket.append(family)
    if bucket:
        yield bucket


def _distributions(trunk: Trunk, last: Tensor, candidates: Sequence[int]) -> list[Dist]:
    """What the head makes of hidden states [R, D]."""
    logprobs = trunk.logits(last).log_softmax(-1)[:, list(candidates)]
    covered = logprobs.double().exp().sum(-1).nan_to_num(0).clamp(max=1)
    return [
        Dist(tuple(candidates), tuple(row), mass)
        for row, mass in zip(logprobs.tolist(), covered.tolist(), strict=True)
    ]
