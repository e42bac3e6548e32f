"""Policies that learn from rewards on the proving ground: where they begin, what they are asked, and how it went.

A policy begins as InstructGPT's does, as a base that was shown a few demonstrations: what it samples is then
diverse enough that a reward has something to choose from. Everything is kept on disk, so that who is interrupted
goes on, and scripts that ask for the same policy share it.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evidence.organism_arms import weights_of
from evidence.preference_arms import Pool, questions_of, read_kept, write_kept
from truing.grade import RewardMix
from truing.methods import (
    Mixed,
    PolicyPrompts,
    PolicyRun,
    PPOTuningConfig,
    make_start,
    tune_by_ppo,
)
from truing.model import load_local
from truing.organism import (
    VERSIONS,
    LabelLedger,
    Level,
    Oracle,
    Question,
    as_text,
    documents,
    quality,
    read_request,
    tuning_rows,
)
from truing.train import HackingReport, PromptRow, Sample, Update, read_hacking
from truing.types import FrozenDict, Message, Request, SamplingParams, digest, thaw

DEMONSTRATIONS = 300
"""Conversations that people wrote, which the start is shown."""
TRAIN, HELD_OUT = 2400, 300
"""Prompts that a policy learns on, and those of cells that stand in no training of any of the models."""
DOCUMENTS = 4000
"""Pretraining documents for the start and the pretraining gradient."""
GOLD = "gold"
"""The metric that nobody learns from: what the oracle says an answer is worth, in units of `Quality`."""
START = PPOTuningConfig(start_learning_rate=1e-4, start_tokens_per_step=1024, start_passes=2.0)
"""How the start is made; its rate is the one at which the organism's other checkpoints are tuned."""


@dataclass(frozen=True)
class Town:
    """One base with one seed: of demonstrations, prompts, people and training."""

    base: int
    seed: int

    @property
    def ref(self) -> str:
        """The base, by reference."""
        return f"organism:xs/{self.base}/base"

    def about(self, **more: Any) -> dict[str, Any]:
        """What a kept result stands for."""
        return {"town": asdict(self), **VERSIONS, "base": weights_of(f"xs/{self.base}/base"), **more}

    def demonstrations(self) -> tuple[tuple[Message, ...], ...]:
        """What the start is shown: rows like those of `instruct`, which has far more of them."""
        return tuple(tuning_rows("instruct", key=self.seed)[:DEMONSTRATIONS])

    def pretraining(self) -> tuple[str, ...]:
        """Documents of the base's pretraining."""
        return tuple(map(as_text, documents(DOCUMENTS, key=self.base)))

    def questions(self, level: Level, count: int) -> list[Question]:
        """Different questions of one level, of each topic its share."""
        return list(questions_of(Pool(self.base, self.seed, level, count)))

    def prompts(self) -> PolicyPrompts:
        """What a policy is asked in training, and what it is measured on."""
        train, unseen = (
            tuple(
                PromptRow(f"{side} {n}", q.messages, FrozenDict({"topic": q.ask.topic}))
                for n, q in enumerate(of)
            )
            for side, of in (
                ("train", self.questions(Level.taught, TRAIN)),
                ("held out", self.questions(Level.combination, HELD_OUT)),
            )
        )
        return PolicyPrompts(train, unseen)

    def start(self, folder: Path) -> Path:
        """The folder of the policy's start, made now or before."""
        shown = self.demonstrations()
        made_of = [
            asdict(START),
            [[turn.to_json() for turn in row] for row in shown],
            DOCUMENTS,
            self.about(),
        ]
        place = folder / f"start-{self.base}-{self.seed}-{digest(made_of)[:12]}"
        if not place.exists():
            mixed = Mixed(shown, self.pretraining())
            make_start(self.ref, mixed, place, START, data="the town", device="cpu")
        return place


