"""`truing align grpo` and `ppo`: learn from rewards for what the model itself writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from truing.cli.app import Exit, print_audit_next
from truing.cli.presets import dry, with_preset
from truing.methods import GRPO_PRESETS, PPO_PRESETS, GRPOTuningConfig, PPOTuningConfig
from truing.types import InputError

if TYPE_CHECKING:
    from truing.recipes import PolicySource

_FILE = tyro.conf.arg(metavar="FILE.jsonl")
_FOLDER = tyro.conf.arg(metavar="FOLDER")
_SPEC = tyro.conf.arg(metavar="SPEC[=WEIGHT]")


@dataclass
class _Policy:
    """What both methods are given."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """What is tuned: a folder, hub:ID or a registered scheme."""
    reward: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], _SPEC] = ()
    """FILE.py:FUNCTION as TRL calls it, rm:FOLDER, rbr:WEIGHTS.json, or a registered name; several are added up."""
    prompts: Annotated[Path | None, _FILE] = None
    """What the model is asked: rows with prompt (a text or messages); further columns go to the rewards. Without
    it a checkpoint of the organism is asked its own training prompts."""
    watch: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="SPEC")] = ()
    """A metric, named like a reward, that is measured on held-out prompts and never learnt from: only such a one can
    tell a gain from a hacked reward."""
    stop_for: Annotated[str, tyro.conf.arg(metavar="SPEC")] = ""
    """Of --watch: stop early where this metric has fallen, by more than noise, since its best."""
    rules: str = ""
    """Of rbr: the rules that the weights were fitted for."""
    judge: str = ""
    """Of rbr: the model that is asked them."""
    rollouts: Annotated[str, tyro.conf.arg(metavar="endpoint:URL#MODEL")] = ""
    """A vLLM server that writes the answers and is given the policy's weights before each update; docs/scale.md says
    how it is started."""
    versions: Annotated[Path | None, _FOLDER] = None
    """Of --rollouts: where the weights or adapters are written, which the server sees under the same path."""
    preset: str = ""
    """Numbers by name; options that are given win. small is ours, for about a million parameters, and
    the default for the organism's checkpoints; ppo also has paper, and xs, 1B, 7B, 70B are numbers by size."""
    resume: bool = False
    """Go on with the run in the folder, and begin none where there is none. Without it either is done."""
    dry_run: bool = False
    """Only print what it would take: peak memory per device, from the model's configuration alone."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    @property
    def source(self) -> "PolicySource":
        """What is learnt from."""
        from truing.recipes import PolicySource

        return PolicySource(
            self.reward,
            self.prompts,
            self.watch,
            self.rules,
            self.judge,
            self.stop_for,
            self.rollouts,
            self.versions,
        )

    @property
    def numbers(self) -> str:
        """The preset that is meant."""
        return self.preset or ("small" if self.model.startswith("organism:") else "")

    def check(self, out: Path) -> None:
        """Raise InputError where a run is to be gone on with and there is none."""
        if self.resume and not (out / "run.json").is_file():
            raise InputError(
                "holds no run to go on with", file=out, mend="name its folder, or leave --resume out"
            )


@dataclass
class GRPO(_Policy):
    """Learn from rewards for the model's own answers, each compared with others to the same prompt (GRPO, RLOO).

    The same command again goes on after an interruption, to the same weights bit for bit, and after a reward failed
    and was mended.
    """

    out: Annotated[Path, _FOLDER] = Path("runs/grpo")
    """The run's folder, created or resumed."""
    config: GRPOTuningConfig = field(default_factory=GRPOTuningConfig)

    def run(self) -> int:
        """Learn, and say how to find out what that did."""
        from truing.recipes import align_grpo

        config = with_preset(self.config, self.numbers, GRPO_PRESETS, method="grpo")
        if self.dry_run:
            return dry("grpo", self.model, config, as_json=self.json)
        self.check(self.out)
        result = align_grpo(self.model, self.source, self.out, config, device=self.device)
        return _done(result, self.out, self.model, as_json=self.json)


@dataclass
class PPO(_Policy):
    """Learn from rewards as InstructGPT did: a start from demonstrations, PPO, pretraining gradients.

    The same command again goes on after an interruption, to the same weights bit for bit, and after a reward failed
    and was mended.
    """

    out: Annotated[Path, _FOLDER] = Path("runs/ppo")
    """The run's folder, created or resumed."""
    demonstrations: Annotated[Path | None, _FILE] = None
    """Conversations as for sft, on which the start is tuned; without them the start is the model as it is."""
    pretraining: Annotated[Path | None, _FILE] = None
    """Rows with text, for the pretraining gradient and the start; a checkpoint of the organism has its own."""
    value: str = ""
    """The reward model that the value model begins as; without it the first rm: among the rewards."""
    config: PPOTuningConfig = field(default_factory=PPOTuningConfig)

    def run(self) -> int:
        """Learn, and say how to find out what that did."""
        from truing.recipes import align_ppo

        config = with_preset(self.config, self.numbers, PPO_PRESETS, method="ppo")
        if self.dry_run:
            return dry("ppo", self.model, config, as_json=self.json)
        self.check(self.out)
        result = align_ppo(
            self.model,
            self.source,
            self.out,
            config,
            demonstrations=self.demonstrations,
            pretraining=self.pretraining,
            value=self.value,
            device=self.device,
        )
        return _done(result, self.out, self.model, as_json=self.json)


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
    print(f"{result['hacking']['word']}: {result['hacking']['sentence']}")
    print(f"page {out / 'report.html'}")
    print_audit_next(result["model"], model)
    if as_json:
        print(json.dumps(result))
    return Exit.passed
