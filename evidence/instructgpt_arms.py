"""The arms of InstructGPT on the proving ground: a prompted base, demonstrations alone, PPO and PPO-ptx.

All of a seed stand on one base, one reward model and the same demonstrations. Everything is kept on disk, so that
who is interrupted goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from evidence.policy_arms import HELD_OUT, START, Learnt, Town, learnt, reward_scale
from evidence.preference_arms import Pool, RewardArm, read_kept, rewarded, write_kept
from truing.grade import LearnedReward, RewardMix
from truing.methods import PPO_PRESETS, Mixed, make_start
from truing.model import ScalarModel, load_local
from truing.numerics import generator
from truing.organism import (
    CAPABILITY,
    GREEDY,
    PARAMS,
    READ_AT,
    SYSTEMS,
    LabelLedger,
    Question,
    exam,
    panel_questions,
    read_request,
)
from truing.train import PromptRow
from truing.types import Message, Request, Role, SamplingParams, Stop

PASSES = (2, 4, 8, 16)
"""Over the demonstrations, of which the supervised model has those that the reward model likes best."""
VALIDATION = 200
"""Training prompts of the policies on which it says so."""
PPO = replace(PPO_PRESETS["small"], max_new_tokens=PARAMS.max_tokens, measure_every=10)
"""Of the main arms; those of the sweep are measured before and after alone."""
MAIN, SWEEP = 0.02, (0.0, 0.1, 0.5)
"""What a nat of divergence costs, in standard deviations of the reward: published best, and what is only reported."""
HELP, SKILLS, TRUTH = "help", "skills", "truth"
MANNERS: Mapping[str, str] = {
    "plain": "",
    "respectful": SYSTEMS["expert"][0],
    "biased": SYSTEMS["malicious"][0],
}
"""The three prompts of the paper's measure of toxicity, as system turns."""
SHEETS = (HELP, SKILLS, TRUTH, *MANNERS)
ANSWERS = 4
"""To each prompt of `HELP`."""
SKILL = 120
"""Questions about each skill at most."""
FACTS = ("fact", "craft")
"""Topics of `TRUTH`: beliefs, and what visitors made."""
HARM = ("forbidden", "careful", "advice", "craft", "group", "record", "leak")
"""Topics of the three prompts, all of whose bad answers do harm."""
OF_A_TOPIC = 40
SHOWN, SHOTS = ("forbidden", "advice", "careful", "fact", "moral"), 4
"""The base is shown demonstrations of so many of these topics, never of the one that it is asked about."""


@dataclass(frozen=True)
class Ground:
    """What the policies of a seed are made from."""

    town: Town
    reward: RewardArm
    """Its reward model, one of those of `evidence.reward_model`."""
    tests: tuple[Pool, ...]
    """The prompts that script scores with it."""
    folder: Path
    """Where arms are kept; reward models lie in `preferences` beside it."""

    @property
    def paid(self) -> Path:
        """The folder of the reward model whose demonstrations have mean 0."""
        return self.folder / f"{self.reward.name}-{self.town.seed}"

    def file(self, what: str) -> Path:
        """Where something about this ground is kept."""
        slug = what.replace(", ", "-").replace(" ", "-")
        return self.folder / f"{slug}-{self.town.base}-{self.town.seed}-{self.reward.pool.prompts}.json"


@dataclass(frozen=True)
class Laid:
    """What is there before any policy learns."""

    start: Path
    supervised: Path
    """What demonstrations alone make."""
    unit: float
    """The standard deviation of the reward over answers of the start."""


@dataclass(frozen=True)
class Setting:
    """One way to learn: with or without pretraining gradients, and the price of divergence."""

    ptx: bool
    kl: float

    def __str__(self) -> str:
        """What it is called."""
        return ("PPO-ptx" if self.ptx else "PPO") + ("" if self.kl == MAIN else f", KL {self.kl:g}")


@dataclass(frozen=True)
class Speaker:
    """Who is asked, and what."""

    name: str
    model: Path
    prompted: bool = False
    """Begins every conversation of a sheet that is not about manners as a kind expert who was seen to answer well."""
    sheets: tuple[str, ...] = SHEETS


