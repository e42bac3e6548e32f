"""Whole trainings as runs: a folder that is resumed by the same command, with the model, its card and its figures."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.data import read_comparisons, reading
from truing.methods import (
    DPOTuningConfig,
    LinearRewardConfig,
    RewardModelConfig,
    SFTConfig,
    finetune,
    read_conversations,
    train_linear_reward,
    train_reward_model,
    tune_by_dpo,
)
from truing.model import identify
from truing.recipes.preference_page import preference_page
from truing.recipes.preventing import PreventionSource
from truing.run import Run, rank
from truing.types import InputError, thaw

if TYPE_CHECKING:
    from truing.train import Trained

_RESULT, _PAGE = "result.json", "report.html"


def align_sft(
    model: str,
    data: Path,
    out: Path,
    config: SFTConfig,
    *,
    prevention: PreventionSource | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Fine-tune `model` on the conversations in `data`; what stands in the run's result.json.

    Raises:
        InputError: data, model, folder or what a prevention is made of cannot be used.
        StorageError: the disk refuses.
    """
    files, settings = {"data": data}, asdict(config)
    if prevention is not None:
        files, settings = files | prevention.files, settings | prevention.settings
    with training_job("sft", model, files, out, settings) as job:
        if job.result is not None:
            return job.result
        rows = read_conversations(data)
        what = "supervised fine-tuning"
        tuned = finetune(
            model,
            rows,
            job.folder,
            config,
            what=what,
            data=data.name,
            checkpoint=job.checkpoint,
            device=device,
            prevention=prevention.read() if prevention else None,
        )
        validation = None if tuned.validation is None else asdict(tuned.validation)
        told = {} if prevention is None else prevention.settings
        return job.finish(
            {"conversations": len(rows), "held_out": validation, **_told(tuned.trained), **told}
        )


def align_rm(
    model: str,
    data: Path,
    out: Path,
    config: RewardModelConfig,
    *,
    demonstrations: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Train a reward model that begins as `model` on the comparisons in `data`; what stands in result.json.

    Raises:
        InputError: data, model or folder cannot be used.
        StorageError: the disk refuses.
    """
    with training_job("rm", model, _files(data, demonstrations), out, asdict(config)) as job:
        if job.result is not None:
            return job.result
        comparisons = read_comparisons(data)
        made = train_reward_model(
            model,
            comparisons,
            job.folder,
            config,
            data=data.name,
            demonstrations=read_conversations(demonstrations) if demonstrations else (),
            checkpoint=job.checkpoint,
            device=device,
        )
        told = {
            "comparisons": made.prompts,
            "skipped": dict(made.skipped),
            "bias": made.bias,
            **_told(made.trained),
            "figures": made.figures.to_json(),
        }
        page = partial(preference_page, figures=made.figures, ground=made.ground, settings=asdict(config))
        return job.finish(told, page)


def align_linear(
    data: Path, out: Path, config: LinearRewardConfig, *, demonstrations: Path | None = None
) -> dict[str, Any]:
    """Fit a linear reward to the comparisons in `data`; what stands in the run's result.json.

    Raises:
        InputError: data or folder cannot be used.
        StorageError: the disk refuses.
    """
    with training_job(
        "rm", "", _files(data, demonstrations), out, {"features": "linear", **asdict(config)}
    ) as job:
        if job.result is not None:
            return job.result
        made = train_linear_reward(
            read_comparisons(data),
            job.folder,
            config,
            data=data.name,
            demonstrations=read_conversations(demonstrations) if demonstrations else (),
        )
        told = {
            "comparisons": made.comparisons,
            "skipped": dict(made.skipped),
            "pays": dict(made.pays),
            "figures": made.figures.to_json(),
        }
        page = partial(preference_page, figures=made.figures, ground=made.ground, settings=asdict(config))
        return job.finish(told, page)


def align_dpo(
    model: str, data: Path, out: Path, config: DPOTuningConfig, *, device: str = "auto"
) -> dict[str, Any]:
    """Tune `model` on the comparisons in `data`; what stands in the run's result.json.

    Raises:
        InputError: data, model or folder cannot be used.
        StorageError: the disk refuses.
    """
    with training_job("dpo", model, {"data": data}, out, asdict(config)) as job:
        if job.result is not None:
            return job.result
        made = tune_by_dpo(
            model,
            read_comparisons(data),
            job.folder,
            config,
            data=data.name,
            checkpoint=job.checkpoint,
            device=device,
        )
        told = {
            "comparisons": made.prompts,
            "skipped": dict(made.skipped),
            "warning": made.figures.warning,
            **_told(made.trained),
            "figures": made.figures.to_json(),
        }
        page = partial(
            preference_page,
            figures=made.figures.rewards,
            ground=made.ground,
            settings=asdict(config),
            moved=made.figures,
        )
        return job.finish(told, page)


@dataclass
class TrainingJob:
    """A training in a run's folder: what it was found to have given, or None, and where things go."""

    run: Run
    method: str
    base: str
    result: dict[str, Any] | None

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.run.path / "model"

    @property
    def checkpoint(self) -> Path:
        """The file of the training's state."""
        return self.run.path / "training.pt"

    def finish(
        self, told: dict[str, Any], page: Callable[[dict[str, Any]], str] | None = None
    ) -> dict[str, Any]:
        """Write the page of the result, then the result; the training's state is no longer needed."""
        result = {"method": self.method, "base": self.base, "model": str(self.folder), **told}
        if page is not None:
            self.run.write_text(_PAGE, page(result))
        self.run.write_json(_RESULT, result)
        self.checkpoint.unlink(missing_ok=True)
        return result


@contextmanager
def training_job(
    method: str, base: str, files: dict[str, Path], out: Path, config: dict[str, Any]
) -> Iterator[TrainingJob]:
    """Open the run; a finished one has its result, a killed one goes on from its checkpoint.

    A run that could not begin, because of what it was given, leaves nothing: the mended file is another
    configuration, and the same command must do then.

    Raises:
        InputError: a number of the configuration is not finite; or see `Run.open`.
    """
    for name, value in config.items():
        if isinstance(value, float) and not isfinite(value):
            raise InputError(f"{name} is a finite number, not {value}")
    whole = {"method": method, "base": thaw(identify(base)) if base else {}, **config}
    new = not (out / "run.json").exists()
    try:
        with Run.open(out, whole, inputs={name: _digest(path) for name, path in files.items()}) as run:
            job = TrainingJob(run, method, base, run.read_json(_RESULT))
            if (
                job.result is None and job.folder.exists()
            ):  # of a life killed between the model and its result
                shutil.rmtree(job.folder)
            yield job
    except InputError:
        # A file that cannot be read is told before there is a folder.
        if new and rank() == 0 and out.is_dir() and {p.name for p in out.iterdir()} <= {"run.json", "lock"}:
            shutil.rmtree(out)
        raise


def _files(data: Path, demonstrations: Path | None) -> dict[str, Path]:
    return {"data": data} | ({"demonstrations": demonstrations} if demonstrations else {})


def _digest(path: Path) -> str:
    with reading(path) as file:
        return sha256(file.read()).hexdigest()


def _told(trained: "Trained") -> dict[str, Any]:
    return {
        "steps": trained.steps,
        "tokens": trained.tokens,
        "loss": trained.loss,
        "curve": [list(point) for point in trained.curve],
    }
