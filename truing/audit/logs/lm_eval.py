"""lm-evaluation-harness: the `samples_TASK_DATE.jsonl` files that `--log_samples` writes.

Each line is one document under one filter: `doc_id`, `doc`, `target`, `arguments`, `resps`,
`filtered_resps`, `filter`, `metrics` (their names), hashes, and a key for each metric. The
`results_DATE.json` beside it, where there is one, knows the model and which metrics are better low.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.audit.logs.base import Log, LogRow, as_score, content_digest, file_digest, parse
from truing.data import reading
from truing.types import FrozenDict, GraderId, InputError, Outcome, Verdict, digest

PATTERNS = ("samples_*.jsonl", "samples_*.jsonl.gz")
"""What the files of samples are called."""

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl(\.gz)?")
_BOOKKEEPING = {
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
    "prompt_hash", "target_hash",
}  # fmt: skip
_LOWER_IS_BETTER = {
    "perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "brier_score", "ter", "wer", "cer",
}  # fmt: skip
_INVALID = "[invalid]"
"""What the harness's filters put where they find no answer."""


@dataclass(frozen=True)
class _Line:
    number: int
    data: Mapping[str, Any]

    @property
    def filter(self) -> str:
        return str(self.data.get("filter", "none"))

    @property
    def metrics(self) -> list[str]:
        named = self.data.get("metrics")
        return list(named) if isinstance(named, list) else [k for k in self.data if k not in _BOOKKEEPING]


def looks_like_lm_eval(data: object) -> bool:
    """Whether a line is one of a samples file."""
    return isinstance(data, dict) and "doc_id" in data and bool({"resps", "filtered_resps"} & set(data))


def read_lm_eval(paths: Sequence[Path], score: str | None = None) -> Log:
    """Read the samples of one model, one file for each task.

    `score` is `METRIC` or `METRIC,FILTER`, as the harness writes it in its results; by default each
    task's first. An answer in which the filter found nothing (`[invalid]`) is unparsed.

    Raises:
        InputError: a file is no file of samples, two are of one task, a line has no `doc_id`, or the
            score is not there, is better low or lies outside [0, 1].
    """
    logs: list[Log] = []
    for path in paths:
        log = _read_file(path, score)
        if any(log.scored_by.keys() & other.scored_by.keys() for other in logs):
            mend = "name one of the files, or move the other away"
            raise InputError(
                f"is a second file of the task {next(iter(log.scored_by))}", file=path, mend=mend
            )
        logs.append(log)
    return Log(
        tool="lm-eval",
        version=logs[-1].version,
        model=logs[-1].model,
        files=FrozenDict({name: sha for log in logs for name, sha in log.files.items()}),
        scored_by=FrozenDict({task: name for log in logs for task, name in log.scored_by.items()}),
        rows=tuple(row for log in logs for row in log.rows),
        notes=tuple(note for log in logs for note in log.notes),
    )


def _read_file(path: Path, score: str | None) -> Log:
    named = _NAME.fullmatch(path.name)
    task = named["task"] if named else "lm-eval"
    beside = _results_beside(path, named["date"] if named else None)
    version = str(beside.get("lm_eval_version") or "")
    lines = list(_lines(path))
    metric, kept = _choose(lines, score, path)
    _refuse_lower_is_better(beside, task, metric, path)
    scored_by = f"{metric},{kept}"
    grader = GraderId(f"lm-eval/{scored_by}", version, exact=True)
    offered = dict.fromkeys(f"{m},{line.filter}" for line in lines for m in line.metrics)
    others = ", ".join(other for other in offered if other != scored_by)
    note = f"{task} is scored by {scored_by}; --score also takes {others}"
    return Log(
        tool="lm-eval",
        version=version,
        model=str(beside.get("model_name") or ""),
        files=FrozenDict({path.name: file_digest(path)}),
        scored_by=FrozenDict({task: scored_by}),
        rows=tuple(_row(line, task, metric, grader, path) for line in lines if line.filter == kept),
        notes=(note,) if others and score is None else (),
    )


def _lines(path: Path) -> Iterator[_Line]:
    with reading(path) as file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            data = parse(text, file=path, row=number)
            if not looks_like_lm_eval(data):
                raise InputError(
                    "is no logged sample (no doc_id)", file=path, row=number, mend="log it again"
                )
            yield _Line(number, data)


def _choose(lines: Sequence[_Line], wanted: str | None, path: Path) -> tuple[str, str]:
    """The metric and the filter that count."""
    offered = dict.fromkeys((metric, line.filter) for line in lines for metric in line.metrics)
    if not offered:
        raise InputError("holds no metric", file=path, mend="log it again with a task that is scored")
    if wanted is None:
        return next(iter(offered))
    for metric, kept in offered:
        if wanted in (metric, f"{metric},{kept}"):
            return metric, kept
    known = ", ".join(f"{metric},{kept}" for metric, kept in offered)
    raise InputError(f"has no score {wanted!r}", file=path, mend=f"choose from {known}")


def _refuse_lower_is_better(beside: Mapping[str, Any], task: str, metric: str, path: Path) -> None:
    told = beside.get("higher_is_better")
    of_task = told.get(task) if isinstance(told, dict) else None
    higher = of_task.get(metric) if isinstance(of_task, dict) else None
    if higher is False or (higher is None and metric in _LOWER_IS_BETTER):
        mend = "choose another with --score"
        raise InputError(f"{metric} is better low, and a loss would look like a gain", file=path, mend=mend)


def _row(line: _Line, task: str, metric: str, grader: GraderId, path: Path) -> LogRow:
    data = line.data
    value = data.get(metric)
    score = as_score(value, what=f"{metric} of doc_id {data['doc_id']}", file=path)
    outcome, reason = Outcome.decided, ""
    if _all_invalid(data.get("filtered_resps")):
        outcome, score, reason = Outcome.unparsed, None, f"the filter {line.filter} found no answer"
    elif score is None:
        outcome, reason = Outcome.abstained, f"{metric} is no number"
    return LogRow(
        id=str(data["doc_id"]),
        task=task,
        dimension=task,
        prompt=_prompt(data),
        verdict=Verdict(metric, outcome, grader, score=score, reason=reason),
        answer=content_digest(data.get("resps")),
    )


def _all_invalid(answers: object) -> bool:
    while isinstance(answers, list) and len(answers) == 1:
        answers = answers[0]
    return answers == _INVALID or (
        isinstance(answers, list) and bool(answers) and all(a == _INVALID for a in answers)
    )


def _prompt(data: Mapping[str, Any]) -> str:
    """What was asked, as rendered, and the target. Settings of the sampler are no part of the question."""
    asked: object = [
        [part for part in call if isinstance(part, str)] for call in _calls(data.get("arguments"))
    ]
    if not asked:
        asked = data.get("prompt_hash") or data.get("doc")
    return digest([asked, str(data.get("target"))])


def _calls(arguments: object) -> list[list[Any]]:
    """The arguments of each request: `{"gen_args_0": {"arg_0": ..., "arg_1": ...}}`, in old versions lists."""
    calls = list(arguments.values()) if isinstance(arguments, dict) else arguments
    if not isinstance(calls, list):
        return []
    return [list(c.values()) if isinstance(c, dict) else c if isinstance(c, list) else [c] for c in calls]


def _results_beside(path: Path, date: str | None) -> dict[str, Any]:
    beside = path.with_name(f"results_{date}.json")
    if date is None or not beside.is_file():
        return {}
    with reading(beside) as file:
        told = parse(file.read(), file=beside)
    return told if isinstance(told, dict) else {}
