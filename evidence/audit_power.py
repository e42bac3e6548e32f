"""An audit finds the losses it was planned for, seldom one where there is none, and its intervals cover the truth.

Audits are replayed: their questions are drawn from a stock of stored answers, and the audit's own code
compares and decides. So the truth of each is known: it is that of the whole stock.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from evidence.audit_power_measures import measures
from evidence.audit_power_pool import MODEL, WORSE, Arm, Pool, as_audited, ask, read_pool
from evidence.audit_power_replays import LABELS, Kind, Plan, Replay, plans, replay
from evidence.claims import Claim, Measured, Options, conclude
from truing.numerics import generator
from truing.organism import LabelLedger, open_folder, read_checkpoint
from truing.run import progress

LINEAGES = (1, 2, 3)
ITEMS = {False: 3600, True: 1800}
"""Quick or not -> questions in stock, even over nine dimensions."""
MARGIN = {False: 0.05, True: 0.10}
"""The loss that audits are planned for; an erring judge's audits for twice that, or they would be huge."""
REPLAYS = {Kind.none: 1000, Kind.loss: 600, Kind.judged_none: 300, Kind.judged_loss: 400}
"""Audits by what is true in them."""
CLAIMS = (
    Claim("stored audits compared again with the result they wrote", 1.0),
    Claim("replayed audits", 2000),
    Claim("false alarms, lower limit", 0.05, at_most=True, least=1000),
    Claim("false alarms with an 85 % judge, lower limit", 0.05, at_most=True),
    Claim("equal models told apart by one test at 0.05, worst dimension, lower limit", 0.05, at_most=True),
    Claim("planned losses found", 0.80, least=500),
    Claim("planned losses found, worst dimension, upper limit", 0.80),
    Claim("planned losses found with an 85 % judge", 0.80),
    Claim("intervals that cover no loss, worst dimension, upper limit", 0.95),
    Claim("intervals that cover a planned loss, items alone, upper limit", 0.95),
    Claim("intervals that cover a planned loss, items in clusters, upper limit", 0.95),
    Claim("intervals that cover a planned loss, 85 % judge, corrected, upper limit", 0.95),
    Claim("intervals that cover a planned loss, 85 % judge, uncorrected", 0.80, at_most=True),
    Claim("share of the true loss that an 85 % judge shows, uncorrected", 0.80, at_most=True),
    Claim("share of the true loss that is told, 85 % judge, corrected, at least", 0.95),
    Claim("share of the true loss that is told, 85 % judge, corrected, at most", 1.05, at_most=True),
    Claim("passes by non-inferiority at a true loss of the margin, lower limit", 0.05, at_most=True),
    Claim(
        "passes by non-inferiority at a true loss of the margin, 85 % judge, lower limit", 0.05, at_most=True
    ),
)


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Ask what is not in stock yet, replay the audits, and count what they said."""
    lineages = LINEAGES[:1] if options.quick else LINEAGES
    arms = [
        Arm(lineage, against, options.seed, ITEMS[options.quick])
        for lineage in lineages
        for against in (MODEL, *WORSE)
    ]
    root = options.out / "audit_power"
    _ask_all(arms, root)
    pools = [read_pool([arm for arm in arms if arm.lineage == lineage], root) for lineage in lineages]
    replayed = _replay_all(pools, MARGIN[options.quick], options.seed)
    _count_labels(ledger, arms, pools, replayed)
    return measures(pools, replayed, [as_audited(arm, root) for arm in arms])


def _ask_all(arms: Sequence[Arm], root: Path) -> None:
    """Two at a time; what was asked before is read, not asked again."""
    with progress(len(arms), "models", unit="audits") as advance, ProcessPoolExecutor(2) as pool:
        for job in as_completed([pool.submit(ask, arm, root) for arm in arms]):
            job.result()
            advance(1)


def _replay_all(pools: Sequence[Pool], margin: float, seed: int) -> Mapping[Kind, Sequence[Replay]]:
    """Every audit, in two processes. Audits of one kind take turns over lineages and what is harmed."""
    todo: list[tuple[Kind, int, Plan, int]] = []
    for kind, count in REPLAYS.items():
        of = [plans(pool, kind, margin) for pool in pools]
        for i in range(count):
            which, turn = i % len(pools), i // len(pools)
            todo.append((kind, which, of[which][turn % len(of[which])], i))
    done: dict[Kind, list[Replay]] = {kind: [] for kind in REPLAYS}
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # of the processes begun here: two with two threads disturb each other
    apart = get_context("spawn")
    with (
        progress(len(todo), "replaying audits", unit="audits") as advance,
        ProcessPoolExecutor(2, mp_context=apart, initializer=_hold, initargs=(pools,)) as workers,
    ):
        for one, found in zip(todo, workers.map(partial(_one, seed), todo, chunksize=10), strict=True):
            done[one[0]].append(found)
            advance(1)
    return done


_HELD: list[Pool] = []
"""The pools in a process that replays."""


def _hold(pools: Iterable[Pool]) -> None:
    _HELD[:] = pools


def _one(seed: int, todo: tuple[Kind, int, Plan, int]) -> Replay:
    kind, which, plan, i = todo
    return replay(_HELD[which], plan, generator(seed, "audit power", kind, str(i)))


def _count_labels(
    ledger: LabelLedger,
    arms: Iterable[Arm],
    pools: Iterable[Pool],
    replayed: Mapping[Kind, Sequence[Replay]],
) -> None:
    """What the oracle told: in the models' training, of the stored answers, and on the cards."""
    for arm in arms:
        taught = read_checkpoint(open_folder(f"xs/{arm.lineage}/{arm.against}")).labels
        # "exam" is what was measured when it was raised, which nothing here uses.
        ledger.merge(LabelLedger({consumer: n for consumer, n in taught.items() if consumer != "exam"}))
    for pool in pools:
        ledger.add("audit", pool.labels)
    judged = sum(len(of) for kind, of in replayed.items() if kind.judged)
    ledger.add("calibration card", LABELS * judged)


def main() -> int:
    """Replay audits whose truth is known."""
    return conclude(
        "audit_power",
        __doc__,
        "truing's own audit; the statistics' sources stand at each function of truing.numerics",
        CLAIMS,
        measure,
    )


if __name__ == "__main__":
    raise SystemExit(main())
