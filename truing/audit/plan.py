"""Which items are asked, and how many it takes: a limited draw that keeps every dimension, and the power plan."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from truing.audit.policy import Policy
from truing.audit.result import NotAsked, SuiteRecord
from truing.audit.settings import USUAL_TOKENS, Settings
from truing.audit.suites.base import Loaded, load_suites
from truing.numerics import pairs_needed, uniforms
from truing.types import Expect, FrozenDict, InputError, Item

NEEDS_JUDGE = "none"
"""The grader of an item that cannot be judged unless somebody names who does."""
REFUSAL = "refusal"
EXPECTED_DISCORDANCE = {True: 0.1, False: 0.25}
"""Greedy or not -> the share of items on which two kindred models are expected to differ."""


@dataclass(frozen=True)
class Planned:
    """What is asked, of which suites, what is left out and why, what the suites can show at best.

    `max_tokens` is the length of an answer: as the settings say, else the most that a suite needs.
    """

    items: tuple[Item, ...]
    suites: tuple[SuiteRecord, ...]
    not_asked: tuple[NotAsked, ...]
    margins: Mapping[str, float]
    max_tokens: int


def plan_items(suites: str, settings: Settings, policy: Policy) -> Planned:
    """The items that an audit asks, each with the grader that judges it.

    Raises:
        InputError: a suite cannot be read, or a judge is named for a dimension that none of them has.
    """
    discordance = EXPECTED_DISCORDANCE[settings.temperature == 0]

    def plan(dimensions: int, margin: float) -> int:
        wanted = max(policy.margin, margin)
        return items_needed(policy, dimensions=dimensions, margin=wanted, discordance=discordance)

    loaded = load_suites(suites, plan=plan, key=settings.seed)
    _refuse_idle_judges(loaded, settings.judges)
    items: list[Item] = []
    records, not_asked = [], []
    margins: dict[str, float] = {}
    for suite in loaded:
        judged = [_assigned(item, settings.judges) for item in suite.items]
        asked = draw([i for i in judged if i.grader != NEEDS_JUDGE], settings.limit, key=settings.seed)
        items += asked
        files = FrozenDict(suite.files)
        records.append(SuiteRecord(suite.suite, suite.version, len(asked), len(suite.items), files))
        not_asked += [NotAsked(u.what, u.rows, u.why) for u in suite.unmeasured]
        unjudged = Counter(i.dimension for i in judged if i.grader == NEEDS_JUDGE)
        not_asked += [
            NotAsked(f"{suite.suite}: {name}", n, f"free text that needs a judge: --judge {name}=GRADER")
            for name, n in unjudged.items()
        ]
        margins |= {name: max(margins.get(name, 0.0), of) for name, of in suite.margins.items()}
    if not items:
        raise InputError("no item is left to be asked", mend="name a judge with --judge, or another suite")
    longest = settings.max_tokens or max(suite.max_tokens or USUAL_TOKENS for suite in loaded)
    return Planned(tuple(items), tuple(records), tuple(not_asked), margins, longest)


def _assigned(item: Item, judges: Mapping[str, str]) -> Item:
    grader = judges.get(item.dimension)
    if grader is None:
        return item
    open_ = item.expect in (Expect.refuse, Expect.comply)
    if open_ and grader == REFUSAL:  # it says what an answer is; whether that is good, the item says
        return replace(item, grader="")
    return replace(item, grader=grader, expect=item.expect if open_ else Expect.judged)


def _refuse_idle_judges(loaded: Sequence[Loaded], judges: Mapping[str, str]) -> None:
    known = dict.fromkeys(item.dimension for suite in loaded for item in suite.items)
    for name in judges:
        if name not in known:
            mend = f"the suites have {', '.join(known)}"
            raise InputError(f"a judge is named for the dimension {name!r}, which no suite has", mend=mend)


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


def items_needed(policy: Policy, *, dimensions: int, margin: float, discordance: float) -> int:
    """Independent items of one dimension with which a loss of `margin` is found with the policy's power.

    Of a test at the level that Holm asks of the smallest of as many p-values as there are dimensions.
    """
    alpha = policy.alpha / dimensions
    return pairs_needed(margin, discordance, alpha=alpha, power=policy.power)
