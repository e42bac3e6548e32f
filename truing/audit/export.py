"""A finished audit in other tools' formats: one Inspect log for each model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from truing.audit.collect import keys_of
from truing.audit.logs.inspect_write import write_inspect
from truing.run import Journal
from truing.types import Completion, Item, Verdict


def export_inspect(
    path: Path, items: Sequence[Item], answers: Journal, verdicts: Journal, *, model: str
) -> None:
    """Write one side of an audit as a `.eval` log. Everything is in memory at once.

    Raises:
        StorageError: the disk refuses.
    """
    said = {name: Verdict.from_json(row["verdict"]) for name, row in verdicts.rows()}
    by_name = {name: item for item in items for name in (item.id, *keys_of(item, greedy=False))}

    def judged() -> Iterator[tuple[Item, Completion, Verdict]]:
        for name, row in answers.rows():
            yield by_name[name], Completion.from_json(row), said[name]

    write_inspect(path, judged(), task="truing/audit", model=model)