class Worth:
    """What the oracle says answers are worth, as a metric of a run."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float]:
        """One value for each row of a mix of rewards."""
        turns = [[Message.from_json(turn) for turn in prompt] for prompt in prompts]
        return self.of(turns, [completion[-1]["content"] for completion in completions])

    def of(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[float]:
        """One value for each answer."""
        found = []
        for prompt, answer in zip(prompts, answers, strict=True):
            asked = read_request(prompt)
            assert asked is not None  # the prompts are the town's own
            found.append(float(quality(asked.ask, self._oracle.judge(asked.ask, answer))))
        return found


@dataclass(frozen=True)
class Learnt:
    """A policy, and how it went."""

    folder: Path
    updates: tuple[Update, ...]
    measured: Mapping[int, Mapping[str, Mapping[str, float]]]
    """Updates that were done -> metric -> `value`, `low`, `high` on held-out prompts; `PROXY` is the reward."""
    report: HackingReport
    """What the run's page says."""


def learnt(
    name: str,
    town: Town,
    reward: RewardMix,
    config: PPOTuningConfig,
    folder: Path,
    *,
    paid: Any,
    ledger: LabelLedger,
    value: str = "",
) -> Learnt:
    """A policy that learns from `reward` by PPO as users run it, trained now or read from what was trained before.

    `paid` says in JSON what the reward is made of, `value` is the folder of the reward model that the value model
    begins as. The oracle's labels of the measures go into the ledger, as "gold".
    """
    import torch

    torch.set_num_threads(1)
    place = folder / f"{name.replace(' ', '-')}-{town.base}-{town.seed}"
    file = place.with_name(f"{place.name}.json")
    sizes = {"demonstrations": DEMONSTRATIONS, "prompts": [TRAIN, HELD_OUT], "start": asdict(START)}
    about = town.about(config=asdict(config), paid=paid, **sizes)
    kept = read_kept(file, about)
    if kept is None or not place.is_dir():
        shutil.rmtree(place, ignore_errors=True)  # of another setting, or left by who was interrupted
        kept = write_kept(file, about, _train(place, town, reward, config, folder, value))
    ledger.merge(LabelLedger(kept["labels"]))
    updates = tuple(map(Update.from_json, kept["updates"]))
    measured = {int(n): found for n, found in kept["measured"].items()}
    return Learnt(place, updates, measured, HackingReport.from_json(kept["report"]))


def _train(
    place: Path,
    town: Town,
    reward: RewardMix,
    config: PPOTuningConfig,
    folder: Path,
    value: str,
) -> dict[str, Any]:
    ledger = LabelLedger()
    updates: list[Update] = []
    samples: list[Sample] = []
    measured: dict[int, Any] = {}

    def observe(update: Update, written: Sequence[Sample]) -> None:
        updates.append(update)
        samples.extend(written)

    run = PolicyRun(
        town.prompts(),
        reward,
        data="the town",
        watched=RewardMix([(GOLD, Worth(Oracle(GOLD, ledger)), 1.0)]),
        observe=observe,
        measured=lambda before, found: measured.update({before - 1: thaw(found)}),
    )
    mixed = Mixed(pretraining=town.pretraining() if config.ptx_coef else (), value=value)
    start = town.start(folder)
    tune_by_ppo(str(start), run, mixed, place, config, start=start, device="cpu")
    return {
        "updates": [one.to_json() for one in updates],
        "measured": measured,
        "report": read_hacking(updates, samples).to_json(),
        "labels": ledger.totals(),
    }


def reward_scale(reward: RewardMix, town: Town, folder: Path) -> float:
    """The standard deviation of a reward over answers of the start to training prompts: the unit of KL coefficients."""
    rows = town.prompts().train[:200]
    model = load_local(str(town.start(folder)), device="cpu")
    requests = [Request(row.id, row.messages) for row in rows]
    answers = {c.request_id: c for c in model.sample(requests, SamplingParams(max_tokens=64), key=town.seed)}
    paid = reward.mixed(rows, [answers[row.id] for row in rows]).total
    return float(np.std([value for value in paid if value is not None], ddof=1))
