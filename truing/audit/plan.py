"""Which items are asked: all, or a limited draw that keeps every dimension."""

from collections import defaultdict
from collections.abc import Sequence

from truing.numerics import uniforms
from truing.types import Item


def draw(items: Sequence[Item], limit: int | None, *, key: int) -> list[Item]:
    """At most `limit` items, as even over dimensions as they allow, in file order.

    Each item has a rank of its own, drawn from (key, id): growing the limit only adds items. Where
    the limit is below the number of dimensions, some are not asked at all.
    """
    if limit is None or limit >= len(items):
        return list(items)
    ranks = dict(
        zip((item.id for item in items), uniforms(key, [f"draw/{i.id}" for i in items], 0, 0), strict=True)
    )
    by_dimension: dict[str, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda item: float(ranks[item.id])):
        by_dimension[item.dimension].append(item)
    # Deal one item of each dimension in turn, as one deals cards, until the limit is reached.
    rounds = sorted(
        (
            (round, float(ranks[item.id]), item)
            for pile in by_dimension.values()
            for round, item in enumerate(pile)
        ),
        key=lambda dealt: dealt[:2],
    )
    kept = {item.id for _, _, item in rounds[:limit]}
    return [item for item in items if item.id in kept]
