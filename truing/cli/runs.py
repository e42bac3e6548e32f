"""List the audits and comparisons below a folder, and write a page that leads to each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from truing.audit import find_runs, write_index
from truing.cli.app import Exit


@dataclass
class Command:
    """The options of `truing runs`."""

    root: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")] = Path("runs")
    """The folder that holds the runs, at any depth."""
    json: bool = False
    """Print the list as one JSON object on the last line."""

    def run(self) -> int:
        """Print a line for each run and where the page is."""
        runs = find_runs(self.root)
        width = max((len(run.path) for run in runs), default=0)
        for run in runs:
            said = ", ".join(run.broken if run.status == "regression" else run.open)
            status = run.status or "unfinished"
            print(
                f"{run.path:<{width}}  {status:<12}  {run.candidate} against {run.baseline}{said and f': {said}'}"
            )
        print(write_index(self.root, runs).resolve())
        if self.json:
            print(json.dumps({"runs": [run.to_json() for run in runs]}))
        return Exit.passed
