"""Compare two logs item by item: did the second lose something that the first could do?"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from truing.audit import compare_logs
from truing.cli.audit import CODES, write_findings
from truing.cli.policy import PolicyFlags
from truing.grade import read_card


@dataclass
class Command:
    """The options of `truing compare`."""

    baseline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
    """The log to compare with: a folder of truing audit (FOLDER/baseline or FOLDER/candidate for one side, the latter
    by default), an Inspect log, lm-eval's samples_*.jsonl or a folder of them, or promptfoo's output."""
    candidate: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="B")]
    """The log of what changed, written by the same tool."""
    policy: PolicyFlags = field(default_factory=PolicyFlags)
    score: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Which score counts, where the logs have several: a metric, METRIC,FILTER, a scorer, a named score."""
    card: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE")] = ()
    """Calibration cards of graders, as `truing judge calibrate` writes them."""
    seed: int = 0
    """Key of the resampling of intervals."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Write compare.json and report.html into this folder."""
    junit: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the findings as JUnit XML."""
    sarif: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the findings as SARIF 2.1.0."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Compare; the exit code is the verdict."""
        result = compare_logs(
            self.baseline,
            self.candidate,
            self.policy.read(),
            score=self.score,
            seed=self.seed,
            cards=[read_card(file) for file in self.card],
            out=self.out,
        )
        write_findings(result, self.candidate, junit=self.junit, sarif=self.sarif)
        print("\n".join(result.lines()))
        if self.json:
            print(json.dumps(result.to_json()))
        return CODES[result.decision.status]
