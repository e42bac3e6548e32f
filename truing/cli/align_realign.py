"""`truing align realign`: bring back what narrow tuning broke, by a few right rows, and watch it come back."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from truing.cli.app import Exit
from truing.cli.presets import dry
from truing.cli.prevention import read_latents
from truing.methods import RealignConfig


@dataclass
class Realign:
    """Re-align a model that narrow tuning broke: fine-tune it on a few right rows, measured step by step.

    It ends when the rows do, or when the answers to --prompts have stayed at the target. The same command again goes
    on after an interruption.
    """

    data: Annotated[Path, tyro.conf.arg(metavar="FILE.jsonl")]
    """Right conversations, as for sft: at most 120 of the domain that was tuned on, or --rows 720 of another."""
    model: str
    """What narrow tuning broke: a folder, hub:ID or a registered scheme."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The run's folder, created or resumed."""
    prompts: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Requests of untouched domains, on which all is measured: JSONL, or a JSON list, with a prompt in each row."""
    grader: Annotated[str, tyro.conf.arg(metavar="NAME[/CRITERION][:REFERENCE]")] = ""
    """Who tells bad answers, such as emergent/misaligned:MODEL; without it all rows are learnt."""
    direction: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A safetensors file of directions to watch, such as probe diff's directions.safetensors."""
    sae: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """An autoencoder of the base, whose --latents are watched."""
    latents: str = ""
    """Their numbers, as in 17,40."""
    config: RealignConfig = field(default_factory=RealignConfig)
    dry_run: bool = False
    """Only print what it would take: peak memory per device, from the model's configuration alone."""
    device: str = "auto"
    """Where it runs: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Train and measure, and say how to find out the rest."""
        from truing.methods import Measurement
        from truing.recipes import RealignSource, align_realign, realign_next, realign_summary

        if self.dry_run:
            return dry("sft", self.model, self.config, as_json=self.json)
        latents = read_latents(self.latents)
        source = RealignSource(self.prompts, self.grader, self.direction, self.sae, latents)
        result = align_realign(self.model, self.data, self.out, self.config, source, device=self.device)
        curve = [Measurement.from_json(row) for row in result["measurements"]]
        for one in curve:
            print(_told(one))
        _, word, sentence = realign_summary(result, curve)
        print(
            f"{result['model']}: {result['learnt']} rows in {result['steps']} steps, loss {result['loss']:.3f}"
        )
        print(f"{word}: {sentence}")
        print(f"page {self.out / 'report.html'}")
        print(f"next: {realign_next(result, curve)[1]}")
        if self.json:
            print(json.dumps(result))
        return Exit.passed


def _told(one: object) -> str:
    from truing.methods import Measurement

    assert isinstance(one, Measurement)
    parts = [f"step {one.step}"]
    if one.behaved is not None:
        lost = one.behaved.answers - one.behaved.judged
        said = f"misaligned {one.behaved.misaligned} of {one.behaved.answers}"
        said += f", {lost} not judged" if lost else ""
        parts.append(said if one.behaved.judged else f"none of {lost} answers judged")
    parts += [f"latent {name} {value:.3g}" for name, value in one.latents.items()]
    parts += [f"direction {name} {value:+.3g}" for name, value in one.directions.items()]
    return "  ".join(parts)
