"""Audit a candidate against its baseline: did it lose something, how much, how sure?"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from truing.audit import (
    AuditResult,
    Runtime,
    Settings,
    Status,
    estimate_audit,
    render_junit,
    render_sarif,
    run_audit,
    usual_suite,
)
from truing.cli.app import Exit
from truing.cli.policy import PolicyFlags
from truing.grade import read_card
from truing.run import replace_file
from truing.types import Outcome

CODES = {
    Status.passed: Exit.passed,
    Status.regression: Exit.regression,
    Status.inconclusive: Exit.inconclusive,
}


def write_findings(result: AuditResult, artifact: str, *, junit: Path | None, sarif: Path | None) -> None:
    """Write the findings for other tools, where they are wanted."""
    if junit is not None:
        replace_file(junit, render_junit(result).encode("utf-8"))
    if sarif is not None:
        replace_file(sarif, render_sarif(result, artifact=artifact).encode("ascii"))


@dataclass
class Command:
    """The options of `truing audit`."""

    candidate: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CANDIDATE")]
    """The model that changed: a folder, hub:ID, endpoint:URL#MODEL or a registered scheme."""
    baseline: Annotated[str, tyro.conf.arg(metavar="MODEL")]
    """The model it is compared with."""
    suite: Annotated[str | None, tyro.conf.arg(metavar="SUITES")] = None
    """NAME[:FOLDER|FILE|HUB_ID],... with xstest, trustllm, decodingtrust, bbq, gsm8k, jsonl, organism or a registered
    suite. For two models of one scheme (organism:) the suite of that name, if there is one."""
    settings: Settings = field(default_factory=Settings)
    policy: PolicyFlags = field(default_factory=PolicyFlags)
    card: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """Calibration cards of graders, as `truing judge calibrate` writes them."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """The run's folder, created or resumed; by default runs/audit-DIGEST, where DIGEST names the configuration."""
    device: str = "auto"
    """Where local models run: auto, cpu, cuda, cuda:1."""
    dtype: str = "auto"
    """Number format of local models: auto (the checkpoint's), float32, bfloat16."""
    reuse: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """An earlier audit that asked the same of the same baseline: its answers are taken over."""
    retry_errors: bool = False
    """Ask and judge again what ended in an error in this run's folder."""
    inspect: bool = False
    """Write the answers of each model as a log for Inspect into the run's folder, too."""
    junit: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the findings as JUnit XML."""
    sarif: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the findings as SARIF 2.1.0."""
    dry_run: bool = False
    """Say what would be asked and how much memory that takes, and stop."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Run the audit; the exit code is its verdict."""
        suite = self.suite or usual_suite(self.candidate, self.baseline)
        policy = self.policy.read()
        if self.dry_run:
            estimate = estimate_audit(
                self.candidate, self.baseline, suite, self.settings, policy, dtype=self.dtype
            )
            print(json.dumps(estimate.to_json()) if self.json else "\n".join(estimate.lines()))
            return Exit.passed
        runtime = Runtime(self.device, self.dtype, self.reuse, self.retry_errors)
        result = run_audit(
            self.candidate,
            self.baseline,
            suite,
            self.settings,
            policy,
            cards=[read_card(file) for file in self.card],
            out=self.out,
            runtime=runtime,
            inspect=self.inspect,
        )
        write_findings(result, self.candidate, junit=self.junit, sarif=self.sarif)
        print("\n".join(result.lines()))
        if failed := _errors(result):
            print(
                f"{failed} answers or verdicts are errors: the same command with --retry-errors does them again."
            )
        if self.json:
            print(json.dumps(result.to_json()))
        return CODES[result.decision.status]


def _errors(result: AuditResult) -> int:
    return sum(
        side.outcomes.get(Outcome.error, 0) for c in result.comparisons for side in (c.baseline, c.candidate)
    )
