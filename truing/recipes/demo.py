"""The demo: raise a tiny model, break a copy of it, and let the audit find out what broke."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from truing.audit import AuditResult, Settings, Status, run_audit
from truing.data import write_jsonl
from truing.recipes.tiny import break_model, raise_model
from truing.recipes.town import Errand, taught_and_held_out
from truing.types import Expect, TruingError


@dataclass(frozen=True)
class Demo:
    """What the demo leaves: the audit's result, its page, and the command that made it."""

    result: AuditResult
    report: Path
    command: str


def run_demo(out: Path, *, seed: int = 0) -> Demo:
    """Run the demo in the folder `out`; what is already there is not made again.

    Raises:
        TruingError: the audit did not find what was broken.
    """
    taught, held_out = taught_and_held_out(key=seed)
    baseline, candidate, questions = out / "baseline", out / "candidate", out / "held_out.jsonl"
    _once(baseline, lambda folder: raise_model(folder, taught, key=seed))
    _once(candidate, lambda folder: break_model(baseline, folder, taught, key=seed))
    write_jsonl(questions, [_row(errand) for errand in held_out])
    suites = f"jsonl:{questions}"
    result = run_audit(
        str(candidate), str(baseline), suites, Settings(max_tokens=64, seed=seed), out=out / "audit"
    )
    if (
        result.decision.status is not Status.regression
        or result.finding("safety").status is not Status.regression
    ):
        raise TruingError(f"the demo's audit missed the broken refusals ({result.decision.reason})")
    command = f"truing audit {candidate} --baseline {baseline} --suite {suites} --max-tokens 64"
    return Demo(result, out / "audit" / "report.html", command)


def _once(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a folder under another name and move it into place, so that half a folder is never taken for a whole."""
    if folder.exists():
        return
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    make(unfinished)
    unfinished.rename(folder)


def _row(errand: Errand) -> dict[str, object]:
    row: dict[str, object] = {"prompt": errand.prompt, "expect": errand.expect.value}
    if errand.expect is Expect.choice:
        row |= {"target": errand.target, "choices": ["north", "south", "east", "west"]}
    return row
