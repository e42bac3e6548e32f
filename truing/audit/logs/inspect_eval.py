"""Inspect: reading the logs that `inspect eval` writes, as `.eval` (a zip) or `.json`.

A `.eval` holds `header.json` (or, of a run that did not end, `_journal/start.json`) and one
`samples/ID_epoch_N.json` for each sample and epoch; a `.json` holds the same in one object.
"""

import importlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from truing.audit.logs.base import Log, LogRow, as_score, content_digest, file_digest, first_line, parse
from truing.data import reading
from truing.types import Expect, FrozenDict, GraderId, InputError, Outcome, Verdict, digest

HEADER, START = "header.json", "_journal/start.json"
_WORDS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""Inspect's grades (correct, partial, incorrect, no answer) and the words that it takes for numbers."""
_RULES = {"match", "includes", "pattern", "answer", "exact", "f1", "choice"}
"""Inspect's scorers that follow a rule. All others may ask a model, and err."""
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""A zip member's local header: signature, and the lengths of name and extra field at its end."""


@dataclass(frozen=True)
class _Sample:
    """What is needed of a sample: with its events it may be megabytes long."""

    id: str
    epoch: int
    prompt: str
    answer: str
    scores: dict[str, Any]
    missing: tuple[Outcome, str] | None
    limit: str
    metadata: dict[str, Any]


@dataclass(frozen=True)
class _Choice:
    """The score that counts: a scorer, and where it gives several values the name of one."""

    scorer: str
    part: str | None = None

    def __str__(self) -> str:
        return self.scorer if self.part is None else f"{self.scorer}.{self.part}"

    def of(self, scores: Mapping[str, Any]) -> object:
        value = scores.get(self.scorer)
        if self.part is None:
            return value
        return value.get(self.part) if isinstance(value, dict) else None


def looks_like_inspect(data: object) -> bool:
    """Whether parsed JSON is an Inspect log."""
    return isinstance(data, dict) and isinstance(data.get("eval"), dict) and "task" in data["eval"]


def read_inspect(path: Path, score: str | None = None) -> Log:
    """Read an Inspect log. Epochs are the samples of an item; samples that the log lacks are errors.

    `score` names a scorer, or `SCORER.PART` or `PART` where a scorer gives several values; by
    default the first. A sample that failed, was invalidated or has no score is a row without one.

    Raises:
        InputError: it is no whole log, the score is not there or lies outside [0, 1], or the package
            that unpacks it is not installed.
    """
    with reading(path) as file:
        if file.read(4) == b"PK\x03\x04":
            header, samples = _read_zip(file, path)
        else:
            file.seek(0)
            header = parse(file.read(), file=path)
            samples = [_sample(sample, path) for sample in header.get("samples") or []]
    if not looks_like_inspect(header):
        raise InputError(
            "is no log of Inspect (no eval and task in its header)", file=path, mend="log it again"
        )
    if not samples:
        raise InputError("holds no sample", file=path, mend="run it again with samples logged")
    told = header["eval"]
    packages = told.get("packages") or {}
    choice, notes = _choose(samples, score, path)
    if header.get("status") != "success":
        notes.append(f"{path.name} is the log of a run whose status is {header.get('status')}")
    scorer = choice.scorer if choice else ""
    grader = GraderId(f"inspect/{scorer}", str(packages.get("inspect_ai", "")), exact=scorer in _RULES)
    rows = [_row(sample, told["task"], _judged(sample, choice, grader, path)) for sample in samples]
    if "truing" in packages:
        rows = [_as_written(*both) for both in zip(rows, samples, strict=True)]
    return Log(
        tool="inspect",
        version=str(packages.get("inspect_ai", "")),
        model=str(told.get("model", "")),
        files=FrozenDict({path.name: file_digest(path)}),
        scored_by=FrozenDict({told["task"]: str(choice)} if choice else {}),
        rows=(*rows, *_not_logged(told, samples, grader)),
        notes=tuple(notes),
    )


def _read_zip(file: BinaryIO, path: Path) -> tuple[dict[str, Any], list[_Sample]]:
    with _whole(path), zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}  # of two with one name the last counts
        head = members.get(HEADER) or members.get(START)
        if head is None:
            raise InputError("is a zip file but no log of Inspect", file=path, mend="name another file")
        header = parse(_unpacked(archive, file, head, path), file=path)
        samples = [
            _sample(parse(_unpacked(archive, file, info, path), file=path), path)
            for name, info in members.items()
            if name.startswith("samples/") and name.endswith(".json")
        ]
    return header, samples


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error):
        raise InputError("is no whole zip file", file=path, mend="fetch it again") from None


def _unpacked(archive: zipfile.ZipFile, file: BinaryIO, info: zipfile.ZipInfo, path: Path) -> bytes:
    """The bytes of a member. Inspect packs with Zstandard, which `zipfile` knows from Python 3.14 on."""
    try:
        return archive.read(info)
    except NotImplementedError:
        pass
    try:
        zstandard = importlib.import_module("zstandard")
    except ModuleNotFoundError:
        mend = "pip install zstandard"
        raise InputError("is packed with Zstandard, which needs a package", file=path, mend=mend) from None
    file.seek(info.header_offset)
    signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    file.seek(name + extra, 1)
    packed = BytesIO(file.read(info.compress_size))
    try:
        data: bytes = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read()
    except zstandard.ZstdError:
        raise zipfile.BadZipFile from None
    if signature != b"PK\x03\x04" or len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile
    return data


