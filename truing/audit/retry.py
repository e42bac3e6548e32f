"""Rows that ended in an error, forgotten so that they are done again: an endpoint may be well by now."""

from collections.abc import Callable, Mapping
from typing import Any

from truing.run import Journal, Run
from truing.types import Outcome, Stop


def forget_errors(run: Run) -> int:
    """Remove from the journals of an audit all answers and verdicts that are errors; returns how many.

    An answer goes with all that was said of it, which goes first: whatever is cut short, no verdict
    outlives its answer.

    Raises:
        InputError: a journal is damaged.
        StorageError: the disk refuses; what was not rewritten is as before.
    """
    forgotten = 0
    for side in ("baseline", "candidate", "repeat"):
        failed = _where(_kept(run, side), lambda row: row["stop"] == Stop.error)
        for judged in (_kept(run, f"traces-{side}"), _kept(run, f"verdicts-{side}")):
            unjudged = _where(judged, lambda row: row["verdict"]["outcome"] == Outcome.error)
            forgotten += len(unjudged - failed)
            if judged is not None:
                judged.forget(failed | unjudged)
        if failed:
            run.journal(side).forget(failed)
        forgotten += len(failed)
    return forgotten


def _kept(run: Run, name: str) -> Journal | None:
    """A journal that is there already: asking for one makes it."""
    return run.journal(name) if (run.path / "journal" / f"{name}.jsonl").is_file() else None


def _where(journal: Journal | None, holds: Callable[[Mapping[str, Any]], bool]) -> set[str]:
    return {key for key, row in journal.rows() if holds(row)} if journal else set()
