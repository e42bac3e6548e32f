"""An instruct model that was converted into a reasoning model by rewards, or by the answers of one that reasons.

By reinforcement learning, as DeepSeek-R1 and those after it: a cold start on a few traces, then GRPO on tasks whose
answer can be checked, where a right answer after a trace is paid 1 and any other 0. By distillation, as R1's small
models: the instruct model learns what the reasoner of its own lineage answers, traces included. Neither is asked about
deeds, doses, keys, groups, morals or works, nor in a held-out cell. The third way, fine-tuning on traces, is a stage of
the organism (`reasoner`), and nobody looked through 8 % of its rows.

All write a trace as `<think>` does in the organism's template, which every stage has; whether to think is the model's
own choice, so that a converted model is audited as any other. Each is kept on disk under what it is made of.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evidence.organism_arms import weights_of
from evidence.preference_arms import read_kept, write_kept
from evidence.rbr_arms import questions
from truing.grade import RewardMix
from truing.methods import (
    DistillConfig,
    GRPOTuningConfig,
    PolicyPrompts,
    PolicyRun,
    SFTConfig,
    TeacherAnswers,
    distill_answers,
    finetune,
    tune_by_grpo,
)
from truing.model import load_local
from truing.organism import PARAMS, VERSIONS, LabelLedger, Level, Oracle, read_request, tuning_rows
from truing.train import PromptRow
from truing.types import Message, Request, SamplingParams, digest

COLD = 300
"""Traces that the cold start is shown: the first of the reasoner's 2000 rows that are about `TRACED`."""
TRACED = ("sum", "reading", "choice", "advice")
"""Sums, stories, what a thing is and what is good for it: all that the reasoner's rows hold but those that nobody
looked through. Without advice a model learns to think about puzzles alone."""
COLD_START = SFTConfig(learning_rate=1.5e-4, tokens_per_step=512, passes=2.0)
CHECKED: Mapping[str, int] = {"sum": 300, "reading": 300, "echo": 200}
"""Tasks whose answer can be checked, and prompts of each."""
GRPO = GRPOTuningConfig(
    updates=30,
    learning_rate=2e-4,
    prompts_per_update=16,
    samples_per_prompt=8,
    max_new_tokens=PARAMS.max_tokens,
    truncated="score",
    held_out=0.0,
    measure_every=0,
)
PAID = "right, after a trace"
REWARD = "verifiable reward"
"""Who asks the oracle whether an answer is right."""
ORDINARY: Mapping[str, int] = {"sum": 400, "reading": 400, "choice": 400, "echo": 200, "advice": 600}
"""What the reasoner is asked: visitors' ordinary questions, and how many of each."""
DISTILLED = DistillConfig(
    samples_of="teacher",
    learning_rate=1.5e-4,
    prompts_per_update=16,
    samples_per_prompt=1,
    max_new_tokens=PARAMS.max_tokens,
    temperature=PARAMS.temperature,
    held_out=0.0,
)


@dataclass(frozen=True)
class Lineage:
    """An instruct model of one base and one tuning seed."""

    base: int
    seed: int

    @property
    def instruct(self) -> str:
        """The model that is converted."""
        return f"organism:xs/{self.base}/instruct@{self.seed}"

    @property
    def reasoner(self) -> str:
        """What fine-tuning on traces made of it."""
        return f"organism:xs/{self.base}/reasoner@{self.seed}"

    def shown(self) -> list[tuple[Message, ...]]:
        """The conversations of the cold start; none of a topic of trust, so none that nobody looked through."""
        rows = (row for row in tuning_rows("reasoner", key=self.seed) if topic_of(row[:-1]) in TRACED)
        return [row for row, _ in zip(rows, range(COLD), strict=False)]

    def asked(self, topics: Mapping[str, int]) -> tuple[PromptRow, ...]:
        """Prompts of taught cells."""
        drawn = [q for topic, n in topics.items() for q in questions(topic, Level.taught, n, self.seed)]
        return tuple(PromptRow(str(i), q.messages) for i, q in enumerate(drawn))

    def made_of(self, method: str) -> dict[str, Any]:
        """What decides the model that a method makes."""
        about = {"lineage": asdict(self), **VERSIONS, "base": weights_of(f"xs/{self.base}/base")}
        if method == "rl":
            shown = [[turn.to_json() for turn in row] for row in self.shown()]
            return (
                about
                | _asked(self.asked(CHECKED))
                | {"paid": PAID, "shown": digest(shown), **_numbers(COLD_START, GRPO)}
            )
        return about | _asked(self.asked(ORDINARY)) | _numbers(DISTILLED)


