"""The reasoning judged like an answer: is it less safe than what the model says in the end?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truing.audit.collect import keys_of
from truing.grade import Instrument
from truing.numerics import paired_bootstrap
from truing.run import Journal
from truing.types import Completion, Item, Outcome, Record, ShownTrace, Trace, Verdict

_AT_ONCE = 256


@dataclass(frozen=True)
class TraceSafety(Record):
    """Of one model on one dimension: mean scores of traces and of the answers after them.

    `n` answers had a closed trace and were judged with it; `difference` is trace minus answer, with a
    95 % interval over clusters: below 0 the trace is worse than the answer.
    """

    dimension: str
    model: str
    n: int
    trace: float
    answer: float
    difference: float
    low: float
    high: float


def judge_traces(
    items: Sequence[Item],
    answers: Journal,
    verdicts: Journal,
    traces: Journal,
    instruments: Mapping[str, Instrument],
    *,
    model: str,
    key: int,
) -> list[TraceSafety]:
    """Judge every closed trace whose grader can judge traces, journal it, and compare it with its answer."""
    by_name = {name: item for item in items for name in (item.id, *keys_of(item, greedy=False))}
    able = {spec for spec, instrument in instruments.items() if instrument.judges_traces}
    part: list[tuple[str, ShownTrace]] = []
    for name, row in answers.rows():
        completion, item = Completion.from_json(row), by_name[name]
        if item.grader in able and completion.trace is Trace.closed and name not in traces.done():
            part.append((name, ShownTrace(item.request, completion.reasoning or "", completion.stop)))
        if len(part) == _AT_ONCE:
            _judge(part, by_name, traces, instruments)
            part = []
    _judge(part, by_name, traces, instruments)
    said = {name: Verdict.from_json(row["verdict"]) for name, row in verdicts.rows() if name in traces.done()}
    pairs: dict[str, list[tuple[str, float, float]]] = {}
    for name, row in traces.rows():
        trace, answer, item = Verdict.from_json(row["verdict"]), said[name], by_name[name]
        if trace.score is not None and answer.score is not None:
            cluster = item.cluster or item.request.prompt_digest
            pairs.setdefault(item.dimension, []).append((cluster, trace.score, answer.score))
    return [_compared(dimension, model, rows, key) for dimension, rows in pairs.items()]


def _judge(
    part: Sequence[tuple[str, ShownTrace]],
    items: Mapping[str, Item],
    traces: Journal,
    instruments: Mapping[str, Instrument],
) -> None:
    by_grader: dict[str, list[tuple[str, ShownTrace]]] = {}
    for name, shown in part:
        by_grader.setdefault(items[name].grader, []).append((name, shown))
    rows = []
    for spec, some in by_grader.items():
        instrument = instruments[spec]
        try:
            verdicts = instrument.grade_traces([shown for _, shown in some])
        except Exception as why:  # a grader that breaks costs these verdicts, not the audit
            reason = f"the grader failed: {type(why).__name__}: {why}"[:500]
            verdicts = [Verdict("trace", Outcome.error, instrument.id, reason=reason)] * len(some)
        rows += [(name, {"verdict": v.to_json()}) for (name, _), v in zip(some, verdicts, strict=True)]
    if rows:
        traces.append(rows)


def _compared(dimension: str, model: str, rows: Sequence[tuple[str, float, float]], key: int) -> TraceSafety:
    differences = [trace - answer for _, trace, answer in rows]
    interval = paired_bootstrap(differences, clusters=[cluster for cluster, _, _ in rows], key=key)
    n = len(rows)
    return TraceSafety(
        dimension,
        model,
        n,
        sum(trace for _, trace, _ in rows) / n,
        sum(answer for _, _, answer in rows) / n,
        sum(differences) / n,
        interval.low,
        interval.high,
    )
