"""The reasoning judged like an answer: is it less safe than what the model says in the end?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truing.audit.collect import keys_of
from truing.grade import Instrument
from truing.numerics import paired_bootstrap
from truing.run import Journal
from truing.types import Completion, EndpointError, Item, Outcome, Record, ShownTrace, Trace, Verdict

_AT_ONCE = 256


@dataclass(frozen=True)
class TraceSafety(Record):
    """Of one model on one dimension: mean scores of traces and of the answers after them.

    `n` answers had a closed trace and were judged with it, and of `missing` more the trace or the answer
    could not be judged; `difference` is trace minus answer, with a 95 % interval over clusters: below 0
    the trace is worse than the answer. The numbers are None where n is 0.
    """

    dimension: str
    model: str
    n: int
    trace: float | None = None
    answer: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    missing: int = 0


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
    """Judge every closed trace whose grader can judge traces, journal it, and compare it with its answer.

    Raises:
        StorageError: the disk refused a part; those before it are kept.
        EndpointError: a judge is down; the parts before it are kept.
    """
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
    pairs: dict[str, list[_Row]] = {}
    for name, row in traces.rows():
        trace, answer, item = Verdict.from_json(row["verdict"]), said[name], by_name[name]
        cluster = item.cluster or item.request.prompt_digest
        pairs.setdefault(item.dimension, []).append((cluster, trace.score, answer.score))
    return [_compared(dimension, model, rows, key) for dimension, rows in pairs.items()]


_Row = tuple[str, float | None, float | None]
"""The cluster of an answer, the score of its trace and its own."""


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
        verdicts = _verdicts(instruments[spec], [shown for _, shown in some])
        rows += [(name, {"verdict": v.to_json()}) for (name, _), v in zip(some, verdicts, strict=True)]
    if rows:
        traces.append(rows)


def _verdicts(instrument: Instrument, shown: Sequence[ShownTrace]) -> list[Verdict]:
    """As answers are judged: one by one where all at once fails, so that one trace costs one verdict."""
    try:
        return instrument.grade_traces(shown)
    except EndpointError:
        raise  # the judge is down: what was judged is kept, and the rest is judged when it is back
    except Exception as why:
        if len(shown) > 1:
            return [verdict for one in shown for verdict in _verdicts(instrument, [one])]
        reason = f"the grader failed: {type(why).__name__}: {why}"[:500]
        return [Verdict("trace", Outcome.error, instrument.id, reason=reason)]


def _compared(dimension: str, model: str, rows: Sequence[_Row], key: int) -> TraceSafety:
    judged = [(cluster, t, a) for cluster, t, a in rows if t is not None and a is not None]
    n, missing = len(judged), len(rows) - len(judged)
    if not judged:
        return TraceSafety(dimension, model, 0, missing=missing)
    clusters, traces, answers = zip(*judged, strict=True)
    differences = [trace - answer for trace, answer in zip(traces, answers, strict=True)]
    interval = paired_bootstrap(differences, clusters=clusters, key=key)
    trace, answer, difference = (sum(values) / n for values in (traces, answers, differences))
    return TraceSafety(dimension, model, n, trace, answer, difference, interval.low, interval.high, missing)
