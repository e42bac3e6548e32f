"""Question templates made of parts, so that a new template is a new pair of parts that are both known."""

from collections.abc import Sequence


def crossed(
    leads: Sequence[str],
    asks: Sequence[str],
    *,
    held_out: Sequence[tuple[int, int]],
    plain: Sequence[str] = (),
) -> tuple[str, ...]:
    """The `plain` templates and every lead with every ask; the pairs (lead, ask) in `held_out` come last."""
    pairs = [(i, j) for i in range(len(leads)) for j in range(len(asks))]
    order = [pair for pair in pairs if pair not in held_out] + list(held_out)
    return (*plain, *(f"{leads[i]} {asks[j]}" for i, j in order))
