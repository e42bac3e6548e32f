"""A reward model of noisy comparisons learns what people agree on, and the measures say what it pays for."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
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
    compared,
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
    Labeler,
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
PROMPTS = 1600
"""Prompts that are put to the models for training; nine of ten get enough different answers."""
TESTS = {Level.combination: 400, Level.object: 250, Level.template: 250}
"""The same for each step of the ladder: prompts that stand in no training of any of the models."""
PEOPLE = {"training": ORDINARY, "held-out": 5, "cautious": CAUTIOUS}
"""Labelers of each group."""
VARIANTS: tuple[Variant, ...] = ("prompts", "pairs", "shuffled labels", "cautious")
WAY = "of the way from chance to the ceiling"
NEW = f"prompts of {READ_AT.value}s"
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
    Claim(f"one element per prompt: {OVER}", 0.05, at_most=True),
    Claim("ten words: price above its labelers', at least", -0.10),
    Claim("ten words: price above its labelers', at most", 0.10, at_most=True),
    Claim("a refusal: price above its labelers', at least", -0.15),
    Claim("a refusal: price above its labelers', at most", 0.15, at_most=True),
    Claim("cautious labelers' model: price of a refusal, lower bound", 0.0),
    Claim("look-alikes and notes: accuracy lost with cautious labelers, lower bound", 0.0),
)
"""Of each line the worst base counts. Prices are in units of what a good answer is worth above the others."""
OVERFITTING = f"shuffled pairs: {OVER}, above that of one element per prompt"


@dataclass(frozen=True)
class Lineage:
    """One base and seed: the prompts with their answers, what each model says of them, and the people."""

    seed: int
    rows: Mapping[Level, Sequence[Answered]]
    rewards: Mapping[Variant, Mapping[Level, Values]]
    labels: Mapping[tuple[str, Level], Sequence[Comparison]]
    """Comparisons of test prompts by everybody of a group."""
    taught: Mapping[Variant, Sequence[Comparison]]

    def people(self, group: str) -> list[Labeler]:
        """Those of a group who compare test prompts: the ordinary and the cautious also those of training prompts."""
        return labelers_of(group, PEOPLE[group], key=self.seed)

    def right(self, variant: Variant, group: str, level: Level, *topics: str) -> Right:
        """How a model orders the test prompts against a group."""
        return self.against(self.rewards[variant][level], group, level, *topics)

    def against(self, values: Values, group: str, level: Level, *topics: str) -> Right:
        """The same for any values of the answers."""
        rows = self.rows[level]
        mine = {row.id for row in rows if not topics or row.ask.topic in topics}
        return right(rows, values, [row for row in self.labels[group, level] if row.id in mine])

    def own(self, variant: Variant) -> Right:
        """How a model orders what it was trained on."""
        level = Level.taught
        return right(self.rows[level], self.rewards[variant][level], self.taught[variant])


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Sample, compare and train, two arms at a time, and take each line's worst base."""
    bases = BASES[:1] if options.quick else BASES
    seeds = [FRESH + options.seed + i for i in range(1 if options.quick else SEEDS)]
    lineages = _run([(b, s) for b in bases for s in seeds], options.out / "preferences", ledger)
    by_base = [[lineages[b, s] for s in seeds] for b in bases]
    found = [_of_base(of) for of in by_base]
    measured: Measured = {}
    for name in found[0]:
        worst = max if name.endswith(", at most") or name.endswith(OVER) else min
        measured[name] = worst((of[name] for of in found), key=lambda m: m.value)
    return measured | {OVERFITTING: _overfitting([one for of in by_base for one in of])}


def _run(
    which: Sequence[tuple[int, int]], folder: Path, ledger: LabelLedger
) -> dict[tuple[int, int], Lineage]:
    """Every lineage; first all answers, then all models, in two processes of one thread each."""
    arms = {at: [RewardArm(*at, variant, PROMPTS) for variant in VARIANTS] for at in which}
    tests = {at: [Pool(*at, level, count) for level, count in TESTS.items()] for at in which}
    pools = [pool for at in which for pool in (arms[at][0].pool, *tests[at])]
    jobs = len(pools) + sum(map(len, arms.values()))
    with progress(jobs, "arms", unit="arms") as advance, ProcessPoolExecutor(2) as pool:
        for job in [pool.submit(_sample, one, folder) for one in pools]:
            job.result()
            advance(1)
        trained = {arm: pool.submit(rewarded, arm, tests[at], folder) for at in which for arm in arms[at]}
        for training in trained.values():
            training.result()
            advance(1)
    return {
        at: _lineage(at[1], {arm: trained[arm].result() for arm in arms[at]}, tests[at], folder, ledger)
        for at in which
    }


