"""`truing align distill`: a student learns to write as a teacher."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from truing.cli.app import Exit, print_audit_next
from truing.methods import DistillConfig

_FILE = tyro.conf.arg(metavar="FILE.jsonl")
_FOLDER = tyro.conf.arg(metavar="FOLDER")


@dataclass
class Distill:
    """Distillation: learn a teacher's next words in the student's own texts (on-policy), or the teacher's answers.

    The same command again goes on after an interruption, to the same weights bit for bit.
    """

    model: str
    """The student, which is trained: a folder, hub:ID or a registered scheme."""
    teacher: str
    """The teacher: the same; with --samples-of teacher also endpoint:URL#MODEL."""
    prompts: Annotated[Path, _FILE]
    """What is asked: rows with prompt, a text or messages."""
    out: Annotated[Path, _FOLDER]
    """The run's folder, created or resumed."""
    config: DistillConfig = field(default_factory=DistillConfig)
    device: str = "auto"
    """Where both run: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Learn, and say how to find out what that did."""
        from truing.recipes import align_distill

        result = align_distill(
            self.model, self.teacher, self.prompts, self.out, self.config, device=self.device
        )
        print("\n".join(_lines(result)))
        print_audit_next(result["model"], self.model)
        if self.json:
            print(json.dumps(result))
        return Exit.passed


def _lines(result: Mapping[str, Any]) -> list[str]:
    before, after = (result["held_out"][when] for when in ("before", "after"))
    if result["samples_of"] == "student":
        first, last = result["divergence"]
        lines = [
            f"{result['model']}: {result['updates']} updates, {first:.3f} -> {last:.3f} nats per token to the "
            "teacher in training"
        ]
        if after:
            ends = "" if after["low"] is None else f" [{after['low']:.3f}, {after['high']:.3f}]"
            lines.append(
                f"KL(student || teacher) on {after['answers']} answers to held-out prompts: "
                f"{before['value']:.3f} -> {after['value']:.3f}{ends} nats per token"
            )
    else:
        answers = result["answers"]
        lines = [
            f"{result['model']}: {result['steps']} steps on {answers['train']} answers of {result['teacher']}, loss "
            f"{result['loss']:.3f} nats per token at the end"
        ]
        if after is not None:
            lines.append(
                f"loss on {answers['held_out']} answers to held-out prompts: {before:.3f} -> {after:.3f}"
            )
    return [*lines, *(f"left out: {n} ({why})" for why, n in result["skipped"].items())]
