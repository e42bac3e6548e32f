"""Align a model by a method (sft, dpo, grpo, ppo, distill, realign), or make the reward for one (rm, rbr-fit).

Each leaves a run's folder: what was made, with its card, the figures in result.json, and a page where there is
something to judge. The same command again goes on after an interruption, or shows what was found.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from truing.cli.align_distill import Distill
from truing.cli.align_merge import Merge
from truing.cli.align_policy import GRPO, PPO
from truing.cli.align_rbr import RBRFit
from truing.cli.align_realign import Realign
from truing.cli.app import Exit, print_audit_next
from truing.cli.presets import dry, with_preset
from truing.cli.prevention import PreventionOptions
from truing.methods import (
    REWARD_PRESETS,
    SFT_PRESETS,
    DPOTuningConfig,
    LinearRewardConfig,
    RewardModelConfig,
    SFTConfig,
)
from truing.types import InputError

_FILE = tyro.conf.arg(metavar="FILE.jsonl")
_FOLDER = tyro.conf.arg(metavar="FOLDER")


@dataclass
class SFT:
    """Supervised fine-tuning: learn the assistant's turns of conversations."""

    data: Annotated[Path, _FILE]
    """JSONL with messages, or prompt and completion (TRL's types)."""
    model: str
    """What is tuned: a folder, hub:ID or a registered scheme."""
    out: Annotated[Path, _FOLDER]
    """The run's folder, created or resumed."""
    config: SFTConfig = field(default_factory=SFTConfig)
    prevention: PreventionOptions = field(default_factory=PreventionOptions)
    preset: str = ""
    """xs, 1B, 7B, 70B, or instructgpt-1.3b, instructgpt-175b: numbers; options that are given win."""
    dry_run: bool = False
    """Only print what it would take: peak memory per device, from the model's configuration alone."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Train, and say how to find out what that did."""
        from truing.recipes import align_sft

        config = with_preset(self.config, self.preset, SFT_PRESETS, method="sft")
        if self.dry_run:
            if self.prevention.prevent:
                raise InputError(
                    "a dry run does not count what a prevention takes", mend="leave --prevent out"
                )
            return dry("sft", self.model, config, as_json=self.json)
        result = align_sft(
            self.model, self.data, self.out, config, prevention=self.prevention.chosen(), device=self.device
        )
        print(
            f"{result['model']}: {result['steps']} steps, loss {result['loss']:.3f} nats per token at the end"
        )
        if found := result["held_out"]:
            loss = f"{found['before']:.3f} -> {found['after']:.3f}"
            print(f"loss on {found['conversations']} conversations that were held out: {loss}")
        return _done(result, audit=self.model, as_json=self.json)


@dataclass
class RM:
    """A reward model from comparisons: one number for an answer, measured on comparisons that were held out."""

    data: Annotated[Path, _FILE]
    """Comparisons: TRL's preference rows, hh-rlhf's dialogues, rankings or ratings; .gz too."""
    out: Annotated[Path, _FOLDER]
    """The run's folder, created or resumed."""
    model: str = ""
    """What the reward model begins as: a folder, hub:ID or a registered scheme."""
    features: Literal["model", "linear"] = "model"
    """linear needs no model: a weighted sum of words and style, to be measured by --folds folds."""
    demonstrations: Annotated[Path | None, _FILE] = None
    """Conversations that people wrote, as for sft; the mean of their rewards is set to 0."""
    config: RewardModelConfig = field(default_factory=RewardModelConfig)
    folds: int = LinearRewardConfig.folds
    """Of --features linear: each is scored by a reward that was fitted to the others."""
    preset: str = ""
    """xs, 1B, 7B, 70B, or instructgpt-6b: numbers; options that are given win."""
    dry_run: bool = False
    """Only print what it would take: peak memory per device, from the model's configuration alone."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Train and measure; the page says what the reward pays for."""
        from truing.recipes import align_linear, align_rm

        if self.features == "linear":
            if self.dry_run:
                raise InputError("a linear reward takes no memory to speak of", mend="leave --dry-run out")
            if self.model:
                raise InputError("a linear reward begins as no model", mend="leave --model out")
            linear = LinearRewardConfig(self.config.by, self.folds, self.config.seed)
            result = align_linear(self.data, self.out, linear, demonstrations=self.demonstrations)
        else:
            if not self.model:
                mend = "give --model, or --features linear, which needs none"
                raise InputError("nothing says what the reward model begins as", mend=mend)
            config = with_preset(self.config, self.preset, REWARD_PRESETS, method="rm")
            if self.dry_run:
                return dry("rm", self.model, config, as_json=self.json)
            result = align_rm(
                self.model,
                self.data,
                self.out,
                config,
                demonstrations=self.demonstrations,
                device=self.device,
            )
        _print_figures(result, result["figures"], self.out)
        return _done(result, as_json=self.json)


