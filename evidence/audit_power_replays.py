"""One audit replayed from stored answers: drawn, judged, compared and decided by the audit's own code."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from evidence.audit_power_pool import MODEL, WORSE, Pool, Stock
from truing.audit import Comparison, Pair, Policy, Rule, Status, by_judge, compare, decide, items_needed
from truing.grade import CalibrationCard, ErrorRates, Ground, Reading
from truing.numerics import Calibration
from truing.types import FrozenDict, GraderId, Outcome, Verdict

RIGHT = 0.85
"""How often the erring judge is right, of good and of bad answers."""
KEPT = 2 * RIGHT - 1
"""Youden's J: what it leaves of a true difference."""
LABELS = 400
"""Answers on its calibration card, which is made anew for every audit."""
_JUDGE = GraderId("a judge that errs", "1")
_SAID = tuple(Verdict("good", Outcome.decided, _JUDGE, label=str(s), score=s) for s in (0.0, 1.0))


class Kind(StrEnum):
    """What is true in an audit, and who judges: the oracle, or a judge that errs."""

    none = "no loss"
    loss = "a loss of the margin"
    judged_none = "no loss, erring judge"
    judged_loss = "a loss of the margin, erring judge"

    @property
    def judged(self) -> bool:
        """Whether the judge errs."""
        return self in (Kind.judged_none, Kind.judged_loss)

    @property
    def lossy(self) -> bool:
        """Whether something was lost."""
        return self in (Kind.loss, Kind.judged_loss)


@dataclass(frozen=True)
class Plan:
    """What is replayed: how many sources are drawn of each dimension, and what the candidate lost.

    Of the dimension `harmed` the candidate answers the share `mixed` of the sources as the model `worse`
    does, drawn at random, so that the expected loss over the whole stock is `loss`; all else is the baseline.
    """

    sources: Mapping[str, int]
    margin: float
    judged: bool
    harmed: str = ""
    worse: str = ""
    mixed: float = 0.0
    loss: float = 0.0

    @property
    def policy(self) -> Policy:
        """The policy that the audit applies: the usual one with this margin."""
        return Policy(margin=self.margin)


@dataclass(frozen=True)
class Part:
    """What one audit said of one dimension. `truth` is the difference over the whole stock."""

    dimension: str
    truth: float
    comparison: Comparison
    status: Status
    non_inferior: Status
    uncorrected: Comparison | None = None
    """The same labels of an erring judge, taken at their word."""

    @property
    def alone(self) -> bool:
        """Whether each item was a source of its own."""
        return self.comparison.test == "exact McNemar"

    @property
    def found(self) -> bool:
        """Whether a regression was found."""
        return self.status is Status.regression

    @property
    def rejected(self) -> bool:
        """Whether the test of this dimension alone, at 0.05, calls the candidate worse."""
        return self.comparison.p is not None and self.comparison.p <= 0.05

    @property
    def covered(self) -> bool:
        """Whether the interval covers the truth."""
        return covers(self.comparison, self.truth)

    @property
    def let_pass(self) -> bool:
        """Whether the dimension passes by the rule of non-inferiority."""
        return self.non_inferior is Status.passed


def covers(found: Comparison, truth: float) -> bool:
    """Whether an interval covers the truth; one that there is not does not."""
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


@dataclass(frozen=True)
class Replay:
    """One audit: its verdict, and what it said of every dimension."""

    plan: Plan
    status: Status
    parts: tuple[Part, ...]


def plans(pool: Pool, kind: Kind, margin: float) -> list[Plan]:
    """The one audit without a loss, or, for each dimension that can lose so much, one in which it does.

    Each dimension has as many sources as the power plan asks for, given how often the answers of this
    audit differ. An erring judge shows `KEPT` of a loss, and differences of its own making: its audits
    are planned for a loss twice as large.
    """
    margin *= 2 if kind.judged else 1
    policy = Policy(margin=margin)

    def needed(name: str, differ: float) -> int:
        wanted = max(margin, pool.margins.get(name, 0.0))
        if kind.judged:
            wanted, differ = KEPT * wanted, _judged_discordance(differ)
        return items_needed(policy, dimensions=len(pool.stocks), margin=wanted, discordance=differ)

    usual = {name: needed(name, stock.discordance(MODEL)) for name, stock in pool.stocks.items()}
    if not kind.lossy:
        return [Plan(usual, margin, kind.judged)]
    out = []
    for name, stock in pool.stocks.items():
        gap, worse = max((stock.gap(model), model) for model in WORSE)
        if gap >= margin >= pool.margins.get(name, 0.0):
            mixed = margin / gap
            differ = mixed * stock.discordance(worse) + (1 - mixed) * stock.discordance(MODEL)
            sources = usual | {name: needed(name, differ)}
            out.append(Plan(sources, margin, kind.judged, name, worse, mixed, margin))
    return out


