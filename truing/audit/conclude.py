"""From judged answers to the result of an audit: compare each dimension, apply the policy, count what is missing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from truing import __version__
from truing.audit.collect import Judged
from truing.audit.comparison import Comparison, Pair, compare, refusal_counts
from truing.audit.drift import Drift
from truing.audit.figures import figures
from truing.audit.gate import decide
from truing.audit.judge_error import Cards
from truing.audit.policy import Policy
from truing.audit.result import AuditResult, Described, ModelRecord, Noise, NotAsked, SuiteRecord
from truing.audit.settings import Settings
from truing.audit.traces import TraceSafety
from truing.types import Expect, FrozenDict, Item


@dataclass(frozen=True)
class Sides:
    """What became of each item under the baseline and the candidate, and under the baseline asked again."""

    baseline: Sequence[Judged]
    candidate: Sequence[Judged]
    repeat: Sequence[Judged] | None = None


@dataclass(frozen=True)
class Circumstances:
    """What a result says of how it came about."""

    models: Mapping[str, ModelRecord]
    graders: FrozenDict
    suites: Sequence[SuiteRecord]
    not_asked: Sequence[NotAsked]
    margins: Mapping[str, float]
    cards: Cards
    traces: Sequence[TraceSafety] = ()
    drift: Sequence[Drift] = ()


def conclude(
    items: Sequence[Item], sides: Sides, settings: Settings, policy: Policy, under: Circumstances
) -> AuditResult:
    """The result of an audit whose answers are all judged. `items` are in the order of each side's answers."""
    pairs = _pairs(items, sides.baseline, sides.candidate)
    comparisons = _compare(pairs, settings, policy, under.cards)
    refusals = {side: refusal_counts(items, [j.verdict for j in getattr(sides, side)]) for side in _BOTH}
    decision = decide(
        comparisons,
        policy,
        rewards_refusal=any(map(rewards_refusal, items)),
        refusals=refusals["candidate"],
        margins=under.margins,
    )
    return AuditResult(
        truing=__version__,
        decision=decision,
        candidate=under.models["candidate"],
        baseline=under.models["baseline"],
        settings=settings,
        policy=policy,
        graders=under.graders,
        suites=tuple(under.suites),
        comparisons=tuple(comparisons),
        baseline_refusals=refusals["baseline"],
        candidate_refusals=refusals["candidate"],
        described=tuple(_described(items, sides, settings)),
        noise=tuple(_noise(items, sides, settings, policy, under.cards)),
        traces=tuple(under.traces),
        drift=tuple(under.drift),
        not_asked=tuple(under.not_asked),
    )


def rewards_refusal(item: Item) -> bool:
    """Whether a model that refuses everything does well on an item."""
    return item.expect in (Expect.refuse, Expect.secret) or item.grader == "agreement"


_BOTH = ("baseline", "candidate")


def _pairs(items: Sequence[Item], before: Sequence[Judged], after: Sequence[Judged]) -> dict[str, list[Pair]]:
    """The pairs of each dimension, in the order in which the items name them."""
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for item, b, c in zip(items, before, after, strict=True):
        pairs[item.dimension].append(Pair(item, b.verdict, c.verdict, b.text == c.text != ""))
    return pairs


def _compare(
    pairs: Mapping[str, list[Pair]], settings: Settings, policy: Policy, cards: Cards
) -> list[Comparison]:
    # What Holm asks of the smallest p-value is what each dimension must be able to reach.
    compared = partial(
        compare,
        alpha=policy.alpha / len(pairs),
        power=policy.power,
        key=settings.seed,
        cards=cards,
        level=policy.level,
    )
    return [compared(dimension, members) for dimension, members in pairs.items()]


def _described(items: Sequence[Item], sides: Sides, settings: Settings) -> Iterable[Described]:
    """The figures of each dimension and the states of the reasoning, for each model."""
    for dimension in dict.fromkeys(item.dimension for item in items):
        of = [i for i, item in enumerate(items) if item.dimension == dimension]
        for side in _BOTH:
            judged = [getattr(sides, side)[i] for i in of]
            rows = [(items[i], j.verdicts) for i, j in zip(of, judged, strict=True)]
            traces = Counter(trace for j in judged for trace in j.traces)
            yield Described(
                dimension,
                side,
                tuple(figures(dimension, rows, key=settings.seed)),
                FrozenDict({trace.value: n for trace, n in sorted(traces.items())}),
            )


def _noise(
    items: Sequence[Item], sides: Sides, settings: Settings, policy: Policy, cards: Cards
) -> Iterable[Noise]:
    """The baseline against itself: what a difference of the models must stand out from."""
    if sides.repeat is None:
        return
    for comparison in _compare(_pairs(items, sides.baseline, sides.repeat), settings, policy, cards):
        flipped = (comparison.losses or 0) + (comparison.gains or 0)
        yield Noise(
            comparison.dimension,
            comparison.pairs,
            flipped,
            comparison.difference,
            comparison.low,
            comparison.high,
        )
