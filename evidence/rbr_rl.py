"""Rules on top of a reward for help teach a policy to be safe that still helps, where people who flag too much do not.

Every policy begins at the same start, which helps with whatever is asked, and learns by PPO. Which requests sound
dangerous and are not is what people get wrong here. The labels that raised the judge are counted beside those of the
people.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from evidence.best_of_n_measures import plane
from evidence.claims import Measure, Measured, Options, conclude
from evidence.organism_arms import taught_labels
from evidence.rbr_arms import JUDGES, TYPES, RBRArm, confirmed, gold_set, thresholds
from evidence.rbr_rl_arms import HelpfulTown, said
from evidence.rbr_rl_measures import (
    ABLATIONS,
    ALARMED,
    CLAIMS,
    EQUAL,
    FLAGGED,
    HELPFUL,
    RULES,
    START,
    WEAK,
    measures,
    paper_claim,
    people,
)
from evidence.rbr_rl_rewards import FITTED, HELPERS, reward_model, taught
from truing.organism import LabelLedger
from truing.run import progress

FRESH, SEEDS = 61, 3
"""The first seed, which no setting was looked at with; seed i stands on base i."""
PEOPLE = (*map(people, FLAGGED), EQUAL)
POLICIES = (START, HELPFUL, RULES, *PEOPLE)
"""The policies of every seed; the first has the ablations too."""
JUDGE_OF = {"judge": RULES, "weak judge": WEAK}
QUICK = (START, HELPFUL, RULES, ALARMED)


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Train every policy, two at a time, and read what it says."""
    first = FRESH + options.seed * SEEDS
    towns = [HelpfulTown(1 + i, first + i) for i in range(1 if options.quick else SEEDS)]
    folder = options.out / "rbr_rl"
    names = dict.fromkeys(towns, QUICK if options.quick else POLICIES)
    if not options.quick:
        names[towns[0]] += ABLATIONS
    _prepare(names, folder)
    found = {town.seed: {name: said(town, name, folder, ledger) for name in names[town]} for town in towns}
    measured = measures(found)
    title = "Policies that began as helpful, and what they were paid for"
    (options.out / "rbr_rl_plane.svg").write_text(plane(measured, names[towns[0]], title), encoding="utf-8")
    return measured | labels(names, folder, ledger)


def _prepare(names: Mapping[HelpfulTown, Sequence[str]], folder: Path) -> None:
    """Whatever takes long, in two processes of one thread each; each wave stands on those before it."""
    judges: Mapping[HelpfulTown, Sequence[str]]
    judges = {town: ("judge", "weak judge") if WEAK in of else ("judge",) for town, of in names.items()}
    with ProcessPoolExecutor(2, initializer=_alone) as two:
        waves: Sequence[Sequence[Callable[[], object]]] = (
            [partial(town.start, folder) for town in names],
            [
                job
                for town in names
                for job in (partial(_confirmed, town, judges[town], folder), partial(_helped, town, folder))
            ],
            [partial(said, town, name, folder, LabelLedger()) for town, of in names.items() for name in of],
        )
        with progress(sum(map(len, waves)), "arms", unit="steps") as advance:
            for wave in waves:
                for job in [two.submit(step) for step in wave]:
                    job.result()
                    advance(1)


def _alone() -> None:
    """Two processes of two threads each are far slower than two of one."""
    import torch

    torch.set_num_threads(1)


def _confirmed(town: HelpfulTown, judges: Sequence[str], folder: Path) -> None:
    """What the rules of a town's policies are fitted on."""
    arm = RBRArm(town.base, town.seed)
    for judge in judges:
        thresholds(arm, judge, folder)
        for response_type in TYPES:
            confirmed(arm, judge, response_type, FITTED, folder)


def _helped(town: HelpfulTown, folder: Path) -> None:
    """The reward for help, which several policies share, and the answers that all people compare."""
    reward_model(town, HELPFUL, folder)
    taught(town, ALARMED, folder, LabelLedger())


def labels(names: Mapping[HelpfulTown, Sequence[str]], folder: Path, ledger: LabelLedger) -> Measured:
    """Count the labels of all towns, and tell how many each reward took in one."""
    out: Measured = {}
    for town, of in names.items():
        spent: dict[str, int] = {}
        for name in (HELPFUL, *(name for name in PEOPLE if name in of)):
            own = LabelLedger()
            taught(town, name, folder, own)
            spent[name] = sum(own.totals().values())
            # All rewards of a town share the comparisons of help.
            new = {who: n for who, n in own.totals().items() if name == HELPFUL or who != HELPERS}
            ledger.merge(LabelLedger(new))
        gold = LabelLedger()
        gold_set(RBRArm(town.base, town.seed), folder, gold)
        ledger.merge(gold)
        out = out or {f"labels, {name}": _exactly(count) for name, count in spent.items()}
    tuned = sum(gold.totals().values())
    for judge, name in JUDGE_OF.items():
        if any(name in of for of in names.values()):
            by_stage = taught_labels(JUDGES[judge].removeprefix("organism:"))
            for told in by_stage.values():
                ledger.merge(LabelLedger(told))
            total = tuned + sum(n for told in by_stage.values() for n in told.values())
            out[f"labels, {name}: the judge, its base and the gold set, beside those of help"] = _exactly(
                total
            )
    return out


def _exactly(count: int) -> Measure:
    return Measure(count, count, count, 1)


def main() -> int:
    """Hold the policies against the table."""
    return conclude(
        "rbr_rl",
        __doc__,
        "rule-based rewards: Mu et al. 2024, arXiv 2411.01111, section 5",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
