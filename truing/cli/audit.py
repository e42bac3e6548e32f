"""Audit a candidate against its baseline: did it lose something, how much, how sure?"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from truing.audit import Settings, Status, estimate_audit, run_audit
from truing.cli.app import Exit

_CODES = {
    Status.passed: Exit.passed,
    Status.regression: Exit.regression,
    Status.inconclusive: Exit.inconclusive,
}


@dataclass
class Command:
    """The options of `truing audit`."""

    candidate: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CANDIDATE")]
    """The model that changed: a folder, hub:ID, endpoint:URL#MODEL or a registered scheme."""
    baseline: Annotated[str, tyro.conf.arg(metavar="MODEL")]
    """The model it is compared with."""
    suite: Annotated[str, tyro.conf.arg(metavar="SUITES")]
    """NAME[:FOLDER|FILE|HUB_ID],... with xstest, trustllm, bbq, gsm8k, jsonl or a registered suite."""
    settings: Settings = field(default_factory=Settings)
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """The run's folder, created or resumed; by default runs/audit-DIGEST, where DIGEST names the configuration."""
    device: str = "auto"
    """Where local models run: auto, cpu, cuda, cuda:1."""
    dtype: str = "auto"
    """Number format of local models: auto (the checkpoint's), float32, bfloat16."""
    dry_run: bool = False
    """Say what would be asked and how much memory that takes, and stop."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Run the audit; the exit code is its verdict."""
        if self.dry_run:
            estimate = estimate_audit(
                self.candidate, self.baseline, self.suite, self.settings, dtype=self.dtype
            )
            print(json.dumps(estimate.to_json()) if self.json else "\n".join(estimate.lines()))
            return Exit.passed
        result = run_audit(
            self.candidate,
            self.baseline,
            self.suite,
            self.settings,
            out=self.out,
            device=self.device,
            dtype=self.dtype,
        )
        print("\n".join(result.lines()))
        if self.json:
            print(json.dumps(result.to_json()))
        return _CODES[result.decision.status]
