"""`truing align grpo` and `ppo`: learn from rewards for what the model itself writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from truing.cli.app import Exit
from truing.cli.presets import with_preset
from truing.methods import GRPO_PRESETS, GRPOTuningConfig

_FILE = tyro.conf.arg(metavar="FILE.jsonl")
_FOLDER = tyro.conf.arg(metavar="FOLDER")
_SPEC = tyro.conf.arg(metavar="SPEC[=WEIGHT]")


@dataclass
class GRPO:
    """Learn from rewards for the model's own answers, each compared with others to the same prompt (GRPO, RLOO).

    The same command again goes on after an interruption, to the same weights bit for bit, and after a reward failed
    and was mended.
    """

    model: Annotated[str, tyro.conf.Positional]
    """What is tuned, and what it is kept near to: a folder, hub:ID or a registered scheme."""
    reward: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], _SPEC] = ()
    """FILE.py:FUNCTION as TRL calls it, rm:FOLDER, rbr:WEIGHTS.json, or a registered name; give it several times to
    add several up."""
    prompts: Annotated[Path | None, _FILE] = None
    """What the model is asked: rows with prompt (a text or messages); further columns go to the rewards. A
    checkpoint of the organism is asked its own training prompts without it."""
    out: Annotated[Path, _FOLDER] = Path("runs/grpo")
    """The run's folder, created or resumed."""
    watch: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="SPEC")] = ()
    """A metric, named like a reward, that is measured on held-out prompts and never learnt from: only such a one can
    tell a gain from a hacked reward."""
    rules: str = ""
    """Of rbr: the rules that the weights were fitted for."""
    judge: str = ""
    """Of rbr: the model that is asked them."""
    config: GRPOTuningConfig = field(default_factory=GRPOTuningConfig)
    preset: str = ""
    """small: numbers of ours for about a million parameters, the default for the organism's checkpoints; options that
    differ from their default win."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Learn, and say how to find out what that did."""
        from truing.recipes import PolicySource, align_grpo

        source = PolicySource(self.reward, self.prompts, self.watch, self.rules, self.judge)
        config = with_preset(self.config, self.preset or _usual(self.model), GRPO_PRESETS)
        result = align_grpo(self.model, source, self.out, config, device=self.device)
        return _done(result, self.out, self.model, as_json=self.json)


def _usual(model: str) -> str:
    return "small" if model.startswith("organism:") else ""


def _done(result: Mapping[str, Any], out: Path, model: str, *, as_json: bool) -> int:
    first, last = (f"{x:.3f}" if x is not None else "none" for x in result["rewards"])
    print(f"{result['model']}: {result['updates']} updates, mean reward {first} -> {last} in training")
    kl = result["kl"]
    if kl["per_answer"] is not None:
        print(f"KL spent: {kl['per_answer']:.2f} nats per answer, {kl['per_token']:.4f} per token")
    before, after = result["held_out"]["before"], result["held_out"]["after"]
    for name, found in after.items():
        was = f"{before[name]['value']:.3f} -> " if name in before else ""
        ends = f"[{found['low']:.3f}, {found['high']:.3f}]"
        lost = f", {found['missing']} without a value" if found["missing"] else ""
        print(f"{name}: {was}{found['value']:.3f} {ends}, {found['n']} answers{lost}")
    if result["stopped"]:
        print(f"stopped early: {result['stopped']}")
    for why, n in result["skipped"].items():
        print(f"left out: {n} ({why})")
    print(f"every answer: {out / 'journal' / 'samples.jsonl'}")
    print(f"What did that do?  truing audit {result['model']} --baseline {model} --suite ...")
    if as_json:
        print(json.dumps(result))
    return Exit.passed
