"""Rules on top of a reward for help put unfiltered drafts in a better order, from a hundred prompts on.

The drafts are all that checkpoints say to held-out prompts, in the oracle's order; the graders that confirmed the
comparisons which the rules' weights are fitted on had no say in which drafts are tests. What can be ordered:
refusals by style, above gibberish, above harm; care above neglect; help above refusals and harm. What
cannot: the town's rules see neither that a harmless deed is helped with nor that an answer is gibberish, and the
judge hardly sees which of two everyday treatments is right; there the other reward must do it.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evidence.claims import Claim, Measure, Measured, Options, PaperClaim, conclude
from evidence.organism_arms import taught_labels
from evidence.preference_arms import read_kept, write_kept
from evidence.rbr_arms import (
    JUDGES,
    TYPES,
    Draft,
    RBRArm,
    Rewards,
    by_oracle,
    confirmed,
    drafts,
    features,
    gold_set,
    help_compared,
    rewards,
    thresholds,
)
from truing.grade import RuleFeatures
from truing.methods import (
    RBR_ALONE,
    RM_ALONE,
    RM_AND_RBR,
    RankedAnswers,
    RBRConfig,
    answer_tables,
    fit_rule_weights,
    order_errors,
    reward_signals,
)
from truing.numerics import paired_bootstrap
from truing.organism import LabelLedger
from truing.run import progress
from truing.types import digest

BASES, SEEDS = (1, 2, 3), 3
FRESH = 11
"""The first seed: those before it were looked at while this was made."""
SIZES = (20, 50, 100, 300)
"""Prompts of each response type that the weights are fitted on."""
PROMISED = (100, 300)
CONFIG = RBRConfig(held_out=0.0, resamples=0)
"""The published fitter."""
OURS = replace(CONFIG, least_spread=0.05)
"""The same, with no weight for a feature that hardly differs in the comparisons."""
HUMAN = "human data"


def taken_off(judge: str, response_type: str, size: int) -> str:
    """The name of a measure: by how much the share of wrongly ordered pairs is lower with the rules."""
    return f"{judge}, {response_type}: ordering error taken off, {size} prompts, lower end on the worst base"


CLAIMS = tuple(Claim(taken_off(j, t, n), 0.0) for j in JUDGES for t in TYPES for n in PROMISED)


@dataclass(frozen=True)
class Errors:
    """What one arm found for a response type: for each pair of drafts its cell, and whether each reward errs."""

    cells: tuple[str, ...]
    by: Mapping[str, tuple[float, ...]]
    undecided: int
    """Drafts on which a judge did not decide, or that were then alone; they are in no pair."""


Found = dict[tuple[int, int], dict[str, Errors]]
"""By base and seed, and response type."""


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Prepare and fit every arm, two at a time, and count the labels of both routes."""
    seeds = [FRESH + options.seed + i for i in range(1 if options.quick else SEEDS)]
    arms = [RBRArm(base, seed) for seed in seeds for base in (BASES[:1] if options.quick else BASES)]
    folder = options.out / "rbr_fit"
    sizes = PROMISED[:1] if options.quick else SIZES
    _prepare(arms, folder, sizes)
    found: Found = {}
    for arm in arms:
        drafts(arm, folder, ledger)
        help_compared(arm, folder, ledger)
        gold_set(arm, folder, ledger)  # both judges are tuned on the same labels
        found[arm.base, arm.seed] = errors(arm, folder, sizes)
    return measures(found) | labels(arms[0], folder, found, sizes, ledger)


def _prepare(arms: Sequence[RBRArm], folder: Path, human: Sequence[int]) -> None:
    """Whatever takes long, in two processes of one thread each; each wave stands on those before it."""
    waves: Sequence[Sequence[Callable[[], object]]] = (
        [partial(step, arm, folder) for arm in arms for step in (_drafted, _helped, _tuned)],
        [partial(_confirmed, arm, judge, folder) for arm in arms for judge in JUDGES],
        [partial(_rewarded, arm, n, folder) for arm in arms for n in (0, *human)],
        [partial(errors, arm, folder, human) for arm in arms],
    )
    pool = ProcessPoolExecutor(2, initializer=_alone)
    with progress(sum(map(len, waves)), "arms", unit="steps") as advance, pool:
        for wave in waves:
            for job in [pool.submit(step) for step in wave]:
                job.result()
                advance(1)


def _alone() -> None:
    """Two processes of two threads each are far slower than two of one."""
    import torch

    torch.set_num_threads(1)


def _drafted(arm: RBRArm, folder: Path) -> None:
    drafts(arm, folder, LabelLedger())


def _helped(arm: RBRArm, folder: Path) -> None:
    help_compared(arm, folder, LabelLedger())


def _tuned(arm: RBRArm, folder: Path) -> None:
    for judge in JUDGES:
        thresholds(arm, judge, folder)


def _confirmed(arm: RBRArm, judge: str, folder: Path) -> None:
    for response_type in TYPES:
        confirmed(arm, judge, response_type, max(SIZES), folder)


