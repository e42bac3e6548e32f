"""Whole trainings as runs: a folder that is resumed by the same command, with the model, its card and its figures."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.data import reading
from truing.methods import SFTConfig, finetune, read_conversations
from truing.model import identify
from truing.run import Run
from truing.types import thaw

if TYPE_CHECKING:
    from truing.train import Trained

_RESULT = "result.json"


def align_sft(
    model: str, data: Path, out: Path, config: SFTConfig, *, device: str = "auto"
) -> dict[str, Any]:
    """Fine-tune `model` on the conversations in `data`; what stands in the run's result.json.

    Raises:
        InputError: data, model or folder cannot be used.
        StorageError: the disk refuses.
    """
    with _job("sft", model, {"data": data}, out, asdict(config)) as job:
        if job.result is None:
            rows = read_conversations(data)
            tuned = finetune(
                model,
                rows,
                job.folder,
                config,
                what="supervised fine-tuning",
                data=data.name,
                checkpoint=job.checkpoint,
                device=device,
            )
            return job.finish({"conversations": len(rows), **_told(tuned.trained)})
        return job.result


@dataclass
class _Job:
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

    def finish(self, told: dict[str, Any]) -> dict[str, Any]:
        """Write the result; the training's state is no longer needed."""
        result = {"method": self.method, "base": self.base, "model": str(self.folder), **told}
        self.run.write_json(_RESULT, result)
        self.checkpoint.unlink(missing_ok=True)
        return result


@contextmanager
def _job(method: str, base: str, files: dict[str, Path], out: Path, config: dict[str, Any]) -> Iterator[_Job]:
    """Open the run; a finished one has its result, a killed one goes on from its checkpoint."""
    whole = {"method": method, "base": thaw(identify(base)), **config}
    with Run.open(out, whole, inputs={name: _digest(path) for name, path in files.items()}) as run:
        job = _Job(run, method, base, run.read_json(_RESULT))
        if job.result is None and job.folder.exists():  # of a life killed between the model and its result
            shutil.rmtree(job.folder)
        yield job


def _digest(path: Path) -> str:
    with reading(path) as file:
        return file_digest(file, "sha256").hexdigest()


def _told(trained: "Trained") -> dict[str, Any]:
    return {
        "steps": trained.steps,
        "tokens": trained.tokens,
        "loss": trained.loss,
        "curve": [list(point) for point in trained.curve],
    }