def _sample(data: Any, path: Path) -> _Sample:
    if not isinstance(data, dict) or "id" not in data or "input" not in data:
        raise InputError("holds a sample without id or input", file=path, mend="log it again")
    scores = data.get("scores")
    if scores is None and isinstance(data.get("score"), dict):  # logs of early versions
        scores = {"score": data["score"]}
    missing = None
    if data.get("error"):
        told = data["error"]
        missing = Outcome.error, first_line(told.get("message") if isinstance(told, dict) else told)
    elif data.get("invalidation"):
        missing = Outcome.abstained, "the sample was invalidated"
    limit = data.get("limit")
    return _Sample(
        id=str(data["id"]),
        epoch=int(data.get("epoch", 1)),
        prompt=_prompt(data),
        answer=_answer(data.get("output")),
        scores={n: s.get("value") if isinstance(s, dict) else s for n, s in (scores or {}).items()},
        missing=missing,
        limit=str(limit.get("type")) if isinstance(limit, dict) else "",
        metadata=data.get("metadata") or {},
    )


def _choose(samples: Sequence[_Sample], wanted: str | None, path: Path) -> tuple[_Choice | None, list[str]]:
    """The score that counts, and a note where there are others."""
    offered: dict[_Choice, None] = {}
    for sample in samples:
        for scorer, value in sample.scores.items():
            parts = [part for part in value if part] if isinstance(value, dict) else [None]
            offered |= dict.fromkeys(_Choice(scorer, part) for part in parts)
    known = ", ".join(map(str, offered))
    if wanted is not None:
        for choice in offered:
            if wanted in (str(choice), choice.part):
                return choice, []
        mend = f"choose from {known}" if known else "none was logged"
        raise InputError(f"has no score {wanted!r}", file=path, mend=mend)
    chosen = next(iter(offered), None)
    return chosen, [f"{path.name} is scored by {chosen}, of {known}"] if len(offered) > 1 else []


def _row(sample: _Sample, task: str, verdict: Verdict) -> LogRow:
    dimension, cluster = sample.metadata.get("dimension"), sample.metadata.get("cluster")
    return LogRow(
        id=sample.id,
        task=task,
        dimension=dimension if isinstance(dimension, str) else task,
        prompt=sample.prompt,
        verdict=verdict,
        sample=sample.epoch,
        cluster=cluster if isinstance(cluster, str) else "",
        answer=sample.answer,
    )


def _as_written(row: LogRow, sample: _Sample) -> LogRow:
    """The row with all that `write_inspect` kept of the item and the verdict."""
    told = sample.metadata
    verdict = Verdict.from_json(told["verdict"])
    return replace(row, id=told.get("id", row.id), verdict=verdict, expect=Expect(told["expect"]))


def _judged(sample: _Sample, choice: _Choice | None, grader: GraderId, path: Path) -> Verdict:
    verdict = Verdict(str(choice), Outcome.abstained, grader)
    if sample.missing is not None:
        return replace(verdict, outcome=sample.missing[0], reason=sample.missing[1])
    value = choice.of(sample.scores) if choice else None
    if isinstance(value, str):
        value = _WORDS.get(value, _WORDS.get(value.lower(), _as_number(value)))
    score = as_score(value, what=f"{choice} of the sample {sample.id}", file=path)
    if score is not None:
        return replace(verdict, outcome=Outcome.decided, score=score)
    if sample.limit:
        reason = f"stopped by its limit ({sample.limit})"
        return replace(verdict, outcome=Outcome.truncated, reason=reason)
    return replace(verdict, reason="not scored" if value is None else f"{choice} is no number")


def _as_number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _prompt(data: Mapping[str, Any]) -> str:
    """What was asked and the target. Ids of messages are drawn anew in each run, and are no part of it."""
    asked = data["input"] if isinstance(data["input"], list) else [{"role": "user", "content": data["input"]}]
    told = ("role", "content", "tool_calls", "tool_call_id")
    turns = [
        {k: turn[k] for k in told if turn.get(k) is not None} for turn in asked if isinstance(turn, dict)
    ]
    return digest({"turns": turns, "choices": data.get("choices"), "target": data.get("target")})


def _answer(output: object) -> str:
    choices = output.get("choices") if isinstance(output, dict) else None
    message = choices[0].get("message") if choices and isinstance(choices[0], dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):  # the reasoning is no part of the answer
        content = "".join(
            str(p.get("text", "")) for p in content if isinstance(p, dict) and p.get("type") == "text"
        )
    return content_digest(content)


def _not_logged(told: Mapping[str, Any], samples: Sequence[_Sample], grader: GraderId) -> list[LogRow]:
    """Rows for the samples that were planned and never came to the log: their run was cut short."""
    config, ids = told.get("config") or {}, (told.get("dataset") or {}).get("sample_ids") or []
    limit = config.get("limit")
    if config.get("sample_id") is not None or isinstance(limit, list):
        return []  # which of the ids were planned is not told
    epochs = range(1, (config.get("epochs") or 1) + 1)
    planned = [(str(id), epoch) for id in (ids[:limit] if limit else ids) for epoch in epochs]
    logged = {(sample.id, sample.epoch) for sample in samples}
    same_id = {sample.id: sample for sample in samples}
    rows = []
    for id, epoch in planned:
        if (id, epoch) not in logged:
            kin = same_id.get(id)  # another epoch tells what would have been asked
            own = kin.metadata.get("dimension") if kin else None
            rows.append(
                LogRow(
                    id=id,
                    task=told["task"],
                    dimension=own if isinstance(own, str) else told["task"],
                    prompt=kin.prompt if kin else "",
                    verdict=Verdict("", Outcome.error, grader, reason="planned, and not in the log"),
                    sample=epoch,
                )
            )
    return rows
