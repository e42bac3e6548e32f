"""How far the candidate has moved from the baseline: KL(candidate || baseline) on an audit's own prompts.

The candidate writes one completion y = (trace z, answer a) for each prompt x, and the divergence is
taken along it: E_y sum_t KL(p(. | x, y<t) || q(. | x, y<t)) = KL(z) + E_z KL(a | z), in nats. It grows
with length, so the mean per token stands beside it. It tells that something moved, not that it harms.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

from truing.numerics import ratio_of_sums, student_interval
from truing.types import Record

OVERALL = "all dimensions"
"""The dimension of the last record: all prompts, each with the same weight."""

_LARGEST = 10


@dataclass(frozen=True)
class DriftRow(Record):
    """One prompt, as the journal keeps it. Pairs are (trace, answer); the sums leave infinite terms out.

    `ruled_out` counts positions at which the baseline gives no probability to something that the
    candidate can write, `drawn_ruled_out` those at which it gives none to the token that was drawn.
    `foreign` tells that the prompt is not in the baseline's own chat format. With an `error` nothing was
    measured.
    """

    id: str
    dimension: str
    cluster: str
    candidate: str
    baseline: str
    error: str = ""
    tokens: tuple[int, ...] = (0, 0)
    exact: tuple[float, ...] = (0.0, 0.0)
    k1: tuple[float, ...] = (0.0, 0.0)
    k3: tuple[float, ...] = (0.0, 0.0)
    ruled_out: tuple[int, ...] = (0, 0)
    drawn_ruled_out: tuple[int, ...] = (0, 0)
    truncated: bool = False
    foreign: bool = False

    @property
    def kl(self) -> float:
        """Of the whole completion, in nats; +inf where the baseline rules something out."""
        return inf if any(self.ruled_out) else sum(self.exact)


@dataclass(frozen=True)
class DriftMean(Record):
    """A mean in nats with its standard error over prompts and 95% interval (Student's, by clusters).

    None where there is nothing to average; without at least two clusters there is no error.
    """

    value: float | None = None
    error: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class DriftPart(Record):
    """The whole completion, its trace or its answer: per prompt (sums over tokens) and per token.

    `exact` averages over the whole vocabulary at each position, `k1` and `k3` see the drawn token
    alone; each estimates the same number. What is infinite is in no mean: a completion with an
    infinite position is left out of the means per prompt, and the position of those per token.
    `ruled_out` of the `tokens` are infinite for `exact`, `drawn_ruled_out` for `k1` and `k3`.
    """

    tokens: int
    ruled_out: int
    drawn_ruled_out: int
    exact: DriftMean
    k1: DriftMean
    k3: DriftMean
    exact_per_token: DriftMean
    k1_per_token: DriftMean
    k3_per_token: DriftMean


@dataclass(frozen=True)
class PromptDrift(Record):
    """The divergence along one completion, in nats."""

    id: str
    kl: float
    tokens: int


@dataclass(frozen=True)
class Drift(Record):
    """The drift of one dimension.

    `prompts` were measured, `failed` were not. `traced` completions have a reasoning trace, `truncated`
    ones did not end, and in `infinite` ones the baseline rules out what the candidate can write. `p95`
    is the 95th percentile over prompts of the exact divergence of the whole completion, +inf where too
    many are infinite; `largest` are the prompts that moved most. `flags` are sentences about what a
    reader must know.
    """

    dimension: str
    prompts: int
    clusters: int
    failed: int
    traced: int
    truncated: int
    infinite: int
    whole: DriftPart
    trace: DriftPart
    answer: DriftPart
    p95: float | None
    largest: tuple[PromptDrift, ...]
    flags: tuple[str, ...]


def summarise_drift(rows: Sequence[DriftRow]) -> list[Drift]:
    """One record for each dimension in the order of its first row, then one for `OVERALL`."""
    by_dimension: dict[str, list[DriftRow]] = defaultdict(list)
    for row in rows:
        by_dimension[row.dimension].append(row)
    return [_drift(name, members) for name, members in [*by_dimension.items(), (OVERALL, rows)]]


def _drift(dimension: str, rows: Sequence[DriftRow]) -> Drift:
    measured = [row for row in rows if not row.error]
    ranked = sorted(measured, key=lambda row: (-row.kl, row.id))
    parts = {"whole": (0, 1), "trace": (0,), "answer": (1,)}
    whole, trace, answer = (_part(measured, places) for places in parts.values())
    return Drift(
        dimension,
        prompts=len(measured),
        clusters=len({row.cluster for row in measured}),
        failed=len(rows) - len(measured),
        traced=sum(row.tokens[0] > 0 for row in measured),
        truncated=sum(row.truncated for row in measured),
        infinite=sum(any(row.ruled_out) for row in measured),
        whole=whole,
        trace=trace,
        answer=answer,
        # An order statistic, for a mean of two would not do with infinities.
        p95=ranked[len(ranked) - ceil(0.95 * len(ranked))].kl if ranked else None,
        largest=tuple(PromptDrift(row.id, row.kl, sum(row.tokens)) for row in ranked[:_LARGEST]),
        flags=tuple(_flags(rows, measured, dict(zip(parts, (whole, trace, answer), strict=True)))),
    )


def _part(rows: Sequence[DriftRow], places: Sequence[int]) -> DriftPart:
    def total(row: DriftRow, name: str) -> float:
        return float(sum(getattr(row, name)[place] for place in places))

    means = {}
    for name, left_out in (("exact", "ruled_out"), ("k1", "drawn_ruled_out"), ("k3", "drawn_ruled_out")):
        finite = [row for row in rows if not any(getattr(row, left_out))]
        means[name] = _mean([(total(row, name), 1.0, row.cluster) for row in finite], signed=name == "k1")
        units = [(total(row, name), total(row, "tokens") - total(row, left_out), row.cluster) for row in rows]
        means[f"{name}_per_token"] = _mean([unit for unit in units if unit[1] > 0], signed=name == "k1")
    counts = {
        name: int(sum(total(row, name) for row in rows))
        for name in ("tokens", "ruled_out", "drawn_ruled_out")
    }
    return DriftPart(**counts, **means)  # type: ignore[arg-type]  # one is of counts, one of means


def _mean(units: Sequence[tuple[float, float, str]], *, signed: bool) -> DriftMean:
    """Of (total, size, cluster): the sum of totals over that of sizes; the interval ends at 0 unless `signed`."""
    if not units:
        return DriftMean()
    totals, sizes, clusters = zip(*units, strict=True)
    value, error = ratio_of_sums(totals, sizes, clusters=clusters)
    groups = len(set(clusters))
    if groups < 2:
        return DriftMean(value)
    ends = student_interval(value, error, groups - 1)
    return DriftMean(value, error, ends.low if signed else max(0.0, ends.low), ends.high)


def _flags(rows: Sequence[DriftRow], measured: Sequence[DriftRow], parts: dict[str, DriftPart]) -> list[str]:
    flags, whole = [], parts["whole"]
    if reasons := Counter(row.error for row in rows if row.error):
        reason = min(reasons, key=lambda why: (-reasons[why], why))
        flags.append(f"{reasons.total()} of {len(rows)} prompts were not measured, most often: {reason}")
    if cut := sum(row.truncated for row in measured):
        flags.append(
            f"{cut} of {len(measured)} completions were cut off at their longest: "
            "what would have followed is not measured, so whole completions drift by at least this"
        )
    if whole.ruled_out:
        prompts = sum(any(row.ruled_out) for row in measured)
        flags.append(
            f"at {whole.ruled_out} of {whole.tokens} positions, in {prompts} of {len(measured)} completions, the "
            "baseline gives no probability to what the candidate can write: the divergence is infinite there, "
            "and that is in no mean"
        )
    if whole.drawn_ruled_out:
        flags.append(
            f"{whole.drawn_ruled_out} of {whole.tokens} tokens that the candidate wrote have no probability under "
            "the baseline: k1 and k3 are infinite there, and that is in no mean"
        )
    for name, part in parts.items():
        told = name != "whole" and part == whole  # without traces the answer is the whole
        if part.k1.value is not None and part.k1.value < 0 and not told:
            flags.append(
                f"k1 of the {name} is negative ({part.k1.value:.3g} nats), as no divergence is: it is noise"
            )
    if any(row.foreign for row in measured):
        flags.append("the prompts are in the candidate's chat format, which is not the baseline's own")
    if measured and len({row.cluster for row in measured}) < 2:
        flags.append("a single independent prompt says nothing about the spread: there are no intervals")
    return flags
