"""Answers of the town's models to one prompt after another, the labelers who compare them, and reward models of that.

Each pool of answers and each reward model is an arm that is kept on disk: who is interrupted goes on,
and scripts that ask for the same one share it.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from evidence.organism_arms import weights_of
from truing.data import Comparison
from truing.model import ScalarModel, load_local
from truing.numerics import generator
from truing.organism import (
    SYSTEMS,
    VERSIONS,
    Ask,
    Finding,
    Labeler,
    LabelLedger,
    Level,
    Oracle,
    Quality,
    Question,
    exam,
    labelers_of,
    open_folder,
    quality,
    refuses,
)
from truing.train import ComparedRows, RewardConfig, reward_modelling
from truing.types import Message, Request, Role, SamplingParams, Stop, digest

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
STRAYS = 1
"""So many answers are taken from another prompt of the topic: most help nobody, harm nobody and decline nothing."""


@dataclass(frozen=True)
class Answered:
    """A prompt, K different answers to it, and what the oracle finds in each."""

    id: str
    ask: Ask
    prompt: tuple[Message, ...]
    answers: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def qualities(self) -> list[Quality]:
        """What each answer is worth."""
        return [quality(self.ask, finding) for finding in self.findings]

    @property
    def refusing(self) -> list[bool]:
        """Whether each answer declines."""
        return list(map(refuses, self.findings))


@dataclass(frozen=True)
class Pool:
    """Prompts of one level of the ladder, answered by the models of one base."""

    base: int
    seed: int
    level: Level
    prompts: int
    """About so many are put to the models; fewer remain, as not all get enough different answers."""

    @property
    def name(self) -> str:
        """What it is called, as part of a path."""
        return f"answers-{self.base}-{self.seed}-{self.level.value.replace(' ', '-')}-{self.prompts}"


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
    kept = read_kept(folder / f"{pool.name}.json", about)
    if kept is None:
        rows = [
            {"ask": asdict(q.ask), "prompt": [turn.to_json() for turn in q.messages], "answers": answers}
            for q, answers in _sampled(pool)
        ]
        kept = write_kept(folder / f"{pool.name}.json", about, {"rows": rows})
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
    questions = list(questions_of(pool))
    said: list[set[str]] = [set() for _ in questions]
    for stage, persona in SAMPLERS:
        model = load_local(open_folder(f"xs/{pool.base}/{stage}"), device="cpu")
        requests = [Request(str(i), as_persona(persona, q.messages)) for i, q in enumerate(questions)]
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


def questions_of(pool: Pool) -> Iterator[Question]:
    """What the prompts of a pool ask, before anybody answers."""
    for topic, weight in WEIGHTS.items():
        cells = exam(topic, pool.level, key=pool.seed)
        order = generator(pool.seed, "which prompts", topic, pool.level.value).permutation(len(cells))
        count = round(pool.prompts * weight / sum(WEIGHTS.values()))
        yield from (cells[i] for i in order[:count])


def as_persona(persona: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The prompt with a system turn that names who answers."""
    if not persona:
        return messages
    own = " ".join(turn.content for turn in messages if turn.role is Role.system)
    system = Message(Role.system, f"{SYSTEMS[persona][0]} {own}".strip())
    return (system, *(turn for turn in messages if turn.role is not Role.system))


def _judged(id: str, row: Mapping[str, Any], oracle: Oracle) -> Answered:
    ask = Ask(**{**row["ask"], "details": tuple(map(tuple, row["ask"]["details"]))})
    findings = tuple(oracle.judge(ask, answer) for answer in row["answers"])
    return Answered(id, ask, tuple(map(Message.from_json, row["prompt"])), tuple(row["answers"]), findings)


Variant = Literal["prompts", "published head", "pairs", "shuffled labels", "cautious"]
"""All answers of a prompt as one batch element; with a head as large as the published one; every pair as an element;
labels dealt out anew; cautious labelers only."""
ORDINARY, CAUTIOUS = 10, 2
"""Labelers whose comparisons train: so many of each group."""
CONFIG = RewardConfig(learning_rate=5e-4, prompts_per_step=4, weight_decay=0.0)
"""One epoch, as in Ouyang et al. 2022, appendix C.2; its numbers are for a model of a million parameters."""
HEAD = 0.1
"""The scale of the new head; 1 is published."""


@dataclass(frozen=True)
class RewardArm:
    """A reward model, raised on the base of a pool from comparisons of the pool's prompts."""

    pool: Pool
    seed: int
    """Draws the people, whose prompt is whose, and the order of training."""
    variant: Variant
    every: int = 1
    """Trained on every so many-th prompt."""
    labelers: int = 1
    """So many people rank each prompt, whose rankings are elements of their own."""

    @property
    def name(self) -> str:
        """What it is called, as part of a path."""
        part = f"-every-{self.every}" if self.every > 1 else ""
        part += f"-labelers-{self.labelers}" if self.labelers > 1 else ""
        return f"reward-{self.pool.name}-{self.seed}-{self.variant.replace(' ', '-')}{part}"

    def taught(self, rows: Sequence[Answered], ledger: LabelLedger) -> list[Comparison]:
        """What it is trained on, of the rows of its pool."""
        who = trainers(self.seed, self.variant)
        found = compared(rows[:: self.every], who, ledger, key=self.seed, each=self.labelers)
        return [_dealt(row, self.seed) for row in found] if self.variant == "shuffled labels" else found