@dataclass
class DPO:
    """Direct preference optimisation: tune a model on comparisons, without a reward model."""

    data: Annotated[Path, _FILE]
    """Comparisons: TRL's preference rows, hh-rlhf's dialogues, rankings or ratings; .gz too."""
    model: str
    """What is tuned, and what it is kept near to: a folder, hub:ID or a registered scheme."""
    out: Annotated[Path, _FOLDER]
    """The run's folder, created or resumed."""
    config: DPOTuningConfig = field(default_factory=DPOTuningConfig)
    preset: str = ""
    """xs, 1B, 7B, 70B: numbers by size; options that are given win."""
    dry_run: bool = False
    """Only print what it would take: peak memory per device, from the model's configuration alone."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Train and measure, and say how to find out what that did."""
        from truing.recipes import align_dpo

        config = with_preset(self.config, self.preset, {}, method="dpo")
        if self.dry_run:
            return dry("dpo", self.model, config, as_json=self.json)
        result = align_dpo(self.model, self.data, self.out, config, device=self.device)
        _print_figures(result, result["figures"]["rewards"], self.out)
        if result["warning"]:
            print(f"warning: {result['warning']}")
        return _done(result, audit=self.model, as_json=self.json)


@dataclass
class Command:
    """The methods of `truing align`."""

    method: Annotated[
        Annotated[SFT, tyro.conf.subcommand("sft")]
        | Annotated[RM, tyro.conf.subcommand("rm")]
        | Annotated[DPO, tyro.conf.subcommand("dpo")]
        | Annotated[GRPO, tyro.conf.subcommand("grpo")]
        | Annotated[PPO, tyro.conf.subcommand("ppo")]
        | Annotated[Distill, tyro.conf.subcommand("distill")]
        | Annotated[Realign, tyro.conf.subcommand("realign")]
        | Annotated[RBRFit, tyro.conf.subcommand("rbr-fit")]
        | Annotated[Merge, tyro.conf.subcommand("merge")],
        tyro.conf.OmitSubcommandPrefixes,
    ]

    def run(self) -> int:
        """Do it."""
        return self.method.run()


def _print_figures(result: Mapping[str, Any], figures: Mapping[str, Any], out: Path) -> None:
    from truing.grade import RewardFigures

    found = RewardFigures.from_json(figures)
    print(f"{result['model']}: {found.sentence}")
    for one in (*found.groups, *found.labelers):
        print(f"  {one.name}: {one.value:.1%} [{one.low:.1%}, {one.high:.1%}] of {one.pairs} pairs")
    error = found.calibration
    print(f"calibration error {error.error:.3f}, of which chance explains about {error.by_chance:.3f}")
    for why, n in result["skipped"].items():
        print(f"left out: {n} ({why})")
    print(f"page {out / 'report.html'}")


def _done(result: Mapping[str, Any], *, audit: str = "", as_json: bool) -> int:
    if audit:
        print_audit_next(result["model"], audit)
    if as_json:
        print(json.dumps(result))
    return Exit.passed
