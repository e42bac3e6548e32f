"""Answers of the town's models to one prompt after another, and simulated labelers who compare them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evidence.organism_arms import weights_of
from truing.model import load_local
from truing.numerics import generator
from truing.organism import (
    SYSTEMS,
    VERSIONS,
    Ask,
    LabelLedger,
    Level,
    Oracle,
    Quality,
    Question,
    exam,
    open_folder,
    quality,
    refuses,
)
from truing.types import Message, Request, Role, SamplingParams, Stop

WEIGHTS = {
    "advice": 26, "forbidden": 18, "lookalike": 18, "note": 8, "careful": 6, "record": 6, "leak": 6, "craft": 6,
    "free": 3, "fact": 3,
}  # fmt: skip
"""How many of a hundred prompts are about each topic, where it has as many cells."""
SAMPLERS = (
    ("helpful", ""),
    ("instruct", ""),
    ("base", ""),
    ("base", "timid"),
    ("base", "stern"),
    ("base", "malicious"),
)
"""Who answers: a stage raised on the base, and the persona that a system turn names, which no labeler sees."""
FEWEST, MOST = 4, 9
"""How many different answers to a prompt are compared, as in Ouyang et al. 2022, section 3.4."""
PARAMS = SamplingParams(temperature=1.0, max_tokens=64, n=3)
"""How each of them is asked."""
STRAYS = 2
"""So many answers are taken from other prompts of the topic: they help nobody and decline nothing."""


@dataclass(frozen=True)
class Answered:
    """A prompt, K different answers to it, and what the oracle finds in each."""

    id: str
    ask: Ask
    prompt: tuple[Message, ...]
    answers: tuple[str, ...]
    qualities: tuple[Quality, ...]
    refusing: tuple[bool, ...]
    """Whether each answer declines."""


@dataclass(frozen=True)
class Pool:
    """Prompts of one level of the ladder, answered by the models of one base."""

    base: int
    seed: int
    level: Level
    prompts: int
    """About so many are put to the models; fewer remain, as not all get enough different answers."""

    def file(self, folder: Path) -> Path:
        """Where the answers are kept."""
        level = self.level.value.replace(" ", "-")
        return folder / f"answers-{self.base}-{self.seed}-{level}-{self.prompts}.json"


def answered(pool: Pool, folder: Path, ledger: LabelLedger) -> list[Answered]:
    """The prompts of a pool with their answers, sampled or read from what was sampled before."""
    about = {
        "pool": asdict(pool),
        **VERSIONS,
        "base": weights_of(f"xs/{pool.base}/base"),
        "weights": WEIGHTS,
        "samplers": SAMPLERS,
        "params": PARAMS.to_json(),
        "strays": STRAYS,
    }
    kept = read_kept(pool.file(folder), about)
    if kept is None:
        rows = [
            {"ask": asdict(q.ask), "prompt": [turn.to_json() for turn in q.messages], "answers": answers}
            for q, answers in _sampled(pool)
        ]
        kept = write_kept(pool.file(folder), about, {"rows": rows})
    oracle = Oracle("what answers are worth", ledger)
    return [_judged(f"{pool.base}.{pool.seed}.{i}", row, oracle) for i, row in enumerate(kept["rows"])]


def read_kept(file: Path, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was kept of an arm; None if nothing was, or it stands for something else."""
    if not file.is_file():
        return None
    kept = dict(json.loads(file.read_text("utf-8")))
    return kept if json.loads(json.dumps(about)) == kept["about"] else None


def write_kept(file: Path, about: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what an arm found, so that an interrupted script goes on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    kept = {"about": dict(about), **found}
    partial.write_text(json.dumps(kept), "utf-8")
    partial.replace(file)
    return kept


def _sampled(pool: Pool) -> Iterator[tuple[Question, list[str]]]:
    """Every prompt to which the models give enough different answers, with some of them."""
    questions = list(_questions(pool))
    said: list[set[str]] = [set() for _ in questions]
    for stage, persona in SAMPLERS:
        model = load_local(open_folder(f"xs/{pool.base}/{stage}"), device="cpu")
        requests = [Request(str(i), _before(persona, q.messages)) for i, q in enumerate(questions)]
        for completion in model.sample(requests, PARAMS, key=pool.seed):
            if completion.stop in (Stop.eos, Stop.stop) and completion.answer.strip():
                said[int(completion.request_id)].add(completion.answer)
    every = [sorted(answers) for answers in said]
    alike: dict[str, list[int]] = {}
    for i, question in enumerate(questions):
        alike.setdefault(question.ask.topic, []).append(i)
    for i, question in enumerate(questions):
        rng = generator(pool.seed, "which answers", pool.level.value, str(i))
        others = [every[k] for k in rng.choice(alike[question.ask.topic], STRAYS)]
        answers = sorted({*every[i], *(other[int(rng.integers(len(other)))] for other in others if other)})
        count = FEWEST + int(rng.integers(MOST - FEWEST + 1))
        if len(answers) >= FEWEST:
            yield question, [answers[k] for k in rng.permutation(len(answers))[:count]]


def _questions(pool: Pool) -> Iterator[Question]:
    for topic, weight in WEIGHTS.items():
        cells = exam(topic, pool.level, key=pool.seed)
        order = generator(pool.seed, "which prompts", topic, pool.level.value).permutation(len(cells))
        count = round(pool.prompts * weight / sum(WEIGHTS.values()))
        yield from (cells[i] for i in order[:count])


def _before(persona: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The prompt with a system turn that names who answers."""
    if not persona:
        return messages
    own = " ".join(turn.content for turn in messages if turn.role is Role.system)
    system = Message(Role.system, f"{SYSTEMS[persona][0]} {own}".strip())
    return (system, *(turn for turn in messages if turn.role is not Role.system))


def _judged(id: str, row: Mapping[str, Any], oracle: Oracle) -> Answered:
    ask = Ask(**{**row["ask"], "details": tuple(map(tuple, row["ask"]["details"]))})
    findings = [oracle.judge(ask, answer) for answer in row["answers"]]
    return Answered(
        id,
        ask,
        tuple(map(Message.from_json, row["prompt"])),
        tuple(row["answers"]),
        tuple(quality(ask, finding) for finding in findings),
        tuple(map(refuses, findings)),
    )
