"""Align a model by a method, then audit it against what it was: one command, one page, and the audit's exit code.

The method comes last, with its own options: truing align-audit --suite xstest sft --data ... --model ... --out ...
The same command again goes on after an interruption; with another suite it audits the same alignment once more.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from truing.audit import Runtime, Settings, usual_suite
from truing.cli.align import DPO, SFT
from truing.cli.align_policy import GRPO, PPO
from truing.cli.align_realign import Realign
from truing.cli.audit import CODES
from truing.cli.policy import PolicyFlags
from truing.grade import read_card
from truing.types import InputError


@dataclass
class Command:
    """The options of `truing align-audit`."""

    method: Annotated[
        Annotated[SFT, tyro.conf.subcommand("sft")]
        | Annotated[DPO, tyro.conf.subcommand("dpo")]
        | Annotated[GRPO, tyro.conf.subcommand("grpo")]
        | Annotated[PPO, tyro.conf.subcommand("ppo")]
        | Annotated[Realign, tyro.conf.subcommand("realign")],
        tyro.conf.OmitSubcommandPrefixes,
    ]
    suite: Annotated[str | None, tyro.conf.arg(metavar="SUITES")] = None
    """As for `truing audit`: NAME[:FOLDER|FILE|HUB_ID],...; of a registered scheme (organism:) its own suite."""
    baseline: Annotated[str, tyro.conf.arg(metavar="MODEL")] = ""
    """What the new model is compared with, if not with what the method began from."""
    settings: Settings = field(default_factory=Settings)
    policy: PolicyFlags = field(default_factory=PolicyFlags)
    card: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """Calibration cards of graders, as `truing judge calibrate` writes them."""
    dtype: str = "auto"
    """Number format of both models in the audit: auto (the checkpoint's), float32, bfloat16."""
    retry_errors: bool = False
    """Ask and judge again what ended in an error in the audit."""
    json: bool = False
    """Print the results as one JSON object on the last line."""

    def run(self) -> int:
        """Align, then audit; the exit code is the audit's verdict."""
        from truing.recipes import align_and_audit

        method = self.method
        if method.dry_run:
            raise InputError("a dry run makes no model to audit", mend="use truing align METHOD --dry-run")
        baseline = self.baseline or method.model
        found = align_and_audit(
            lambda folder: replace(method, out=folder, json=False).run(),
            baseline,
            self.suite or usual_suite(baseline, baseline),
            self.settings,
            self.policy.read(),
            method.out,
            cards=[read_card(file) for file in self.card],
            runtime=Runtime(method.device, self.dtype, None, self.retry_errors),
        )
        print("\n".join(found.audit.lines()))
        print(f"page {found.page}")
        if self.json or method.json:
            print(json.dumps({"alignment": found.alignment, "audit": found.audit.to_json()}))
        return CODES[found.audit.decision.status]
