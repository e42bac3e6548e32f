"""Asking and judging: every planned request once, each batch journaled as it is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from truing.grade import judge
from truing.run import Journal
from truing.types import Completion, EndpointError, Item, Sampler, SamplingParams, Stop, Verdict, digest

_JUDGED_AT_ONCE = 256


@dataclass(frozen=True)
class Judged:
    """What remains of an answer once it is judged: verdict, digest of the text (empty on errors), tokens."""

    verdict: Verdict
    text: str
    tokens: int


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
    """Journal one completion for each item; what the journal holds already is not asked again.

    Batches are planned over all items and journaled whole, so that a resumed run repeats the
    batches of an undisturbed one to the bit. Only of an endpoint that goes down a part is kept: there
    an answer does not depend on the batch. `advance` is told how many items each batch settled,
    and `observed` is called before a batch is journaled, to keep what was seen of the model.

    Raises:
        StorageError: the disk refused a batch; those before it are kept.
        EndpointError: the endpoint is down; what it answered is kept.
    """
    requests = [item.request for item in items]
    answered = journal.done()
    for batch in model.plan(requests, params):
        missing = [requests[i] for i in batch if items[i].id not in answered]
        rows: list[tuple[str, dict[str, Any]]] = []
        try:
            for completion in model.sample(missing, params, key=key) if missing else ():
                # The prompt's ids follow from the item and the template; they would double the journal.
                rows.append((completion.request_id, replace(completion, prompt_ids=None).to_json()))
        except EndpointError:
            observed()
            # A row that was lost on the way down is asked again when the endpoint is back.
            journal.append([(id, row) for id, row in rows if row["stop"] != Stop.error])
            raise
        if rows:
            observed()
            journal.append(rows)
        advance(len(batch))


def judge_all(items: Sequence[Item], journal: Journal) -> list[Judged]:
    """Judge the journaled answers, in the order of `items`; memory holds a few hundred answers at a time."""
    by_id = {item.id: item for item in items}
    judged: dict[str, Judged] = {}
    pending: list[tuple[Item, Completion]] = []
    for id, row in journal.rows():
        pending.append((by_id[id], Completion.from_json(row)))
        if len(pending) == _JUDGED_AT_ONCE:
            judged |= _judge(pending)
            pending = []
    judged |= _judge(pending)
    return [judged[item.id] for item in items]


def _judge(pairs: Sequence[tuple[Item, Completion]]) -> dict[str, Judged]:
    verdicts = judge(pairs)
    return {
        item.id: Judged(
            verdict,
            digest(completion.text) if completion.error is None else "",
            completion.usage.completion_tokens,
        )
        for (item, completion), verdict in zip(pairs, verdicts, strict=True)
    }