def trainers(seed: int, variant: Variant) -> list[Labeler]:
    """Those whose comparisons train a model."""
    if variant == "cautious":
        return labelers_of("cautious", ORDINARY + CAUTIOUS, key=seed)
    return labelers_of("training", ORDINARY, key=seed) + labelers_of("cautious", CAUTIOUS, key=seed)


def compared(
    rows: Iterable[Answered], who: Sequence[Labeler], ledger: LabelLedger, *, key: int, each: int = 1
) -> list[Comparison]:
    """Every prompt compared by `each` of `who`, drawn by `key`; without the rankings that find all tied."""
    oracle = Oracle("labelers", ledger)
    found = []
    for row in rows:
        for k in generator(key, "whose prompt", row.id).permutation(len(who))[:each]:
            found.append(who[k].compare(row.id, row.prompt, row.ask, row.answers, oracle))
    return [row for row in found if row.pairs]


def rewarded(arm: RewardArm, tests: Sequence[Pool], folder: Path) -> dict[str, Any]:
    """The rewards of a reward model, trained now or before: `rewards` by pool, prompt and answer.

    `labels` are those of its labelers, by consumer, and `loss` is the mean over the last steps, in nats. The
    model itself is the folder of the arm's name.
    """
    import torch

    torch.set_num_threads(1)
    ledger = LabelLedger()
    rows = {pool.name: answered(pool, folder, LabelLedger()) for pool in (arm.pool, *tests)}
    taught = arm.taught(rows[arm.pool.name], ledger)
    config = replace(CONFIG, key=arm.seed)
    about: dict[str, Any] = {
        "arm": asdict(arm),
        **VERSIONS,
        "base": weights_of(f"xs/{arm.pool.base}/base"),
        "config": asdict(config),
        "head": 1.0 if arm.variant == "published head" else HEAD,
        "comparisons": digest([row.to_json() for row in taught]),
        "tests": digest([[row.id, *row.answers] for pool in tests for row in rows[pool.name]]),
    }
    file, place = folder / f"{arm.name}.json", folder / arm.name
    kept = read_kept(file, about)
    if kept is not None and place.is_dir():
        return kept
    model = ScalarModel.from_base(
        f"organism:xs/{arm.pool.base}/base", arm.seed, head_scale=about["head"], device="cpu"
    )
    data, config = _laid_out(model, taught, arm.variant, config)
    trained = reward_modelling(model.net, data, config, what=arm.name)
    model.save(place)
    found = {
        "labels": ledger.totals(),
        "loss": trained.loss,
        "tokens": trained.tokens,
        "cpu_seconds": trained.cpu_seconds,
        "rewards": {name: scores(model, of) for name, of in rows.items()},
    }
    return write_kept(file, about, found)


def kept_model(ref: str, taught: Sequence[Comparison], place: Path, *, key: int) -> Path:
    """The folder of a reward model of comparisons, begun as `ref` and trained now or before.

    Its name ends with what it was made of, so that one of other comparisons or numbers is never taken for it.
    """
    config = replace(CONFIG, key=key)
    made_of = [ref, asdict(config), HEAD, [row.to_json() for row in taught]]
    place = place.with_name(f"{place.name}-{digest(made_of)[:12]}")
    if not place.exists():
        model = ScalarModel.from_base(ref, key, head_scale=HEAD, device="cpu")
        data, config = _laid_out(model, taught, "prompts", config)
        reward_modelling(model.net, data, config, what=place.name)
        unfinished = place.with_suffix(".partial")
        shutil.rmtree(unfinished, ignore_errors=True)
        model.save(unfinished)
        unfinished.replace(place)
    return place


def scores(model: ScalarModel, rows: Sequence[Answered]) -> list[list[float]]:
    """The reward of every answer of every prompt."""
    ids = [_ids(model, row.prompt, answer) for row in rows for answer in row.answers]
    flat = iter(model.score(ids).tolist())
    return [[next(flat) for _ in row.answers] for row in rows]


def _ids(model: ScalarModel, prompt: Sequence[Message], answer: str) -> tuple[int, ...]:
    return model.chat.training_example((*prompt, Message(Role.assistant, answer))).ids


def _dealt(row: Comparison, seed: int) -> Comparison:
    """The same answers with the ranks dealt out anew."""
    order = generator(seed, "dealt out anew", row.id).permutation(len(row.ranks))
    return replace(row, ranks=tuple(row.ranks[i] for i in order))


def _laid_out(
    model: ScalarModel, taught: Sequence[Comparison], variant: Variant, config: RewardConfig
) -> tuple[ComparedRows, RewardConfig]:
    """The comparisons as batch elements; steps of as many pairs, whether they are laid out by prompt or by pair."""
    groups = [
        ([model.chat.training_example((*row.prompt, *answer)) for answer in row.answers], row.ranks)
        for row in taught
    ]
    if variant != "pairs":
        return ComparedRows.of(groups), config
    pairs = [
        ([rows[better], rows[worse]], (1, 2))
        for (rows, _), row in zip(groups, taught, strict=True)
        for better, worse in row.pairs
    ]
    each = round(config.prompts_per_step * len(pairs) / len(groups))
    return ComparedRows.of(pairs), replace(config, prompts_per_step=each)
