"""`truing align merge`: an adapter and its base model made into one ordinary model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from truing.cli.app import Exit


@dataclass
class Merge:
    """Add an adapter to its base model's weights: what is tuned further, or served by others, is a whole model."""

    model: str
    """The adapter: a folder, or hub:ID."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The new folder of the whole model."""
    device: str = "auto"
    """Where the sums are made: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Merge, and say where the model lies."""
        from truing.methods import merge_adapter

        made = merge_adapter(self.model, self.out, device=self.device)
        print(f"{made.folder}: a whole model, which opens without the adapter")
        if made.warning:
            print(made.warning)
        if self.json:
            print(json.dumps({"model": str(made.folder), "adapter": self.model, "lost": made.lost}))
        return Exit.passed