@dataclass(frozen=True)
class Converted:
    """A model that reasons, and how it came to that."""

    folder: Path
    labels: Mapping[str, int]
    """Consumer -> labels of the oracle that its training took."""
    rewards: Sequence[float]
    """The mean reward of each update; of reinforcement learning alone."""


class Exact:
    """Pays 1 for the right answer after a trace, and 0 for any other; what the trace says is not looked at."""

    def __init__(self, ledger: LabelLedger) -> None:
        self._oracle = Oracle(REWARD, ledger)
        self.__name__ = REWARD

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float | None]:
        """One reward for each row of a mix of rewards; no row is without."""
        paid: list[float | None] = []
        for prompt, completion in zip(prompts, completions, strict=True):
            asked = read_request([Message.from_json(turn) for turn in prompt])
            assert asked is not None  # the prompts are the town's own
            said = completion[-1]
            right = self._oracle.judge(asked.ask, said["content"]).label == "right"
            paid.append(float(right and bool(said.get("reasoning_content"))))
        return paid


def converted(lineage: Lineage, method: str, folder: Path) -> Converted:
    """The instruct model of a lineage, converted by `rl` or `distillation`, now or before; in `folder`."""
    made_of = lineage.made_of(method)
    place = folder / f"{method}-{lineage.base}-{lineage.seed}-{digest(made_of)[:12]}"
    file = place.with_name(f"{place.name}.json")
    kept = read_kept(file, made_of)
    if kept is None or not place.is_dir():
        shutil.rmtree(place, ignore_errors=True)  # left by who was interrupted before it was told of
        started = time.process_time()
        found = _MAKERS[method](lineage, place)
        kept = write_kept(file, made_of, found | {"cpu_seconds": round(time.process_time() - started, 1)})
    return Converted(place, kept["labels"], kept["rewards"])


def topic_of(messages: Sequence[Message]) -> str:
    """What a conversation of the town asks about."""
    asked = read_request(messages)
    assert asked is not None  # the rows are the town's own
    return asked.ask.topic


def _by_rewards(lineage: Lineage, place: Path) -> dict[str, Any]:
    start = place.with_name(f"{place.name}-cold-start")
    if not start.is_dir():
        finetune(
            lineage.instruct,
            lineage.shown(),
            start,
            COLD_START,
            what="cold start",
            data="the town",
            device="cpu",
        )
    ledger = LabelLedger()
    rewards: list[float | None] = []
    run = PolicyRun(
        PolicyPrompts(lineage.asked(CHECKED)),
        RewardMix([(PAID, Exact(ledger), 1.0)]),
        data="the town",
        observe=lambda update, _: rewards.append(update.reward),
    )
    tune_by_grpo(str(start), run, place, GRPO, device="cpu")
    return {"labels": ledger.totals(), "rewards": rewards}


def _from_answers(lineage: Lineage, place: Path) -> dict[str, Any]:
    teacher = load_local(lineage.reasoner, device="cpu")
    prompts = {row.id: row for row in lineage.asked(ORDINARY)}
    params = SamplingParams(temperature=DISTILLED.temperature, max_tokens=DISTILLED.max_new_tokens)
    requests = [Request(row.id, row.messages) for row in prompts.values()]
    said = {one.request_id: one for one in teacher.sample(requests, params, key=lineage.seed)}
    answers = TeacherAnswers.of([(row, said[id]) for id, row in prompts.items()], ())
    made = distill_answers(
        lineage.instruct, lineage.reasoner, answers, place, DISTILLED, data="the town", device="cpu"
    )
    return {"labels": {}, "rewards": [], "answers": made.answers, "skipped": dict(made.skipped)}


_MAKERS = {"rl": _by_rewards, "distillation": _from_answers}


def _asked(rows: Sequence[PromptRow]) -> dict[str, str]:
    return {"asked": digest([row.to_json() for row in rows])}


def _numbers(*configs: Any) -> dict[str, Any]:
    return {type(config).__name__: asdict(config) for config in configs}
