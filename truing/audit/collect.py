"""Asking and judging: every planned request once, each batch journaled as it is done."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from truing.audit.dimensions import dimension
from truing.grade import Instrument, judge
from truing.run import Journal
from truing.types import (
    Completion,
    EndpointError,
    InputError,
    Item,
    Sampler,
    SamplingParams,
    Stop,
    Trace,
    Verdict,
    digest,
)

_JUDGED_AT_ONCE = 64
"""Answers: what is lost at most of the work of a judge that goes down."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What remains of an item's answers once they are judged.

    `verdict` is the item's, of all its answers together, `verdicts` those of each. `text` is a digest
    of what was written, empty if any of it failed; `traces` the states of the reasoning.
    """

    verdict: Verdict
    verdicts: tuple[Verdict, ...]
    text: str
    tokens: int
    traces: tuple[Trace, ...]


def keys_of(item: Item, *, greedy: bool) -> list[str]:
    """The keys of an item's answers in a journal. Greedy answers are all the same: then one is enough."""
    if item.samples == 1 or greedy:
        return [item.id]
    return [f"{item.id}#{sample}" for sample in range(item.samples)]


def ask_all(
    model: Sampler,
    items: Sequence[Item],
    params: SamplingParams,
    journal: Journal,
    *,
    key: int,
    advance: Callable[[int], None],
    observed: Callable[[], None],
) -> None:
    """Journal the completions of each item; what the journal holds already is not asked again.

    Batches are planned over all items and journaled whole, so that a resumed run repeats the
    batches of an undisturbed one to the bit. Only of an endpoint that goes down a part is kept: there
    an answer does not depend on the batch. `advance` is told how many items each batch settled,
    and `observed` is called before a batch is journaled, to keep what was seen of the model.

    Raises:
        StorageError: the disk refused a batch; those before it are kept.
        EndpointError: the endpoint is down; what it answered is kept.
    """
    requests = {item.id: item.request for item in items}
    names = {item.id: keys_of(item, greedy=params.temperature == 0) for item in items}
    answered = journal.done()
    for samples in sorted({len(keys) for keys in names.values()}):
        drawn = replace(params, n=samples)
        some = [id for id, keys in names.items() if len(keys) == samples]
        for batch in model.plan([requests[id] for id in some], drawn):
            missing = [requests[some[i]] for i in batch if not answered >= set(names[some[i]])]
            rows: list[tuple[str, dict[str, Any]]] = []
            try:
                for completion in model.sample(missing, drawn, key=key) if missing else ():
                    name = names[completion.request_id][completion.sample]
                    # Of an endpoint that went down, a part of the answers may be here.
                    if name not in answered:
                        rows.append((name, _without_prompt(completion)))
            except EndpointError:
                observed()
                # A row that was lost on the way down is asked again when the endpoint is back.
                journal.append([(name, row) for name, row in rows if row["stop"] != Stop.error])
                raise
            if rows:
                observed()
                journal.append(rows)
            advance(len(batch))


def _without_prompt(completion: Completion) -> dict[str, Any]:
    """A row of the journal. The prompt's ids follow from the item and the template; they would double it."""
    row = completion.to_json()
    row.pop("prompt_ids", None)
    return row


def judge_all(
    items: Sequence[Item],
    answers: Journal,
    verdicts: Journal,
    instruments: Mapping[str, Instrument],
    *,
    advance: Callable[[int], None],
) -> list[Judged]:
    """What became of each item, in order. Every verdict is journaled: a judge may be slow and cost money.

    The answers are read one by one and judged in parts, so that memory holds verdicts and not texts.

    Raises:
        InputError: the journal holds verdicts of other answers than these.
        StorageError: the disk refused a part; those before it are kept.
        EndpointError: a judge is down; the parts before it are kept.
    """
    wanted = {key: item for item in items for key in (item.id, *keys_of(item, greedy=False))}
    found = dict[str, tuple[str, int, Trace]]()
    said, judged_text = dict[str, Verdict](), dict[str, str]()
    for name, row in verdicts.rows():
        said[name], judged_text[name] = Verdict.from_json(row["verdict"]), row["answer"]
    for part in _parts(answers, _JUDGED_AT_ONCE):
        found |= {name: _remains(completion) for name, completion in part}
        if any(judged_text.get(name, found[name][0]) != found[name][0] for name, _ in part):
            raise InputError(
                "holds verdicts of other answers than its run does",
                file=verdicts.path,
                mend="delete it to have the answers judged again",
            )
        new = [(name, completion) for name, completion in part if name not in said]
        if new:
            judged = judge([(wanted[name], completion) for name, completion in new], instruments)
            fresh = {name: verdict for (name, _), verdict in zip(new, judged, strict=True)}
            verdicts.append(
                [(name, _row(wanted[name], found[name][0], verdict)) for name, verdict in fresh.items()]
            )
            said |= fresh
        advance(len(part))
    return [_together(item, found, said) for item in items]


def _parts(journal: Journal, size: int) -> Iterator[list[tuple[str, Completion]]]:
    part: list[tuple[str, Completion]] = []
    for name, row in journal.rows():
        part.append((name, Completion.from_json(row)))
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _remains(completion: Completion) -> tuple[str, int, Trace]:
    text = digest(completion.text) if completion.error is None else ""
    return text, completion.usage.completion_tokens, completion.trace


def _row(item: Item, answer: str, verdict: Verdict) -> dict[str, Any]:
    """What `truing compare` needs to know of a judged answer, without the suite it came from."""
    return {
        "suite": item.suite,
        "dimension": item.dimension,
        "prompt": item.request.prompt_digest,
        "cluster": item.cluster,
        "expect": item.expect.value,
        "answer": answer,
        "verdict": verdict.to_json(),
    }


def _together(item: Item, found: Mapping[str, tuple[str, int, Trace]], said: Mapping[str, Verdict]) -> Judged:
    names = [item.id] if item.id in found else keys_of(item, greedy=False)
    verdicts = tuple(said[name] for name in names)
    texts = [found[name][0] for name in names]
    return Judged(
        dimension(item.dimension).combine(verdicts),
        verdicts,
        digest(texts) if all(texts) else "",
        sum(found[name][1] for name in names),
        tuple(found[name][2] for name in names),
    )
