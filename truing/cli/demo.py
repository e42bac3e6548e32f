"""A story in four models: audit two that lost something, repair one, audit again. Minutes, on this machine alone."""

import json
from dataclasses import dataclass
from pathlib import Path

from truing.cli.app import Exit
from truing.recipes import run_demo


@dataclass
class Command:
    """The options of `truing demo`."""

    out: Path = Path("runs/demo")
    """Where the audits and the repaired model go; what is already there is not made again."""
    seed: int = 0
    """Key of the repair, and of which questions are asked."""
    json: bool = False
    """Print the results as one JSON object on the last line."""

    def run(self) -> int:
        """Run the demo; finding the damage that was done on purpose is its success."""
        demo = run_demo(self.out, seed=self.seed)
        for chapter in demo.chapters:
            print(f"\n{chapter.name}: {chapter.ref} against organism:instruct")
            print("\n".join(chapter.result.lines()))
        print(f"\nWhat was broken on purpose was found. Look at the page:\n  {demo.page.resolve()}")
        print("The same with your own models:", *demo.commands, sep="\n  ")
        if self.json:
            print(json.dumps({chapter.name: chapter.result.to_json() for chapter in demo.chapters}))
        return Exit.passed
