"""Pairing: which answers of two logs answer the same question."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from truing.audit.dimensions import dimension
from truing.audit.logs.base import Log, LogRow
from truing.types import InputError, digest

_Key = tuple[str, str, str]


@dataclass(frozen=True)
class Pairing:
    """Two logs, item by item; an item with several answers is one row, scored as its dimension says.

    `pairs` maps dimensions to (row of a, row of b) with equal prompts. `changed_prompts` are items
    whose id is in both with different prompts: what differs there is the question, so that they say
    nothing of the models. `unmatched_a` and `unmatched_b` are only in the one log.
    """

    pairs: Mapping[str, tuple[tuple[LogRow, LogRow], ...]]
    unmatched_a: tuple[LogRow, ...]
    unmatched_b: tuple[LogRow, ...]
    changed_prompts: tuple[tuple[LogRow, LogRow], ...]


def pair_logs(a: Log, b: Log) -> Pairing:
    """Pair the items of two logs by task, dimension and id, where the prompts are equal too.

    Raises:
        InputError: the logs are of two tools, are scored by different scores or graders, have no
            item in common, or one of them has an answer twice.
    """
    if a.tool != b.tool:
        mend = "compare logs of one tool"
        raise InputError(f"a log of {a.tool} and one of {b.tool} have no question in common", mend=mend)
    for name in a.scored_by.keys() & b.scored_by.keys():
        if a.scored_by[name] != b.scored_by[name]:
            said = (
                f"{name} is scored by {a.scored_by[name]} in one log and by {b.scored_by[name]} in the other"
            )
            raise InputError(said, mend="compare logs that were scored alike")
    ours, theirs = _items(a), _items(b)
    if not ours.keys() & theirs.keys():
        tasks = [", ".join(log.tasks) for log in (a, b)]
        said = f"the logs have no item in common (their tasks: {tasks[0]}; {tasks[1]})"
        raise InputError(said, mend="compare logs of the same task")
    pairs: dict[str, list[tuple[LogRow, LogRow]]] = defaultdict(list)
    changed: list[tuple[LogRow, LogRow]] = []
    for key, row in ours.items():
        if other := theirs.get(key):
            # A row that was planned and never logged has no prompt to differ.
            alike = row.prompt == other.prompt or not row.prompt or not other.prompt
            _refuse_two_judges(row, other)
            (pairs[row.dimension] if alike else changed).append((row, other))
    return Pairing(
        pairs={name: tuple(members) for name, members in pairs.items()},
        unmatched_a=tuple(row for key, row in ours.items() if key not in theirs),
        unmatched_b=tuple(row for key, row in theirs.items() if key not in ours),
        changed_prompts=tuple(changed),
    )


def _refuse_two_judges(a: LogRow, b: LogRow) -> None:
    """Verdicts of two graders differ where answers do not; one that failed says nothing of either."""
    judges = [row.verdict.grader.name for row in (a, b) if row.score is not None]
    if len(set(judges)) > 1:
        said = f"{a.id} in {a.task} is judged by {judges[0]} in one log and by {judges[1]} in the other"
        raise InputError(said, mend="compare logs that were judged alike")


def _items(log: Log) -> dict[_Key, LogRow]:
    """One row for each item, in the order of the log."""
    answers: dict[_Key, list[LogRow]] = defaultdict(list)
    for row in log.rows:
        answers[row.task, row.dimension, row.id].append(row)
    return {key: _together(rows, log) for key, rows in answers.items()}


def _together(rows: Sequence[LogRow], log: Log) -> LogRow:
    if len({row.sample for row in rows}) < len(rows):
        _refuse_twice(rows, log)
    if len({row.prompt for row in rows if row.prompt}) > 1:
        said = f"the answers to {rows[0].id} in {rows[0].task} are answers to different prompts"
        raise InputError(said, file=next(iter(log.files), None), mend="log it again")
    if len(rows) == 1:
        return rows[0]
    verdict = dimension(rows[0].dimension).combine([row.verdict for row in rows])
    texts = [row.answer for row in rows]
    return replace(rows[0], verdict=verdict, sample=0, answer=digest(texts) if all(texts) else "")


def _refuse_twice(rows: Sequence[LogRow], log: Log) -> None:
    said = f"has the answer {rows[0].sample} to {rows[0].id} in {rows[0].task} twice"
    raise InputError(said, file=next(iter(log.files), None), mend="name a log of one run")
