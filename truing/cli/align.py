"""Align a model by a method: learn from answers (sft). Each leaves a run's folder with the model and its card."""

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from truing.cli.app import Exit
from truing.methods import SFT_PRESETS, SFTConfig
from truing.types import InputError

_C = TypeVar("_C")


@dataclass
class SFT:
    """Supervised fine-tuning: learn the assistant's turns of conversations."""

    data: Annotated[Path, tyro.conf.arg(metavar="FILE.jsonl")]
    """JSONL with messages, or prompt and completion (TRL's types)."""
    model: str
    """What is tuned: a folder, hub:ID or a registered scheme."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The run's folder, created or resumed; the model is in its folder `model`."""
    config: SFTConfig = field(default_factory=SFTConfig)
    preset: str = ""
    """Published numbers, instructgpt-1.3b or instructgpt-175b; options that differ from their default win."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Train, and say how to find out what that did."""
        from truing.recipes import align_sft

        config = with_preset(self.config, self.preset, SFT_PRESETS)
        result = align_sft(self.model, self.data, self.out, config, device=self.device)
        print(
            f"{result['model']}: {result['steps']} steps, loss {result['loss']:.3f} nats per token at the end"
        )
        print(f"What did that do?  truing audit {result['model']} --baseline {self.model} --suite ...")
        return done(result, as_json=self.json)


@dataclass
class Command:
    """The methods of `truing align`."""

    method: Annotated[
        Annotated[SFT, tyro.conf.subcommand("sft")],
        tyro.conf.OmitSubcommandPrefixes,
    ]

    def run(self) -> int:
        """Do it."""
        return self.method.run()


def with_preset(given: _C, preset: str, presets: Any) -> _C:
    """The preset's numbers, but for those that were given as options.

    Raises:
        InputError: there is no such preset.
    """
    if not preset:
        return given
    if preset not in presets:
        raise InputError(f"there is no preset {preset!r}", mend=f"choose from {', '.join(presets)}")
    usual = type(given)()
    named = {f.name: getattr(given, f.name) for f in fields(given)}  # type: ignore[arg-type]
    return replace(presets[preset], **{n: v for n, v in named.items() if v != getattr(usual, n)})


def done(result: dict[str, Any], *, as_json: bool) -> int:
    """Print the result for machines, where that is wanted."""
    if as_json:
        print(json.dumps(result))
    return Exit.passed