def _rewarded(arm: RBRArm, human: int, folder: Path) -> Rewards:
    """The reward for help alone, or with the oracle's order of the answers to `human` prompts of each type."""
    tests = [draft.row for draft in drafts(arm, folder, LabelLedger())]
    help = help_compared(arm, folder, LabelLedger())
    if human:
        return rewards(
            arm, f"{HUMAN} {human}", [*help, *human_data(arm, human, folder, LabelLedger())], tests, folder
        )
    written = [row for j in JUDGES for t in TYPES for row in confirmed(arm, j, t, max(SIZES), folder)[0]]
    return rewards(arm, "help alone", help, [*tests, *written], folder)


def human_data(arm: RBRArm, size: int, folder: Path, ledger: LabelLedger) -> list[RankedAnswers]:
    """The answers that the rules are fitted on with the good judge, in the oracle's order instead of the graders'."""
    rows = [row for t in TYPES for row in confirmed(arm, "judge", t, max(SIZES), folder)[0][:size]]
    return by_oracle(rows, ledger, "human-data route")


def errors(arm: RBRArm, folder: Path, human: Sequence[int]) -> dict[str, Errors]:
    """For every response type which pairs of drafts each reward orders wrongly; kept."""
    scored = {n: _rewarded(arm, n, folder) for n in (0, *human)}
    tests = drafts(arm, folder, LabelLedger())
    about = arm.about(
        fit=[repr(CONFIG), repr(OURS)],
        sizes=SIZES,
        scores=digest([[n, dict(of.by_row)] for n, of in scored.items()]),
        written=digest(
            [
                [r.to_json() for r in confirmed(arm, j, t, max(SIZES), folder)[0]]
                for j in JUDGES
                for t in TYPES
            ]
        ),
    )
    file = arm.file(folder, "errors")
    kept = read_kept(file, about)
    if kept is None:
        found: dict[str, Any] = {}
        for response_type in TYPES:
            mine = [draft for draft in tests if draft.response_type == response_type]
            found[response_type] = _errors_of(arm, response_type, mine, scored, folder)
        kept = write_kept(file, about, {"found": found})
    return {
        t: Errors(tuple(one["cells"]), {name: tuple(e) for name, e in one["by"].items()}, one["undecided"])
        for t, one in kept["found"].items()
    }


def _errors_of(
    arm: RBRArm, response_type: str, mine: Sequence[Draft], scored: Mapping[int, Rewards], folder: Path
) -> dict[str, Any]:
    judged = {judge: features(judge, response_type, folder) for judge in JUDGES}
    decided = [(draft, _decided(draft, judged)) for draft in mine]
    tests = [(draft, at) for draft, at in decided if len({draft.ranks[i] for i in at}) > 1]
    rows = [_kept(draft.row, at, scored[0]) for draft, at in tests]
    tables = {judge: answer_tables(rows, of).of[0] for judge, of in judged.items()}
    table = tables["judge"]
    by: dict[str, list[float]] = {}
    for n, of in scored.items():
        rewarded = np.array([of.of(draft.row)[i] for draft, at in tests for i in at])
        by[f"{HUMAN} {n}" if n else RM_ALONE] = order_errors(table, rewarded)[0].tolist()
    for judge in JUDGES:
        written, _ = confirmed(arm, judge, response_type, max(SIZES), folder)
        written = [replace(row, rm=scored[0].of(row)) for row in written]
        for size in SIZES:
            for name, config in (("", CONFIG), (" ours", OURS)):
                fit = fit_rule_weights(written[:size], judged[judge], config)
                told = reward_signals(tables[judge], fit.weights.types[0])
                for signal in (RM_AND_RBR, RBR_ALONE):
                    by[f"{judge} {size} {signal}{name}"] = order_errors(table, told[signal])[0].tolist()
    return {
        "cells": [tests[int(table.rows[i])][0].cell for i in table.pairs[:, 0]],
        "by": by,
        "undecided": sum(len(draft.answers) for draft in mine) - len(table.kinds),
    }


def _decided(draft: Draft, judged: Mapping[str, RuleFeatures]) -> list[int]:
    """The answers on which every judge decided: all rewards are held against the same pairs."""
    shown, n = draft.row.shown, len(draft.answers)
    found = [of.of(shown, [draft.response_type] * n) for of in judged.values()]
    return [i for i in range(n) if all(one[i].values is not None for one in found)]


def _kept(row: RankedAnswers, at: Sequence[int], rm: Rewards) -> RankedAnswers:
    answers, kinds = (tuple(of[i] for i in at) for of in (row.answers, row.kinds))
    scores = rm.of(row)
    return replace(
        row,
        answers=answers,
        kinds=kinds,
        ranks=tuple(row.ranks[i] for i in at),
        rm=tuple(scores[i] for i in at),
    )


