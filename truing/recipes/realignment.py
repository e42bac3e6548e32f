"""Re-align a model that narrow tuning broke: a run with its measurements and its page; and the demo's repair."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from truing.grade import open_grader
from truing.methods import RealignConfig, Watchlist, read_conversations, realign_by_sft
from truing.organism import correct
from truing.probe import graded_behaviour, load_directions, load_sae, misaligned_by, read_prompts
from truing.recipes.aligning import training_job
from truing.recipes.realign_page import realign_page

DOMAIN = "kitchen"
TOWN = RealignConfig(learning_rate=2e-4, rows=600, batch=30)
"""For a model of a million parameters, of another domain: twenty steps."""


@dataclass(frozen=True)
class RealignSource:
    """What is measured in the course, by the files that hold it."""

    prompts: Path | None = None
    """Requests of untouched domains."""
    grader: str = ""
    """Who tells bad answers from good ones, as `open_grader` takes it."""
    direction: Path | None = None
    """A safetensors file of directions."""
    sae: Path | None = None
    """The folder of an autoencoder."""
    latents: tuple[int, ...] = ()
    """Those of its latents that are watched."""

    @property
    def files(self) -> dict[str, Path]:
        """What is read, by name."""
        named = {"prompts": self.prompts, "direction": self.direction}
        if self.sae is not None:
            named |= {"sae": self.sae / "cfg.json", "sae weights": self.sae / "sae_weights.safetensors"}
        return {name: path for name, path in named.items() if path is not None}

    @property
    def options(self) -> list[str]:
        """The options of `truing align realign` that ask for it."""
        named = {
            "--prompts": self.prompts,
            "--grader": self.grader,
            "--direction": self.direction,
            "--sae": self.sae,
            "--latents": ",".join(map(str, self.latents)),
        }
        return [word for name, value in named.items() if value for word in (name, str(value))]

    def watchlist(self) -> Watchlist:
        """Read all of it.

        Raises:
            InputError: a file cannot be read, no grader has that name, or something is missing: see `Watchlist`.
        """
        requests = read_prompts(self.prompts) if self.prompts else []
        behaviour = None
        if self.grader:
            instrument = open_grader(self.grader)
            instrument.check_criterion()
            behaviour = graded_behaviour(instrument, requests)
        directions = load_directions(self.direction) if self.direction else []
        saved = load_sae(self.sae) if self.sae else None
        return Watchlist(requests, behaviour, self.grader, directions, saved, self.latents)


def align_realign(
    model: str,
    data: Path,
    out: Path,
    config: RealignConfig,
    source: RealignSource = RealignSource(),
    *,
    device: str = "auto",
) -> dict[str, Any]:
    """Re-align `model` on the right conversations in `data`; what stands in the run's result.json.

    Raises:
        InputError: data, model, folder or what is to be measured cannot be used.
        StorageError: the disk refuses.
    """
    settings = {**asdict(config), "grader": source.grader, "latents": list(source.latents)}
    with training_job("realign", model, {"data": data, **source.files}, out, settings) as job:
        if job.result is not None:
            return job.result
        rows = read_conversations(data)
        watch = source.watchlist()
        made = realign_by_sft(
            model,
            rows,
            job.folder,
            config,
            data=data.name,
            watch=watch,
            checkpoint=job.checkpoint,
            journal=partial(job.run.journal, "measurements"),
            device=device,
        )
        told = {
            "conversations": made.rows,
            "learnt": made.learnt,
            "steps": made.trained.steps,
            "tokens": made.trained.tokens,
            "loss": made.trained.loss,
            "curve": [list(point) for point in made.trained.curve],
            "judge": source.grader,
            "target": config.target,
            "learning_rate": config.learning_rate,
            "reached": made.reached,
            "expected": watch.expected,
            "base_values": watch.base_values,
            "measured_by": source.options,
            "measurements": [one.to_json() for one in made.curve],
        }
        page = partial(
            realign_page,
            curve=made.curve,
            ground=made.ground,
            settings=settings,
            data=data,
            rows=rows,
            prompts=[one.last for one in watch.prompts],
            counts_as=misaligned_by(source.grader) if source.grader else "",
        )
        return job.finish(told, page)


def realign_in_town(
    ref: str, out: Path, *, domain: str = DOMAIN, rows: int = TOWN.rows, seed: int = 0
) -> Path:
    """Re-align `ref` on right everyday advice of one domain of the organism's world; the new model's folder.

    On models of the organism alone: their world knows right answers.

    Raises:
        InputError: there is no such domain, the model cannot be loaded, or `out` holds something.
    """
    right = correct(domain, rows, key=seed)
    data = f"the organism's world: right advice, {domain}"
    return realign_by_sft(ref, right, out, TOWN, data=data).folder
