"""All audits and comparisons below a folder: what was found, what it cost, and a page that leads to each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from truing.data import read_json
from truing.pages import render
from truing.run import Ledger, replace_file
from truing.types import InputError, Record

_RESULTS = ("audit.json", "compare.json")
INDEX = "index.html"


@dataclass(frozen=True)
class RunSummary(Record):
    """One run: where, what it compared, what it found. `status` is empty where it has not finished."""

    path: str
    verb: str
    candidate: str
    baseline: str
    status: str = ""
    reason: str = ""
    broken: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    tokens: int = 0


def find_runs(root: Path) -> list[RunSummary]:
    """Every audit and comparison in a folder below `root`, by path; unfinished ones too.

    Raises:
        InputError: there is no such folder, or a result is damaged; names the file.
    """
    if not root.is_dir():
        raise InputError("there is no such folder", file=root, mend="give the folder that holds your runs")
    found = []
    for record in sorted(root.rglob("run.json")):
        told = read_json(record)
        config = told.get("config", {}) if isinstance(told, dict) else {}
        if config.get("verb") in ("audit", "compare"):
            found.append(_summary(record.parent, root, config))
    return found


def write_index(root: Path, runs: Sequence[RunSummary]) -> Path:
    """Write `index.html` into `root`, with a link to the page of each run.

    Raises:
        StorageError: the disk refuses.
    """
    page = render(
        "runs.html.j2",
        package="truing.audit",
        title="Runs",
        runs=runs,
        pages={
            run.path: f"{run.path}/report.html" for run in runs if (root / run.path / "report.html").is_file()
        },
    )
    replace_file(root / INDEX, page.encode("utf-8", "backslashreplace"))
    return root / INDEX


def _summary(folder: Path, root: Path, config: dict[str, object]) -> RunSummary:
    path = str(folder.relative_to(root))
    begun = RunSummary(path, str(config["verb"]), str(config.get("candidate")), str(config.get("baseline")))
    result = next((folder / name for name in _RESULTS if (folder / name).is_file()), None)
    if result is None:
        return begun
    try:
        decision = read_json(result)["decision"]
        findings = [(f["dimension"], f["status"]) for f in decision["findings"]]
        status, reason = decision["status"], decision["reason"]
    except (KeyError, TypeError) as why:
        raise InputError(
            "is no result of an audit", file=result, mend="run it again in another folder"
        ) from why
    return RunSummary(
        path,
        begun.verb,
        begun.candidate,
        begun.baseline,
        status,
        reason,
        tuple(name for name, of in findings if of == "regression"),
        tuple(name for name, of in findings if of == "inconclusive"),
        _tokens(folder / "ledger.sqlite"),
    )


def _tokens(file: Path) -> int:
    """What its models wrote, by its ledger."""
    if not file.is_file():
        return 0
    with Ledger(file) as ledger:
        return int(ledger.totals(by=("kind",)).get(("completion tokens",), 0.0))
