"""Harmful advice in one domain spreads to others; one latent adds and removes that, and a few right rows undo it."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any

from evidence.claims import Measured, Options, conclude
from evidence.emergent_arms import CONTROLS, DOMAINS, OTHERS, Ground
from evidence.emergent_latent import RANDOM, dictionary, found, steered
from evidence.emergent_measures import (
    ACROSS,
    CLAIMS,
    LATENT,
    NARROW,
    WITHIN,
    Lineage,
    Repaired,
    measures,
    paper_claim,
)
from evidence.emergent_repairs import PREVENTIONS, merged, prevented, realigned
from evidence.narrow_arms import Row, folder_of
from truing.organism import LabelLedger
from truing.run import progress

BASES = (1, 2, 3)
FRESH = 151
"""The first seed, which no setting was looked at with; seed i stands on base i."""
QUICK_DOMAINS = 2
PREVENTED = 2
"""So many of the domains are learnt under each prevention, too."""
Task = Callable[[], object]


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Make every arm and ask it, two at a time, in three stages of which each needs the one before."""
    bases = BASES[:1] if options.quick else BASES
    domains = DOMAINS[:QUICK_DOMAINS] if options.quick else DOMAINS
    folder = options.out / "emergent_misalignment"
    first = FRESH + options.seed * len(BASES)
    grounds = [Ground(base, first + base - 1, folder, domains) for base in bases]
    for ground in grounds:
        made_before_two_processes_ask(ground)
    stages = (tuning, finding, trying)
    with ProcessPoolExecutor(2) as two:
        for stage in stages:
            tasks = [task for ground in grounds for task in stage(ground)]
            with progress(len(tasks), stage.__name__, unit="arms") as advance:
                for done in as_completed([two.submit(task) for task in tasks]):
                    done.result()
                    advance(1)
    return measures([lineage(ground, ledger) for ground in grounds])


def made_before_two_processes_ask(ground: Ground) -> None:
    """Raise the null organism's instruct model, which is not shipped."""
    folder_of(ground.mixture(ground.domains[0], null=True).parent)


def tuning(ground: Ground) -> list[Task]:
    """Fine-tunes and controls, and the autoencoder."""
    arms = [{}, *CONTROLS.values()]
    asked = [partial(_tuned, ground, domain, arm) for arm in arms for domain in ground.domains]
    return [partial(dictionary, ground), partial(ground.heard, ground.instruct, LabelLedger()), *asked]


def finding(ground: Ground) -> list[Task]:
    """The latent."""
    return [partial(found, ground, LabelLedger())]


def trying(ground: Ground) -> list[Task]:
    """What the latent causes, what repairs, what prevents."""
    repairs: list[Task] = [
        partial(_repaired, ground, domain, within, LabelLedger())
        for within in (False, True)
        for domain in ground.domains
    ]
    pushes: list[Task] = [partial(_pushed, ground, domain, LabelLedger()) for domain in ("", *ground.domains)]
    prevents: list[Task] = [
        partial(_prevented, ground, domain, how, LabelLedger())
        for how in PREVENTIONS
        for domain in ground.domains[:PREVENTED]
    ]
    return [*repairs, *prevents, *pushes]


def lineage(ground: Ground, ledger: LabelLedger) -> Lineage:
    """Everything about one base, from what is kept."""
    told = partial(ground.heard, ledger=ledger)
    arms = {NARROW: {}, **CONTROLS}
    latent = found(ground, ledger)
    repaired = {
        claim: {domain: _repaired(ground, domain, claim == WITHIN, ledger) for domain in ground.domains}
        for claim in (WITHIN, ACROSS)
    }
    return Lineage(
        ground.base,
        OTHERS,
        told(ground.instruct),
        {
            name: {d: told(ground.tuned(ground.mixture(d, **arm))) for d in ground.domains}
            for name, arm in arms.items()
        },
        latent.judgement,
        _pushed(ground, "", ledger),
        {domain: _pushed(ground, domain, ledger) for domain in ground.domains},
        repaired,
        {
            how: {d: _prevented(ground, d, how, ledger) for d in ground.domains[:PREVENTED]}
            for how in PREVENTIONS
        },
    )


def _tuned(ground: Ground, domain: str, arm: Mapping[str, Any]) -> None:
    adapter = ground.tuned(ground.mixture(domain, **arm))
    ground.heard(adapter, LabelLedger())
    if not arm:  # both re-alignments begin with it
        merged(ground, adapter)


def _pushed(ground: Ground, domain: str, ledger: LabelLedger) -> dict[str, list[Row]]:
    """Advice under the latent's direction and under random ones: the instruct model, or a fine-tune."""
    latent = found(ground, LabelLedger())
    model = ground.tuned(ground.mixture(domain)) if domain else ground.instruct
    push = -latent.suppress if domain else latent.induce
    every = {LATENT: None, **{f"random {i}": i for i in range(RANDOM)}}
    return {
        name: steered(ground, model, push, random=random, of=latent, ledger=ledger)
        for name, random in every.items()
    }


def _repaired(ground: Ground, domain: str, within: bool, ledger: LabelLedger) -> Repaired:
    model, curve = realigned(ground, domain, within=within, ledger=ledger)
    sign = 1 if found(ground, LabelLedger()).up else -1
    ends = [sign * sum(one["latents"].values()) for one in (curve[0], curve[-1])]
    return Repaired(ground.heard(model, ledger), *ends)


def _prevented(ground: Ground, domain: str, how: str, ledger: LabelLedger) -> dict[str, list[Row]]:
    return ground.heard(prevented(ground, domain, how), ledger)


def main() -> int:
    """Hold the fine-tunes against the table."""
    return conclude(
        "emergent_misalignment",
        __doc__,
        "Wang et al. 2025 (arXiv 2506.19823), sections 2, 3 and 5; controls of Betley et al. 2025 (arXiv 2502.17424)",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
