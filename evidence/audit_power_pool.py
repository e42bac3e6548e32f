"""The stored journals that audits are replayed from: answers of a model under several keys, and of two worse ones."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truing.audit import Pair, Policy, Settings, compare, plan_items, run_audit
from truing.run import Journal
from truing.types import Item, Outcome, Verdict

MODEL, WORSE = "instruct", ("base", "helpful")
"""The model that is audited against itself, and those from which a candidate takes some of its answers."""
_SIDES = ("baseline", "candidate", "repeat")


@dataclass(frozen=True)
class Arm:
    """One real audit with a noise floor: `against` under two keys and the candidate, `MODEL`, under a third."""

    lineage: int
    against: str
    seed: int
    limit: int

    @property
    def settings(self) -> Settings:
        """All arms of a seed ask the same questions, and no two of them sample the candidate under one key."""
        key = 10 * self.seed
        return Settings(
            limit=self.limit,
            seed=key,
            candidate_seed=key + 2 + (MODEL, *WORSE).index(self.against),
            temperature=0.7,
            max_tokens=96,
            noise_floor=True,
        )

    def folder(self, root: Path) -> Path:
        """Where the audit keeps its journals; an interrupted one goes on there."""
        return root / f"{self.lineage}-{self.against}-{self.limit}-{self.seed}"


def ask(arm: Arm, root: Path) -> Arm:
    """Run the audit of an arm, or only what its journals lack; runs in a process of its own."""
    import torch

    torch.set_num_threads(1)
    candidate, baseline = (f"organism:xs/{arm.lineage}/{name}" for name in (MODEL, arm.against))
    run_audit(candidate, baseline, "organism", arm.settings, out=arm.folder(root))
    return arm


Answer = tuple[Verdict, str]
"""The oracle's verdict, and a digest of the text."""
Samplings = tuple[tuple[Answer, ...], ...]
"""The answers to all items, under each key."""


@dataclass(frozen=True)
class Stock:
    """The items of one dimension with every stored answer; what is drawn from it is a cluster."""

    items: tuple[Item, ...]
    answers: Mapping[str, Samplings]
    _copies: dict[tuple[int, int], Item] = field(default_factory=dict)

    @cached_property
    def clusters(self) -> list[list[int]]:
        """The places of the items that share a source."""
        members: dict[str, list[int]] = defaultdict(list)
        for i, item in enumerate(self.items):
            members[item.cluster or item.request.prompt_digest].append(i)
        return list(members.values())

    def copy(self, i: int, nth: int) -> Item:
        """Item `i` as it stands in the n-th draw of its cluster: each draw is a source of its own."""
        if (i, nth) not in self._copies:
            item = self.items[i]
            self._copies[i, nth] = replace(item, id=f"{item.id}~{nth}", cluster=f"{item.cluster}~{nth}")
        return self._copies[i, nth]

    def gap(self, model: str) -> float:
        """By how much `model` is worse than `MODEL`: the difference of their shares of good answers."""
        ours, theirs = (_scores(self.answers[of]).mean() for of in (MODEL, model))
        return float(ours - theirs)

    def discordance(self, model: str) -> float:
        """How often `MODEL` under one key and `model` under another are judged differently."""
        ours, theirs = _scores(self.answers[MODEL]), _scores(self.answers[model])
        differ = (ours[:, None] != theirs[None]).mean(axis=2)
        keys = len(ours)
        # With itself under the same key, MODEL never differs.
        return float(differ.sum() / (keys * (keys - 1)) if model == MODEL else differ.mean())


@dataclass(frozen=True)
class Pool:
    """The journals of one lineage: dimension -> its stock, and what the suite can show at best."""

    lineage: int
    stocks: Mapping[str, Stock]
    margins: Mapping[str, float]

    @cached_property
    def truths(self) -> NDArray[np.bool_]:
        """Whether each of all stored answers is good; those that cannot be read are left out."""
        scores = [
            v.score for s in self.stocks.values() for of in s.answers.values() for k in of for v, _ in k
        ]
        return np.array([score == 1.0 for score in scores if score is not None])

    @property
    def labels(self) -> int:
        """Verdicts of the oracle that the journals hold."""
        return sum(len(s.items) * len(of) for s in self.stocks.values() for of in s.answers.values())


def read_pool(arms: Iterable[Arm], root: Path) -> Pool:
    """All answers of one lineage's arms, which asked the same items; without items of which an answer was cut off."""
    arms = list(arms)
    items, margins = _planned(replace(arms[0].settings, candidate_seed=None))
    found: dict[str, list[dict[str, Answer]]] = defaultdict(list)
    for arm in arms:
        for side in _SIDES:
            found[MODEL if side == "candidate" else arm.against].append(_read(arm.folder(root), side))
    by_dimension: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if all(_was_judged(of[item.id]) for keys in found.values() for of in keys):
            by_dimension[item.dimension].append(item)
    stocks = {
        name: Stock(
            tuple(some),
            {model: tuple(tuple(of[i.id] for i in some) for of in keys) for model, keys in found.items()},
        )
        for name, some in by_dimension.items()
    }
    return Pool(arms[0].lineage, stocks, margins)


def as_audited(arm: Arm, root: Path) -> bool:
    """Whether the stored verdicts, compared again as replays are, give the comparisons of the audit's own result."""
    folder, policy = arm.folder(root), Policy()
    baseline, candidate = (_read(folder, side) for side in _SIDES[:2])
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for item in _planned(replace(arm.settings, candidate_seed=None))[0]:
        (before, text), (after, written) = baseline[item.id], candidate[item.id]
        pairs[item.dimension].append(Pair(item, before, after, text == written != ""))
    alpha = policy.alpha / len(pairs)
    again = [
        compare(name, members, alpha=alpha, power=policy.power, key=arm.settings.seed).to_json()
        for name, members in pairs.items()
    ]
    told = json.loads((folder / "audit.json").read_text("utf-8"))
    return bool(told["comparisons"] == json.loads(json.dumps(again)))


@cache
def _planned(settings: Settings) -> tuple[tuple[Item, ...], Mapping[str, float]]:
    """What all arms with these settings ask, whatever key the candidate is sampled under, and its margins."""
    planned = plan_items("organism", settings, Policy())
    return planned.items, planned.margins


def _read(folder: Path, side: str) -> dict[str, Answer]:
    journal = Journal(folder / "journal" / f"verdicts-{side}.jsonl")
    rows = {key: (_verdict(json.dumps(row["verdict"])), row["answer"]) for key, row in journal.rows()}
    journal.close()
    return rows


def _was_judged(answer: Answer) -> bool:
    return answer[0].score is not None or answer[0].outcome is Outcome.unparsed


@cache
def _verdict(text: str) -> Verdict:
    """One object for equal verdicts: there are few kinds."""
    return Verdict.from_json(json.loads(text))


def _scores(samplings: Samplings) -> NDArray[np.float64]:
    """[keys, items]: 1 for a good answer. One that cannot be read is none."""
    return np.array([[verdict.score or 0.0 for verdict, _ in of] for of in samplings])