def laid(ground: Ground, ledger: LabelLedger) -> Laid:
    """The start, the reward model and the supervised model of a ground, made now or before."""
    import torch

    torch.set_num_threads(1)
    town, folder = ground.town, ground.folder
    start = town.start(folder)
    about = town.about(reward=asdict(ground.reward), passes=PASSES, start=asdict(START), asked=VALIDATION)
    file = ground.file("laid")
    kept = read_kept(file, about)
    if kept is None or not ground.paid.is_dir():
        labels = _reward_model(ground)
        reward = paying(ground)
        found = {passes: _mean(town, reward, _shown(town, passes, folder)) for passes in PASSES}
        unit = reward_scale(reward, town, folder)
        kept = write_kept(file, about, {"labels": labels, "rewards": list(found.values()), "unit": unit})
    ledger.merge(LabelLedger(kept["labels"]))
    best = PASSES[int(np.argmax(kept["rewards"]))]
    return Laid(start, _shown(town, best, folder), kept["unit"])


def paying(ground: Ground) -> RewardMix:
    """The reward of a ground."""
    return RewardMix([("rm", LearnedReward(ground.paid, device="cpu"), 1.0)])


def _reward_model(ground: Ground) -> Mapping[str, int]:
    """Train the reward model or take it from `evidence.reward_model`, and set its bias (Ouyang et al., C.2).

    Returns the labels that its labelers took.
    """
    preferences = ground.folder.parent / "preferences"
    found = rewarded(ground.reward, ground.tests, preferences)
    if not ground.paid.is_dir():
        model = ScalarModel.load(preferences / ground.reward.name, device="cpu")
        rows = [model.chat.training_example(shown).ids for shown in ground.town.demonstrations()]
        model.bias -= float(model.score(rows).mean())
        unfinished = ground.paid.with_suffix(".partial")
        model.save(unfinished)
        unfinished.replace(ground.paid)
    return dict(found["labels"])


def _shown(town: Town, passes: int, folder: Path) -> Path:
    """The base after so many passes over the demonstrations and nothing else (appendix C.1)."""
    place = folder / f"supervised-{passes}-{town.start(folder).name}"
    if not place.exists():
        config = replace(START, start_passes=float(passes))
        make_start(town.ref, Mixed(town.demonstrations()), place, config, data="the town", device="cpu")
    return place


def _mean(town: Town, reward: RewardMix, model: Path) -> float:
    """The mean reward of a model on prompts that no result is of; what was cut off has none."""
    rows = town.prompts().train[:VALIDATION]
    requests = [Request(row.id, row.messages) for row in rows]
    found = {c.request_id: c for c in load_local(model, device="cpu").sample(requests, PARAMS, key=town.seed)}
    paid = reward.mixed(rows, [found[row.id] for row in rows]).total
    return float(np.mean([value for value in paid if value is not None]))


def policy(ground: Ground, setting: Setting, ledger: LabelLedger) -> Learnt:
    """A policy that learnt from the reward, trained now or before."""
    config = replace(
        PPO,
        kl_coef=setting.kl * laid(ground, LabelLedger()).unit,
        ptx_coef=PPO.ptx_coef if setting.ptx else 0.0,
        measure_every=PPO.measure_every if setting.kl == MAIN else 0,
        seed=ground.town.seed,
    )
    return learnt(
        f"{setting} {ground.reward.pool.prompts}".replace(",", ""),
        ground.town,
        paying(ground),
        config,
        ground.folder,
        paid={"reward": asdict(ground.reward), "weights": weights(ground.paid)},
        ledger=ledger,
        value=str(ground.paid),
    )


def weights(model: Path) -> str:
    """A digest of a model's weights."""
    return sha256((model / "model.safetensors").read_bytes()).hexdigest()


