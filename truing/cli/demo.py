"""Make two tiny models, break one, and audit it: the whole way, on this machine alone, in about a minute."""

import json
from dataclasses import dataclass
from pathlib import Path

from truing.cli.app import Exit
from truing.recipes import run_demo


@dataclass
class Command:
    """The options of `truing demo`."""

    out: Path = Path("runs/demo")
    """Where the models and the audit go; what is already there is not made again."""
    seed: int = 0
    """Key of the training and of the split into taught and held-out questions."""
    json: bool = False
    """Print the audit's result as one JSON object on the last line."""

    def run(self) -> int:
        """Run the demo; finding the damage that was done on purpose is its success."""
        demo = run_demo(self.out, seed=self.seed)
        print("\n".join(demo.result.lines()))
        print(
            f"\nThe damage was done on purpose, and it was found. Look at the page:\n  {demo.report.resolve()}"
        )
        print(f"The same with your own models:\n  {demo.command}")
        if self.json:
            print(json.dumps(demo.result.to_json()))
        return Exit.passed
