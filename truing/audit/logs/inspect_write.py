"""Inspect: writing judged answers as a `.eval` log, which its viewer and its readers open."""

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from truing import __version__
from truing.run import replace_file
from truing.types import (
    Completion,
    Item,
    Message,
    Outcome,
    Request,
    Role,
    Stop,
    Verdict,
    canonical_text,
    digest,
    dumps,
)

SCORER = "truing"
"""The name under which our scores stand in the log."""

_NO_CLOCK = "1970-01-01T00:00:00+00:00"
"""The format demands times, and what we write holds none: equal runs give equal files."""
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f]")
_STOPS = {
    Stop.eos: "stop",
    Stop.stop: "stop",
    Stop.length: "max_tokens",
    Stop.tool: "tool_calls",
    Stop.filtered: "content_filter",
    Stop.error: "unknown",
}


def write_inspect(
    path: str | Path, answers: Iterable[tuple[Item, Completion, Verdict]], *, task: str, model: str
) -> None:
    """Write judged answers as one task of one model, log version 2, packed with Deflate.

    Only evidence gets a score: what is missing is an unscored sample, an error where the model or the
    grader failed, and the metric `coverage` stands beside the accuracy. Outcome, reason, dimension,
    suite and cluster are in each sample's metadata.

    Raises:
        StorageError: the disk refuses.
        ValueError: one answer is there twice.
    """
    samples = [_sample(item, completion, verdict, model) for item, completion, verdict in answers]
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for sample in samples:
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            if name in archive.NameToInfo:
                raise ValueError(f"the answer {sample['epoch']} to {sample['id']!r} is there twice")
            _add(archive, name, sample)
        _add(archive, "summaries.json", [_summary(sample) for sample in samples])
        _add(archive, "header.json", _header(samples, _clean(task), _clean(model)))
    replace_file(Path(path), packed.getvalue())


def _add(archive: zipfile.ZipFile, name: str, data: object) -> None:
    info = zipfile.ZipInfo(name, _ZIP_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, dumps(data))


def _sample(item: Item, completion: Completion, verdict: Verdict, model: str) -> dict[str, Any]:
    # Their reader asks the zip for a sample by its very id, and a zip cuts a name at a NUL.
    id = _UNPRINTABLE.sub("\ufffd", item.id)
    asked = [_message(message) for message in item.request.messages]
    said = _answer(completion)
    told = {
        "dimension": item.dimension,
        "suite": item.suite,
        "cluster": item.cluster,
        "group": item.group,
        "expect": item.expect.value,
        "prefill": item.request.prefill,
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "verdict": verdict.to_json(),
        "id": item.id if id != item.id else "",
    }
    sample: dict[str, Any] = {
        "id": id,
        "epoch": completion.sample + 1,
        "input": _input(item.request),
        "target": item.target or item.expect.value,
        "messages": [*asked, said],
        "output": {
            "model": model,
            "choices": [{"message": said, "stop_reason": _STOPS[completion.stop]}],
            "usage": _usage(completion),
        },
        "scores": _scores(verdict),
        "metadata": {name: value for name, value in told.items() if value},
    }
    if item.choices:
        sample["choices"] = list(item.choices)
    if verdict.outcome is Outcome.error:
        said_why = completion.error or verdict.reason
        sample["error"] = {"message": said_why, "traceback": "", "traceback_ansi": ""}
    clean: dict[str, Any] = _clean(sample)
    return clean


def _scores(verdict: Verdict) -> dict[str, Any]:
    if verdict.score is None:
        return {}
    score = {"value": verdict.score, "answer": verdict.label, "explanation": verdict.reason}
    by = {"criterion": verdict.criterion, "grader": f"{verdict.grader.name} {verdict.grader.version}"}
    return {SCORER: {name: v for name, v in score.items() if v is not None} | {"metadata": by}}


def _input(request: Request) -> object:
    if len(request.messages) == 1 and request.messages[0].role is Role.user:
        return request.messages[0].content
    return [_message(message) for message in request.messages]


def _message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {
        "role": message.role.value,
        "content": _content(message.content, message.reasoning),
    }
    if message.tool_calls:
        told["tool_calls"] = [
            {"id": call.id, "function": call.name, "arguments": dict(call.arguments), "type": "function"}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        told["tool_call_id"] = message.tool_call_id
    return told


def _answer(completion: Completion) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": _content(completion.answer, completion.reasoning),
        "source": "generate",
    }


def _content(text: str, reasoning: str | None) -> object:
    if reasoning is None:
        return text
    return [{"type": "reasoning", "reasoning": reasoning}, {"type": "text", "text": text}]


def _usage(completion: Completion) -> dict[str, int]:
    read, written = completion.usage.prompt_tokens, completion.usage.completion_tokens
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "epoch", "input", "choices", "target", "metadata", "scores")
    summary = {name: sample[name] for name in kept if name in sample}
    if "error" in sample:
        summary["error"] = sample["error"]["message"]
    return summary | {"completed": True, "message_count": len(sample["messages"])}


def _header(samples: Sequence[Mapping[str, Any]], task: str, model: str) -> dict[str, Any]:
    ids = list(dict.fromkeys(sample["id"] for sample in samples))
    answers = set(Counter(sample["id"] for sample in samples).values())
    name = digest([task, model, *samples])
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": name[:22],
            "run_id": name[22:44],
            "created": _NO_CLOCK,
            "task": task,
            "task_id": digest(task)[:22],
            "task_version": 0,
            "dataset": {"name": task, "samples": len(ids), "sample_ids": ids, "shuffled": False},
            "model": model,
            # Whoever reads this takes an answer that is not there for one that was lost.
            "config": {"epochs": answers.pop()} if len(answers) == 1 else {},
            "packages": {"truing": __version__},
            "scorers": [{"name": SCORER}],
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": _results(samples),
        "stats": {"started_at": _NO_CLOCK, "completed_at": _NO_CLOCK, "model_usage": {}},
    }


def _results(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [sample["scores"][SCORER]["value"] for sample in samples if sample["scores"]]
    # An accuracy that leaves the missing out says nothing without the share that was scored.
    metrics = {"coverage": len(values) / len(samples) if samples else 0.0}
    if values:
        metrics = {"accuracy": sum(values) / len(values)} | metrics
    return {
        "total_samples": len(samples),
        "completed_samples": sum("error" not in sample for sample in samples),
        "scores": [
            {
                "name": SCORER,
                "scorer": SCORER,
                "scored_samples": len(values),
                "unscored_samples": len(samples) - len(values),
                "params": {},
                "metrics": {name: {"name": name, "value": value} for name, value in metrics.items()},
            }
        ],
    }


def _clean(value: Any) -> Any:
    """Without lone surrogates, over which their reader gives up a whole log."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", canonical_text(value))
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value
