"""Our own finished audits: the journaled verdicts of one side of a run's folder."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from truing.audit.logs.base import Log, LogRow, file_digest
from truing.data import read_json
from truing.run import Journal
from truing.types import Expect, FrozenDict, InputError, Outcome, Verdict

RECORD = "run.json"
SIDES = ("candidate", "baseline")
"""What a run's folder may be followed by; the first is meant where nothing follows."""


def find_own_run(path: Path) -> tuple[Path, str] | None:
    """The folder and the side that `FOLDER` or `FOLDER/SIDE` names, if a run is there."""
    if (path / RECORD).is_file():
        return path, SIDES[0]
    if path.name in SIDES and (path.parent / RECORD).is_file():
        return path.parent, path.name
    return None


def read_own_run(folder: Path, side: str) -> Log:
    """Read what `truing audit` left behind of one side.

    Raises:
        InputError: the run is no audit or did not end, or a file is damaged.
    """
    run = read_json(folder / RECORD)
    verb = run.get("config", {}).get("verb") if isinstance(run, dict) else None
    if verb != "audit":
        raise InputError(f"is a run of {verb}, not of an audit", file=folder, mend="name another folder")
    path = folder / "journal" / f"verdicts-{side}.jsonl"
    if not (folder / "audit.json").is_file() or not path.is_file():
        raise InputError(
            "holds no finished audit with verdicts", file=folder, mend="run the same audit again to end it"
        )
    result = read_json(folder / "audit.json")
    with closing(Journal(path, writable=False)) as journal:
        rows, graders = [], dict[str, str]()
        for key, row in journal.rows():
            verdict = Verdict.from_json(row["verdict"])
            grader = verdict.grader
            if verdict.outcome is not Outcome.error:  # nobody judged what failed
                graders[grader.name] = f"{grader.version} {grader.spec[:12]}".strip()
            rows.append(_row(key, row, verdict))
    return Log(
        tool="truing",
        version=str(run.get("truing", "")),
        model=str(result[side]["ref"]),
        files=FrozenDict({str(path.relative_to(folder)): file_digest(path)}),
        scored_by=FrozenDict(graders),
        rows=tuple(rows),
    )


def _row(key: str, row: Mapping[str, Any], verdict: Verdict) -> LogRow:
    # Where an item has several answers, their keys are ID#0, ID#1, ...
    id, _, sample = key.rpartition("#")
    if not id or not sample.isdecimal():
        id, sample = key, "0"
    return LogRow(
        id=id,
        task=row["suite"],
        dimension=row["dimension"],
        prompt=row["prompt"],
        verdict=verdict,
        sample=int(sample),
        cluster=row["cluster"],
        answer=row["answer"],
        expect=Expect(row["expect"]),
    )