def _sample(pool: Pool, folder: Path) -> None:
    import torch

    torch.set_num_threads(1)
    answered(pool, folder, LabelLedger())


def _lineage(
    seed: int,
    told: Mapping[RewardArm, Mapping[str, Any]],
    tests: Sequence[Pool],
    folder: Path,
    ledger: LabelLedger,
) -> Lineage:
    pools = {pool.level: pool for pool in (next(iter(told)).pool, *tests)}
    rows = {level: answered(pool, folder, ledger) for level, pool in pools.items()}
    rewards = {
        arm.variant: {level: found["rewards"][pool.name] for level, pool in pools.items()}
        for arm, found in told.items()
    }
    for arm, found in told.items():
        if arm.variant in ("prompts", "cautious"):  # the others have the labels of the first
            ledger.merge(LabelLedger(found["labels"]))
    taught = {
        arm.variant: compared(rows[Level.taught], trainers(seed, arm.variant), LabelLedger(), key=seed)
        for arm in told
    }
    out = Lineage(seed, rows, rewards, {}, taught)
    oracle = Oracle("labelers who test", ledger)
    labels = {
        (group, level): [
            one.compare(row.id, row.prompt, row.ask, row.answers, oracle)
            for one in out.people(group)
            for row in rows[level]
        ]
        for group in PEOPLE
        for level in TESTS
        if level is READ_AT or group == "held-out"
    }
    return Lineage(seed, rows, rewards, labels, taught)


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
        model = joined([one.right("prompts", group, level) for one in of])
        best = joined([one.against(opinions(one.rows[level], one.people(group)), group, level) for one in of])
        out |= {
            f"{name}: accuracy": accuracy(model),
            f"{name}: ceiling": accuracy(best),
            f"{name}: {WAY}": of_the_way(model, best),
        }
    alarming = [
        joined([one.right("prompts", group, READ_AT, *ALARMING) for one in of])
        for group in ("held-out", "cautious")
    ]
    fell = lost(*alarming)
    name = "look-alikes and notes: accuracy lost with cautious labelers, lower bound"
    return out | {name: Measure(fell.low, fell.low, fell.high, fell.n)}


def _controls(of: Sequence[Lineage]) -> Measured:
    """What has to fail, what is too simple, and what training twice over the same answers does."""
    group = "held-out"
    model = joined([one.right("prompts", group, READ_AT) for one in of])
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
    names: Mapping[Variant, str] = {"prompts": "one element per prompt", "pairs": "shuffled pairs"}
    for variant, name in names.items():
        own = joined([one.own(variant) for one in of])
        new = joined([one.right(variant, "training", READ_AT) for one in of])
        out[f"{name}: accuracy on new prompts"] = accuracy(new)
        out[f"{name}: {OVER}"] = difference(own.share, own.cells, new.share, new.cells)
        out[f"{name}: nats on new prompts above those on its own labels"] = difference(
            new.nats, new.cells, own.nats, own.cells
        )
    return out


def _longer_or_shorter(one: Lineage) -> Values:
    """The lengths of answers, or their negatives, whichever orders the training comparisons better."""
    taught, level = one.rows[Level.taught], one.rows[READ_AT]
    long = right(taught, words(taught), one.taught["prompts"]).share.mean() >= 0.5
    return [[length if long else -length for length in lengths] for lengths in words(level)]


def _prices(of: Sequence[Lineage]) -> Measured:
    """What the model pays for at equal oracle quality, and what those whose comparisons trained it do."""
    out: Measured = {}
    names: Mapping[Variant, str] = {"prompts": "", "cautious": "cautious labelers' model: "}
    for variant, name in names.items():
        rows, model, people = [], [], []
        for one in of:
            mine = one.rows[READ_AT]
            who = trainers(one.seed, variant)
            rows += mine
            model += in_goods(mine, one.rewards[variant][READ_AT])
            people += in_goods(mine, opinions(mine, who))
        above = [[m - p for m, p in zip(*both, strict=True)] for both in zip(model, people, strict=True)]
        theirs, more = prices(rows, people), prices(rows, above)
        for what, price in prices(rows, model).items():
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
        "own": [(one.own("pairs"), one.own("prompts")) for one in of],
        "new": [
            (one.right("pairs", "training", READ_AT), one.right("prompts", "training", READ_AT)) for one in of
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
    ledger = LabelLedger()
    return conclude(
        "reward_model",
        (__doc__ or "").splitlines()[0],
        "Ouyang et al. 2022 (arXiv 2203.02155), sections 3.4 and 3.5, appendix B; truing's own proving ground",
        CLAIMS,
        partial(measure, ledger=ledger),
        ledger=ledger,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
