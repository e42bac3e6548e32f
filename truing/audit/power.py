"""How many items an audit needs, and what the items of a suite could show."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from truing.audit.plan import Planned, items_needed
from truing.audit.policy import Policy
from truing.numerics import smallest_detectable_effect
from truing.types import Record

_USUAL = (0.02, 0.03, 0.05, 0.1)


@dataclass(frozen=True)
class Needed(Record):
    """To find a loss of the size `margin`, each dimension needs `items` independent items."""

    margin: float
    items: int


@dataclass(frozen=True)
class Held(Record):
    """What a dimension of a suite holds; `detectable` is the smallest loss it would find, None for none."""

    dimension: str
    items: int
    clusters: int
    margin: float
    detectable: float | None

    @property
    def enough(self) -> bool:
        """Whether a loss of the margin would be found."""
        return self.detectable is not None and self.detectable <= self.margin


@dataclass(frozen=True)
class PowerPlan(Record):
    """What it takes, where the models differ on the share `discordance` of the items."""

    dimensions: int
    discordance: float
    alpha: float
    power: float
    needed: tuple[Needed, ...]
    held: tuple[Held, ...] = ()

    def lines(self) -> list[str]:
        """The plan for a terminal."""
        lines = [
            f"{self.dimensions} dimensions, alpha {self.alpha:g} over all of them, power {self.power:.0%}; models that "
            f"differ on {self.discordance:.0%} of the items.",
            "",
            f"{'loss to be found':<20}{'items of a dimension':>22}",
            *(f"{100 * need.margin:>9.1f} points    {need.items:>22,}" for need in self.needed),
        ]
        if self.held:
            lines += ["", f"{'dimension':<20}{'items':>8}{'clusters':>10}   smallest loss it would find"]
        for held in self.held:
            found = "none" if held.detectable is None else f"{100 * held.detectable:.1f} points"
            short = "" if held.enough else f": too few for the margin of {100 * held.margin:.1f}"
            lines.append(f"{held.dimension:<20}{held.items:>8,}{held.clusters:>10,}   {found}{short}")
        return lines


def power_plan(policy: Policy, planned: Planned | None, *, dimensions: int, discordance: float) -> PowerPlan:
    """Items needed for losses of the usual sizes and of the margin; with `planned`, what its suites hold.

    `dimensions` share the chance of a false alarm; with `planned` they are counted. A cluster counts
    as one independent item, whatever its size.

    Raises:
        ValueError: a number is outside its range.
    """
    if dimensions < 1 or not 0 <= discordance <= 1:
        raise ValueError(f"{dimensions} dimensions and a discordance of {discordance} cannot be planned for")
    counts = Counter(item.dimension for item in planned.items) if planned else Counter[str]()
    dimensions = len(counts) or dimensions
    margins = sorted({*_USUAL, policy.margin})
    needed = [
        Needed(m, items_needed(policy, dimensions=dimensions, margin=m, discordance=discordance))
        for m in margins
    ]
    held = _held(planned, counts, policy, policy.alpha / dimensions, discordance) if planned else []
    return PowerPlan(dimensions, discordance, policy.alpha, policy.power, tuple(needed), tuple(held))


def _held(
    planned: Planned, counts: Counter[str], policy: Policy, alpha: float, discordance: float
) -> Sequence[Held]:
    out = []
    for name, items in counts.items():
        clusters = len({i.cluster or i.request.prompt_digest for i in planned.items if i.dimension == name})
        found = smallest_detectable_effect(clusters, discordance, alpha=alpha, power=policy.power)
        margin = policy.terms(name, margin=planned.margins.get(name)).margin or 0.0
        out.append(Held(name, items, clusters, margin, found if found <= 1 else None))
    return out
