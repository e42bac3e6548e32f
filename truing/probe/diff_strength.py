"""How hard a model can be pushed before its answers fall apart: doubling, then bisection."""

from collections.abc import Callable
from dataclasses import dataclass

from truing.types import Record


@dataclass(frozen=True, slots=True)
class Tried(Record):
    """One strength that was tried."""

    strength: float
    """In mean norms of the activations at the site."""
    incoherence: float | None
    """The share of answers that made no sense, or could not be read; None where there was no answer."""


@dataclass(frozen=True, slots=True)
class Strength(Record):
    """What a search found."""

    value: float | None
    """The strongest that stayed within the budget; None where none did."""
    tried: tuple[Tried, ...]
    """In the order in which they were tried."""


def strongest_within(
    incoherence: Callable[[float], float | None],
    budget: float,
    *,
    first: float = 0.25,
    most: float = 4.0,
    bisections: int = 4,
) -> Strength:
    """The strongest strength tried whose incoherence is within the budget (Wang et al. 2025: at most 10 %).

    It is doubled from `first` until it is too much or `most`, and then the gap between what was within
    and what was too much is halved `bisections` times. Incoherence is taken to grow with strength: what lies
    behind the first strength that is too much is not looked at. A share that is None is too much.

    Raises:
        ValueError: a number is out of its range.
    """
    if not (min(first, most) > 0 and 0 <= budget < 1 and bisections >= 0):
        raise ValueError("strengths lie above 0, the budget in [0, 1), and bisections are not negative")
    tried: list[Tried] = []

    def fits(strength: float) -> bool:
        share = incoherence(strength)
        tried.append(Tried(strength, share))
        return share is not None and share <= budget

    good, bad, at = 0.0, None, min(first, most)
    while bad is None:
        if fits(at):
            good = at
            if at >= most:
                break
            at = min(2 * at, most)
        else:
            bad = at
    if bad is not None:
        for _ in range(bisections):
            middle = (good + bad) / 2
            if fits(middle):
                good = middle
            else:
                bad = middle
    return Strength(good or None, tuple(tried))
