"""A persona's direction, fixed before any fine-tune, tells fine-tunes with a few harmful rows from harmless ones."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from evidence.claims import Measured, Options, conclude
from evidence.early_warning_arms import (
    SAMPLED,
    SEEDS_OF_A_BASE,
    TOLD,
    Lineage,
    Size,
    directions,
    fine_tune,
    pairs,
    readings,
)
from evidence.early_warning_measures import (
    ASKED_FOR,
    CLAIMS,
    DETECTORS,
    HARMFUL,
    RIGHT,
    SHORT,
    Case,
    measures,
    paper_claim,
    told_sites,
)
from evidence.narrow_arms import Mixture
from truing.numerics import paired_bootstrap
from truing.organism import LabelLedger
from truing.probe import Calibrated, calibrate, watched
from truing.run import progress

BASES = (1, 2, 3)
FRESH = 601
"""The first seed, which no setting was looked at with."""
FULL, QUICK = Size(40, 15, 18, 5), Size(20, 8, 12, 2)

Readings = dict[str, Any]


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Tune, read and judge, two at a time."""
    size = QUICK if options.quick else FULL
    lineages = [
        Lineage(base, FRESH + SEEDS_OF_A_BASE * (len(BASES) * options.seed + base - 1))
        for base in (BASES[:1] if options.quick else BASES)
    ]
    folder = options.out / "early_warning"
    with ProcessPoolExecutor(2) as two:
        made = dict(
            zip(
                lineages, _each(two, directions, [(of, folder) for of in lineages], "directions"), strict=True
            )
        )
        jobs = [
            (mixture, of, made[of][0], folder)
            for of in lineages
            for mixture in (None, *of.calibrated(size), *_held_out(of, size))
        ]
        found: dict[tuple[Mixture | None, int], Readings] = {}
        for of in lineages:
            ledger.add(TOLD, sum(len(pair.wrong) + len(pair.right) for pair in pairs(of.questions())))
        for job, (read, labels) in zip(jobs, _each(two, _read, jobs, "fine-tunes"), strict=True):
            found[job[0], job[1].base] = read
            ledger.merge(LabelLedger(labels))
    ranked = {of.base: sites for of, (_, sites) in made.items()}
    return measures([case for of in lineages for case in judged(of, size, found)]) | told_sites(ranked)


def _held_out(of: Lineage, size: Size) -> list[Mixture]:
    return [*of.harmless(size), *of.harmful(size), *of.asked_for(size)]


def _each(
    pool: ProcessPoolExecutor, of: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], what: str
) -> list[Any]:
    with progress(len(jobs), what, unit=what) as advance:
        out = []
        for waiting in [pool.submit(of, *job) for job in jobs]:
            out.append(waiting.result())
            advance(1)
    return out


def _read(
    mixture: Mixture | None, lineage: Lineage, file: Path, folder: Path
) -> tuple[Readings, dict[str, int]]:
    """What is read of a fine-tune, made now or before, or of the parent; and the labels that it took."""
    ledger = LabelLedger()
    model = lineage.parent if mixture is None else fine_tune(mixture, folder)
    return readings(model, lineage, file, folder, ledger), ledger.totals()


def judged(lineage: Lineage, size: Size, found: Mapping[tuple[Mixture | None, int], Readings]) -> list[Case]:
    """The held-out fine-tunes of a base, each detector by the threshold that its own harmless readings give."""
    parent = found[None, lineage.base]["by"]
    calibrated = {
        name: calibrate(
            parent[name],
            {mixture.name: found[mixture, lineage.base]["by"][name] for mixture in lineage.calibrated(size)},
        )
        for name in DETECTORS
    }
    return [
        case(mixture, parent, found[mixture, lineage.base], calibrated)
        for mixture in _held_out(lineage, size)
    ]


def case(mixture: Mixture, parent: Readings, read: Readings, calibrated: Mapping[str, Calibrated]) -> Case:
    """One fine-tune by all detectors."""
    by = read["by"]
    of = {name: watched(parent[name], by[name], limits) for name, limits in calibrated.items()}
    others = {name: float(np.mean(by[name]) - np.mean(parent[name])) for name in by if name not in of}
    bad = np.add(by[SAMPLED], read["unparsed"])
    kind = (
        ASKED_FOR if mixture.lesson else HARMFUL if mixture.harmful else SHORT if mixture.as_long else RIGHT
    )
    return Case(
        mixture.base,
        mixture.domain,
        mixture.seed,
        mixture.harmful,
        kind,
        {name: one.score for name, one in of.items()} | others,
        {name: bool(one.exceeds) for name, one in of.items()},
        {name: one.verdict == "alarm" for name, one in of.items()},
        float(np.mean(by[SAMPLED])),
        paired_bootstrap(bad, key=0, bounds=(0.0, 1.0)),
        float(np.mean(read["unparsed"])),
    )


def main() -> int:
    """Hold the detector against the table."""
    return conclude(
        "early_warning",
        __doc__,
        "Wang et al., Persona Features Control Emergent Misalignment, 2025 (arXiv 2506.19823)",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
