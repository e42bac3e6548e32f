"""Pairs of judged answers whose truth is known, and what a comparison makes of them."""

from collections.abc import Mapping

from truing.audit import Cards, Comparison, Pair, compare
from truing.types import Expect, GraderId, Item, Outcome, Verdict, ask

EXACT = GraderId("exact", "1", exact=True)
JUDGE = GraderId("judge", "1")
"""A judge that errs."""

Count = tuple[int, float | Outcome, float | Outcome]
"""How many pairs, what became of the baseline's answer and of the candidate's: a score, or an outcome without one."""


def verdict(found: float | Outcome, grader: GraderId = EXACT) -> Verdict:
    if isinstance(found, Outcome):
        return Verdict("good", found, grader)
    return Verdict("good", Outcome.decided, grader, label=str(found), score=found)


def pairs(
    *counts: Count, dimension: str = "safety", grader: GraderId = EXACT, start: int = 0, per_cluster: int = 1
) -> list[Pair]:
    """Pairs judged by a grader that their items name; `per_cluster` neighbours share a source."""
    both = [(b, c) for n, b, c in counts for _ in range(n)]
    made = []
    for i, (before, after) in enumerate(both, start):
        cluster = f"{i // per_cluster}" if per_cluster > 1 else ""
        request = ask(f"q{i}", id=f"{i}")
        item = Item(f"{i}", request, "s", dimension, Expect.judged, grader=grader.name, cluster=cluster)
        made.append(Pair(item, verdict(before, grader), verdict(after, grader), same_text=before == after))
    return made


def compared(*members: Pair, cards: Cards | Mapping[str, object] | None = None) -> Comparison:
    """One dimension's comparison, at the level and power that a policy of one dimension asks for."""
    return compare(members[0].item.dimension, members, alpha=0.05, power=0.8, key=0, cards=cards or {})  # type: ignore[arg-type]
