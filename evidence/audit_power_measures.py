"""From replayed audits to the measures that the claims are about.

Given the stock, audits are drawn independently of each other, so shares of them have binomial limits.
"Lower limit" and "upper limit" name what a threshold is held against where a share may lie on it: it is
not significantly beyond. Of a worst dimension it is the limit of the worst of all, each at a level that
holds for all of them together (Bonferroni).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

import numpy as np

from evidence.audit_power_pool import MODEL, Pool
from evidence.audit_power_replays import Kind, Part, Replay, covers
from evidence.claims import Measure, Measured
from truing.audit import Comparison, Status
from truing.numerics import clopper_pearson, student_interval

_LOW, _HIGH = ", lower limit", ", upper limit"
_WORST = ", worst dimension"
_LOSS, _JUDGED = "intervals that cover a planned loss", "intervals that cover a planned loss, 85 % judge"
_TOLD = "share of the true loss that is told, 85 % judge, corrected"
_PASSES = "passes by non-inferiority at a true loss of the margin"


def measures(
    pools: Sequence[Pool], replayed: Mapping[Kind, Sequence[Replay]], same: Sequence[bool]
) -> Measured:
    """Every measure that is claimed, and those that say how it came about."""
    count = sum(len(of) for of in replayed.values())
    alarms, judged_alarms = (
        [r.status is Status.regression for r in replayed[kind]] for kind in (Kind.none, Kind.judged_none)
    )
    nothing = [part for r in replayed[Kind.none] for part in r.parts]
    lost, judged = (_harmed(replayed[kind]) for kind in (Kind.loss, Kind.judged_loss))
    alone, clustered = ([part.covered for part in lost if part.alone is one] for one in (True, False))
    shown = [(part.uncorrected, part.truth) for part in judged if part.uncorrected is not None]
    told = _of_truth([(part.comparison, part.truth) for part in judged])
    return {
        "stored audits compared again with the result they wrote": _share(same),
        "replayed audits": Measure(count, count, count, count),
        **_limit("false alarms" + _LOW, alarms),
        **_limit("false alarms with an 85 % judge" + _LOW, judged_alarms),
        **_worst(
            "equal models told apart by one test at 0.05" + _WORST + _LOW, nothing, attrgetter("rejected")
        ),
        "planned losses found": _share([part.found for part in lost]),
        **_worst("planned losses found" + _WORST + _HIGH, lost, attrgetter("found")),
        "planned losses found with an 85 % judge": _share([part.found for part in judged]),
        **_worst("intervals that cover no loss" + _WORST + _HIGH, nothing, attrgetter("covered")),
        **_limit(f"{_LOSS}, items alone" + _HIGH, alone),
        **_limit(f"{_LOSS}, items in clusters" + _HIGH, clustered),
        **_limit(f"{_JUDGED}, corrected" + _HIGH, [part.covered for part in judged]),
        f"{_JUDGED}, uncorrected": _share([covers(found, truth) for found, truth in shown]),
        "share of the true loss that an 85 % judge shows, uncorrected": _of_truth(shown),
        f"{_TOLD}, at least": told,
        f"{_TOLD}, at most": told,
        **_limit(_PASSES + _LOW, [part.let_pass for part in lost]),
        **_limit(f"{_PASSES}, 85 % judge" + _LOW, [part.let_pass for part in judged]),
        **_reported(pools, replayed, nothing, lost),
    }


def _reported(
    pools: Sequence[Pool],
    replayed: Mapping[Kind, Sequence[Replay]],
    nothing: Sequence[Part],
    lost: Sequence[Part],
) -> Measured:
    """What nobody promised, by dimension where that tells more."""
    judged_nothing = [part for r in replayed[Kind.judged_none] for part in r.parts]
    out = {
        "equal models that pass": _share([r.status is Status.passed for r in replayed[Kind.none]]),
        "dimensions of equal models that pass": _share([part.status is Status.passed for part in nothing]),
        "planned losses that pass": _share([part.status is Status.passed for part in lost]),
        "intervals that cover no loss, 85 % judge": _share([part.covered for part in judged_nothing]),
    }
    for name, parts in _by_dimension(nothing).items():
        out[f"{name}: told apart from itself by one test at 0.05"] = _share([p.rejected for p in parts])
        out[f"{name}: intervals that cover no loss"] = _share([p.covered for p in parts])
    for name, parts in _by_dimension(lost).items():
        out[f"{name}: planned losses found"] = _share([p.found for p in parts])
        out[f"{name}: intervals that cover a planned loss"] = _share([p.covered for p in parts])
    for pool in pools:
        for name, stock in pool.stocks.items():
            own, n = stock.discordance(MODEL), len(stock.clusters)
            out[f"lineage {pool.lineage}, {name}: the model differs from itself"] = Measure(own, own, own, n)
    return out


def _harmed(replayed: Iterable[Replay]) -> list[Part]:
    return [part for one in replayed for part in one.parts if part.dimension == one.plan.harmed]


def _by_dimension(parts: Iterable[Part]) -> dict[str, list[Part]]:
    of: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        of[part.dimension].append(part)
    return dict(of)


def _share(said: Sequence[bool], level: float = 0.95) -> Measure:
    """A share of audits, with the exact interval."""
    k, n = sum(said), len(said)
    ends = clopper_pearson(k, n, level)
    return Measure(k / n if n else float("nan"), ends.low, ends.high, n)


def _limit(name: str, said: Sequence[bool]) -> Measured:
    """The limit that a claim's name ends with, and the share itself under the name without it."""
    share = _share(said)
    return {name: _at(share, name), name.removesuffix(_LOW).removesuffix(_HIGH): share}


def _worst(name: str, parts: Sequence[Part], says: Callable[[Part], bool]) -> Measured:
    """The same for the dimension whose limit is the worst."""
    of = _by_dimension(parts)
    shares = [_at(_share([says(part) for part in some], 1 - 0.05 / len(of)), name) for some in of.values()]
    worst = (max if name.endswith(_LOW) else min)(shares, key=lambda share: share.value)
    whole = name.removesuffix(_LOW).removesuffix(_HIGH).removesuffix(_WORST)
    return {name: worst, f"{whole}, all dimensions": _share([says(part) for part in parts])}


def _at(share: Measure, name: str) -> Measure:
    value = share.low if name.endswith(_LOW) else share.high
    return Measure(value, share.low, share.high, share.n)


def _of_truth(found: Sequence[tuple[Comparison, float]]) -> Measure:
    """The mean of the differences as a share of the mean truth."""
    values = np.array([one.difference or 0.0 for one, _ in found])
    truth = float(np.mean([of for _, of in found]))
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    interval = student_interval(mean, error, len(values) - 1)
    low, high = sorted((interval.low / truth, interval.high / truth))
    return Measure(mean / truth, low, high, len(values))
