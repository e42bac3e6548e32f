"""Look inside a model: find a direction of its activations, and choose by what each of them causes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from truing.cli.app import Exit
from truing.cli.probe_diff import Diff
from truing.cli.probe_persona import Persona
from truing.cli.probe_sae import MeasureSAE, TrainSAE
from truing.cli.probe_screen import Screen
from truing.cli.probe_watch import CalibrateWatch, WatchFineTune

if TYPE_CHECKING:
    from truing.probe import Chosen


@dataclass
class FindDirection:
    """Find the direction that mediates a model's refusals: exit 0 only if a candidate passes the filter."""

    model: Annotated[str, tyro.conf.Positional]
    """A folder, hub:ID or organism:NAME."""
    harmful: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Requests that it refuses: JSONL, or a JSON list, with a prompt or an instruction in each row."""
    harmless: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Requests that it answers."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where direction_evaluations.json, direction.safetensors and direction.json go."""
    opener: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="TEXT")] = ()
    """How its refusals begin, of which the first token counts; may be given several times. Without it: I, As."""
    key: int = 0
    """Decides which requests make the candidates and which try them."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps."""
    json: bool = False
    """Print the choice as one JSON object on the last line."""

    def run(self) -> int:
        """Try every candidate, write the scores, choose, and write the direction."""
        from truing.model import load_local
        from truing.probe import (
            candidate_directions,
            check_prompts,
            choose,
            evaluate_candidates,
            opener_ids,
            read_prompts,
            refusal_direction,
            save_directions,
            split_prompts,
            write_candidates,
        )
        from truing.run import check_folder, progress, replace_file

        check_folder(self.out)
        files = {"harmful": self.harmful, "harmless": self.harmless}
        asked = {kind: read_prompts(file) for kind, file in files.items()}
        model = load_local(self.model, device=self.device)
        for kind, prompts in asked.items():
            check_prompts(model, prompts, files[kind])
        openers = opener_ids(model.chat, self.opener or ("I", "As"))
        bad, good = (
            split_prompts(model, prompts, openers, harmful=kind == "harmful", key=self.key)
            for kind, prompts in asked.items()
        )
        directions = candidate_directions(model, bad, good)
        with progress(len(directions), "refusal direction", unit="candidates") as advance:
            candidates = evaluate_candidates(model, directions, bad, good, openers, advance=advance)
        write_candidates(self.out / "direction_evaluations.json", candidates)
        chosen = choose(candidates, len(model.trunk.layers))
        made_of = {
            "harmful": f"{len(bad.train)} of {self.harmful.name}",
            "harmless": f"{len(good.train)} of {self.harmless.name}",
        }
        vector = directions[chosen.position, chosen.layer]
        found = refusal_direction(model, vector, chosen.position, chosen.layer, made_of)
        save_directions(self.out / "direction.safetensors", [found])
        replace_file(self.out / "direction.json", json.dumps(chosen.to_json()).encode("ascii"))
        _tell(chosen, as_json=self.json)
        return Exit.passed


@dataclass
class SelectDirection:
    """Choose the refusal direction from a file of evaluated candidates, by the published rule."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="EVALUATIONS.json")]
    """A list of objects with position, layer, refusal_score, steering_score and kl_div_score."""
    layers: int
    """How many layers the model has that the file is about; of the last fifth no candidate is chosen."""
    json: bool = False
    """Print the choice as one JSON object on the last line."""

    def run(self) -> int:
        """Choose and tell."""
        from truing.data import place
        from truing.probe import choose, read_candidates

        candidates = read_candidates(self.file, self.layers)
        with place(self.file):
            chosen = choose(candidates, self.layers)
        _tell(chosen, as_json=self.json)
        return Exit.passed


@dataclass
class Command:
    """The actions of `truing probe`."""

    action: Annotated[
        Annotated[FindDirection, tyro.conf.subcommand("direction")]
        | Annotated[SelectDirection, tyro.conf.subcommand("select-direction")]
        | Annotated[Persona, tyro.conf.subcommand("persona")]
        | Annotated[TrainSAE, tyro.conf.subcommand("sae")]
        | Annotated[MeasureSAE, tyro.conf.subcommand("measure-sae")]
        | Annotated[Screen, tyro.conf.subcommand("screen")]
        | Annotated[CalibrateWatch, tyro.conf.subcommand("calibrate-watch")]
        | Annotated[WatchFineTune, tyro.conf.subcommand("watch")]
        | Annotated[Diff, tyro.conf.subcommand("diff")],
        tyro.conf.OmitSubcommandPrefixes,
    ]

    def run(self) -> int:
        """Do it."""
        return self.action.run()


def _tell(chosen: "Chosen", *, as_json: bool) -> None:
    print(
        f"position {chosen.position}, layer {chosen.layer}, of {chosen.kept} candidates that pass the filter"
    )
    print(f"refusal {chosen.refusal:.3f}, steering {chosen.steering:.3f}, KL {chosen.kl:.4f} (nats)")
    if as_json:
        print(json.dumps(chosen.to_json()))