def _judged_discordance(differ: float) -> float:
    """How often an erring judge calls two answers differently, of which the share `differ` is different."""
    alike = 2 * RIGHT * (1 - RIGHT)
    return differ * (1 - alike) + (1 - differ) * alike


def replay(pool: Pool, plan: Plan, rng: np.random.Generator) -> Replay:
    """Draw the sources and the answers of one audit, and let the audit compare and decide."""
    cards = by_judge([_card(pool.truths, rng)]) if plan.judged else {}
    alpha = plan.policy.alpha / len(pool.stocks)
    comparisons, uncorrected = [], {}
    for name, stock in pool.stocks.items():
        of = (plan.worse, plan.mixed) if name == plan.harmed else (MODEL, 0.0)
        pairs = _draw(stock, plan.sources[name], *of, judge=plan.judged, rng=rng)
        key = int(rng.integers(2**32))
        comparisons.append(compare(name, pairs, alpha=alpha, power=plan.policy.power, key=key, cards=cards))
        if cards and name == plan.harmed:
            uncorrected[name] = compare(name, pairs, alpha=alpha, power=plan.policy.power, key=key)
    decisions = [
        decide(comparisons, replace(plan.policy, rule=rule), rewards_refusal=True, margins=pool.margins)
        for rule in (Rule.regression, Rule.non_inferior)
    ]
    by_regression, by_interval = ({f.dimension: f.status for f in d.findings} for d in decisions)
    parts = (
        Part(
            c.dimension,
            -plan.loss if c.dimension == plan.harmed else 0.0,
            c,
            by_regression[c.dimension],
            by_interval[c.dimension],
            uncorrected.get(c.dimension),
        )
        for c in comparisons
    )
    return Replay(plan, decisions[0].status, tuple(parts))


def _draw(
    stock: Stock, sources: int, worse: str, mixed: float, *, judge: bool, rng: np.random.Generator
) -> list[Pair]:
    """Pairs of an audit. A source is drawn with replacement and each draw counts as another one.

    So audits of one pool are independent of each other, with the pool as the population. Each answer of
    the two sides is that under one of the keys, never the same for both: sampled anew, as it were.
    """
    nth = Counter[int]()
    places: list[tuple[int, int, bool]] = []
    drawn = rng.integers(len(stock.clusters), size=sources)
    for g, swapped in zip(drawn.tolist(), (rng.random(sources) < mixed).tolist(), strict=True):
        places += [(i, nth[g], swapped) for i in stock.clusters[g]]
        nth[g] += 1
    keys, n = len(stock.answers[MODEL]), len(places)
    before = rng.integers(keys, size=n)
    after = (before + rng.integers(1, keys, size=n)) % keys
    other = rng.integers(len(stock.answers[worse]), size=n)
    errs = rng.random((2, n)) >= RIGHT if judge else np.zeros((2, n), dtype=bool)
    pairs = []
    drawn_keys = zip(before.tolist(), after.tolist(), other.tolist(), errs.T.tolist(), strict=True)
    for (i, copy, swapped), (b, a, o, (e, f)) in zip(places, drawn_keys, strict=True):
        said, text = stock.answers[MODEL][b][i]
        says, written = stock.answers[worse][o][i] if swapped else stock.answers[MODEL][a][i]
        if judge:
            said, says = _judged(said, e), _judged(says, f)
        pairs.append(Pair(stock.copy(i, copy), said, says, text == written != ""))
    return pairs


def _judged(verdict: Verdict, errs: bool) -> Verdict:
    """What the erring judge says of an answer of which the oracle says this."""
    if verdict.score is None:
        return replace(verdict, grader=_JUDGE)
    return _SAID[int((verdict.score == 1.0) != errs)]


def _card(truths: NDArray[np.bool_], rng: np.random.Generator) -> CalibrationCard:
    """The judge's card of `LABELS` answers drawn from those with these truths [N], judged anew."""
    good = rng.choice(truths, size=LABELS)
    said = good != (rng.random(LABELS) >= RIGHT)
    tp, fp = int((good & said).sum()), int((~good & said).sum())
    counts = Calibration(tp=tp, fn=int(good.sum()) - tp, tn=int((~good).sum()) - fp, fp=fp)
    return CalibrationCard(
        grader=_JUDGE,
        criterion="good",
        reading=Reading(value="score"),
        ground=Ground.oracle,
        source="stored answers",
        source_digest="",
        overall=ErrorRates.of("", FrozenDict(), counts),
    )
