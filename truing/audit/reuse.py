"""Answers that an earlier audit has already: a new candidate need not pay for its baseline again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truing.data import read_json
from truing.run import Run
from truing.types import FrozenDict, InputError

_DECIDES = ("items", "device", "dtype")
"""Of a run's configuration, what an answer depends on, beside the model and the decoding."""
_DECODING = ("seed", "temperature", "top_p", "top_k", "max_tokens", "thinking")


def take_over(run: Run, earlier: Path, config: Mapping[str, Any]) -> None:
    """Copy the baseline's journal and record from the audit in `earlier` into `run`, unless it has them.

    Raises:
        InputError: there is no such audit, it is not finished, or it asked something else, another
            model, or in another way; the sentence says what differs.
        StorageError: the disk refuses.
    """
    journal = run.journal("baseline")
    if journal.done():
        return
    record = earlier / "baseline.json"
    if not record.is_file() or not (earlier / "audit.json").is_file():
        raise InputError("holds no finished audit", file=earlier, mend="give the folder of one with --reuse")
    before, now = read_json(earlier / "run.json")["config"], FrozenDict(config)
    for name, old, new in (
        *((name, before.get(name), now[name]) for name in _DECIDES),
        ("baseline", FrozenDict(before["models"]["baseline"]), now["models"]["baseline"]),
        *((name, before["settings"].get(name), now["settings"].get(name)) for name in _DECODING),
    ):
        if old != new:
            mend = "audit without --reuse, or with the same settings"
            raise InputError(
                f"asked its baseline differently: {name} is not the same", file=earlier, mend=mend
            )
    with Run.open(earlier, before) as source:
        rows = list(source.journal("baseline").rows())
    journal.append(rows)  # one batch: after a crash all of them are there, or none
    run.write_json("baseline.json", read_json(record))