def measures(found: Found) -> Measured:
    """Every claim on its worst base, and for each reward the share of pairs in the wrong order, over all arms."""
    out: Measured = {}
    bases = sorted({base for base, _ in found})
    for response_type in TYPES:
        pooled = _pooled([of[response_type] for of in found.values()])
        out[f"{response_type}: drafts without a verdict"] = _exactly(pooled.undecided)
        for name in pooled.by:
            out[f"{response_type}: pairs in the wrong order, {name}"] = _share(pooled, pooled.by[name])
        for topic in TYPES[response_type] if len(TYPES[response_type]) > 1 else ():
            mine = _only(pooled, topic)
            for name in (RM_ALONE, *(f"{judge} {PROMISED[0]} {RM_AND_RBR}" for judge in JUDGES)):
                out[f"{response_type}, {topic}: pairs in the wrong order, {name}"] = _share(
                    mine, mine.by[name]
                )
        for judge in JUDGES:
            for size in SIZES:
                key = f"{judge} {size} {RM_AND_RBR}"
                each = [
                    _taken_off(_pooled([of[response_type] for (b, _), of in found.items() if b == base]), key)
                    for base in bases
                ]
                worst = min(each, key=lambda one: one.low)
                out[taken_off(judge, response_type, size)] = replace(worst, value=worst.low)
                out[f"{judge}, {response_type}: ordering error taken off, {size} prompts"] = _taken_off(
                    pooled, key
                )
                ours = _taken_off(pooled, f"{key} ours")
                out[f"{judge}, {response_type}: ordering error taken off, {size} prompts, least spread"] = (
                    ours
                )
    return out


def _pooled(parts: Sequence[Errors]) -> Errors:
    names = parts[0].by
    return Errors(
        tuple(cell for one in parts for cell in one.cells),
        {name: tuple(e for one in parts for e in one.by[name]) for name in names},
        sum(one.undecided for one in parts),
    )


def _only(errors: Errors, topic: str) -> Errors:
    keep = [i for i, cell in enumerate(errors.cells) if cell.startswith(f"{topic}: ")]
    by = {name: tuple(values[i] for i in keep) for name, values in errors.by.items()}
    return Errors(tuple(errors.cells[i] for i in keep), by, errors.undecided)


def _share(errors: Errors, values: Sequence[float]) -> Measure:
    ends = paired_bootstrap(values, clusters=errors.cells, key=0, bounds=(0.0, 1.0))
    return Measure(float(np.mean(values)), ends.low, ends.high, len(set(errors.cells)))


def _taken_off(errors: Errors, name: str) -> Measure:
    """By how much the share of wrong pairs is lower than with the reward for help alone; paired, over cells."""
    gains = np.subtract(errors.by[RM_ALONE], errors.by[name])
    ends = paired_bootstrap(gains, clusters=errors.cells, key=0)
    return Measure(float(gains.mean()), ends.low, ends.high, len(set(errors.cells)))


def labels(arm: RBRArm, folder: Path, found: Found, sizes: Sequence[int], ledger: LabelLedger) -> Measured:
    """The oracle's labels on both routes. -1 where the human-data route did not come so far with all that it got."""
    out: Measured = {}
    for judge, ref in JUDGES.items():
        by_stage = taught_labels(ref.removeprefix("organism:"))
        for told in by_stage.values():
            ledger.merge(LabelLedger(told))
        total = sum(n for told in by_stage.values() for n in told.values())
        out[f"labels, rules with the {judge}: its training"] = _exactly(
            sum(by_stage[ref.removeprefix("organism:")].values())
        )
        out[f"labels, rules with the {judge}: its training and its base's"] = _exactly(total)
    gold = LabelLedger()
    gold_set(arm, folder, gold)
    out["labels, rules: the gold set"] = _exactly(sum(gold.totals().values()))
    spent = {}
    for size in sizes:
        own = LabelLedger()
        human_data(arm, size, folder, own)
        spent[size] = sum(own.totals().values())
        out[f"labels, human data: {size} prompts of each type"] = _exactly(spent[size])
    human_data(arm, max(sizes), folder, ledger)
    for judge in JUDGES:
        for response_type in TYPES:
            pooled = _pooled([of[response_type] for of in found.values()])
            goal = float(np.mean(pooled.by[f"{judge} {PROMISED[0]} {RM_AND_RBR}"]))
            enough = [n for n in sizes if float(np.mean(pooled.by[f"{HUMAN} {n}"])) <= goal]
            name = f"labels, human data: until it errs no more than rules with the {judge}, {response_type}"
            out[name] = _exactly(spent[enough[0]] if enough else -1)
    return out


def _exactly(count: int) -> Measure:
    return Measure(count, count, count, 1)


def paper_claim(measured: Measured) -> PaperClaim:
    """Whether rules on top of a reward for help ordered every kind of answer better, with the good judge."""
    ends = [measured[f"judge, {t}: ordering error taken off, {max(SIZES)} prompts"] for t in TYPES]
    if all(one.low > 0 for one in ends):
        return "reproduced"
    return "reversed" if all(one.high < 0 for one in ends) else "not reproduced"


def main() -> int:
    """Hold the fit against its table."""
    return conclude(
        "rbr_fit",
        __doc__,
        "rule-based rewards: Mu et al. 2024, arXiv 2411.01111",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
