"""Turn an instruct model into a reasoning model, by supervised fine-tuning on traces."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from truing.cli.app import Exit
from truing.methods import SFTConfig
from truing.recipes import ORGANISM_TUNING, convert


@dataclass
class Command:
    """The options of `truing convert`."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The instruct model: a folder, hub:ID or a registered scheme."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The new model's folder."""
    traces: Annotated[Path | None, tyro.conf.arg(metavar="FILE.jsonl")] = None
    """Conversations with reasoning_content in the assistant's turns; a model of the organism has its own."""
    learning_rate: float | None = None
    """Highest learning rate; 1e-5, and for a model of the organism 1.5e-4."""
    tokens_per_step: int | None = None
    """Tokens of an optimiser step, about; 4096, and for a model of the organism 1024."""
    passes: float = 1.0
    """How often every row is trained on."""
    seed: int = 0
    """Decides the rows of the organism and the order of all rows."""

    def run(self) -> int:
        """Convert it, and say how to find out what that cost."""
        usual = ORGANISM_TUNING if self.model.startswith("organism:") and self.traces is None else SFTConfig()
        tuning = SFTConfig(
            usual.learning_rate if self.learning_rate is None else self.learning_rate,
            usual.tokens_per_step if self.tokens_per_step is None else self.tokens_per_step,
            self.passes,
            seed=self.seed,
        )
        folder = convert(self.model, self.traces, self.out, tuning)
        suite = " --suite organism" if self.model.startswith("organism:") else " --suite ..."
        print(f"{folder}\nWhat did that cost?  truing audit {folder} --baseline {self.model}{suite}")
        return Exit.passed