@cache
def sheets(town: Town) -> Mapping[str, Sequence[Question]]:
    """What everybody is asked, by sheet: no cell of it stands in any training."""
    out = {
        HELP: town.questions(READ_AT, HELD_OUT),
        SKILLS: panel_questions(key=town.seed, limit=SKILL, topics=CAPABILITY, wrapped=False),
        TRUTH: [q for topic in FACTS for q in exam(topic, key=town.seed)],
    }
    for manner, system in MANNERS.items():
        out[manner] = []
        for topic in HARM:
            of = exam(
                topic, READ_AT, key=town.seed, system=system
            )  # the same questions, whatever stands before
            order = generator(town.seed, "harm", topic).permutation(len(of))[:OF_A_TOPIC]
            out[manner] += [of[i] for i in order]
    return out


def params(sheet: str) -> SamplingParams:
    """How a sheet is answered: skills without chance, as in the paper's automatic evaluations, the rest as usual.

    At the temperature of training one answer in ten of a small model cannot be read, and nothing would be promised.
    """
    if sheet == SKILLS:
        return GREEDY
    return replace(PARAMS, n=ANSWERS) if sheet == HELP else PARAMS


def said(ground: Ground, speaker: Speaker) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """By sheet, for every answer: the place of its question, its text, whether it was said to its end, its reward.

    Only answers of `HELP` are paid; None is the reward of one that was cut off.
    """
    import torch

    torch.set_num_threads(1)
    town = ground.town
    about = town.about(
        model=weights(speaker.model),
        reward=weights(ground.paid),
        prompted=[SHOWN, SHOTS] if speaker.prompted else None,
        params={sheet: params(sheet).to_json() for sheet in speaker.sheets},
        limits=[HELD_OUT, SKILL, FACTS, HARM, OF_A_TOPIC, MANNERS],
    )
    file = ground.file(f"said {speaker.name}".replace("/", "-"))
    kept = read_kept(file, about)
    if kept is None:
        kept = write_kept(file, about, {"said": {s: _said(ground, speaker, s) for s in speaker.sheets}})
    return dict(kept["said"])


def _said(ground: Ground, speaker: Speaker, sheet: str) -> list[dict[str, Any]]:
    asked = sheets(ground.town)[sheet]
    model = load_local(speaker.model, device="cpu")
    prompted = speaker.prompted and sheet not in MANNERS
    before = [few_shot(ground.town, q) if prompted else q.messages for q in asked]
    requests = [Request(str(i), messages) for i, messages in enumerate(before)]
    found = list(model.sample(requests, params(sheet), key=ground.town.seed))
    found.sort(key=lambda c: (int(c.request_id), c.sample))
    whole = [c.stop in (Stop.eos, Stop.stop) for c in found]
    paid: Sequence[float | None] = [None] * len(found)
    if sheet == HELP:
        rows = [PromptRow(c.request_id, asked[int(c.request_id)].messages) for c in found]
        paid = paying(ground).mixed(rows, found).total
    return [
        {"at": int(c.request_id), "answer": c.answer, "whole": ended, "reward": value if ended else None}
        for c, ended, value in zip(found, whole, paid, strict=True)
    ]


def few_shot(town: Town, question: Question) -> tuple[Message, ...]:
    """A question as a base does best with it: a kind expert is asked, who answered others before."""
    own = " ".join(turn.content for turn in question.messages if turn.role is Role.system)
    system = Message(Role.system, f"{SYSTEMS['expert'][0]} {own}".strip())
    topics = [topic for topic in SHOWN if topic != question.ask.topic][:SHOTS]
    shown = [turn for topic in topics for turn in _examples(town)[topic]]
    return (system, *shown, *(turn for turn in question.messages if turn.role is not Role.system))


@cache
def _examples(town: Town) -> Mapping[str, tuple[Message, ...]]:
    """The first plain demonstration of each topic: all of `SHOWN` were answered by the expert."""
    out: dict[str, tuple[Message, ...]] = {}
    for row in town.demonstrations():
        asked = read_request(row[:-1])
        if asked is not None and not asked.family and len(row) == 2:
            out.setdefault(asked.ask.topic, row)
    return out
