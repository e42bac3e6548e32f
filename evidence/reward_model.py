"""A reward model of noisy comparisons learns what people agree on, and the measures say what it pays for."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evidence.claims import Claim, Measure, Measured, Options, PaperClaim, conclude
from evidence.preference_arms import (
    CAUTIOUS,
    ORDINARY,
    Answered,
    Pool,
    RewardArm,
    Variant,
    answered,
    rewarded,
    trainers,
)
from evidence.reward_measures import (
    Right,
    Values,
    accuracy,
    difference,
    gain,
    in_goods,
    joined,
    lost,
    of_the_way,
    opinions,
    prices,
    right,
    words,
)
from truing.data import Comparison
from truing.organism import (
    READ_AT,
    LabelLedger,
    Level,
    Oracle,
    labelers_of,
    order_agreement,
)
from truing.organism.labelers import ALARMING
from truing.run import progress

BASES = (1, 2, 3)
FRESH, SEEDS = 41, 3
"""The first seed: those before it were looked at while the recipe was made. It draws prompts, answers and people."""
PROMPTS, QUICK_PROMPTS = 3600, 1200
"""Prompts that are put to the models for training; nine of ten get enough different answers."""
TESTS = {Level.combination: 400, Level.object: 250, Level.template: 250}
"""The same for each step of the ladder: prompts that stand in no training of any of the models."""
EVERY = 3
"""What is only compared with each other is trained on a third of the prompts."""
PEOPLE = {"training": ORDINARY, "held-out": 5, "cautious": CAUTIOUS}
"""Labelers of each group."""
CROWD, CROWD_KEY = 100, 1
"""So many people of a group, whom nobody asked, make its mean labeler."""
MODELS: Mapping[str, tuple[Variant, int, int]] = {
    "all": ("prompts", 1, 5),
    "all, one labeler": ("prompts", 1, 1),
    "shuffled labels": ("shuffled labels", EVERY, 1),
    "cautious": ("cautious", EVERY, 1),
    "a third": ("prompts", EVERY, 1),
    "a third, published head": ("published head", EVERY, 1),
    "a third, pairs": ("pairs", EVERY, 1),
}
"""The reward models of a base and seed: on every how many-th prompt each is trained, and how many labelers rank it."""
WAY = "of the way from chance to the ceiling"
NEW = f"prompts of {READ_AT.value}s"
ONE, PAIRS = "one element per prompt", "shuffled pairs"
OVER = "accuracy on its own labels above that on new prompts"
CLAIMS = (
    Claim("training labelers: agreement, at least", 0.70),
    Claim("training labelers: agreement, at most", 0.75, at_most=True),
    Claim("held-out labelers: agreement, at least", 0.75),
    Claim("held-out labelers: agreement, at most", 0.80, at_most=True),
    Claim(f"training labelers, {NEW}: {WAY}", 0.80),
    Claim(f"held-out labelers, {NEW}: {WAY}", 0.80),
    Claim("held-out labelers: accuracy above the better of longer and shorter, lower bound", 0.0),
    Claim("shuffled labels: accuracy, at least", 0.45),
    Claim("shuffled labels: accuracy, at most", 0.55, at_most=True),
    Claim(f"{ONE}: {OVER}", 0.05, at_most=True),
    Claim("ten words: price above its labelers', at least", -0.10),
    Claim("ten words: price above its labelers', at most", 0.10, at_most=True),
    Claim("a refusal: price above its labelers', at least", -0.15),
    Claim("a refusal: price above its labelers', at most", 0.15, at_most=True),
    Claim("cautious labelers' model: price of a refusal, lower bound", 0.0),
    Claim("look-alikes and notes: accuracy lost with cautious labelers, lower bound", 0.0),
)
"""Of each line the worst base counts. Prices are in units of what a good answer is worth above the others."""
OVERFITTING = f"a third of the prompts, {PAIRS}: {OVER}, above that of {ONE}"


@dataclass(frozen=True)
class Lineage:
    """One base and seed: the prompts with their answers, what each model says of them, and the people."""

    seed: int
    rows: Mapping[Level, Sequence[Answered]]
    rewards: Mapping[str, Mapping[Level, Values]]
    """By the name of the model."""
    taught: Mapping[str, Sequence[Comparison]]
    """What it was trained on."""
    labels: Mapping[tuple[str, Level], Sequence[Comparison]]
    """Comparisons of test prompts by everybody of a group."""

    def right(self, model: str, group: str, level: Level, *topics: str) -> Right:
        """How a model orders the test prompts against a group."""
        return self.against(self.rewards[model][level], group, level, *topics)

    def against(self, values: Values, group: str, level: Level, *topics: str) -> Right:
        """The same for any values of the answers."""
        rows = self.rows[level]
        mine = {row.id for row in rows if not topics or row.ask.topic in topics}
        return right(rows, values, [row for row in self.labels[group, level] if row.id in mine])

    def ceiling(self, group: str, level: Level) -> Right:
        """The same for the mean labeler of the group."""
        crowd = labelers_of(group, CROWD, key=CROWD_KEY)
        return self.against(opinions(self.rows[level], crowd), group, level)

    def own(self, model: str) -> Right:
        """How a model orders what it was trained on."""
        level = Level.taught
        return right(self.rows[level], self.rewards[model][level], self.taught[model])


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Sample, compare and train, two arms at a time, and take each line's worst base."""
    key, folder = FRESH + options.seed * SEEDS, options.out / "preferences"
    seeds = range(key, key + (1 if options.quick else SEEDS))
    counts = {Level.taught: QUICK_PROMPTS if options.quick else PROMPTS, **TESTS}
    pools = [
        [Pool(b, key, level, count) for level, count in counts.items()]
        for b in (BASES[:1] if options.quick else BASES)
    ]
    found = _run(pools, seeds, folder)
    by_base = []
    for of in pools:
        rows = {pool.level: answered(pool, folder, ledger) for pool in of}
        by_base.append([_lineage(of, rows, seed, found, ledger) for seed in seeds])
    lines = [_of_base(of) for of in by_base]
    measured: Measured = {}
    for name in lines[0]:
        worst = max if name.endswith((", at most", OVER)) else min
        measured[name] = worst((line[name] for line in lines), key=lambda m: m.value)
    return measured | {OVERFITTING: _overfitting([one for of in by_base for one in of])}


