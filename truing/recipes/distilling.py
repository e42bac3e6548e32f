"""Distillation as a run: prompts in, a student, what it or its teacher wrote and the figures out.

| journal | key | row |
|---|---|---|
| `updates` | the update | `DistillationUpdate`, of a student that learns in its own texts |
| `samples` | update, number of the answer | its answers: prompt, text, stop and tokens |
| `answers` | prompt, sample | `Completion` of a teacher whose answers are learnt |
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from truing.methods import (
    DistillConfig,
    PolicyPrompts,
    TeacherAnswers,
    distill_answers,
    distill_on_policy,
    read_prompts,
)
from truing.model import identify, load
from truing.recipes.aligning import TrainingJob, training_job
from truing.run import Journal, Run, progress, world_size
from truing.train import DistillationUpdate, PromptRow
from truing.types import Completion, InputError, Request, Sampler, SamplingParams, Stop, thaw


def align_distill(
    model: str, teacher: str, prompts: Path, out: Path, config: DistillConfig, *, device: str = "auto"
) -> dict[str, Any]:
    """Distil `teacher` into `model` on the prompts of a file; what stands in the run's result.json.

    Raises:
        InputError: a model, the prompts or the folder cannot be used.
        StorageError: the disk refuses.
    """
    if config.samples_of == "teacher" and world_size() > 1:
        raise InputError(
            "a teacher is asked for its answers by one process", mend="launch it without accelerate"
        )
    whole = {**asdict(config), "teacher": thaw(identify(teacher))}
    with training_job("distill", model, {"prompts": prompts}, out, whole) as job:
        if job.result is not None:
            return job.result
        rows = read_prompts(prompts, held_out=config.held_out, key=config.seed)
        if config.samples_of == "student":
            told = _on_policy(job, model, teacher, rows, config, prompts.name, device)
        else:
            told = _from_answers(job, model, teacher, rows, config, prompts.name, device)
        return job.finish({"teacher": teacher, "samples_of": config.samples_of, **told})


def _on_policy(
    job: TrainingJob,
    model: str,
    teacher: str,
    prompts: PolicyPrompts,
    config: DistillConfig,
    data: str,
    device: str,
) -> dict[str, Any]:
    made = distill_on_policy(
        model,
        teacher,
        prompts,
        job.folder,
        config,
        data=data,
        checkpoint=job.checkpoint,
        observe=_Observer(job.run),
        device=device,
    )
    updates = made.trained.updates
    return {
        "updates": len(updates),
        "tokens": made.trained.tokens,
        "prompts": {"train": len(made.prompts.train), "held_out": len(made.prompts.held_out)},
        "skipped": dict(made.prompts.skipped),
        "divergence": [updates[0].divergence, updates[-1].divergence],
        "held_out": {
            name: None if found is None else found.to_json()
            for name, found in (("before", made.before), ("after", made.after))
        },
        "curve": [[row.update, row.divergence] for row in updates],
    }


class _Observer:
    """Writes down updates and answers; what is done again after an interruption is written once."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._journals: tuple[Journal, Journal] | None = None

    def __call__(self, update: DistillationUpdate, written: Sequence[Completion]) -> None:
        # Opened when nothing can be wrong any more with what the run was given.
        if self._journals is None:
            self._journals = (self._run.journal("updates"), self._run.journal("samples"))
        updates, samples = self._journals
        if str(update.update) in updates.done():
            return
        rows = [
            {
                "prompt": one.request_id,
                "sample": one.sample,
                "text": one.text,
                "stop": one.stop.value,
                "tokens": len(one.token_ids or ()),
            }
            for one in written
        ]
        keys = [f"{update.update} {i}" for i in range(1, len(rows) + 1)]
        new = [(key, row) for key, row in zip(keys, rows, strict=True) if key not in samples.done()]
        if new:
            samples.append(new)
        updates.append([(str(update.update), update.to_json())])


def _from_answers(
    job: TrainingJob,
    model: str,
    teacher: str,
    prompts: PolicyPrompts,
    config: DistillConfig,
    data: str,
    device: str,
) -> dict[str, Any]:
    sampler = load(teacher, device="auto" if teacher.startswith("endpoint:") else device)
    asked = dict(_asked(job.run, sampler, (*prompts.train, *prompts.held_out), config))
    del sampler  # its memory is the student's now
    each = range(config.samples_per_prompt)
    sides = (
        [(row, asked[row.id, sample]) for row in rows for sample in each]
        for rows in (prompts.train, prompts.held_out)
    )
    made = distill_answers(
        model,
        teacher,
        TeacherAnswers.of(*sides),
        job.folder,
        config,
        data=data,
        checkpoint=job.checkpoint,
        device=device,
    )
    return {
        "steps": made.trained.steps,
        "tokens": made.trained.tokens,
        "loss": made.trained.loss,
        "prompts": {"train": len(prompts.train), "held_out": len(prompts.held_out)},
        "answers": {"train": made.answers, "held_out": made.held_out},
        "skipped": {**prompts.skipped, **made.skipped},
        "held_out": {"before": made.before, "after": made.after},
        "curve": [list(point) for point in made.trained.curve],
    }


def _asked(
    run: Run, teacher: Sampler, prompts: Sequence[PromptRow], config: DistillConfig
) -> Iterator[tuple[tuple[str, int], Completion]]:
    """(prompt, sample) -> what the teacher answered; what is in the journal is not asked for again."""
    journal = run.journal("answers")
    params = SamplingParams(
        temperature=config.temperature, max_tokens=config.max_new_tokens, n=config.samples_per_prompt
    )
    # A resumed run asks again where the teacher failed, which may have been the line to it.
    failed = {row["request_id"] for _, row in journal.rows() if row["stop"] == Stop.error.value}
    journal.forget({key for key, row in journal.rows() if row["request_id"] in failed})
    done = set(journal.done())
    open_ = [row for row in prompts if f"{row.id} {params.n - 1}" not in done]
    requests = [Request(row.id, row.messages) for row in open_]
    pending: dict[str, list[Completion]] = {}
    with progress(len(open_), "the teacher's answers", unit="prompts") as advance:
        for one in teacher.sample(requests, params, key=config.seed):
            answers = pending.setdefault(one.request_id, [])
            answers.append(one)
            if len(answers) == params.n:
                journal.append([(f"{each.request_id} {each.sample}", each.to_json()) for each in answers])
                del pending[one.request_id]
                advance(1)
    for _, row in journal.rows():
        one = Completion.from_json(row)
        yield (one.request_id, one.sample), one