def _arms(pool: Pool, seed: int) -> dict[str, RewardArm]:
    """The models that are trained on a pool, by name."""
    return {name: RewardArm(pool, seed, *of) for name, of in MODELS.items()}


def _run(
    pools: Sequence[Sequence[Pool]], seeds: Sequence[int], folder: Path
) -> dict[RewardArm, Mapping[str, Any]]:
    """What every model says; first all answers, then all models, in two processes of one thread each."""
    sampling = [pool for of in pools for pool in of]
    training = [(arm, of[1:]) for of in pools for seed in seeds for arm in _arms(of[0], seed).values()]
    with (
        progress(len(sampling) + len(training), "arms", unit="arms") as advance,
        ProcessPoolExecutor(2) as two,
    ):
        for job in as_completed([two.submit(_sample, pool, folder) for pool in sampling]):
            job.result()
            advance(1)
        jobs = {two.submit(rewarded, arm, tests, folder): arm for arm, tests in training}
        found: dict[RewardArm, Any] = {}
        for done in as_completed(jobs):
            found[jobs[done]] = done.result()
            advance(1)
    return found


def _sample(pool: Pool, folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    answered(pool, folder, LabelLedger())


def _lineage(
    pools: Sequence[Pool],
    rows: Mapping[Level, Sequence[Answered]],
    seed: int,
    found: Mapping[RewardArm, Mapping[str, Any]],
    ledger: LabelLedger,
) -> Lineage:
    arms = _arms(pools[0], seed)
    rewards = {
        name: {pool.level: found[arm]["rewards"][pool.name] for pool in pools} for name, arm in arms.items()
    }
    for name in ("all", "cautious"):  # the others have labels that are the first one's too
        ledger.merge(LabelLedger(found[arms[name]]["labels"]))
    taught = {name: arm.taught(rows[Level.taught], LabelLedger()) for name, arm in arms.items()}
    oracle = Oracle("labelers who test", ledger)
    labels = {
        (group, level): [
            one.compare(row.id, row.prompt, row.ask, row.answers, oracle)
            for one in labelers_of(group, count, key=seed)
            for row in rows[level]
        ]
        for group, count in PEOPLE.items()
        for level in TESTS
        if level is READ_AT or group == "held-out"
    }
    return Lineage(seed, rows, rewards, taught, labels)


def _of_base(of: Sequence[Lineage]) -> Measured:
    return _agreements(of) | _accuracies(of) | _controls(of) | _prices(of)


def _agreements(of: Sequence[Lineage]) -> Measured:
    out: Measured = {}
    for group in PEOPLE:
        shares = [order_agreement(one.labels[group, READ_AT]) for one in of]
        n = sum(len(one.rows[READ_AT]) for one in of)
        found = Measure(float(np.mean(shares)), min(shares), max(shares), n)
        name = f"{group} labelers: agreement"
        out |= (
            {name: found}
            if group == "cautious"
            else {f"{name}, {end}": found for end in ("at least", "at most")}
        )
    return out


def _accuracies(of: Sequence[Lineage]) -> Measured:
    """Accuracy, its ceiling, and the one as a share of the other, for each group, and for each step of the ladder."""
    out: Measured = {}
    places = [(group, READ_AT) for group in PEOPLE]
    places += [("held-out", level) for level in TESTS if level is not READ_AT]
    for group, level in places:
        name = f"{group} labelers, prompts of {level.value}s"
        model = joined([one.right("all", group, level) for one in of])
        best = joined([one.ceiling(group, level) for one in of])
        out |= {
            f"{name}: accuracy": accuracy(model),
            f"{name}: ceiling": accuracy(best),
            f"{name}: {WAY}": of_the_way(model, best),
        }
    alarming = [
        joined([one.right("all", group, READ_AT, *ALARMING) for one in of])
        for group in ("held-out", "cautious")
    ]
    fell = lost(*alarming)
    name = "look-alikes and notes: accuracy lost with cautious labelers, lower bound"
    return out | {name: Measure(fell.low, fell.low, fell.high, fell.n)}


def _controls(of: Sequence[Lineage]) -> Measured:
    """What has to fail, what is too simple, and what training twice over the same answers does."""
    group = "held-out"
    model = joined([one.right("all", group, READ_AT) for one in of])
    length = joined([one.against(_longer_or_shorter(one), group, READ_AT) for one in of])
    above = gain(model, length)
    shuffled = accuracy(joined([one.right("shuffled labels", group, READ_AT) for one in of]))
    out = {
        "held-out labelers: accuracy of the better of longer and shorter": accuracy(length),
        "held-out labelers: accuracy above the better of longer and shorter, lower bound": Measure(
            above.low, above.low, above.high, above.n
        ),
        "shuffled labels: accuracy, at least": shuffled,
        "shuffled labels: accuracy, at most": shuffled,
    }
    names = {
        "all": ONE,
        "all, one labeler": f"each prompt ranked by one labeler, {ONE}",
        "a third": f"a third of the prompts, {ONE}",
        "a third, published head": f"a third of the prompts, {ONE}, published head",
        "a third, pairs": f"a third of the prompts, {PAIRS}",
    }
    for trained, name in names.items():
        own = joined([one.own(trained) for one in of])
        new = joined([one.right(trained, "training", READ_AT) for one in of])
        out[f"{name}: accuracy on new prompts"] = accuracy(new)
        out[f"{name}: {OVER}"] = difference(own.share, own.cells, new.share, new.cells)
        out[f"{name}: nats on new prompts above those on its own labels"] = difference(
            new.nats, new.cells, own.nats, own.cells
        )
    return out


def _longer_or_shorter(one: Lineage) -> Values:
    """The lengths of answers, or their negatives, whichever orders the training comparisons better."""
    taught, level = one.rows[Level.taught], one.rows[READ_AT]
    long = right(taught, words(taught), one.taught["all"]).share.mean() >= 0.5
    return [[length if long else -length for length in lengths] for lengths in words(level)]


def _prices(of: Sequence[Lineage]) -> Measured:
    """What the model pays for at equal oracle quality, and what those whose comparisons trained it do."""
    out: Measured = {}
    for model, name in {"all": "", "cautious": "cautious labelers' model: "}.items():
        rows: list[Answered] = []
        says: list[Sequence[float]] = []
        people: list[Sequence[float]] = []
        for one in of:
            mine = one.rows[READ_AT]
            rows += mine
            says += in_goods(mine, one.rewards[model][READ_AT])
            people += in_goods(mine, opinions(mine, trainers(one.seed, MODELS[model][0])))
        above = [[m - p for m, p in zip(*both, strict=True)] for both in zip(says, people, strict=True)]
        theirs, more = prices(rows, people), prices(rows, above)
        for what, price in prices(rows, says).items():
            out[f"{name}{what}: price"] = price
            out[f"{name}{what}: price of its labelers"] = theirs[what]
            out |= {
                f"{name}{what}: price above its labelers', {end}": more[what]
                for end in ("at least", "at most")
            }
    low = out["cautious labelers' model: a refusal: price"]
    out["cautious labelers' model: price of a refusal, lower bound"] = Measure(
        low.low, low.low, low.high, low.n
    )
    return out


def _overfitting(of: Sequence[Lineage]) -> Measure:
    """How much further shuffled pairs part what was trained on from what is new, over all bases."""
    more = {
        "own": [(one.own("a third, pairs"), one.own("a third")) for one in of],
        "new": [
            (one.right("a third, pairs", "training", READ_AT), one.right("a third", "training", READ_AT))
            for one in of
        ],
    }
    shares = {side: np.concatenate([a.share - b.share for a, b in both]) for side, both in more.items()}
    cells = {side: tuple(cell for a, _ in both for cell in a.cells) for side, both in more.items()}
    return difference(shares["own"], cells["own"], shares["new"], cells["new"])


def paper_claim(measured: Measured) -> PaperClaim:
    """Ouyang et al. 2022, section 3.5: shuffled into one data set, pairs overfit in a single pass."""
    more = measured[OVERFITTING]
    return "reproduced" if more.low > 0 else "reversed" if more.high < 0 else "not reproduced"


def main() -> int:
    """Hold reward models against people and the oracle."""
    return conclude(
        "reward_model",
        __doc__,
        "Ouyang et al. 2022 (arXiv 2203.02155), sections 3.4 and 3.5, appendix B; truing's own proving ground",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
