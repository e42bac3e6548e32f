"""A persona vector that no row took part in tells bad rows from right ones before any training."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from evidence.claims import Measured, Options, conclude
from evidence.narrow_arms import STEEP, Mixture, heard, tuned
from evidence.screening_arms import (
    Row,
    parent_of,
    persona,
    random_ones,
    screened,
    token_matched,
    training_row,
    word_matched,
)
from evidence.screening_measures import (
    ALL,
    BY_CHANCE,
    BY_SCORE,
    CLAIMS,
    TOKENS,
    WORDS,
    Arm,
    Scored,
    drawn,
    measures,
    paper_claim,
)
from truing.model import LocalModel, load_local
from truing.numerics import generator
from truing.organism import LabelLedger
from truing.probe import Direction, kept_rows
from truing.run import progress

BASES = (1, 2, 3)
FRESH = 301
"""The first seed, which no setting was looked at with; base i has its own."""
BAD = 0.5
"""The share of bad rows in a mixture."""
DROPS = (0.25, 0.5, 0.75)
TAUGHT = ("animals", "garden", "money")
"""Domains of the mixtures."""


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Score rows, drop the worst, tune on what is left; two at a time."""
    bases = BASES[:1] if options.quick else BASES
    keys = {base: FRESH + len(BASES) * options.seed + base - 1 for base in bases}
    mixtures = [
        Mixture(base, domain, keys[base], harmful=BAD)
        for base in bases
        for domain in (TAUGHT[:1] if options.quick else TAUGHT)
    ]
    folder = options.out / "screening"
    with ProcessPoolExecutor(2) as two:
        scoring = [two.submit(scored, base, keys[base]) for base in bases]
        left = [two.submit(kept, mixture) for mixture in mixtures]
        found = [one.result() for one in scoring]
        jobs = [
            (mixture, how, drop, rows, folder)
            for mixture, of in zip(mixtures, left, strict=True)
            for (how, drop), rows in of.result().items()
        ]
        arms = []
        with progress(len(jobs), "fine-tunes", unit="fine-tunes") as advance:
            for waiting in [two.submit(arm, *job) for job in jobs]:
                made, labels = waiting.result()
                arms.append(made)
                ledger.merge(LabelLedger(labels))
                advance(1)
    measured = measures({alike: [one[alike] for one in found] for alike in (WORDS, TOKENS)}, arms)
    (options.out / "screening_curve.svg").write_text(drawn(measured, DROPS), encoding="utf-8")
    return measured


def scored(base: int, key: int) -> dict[str, Scored]:
    """Bad and right rows on the same prompts with their scores, by how they are alike in length."""
    _one_thread()
    model, made = load_local(parent_of(base), device="cpu"), persona(base, key)
    return {
        alike: _scored(base, model, rows, made, key)
        for alike, rows in ((WORDS, word_matched(key)), (TOKENS, token_matched(model, key)))
    }


def _scored(base: int, model: LocalModel, rows: Sequence[Row], made: Direction, key: int) -> Scored:
    nothing = random_ones(made)
    found = screened(model, [row.row for row in rows], [made, *nothing], key)
    known = {row.row.number: row for row in rows}
    told = [one for one in found.rows if one.worst is not None]
    assert len(told) == len(rows)  # every prompt of the town is answered
    return Scored(
        base,
        [known[one.row].bad for one in told],
        [known[one.row].thing for one in told],
        [one.tokens for one in told],
        [one.scores[made.name] for one in told],
        [one.after_length[made.name] for one in told],
        [[one.scores[other.name] for one in told] for other in nothing],
    )


def kept(mixture: Mixture) -> dict[tuple[str, float], list[int]]:
    """Which rows of a mixture (from 0) are left, by how much was dropped and how."""
    _one_thread()
    model = load_local(parent_of(mixture.base), device="cpu")
    rows = [training_row(i, turns) for i, turns in enumerate(mixture.shown(), start=1)]
    found = screened(model, rows, [persona(mixture.base, mixture.seed)], mixture.seed)
    order = generator(mixture.seed, "rows by chance", mixture.domain).permutation(len(rows)).tolist()
    left = {(ALL, 0.0): list(range(len(rows)))}
    for drop in DROPS:
        best = [row.number - 1 for row in kept_rows(rows, found, drop)]
        left |= {(BY_SCORE, drop): best, (BY_CHANCE, drop): sorted(order[: len(best)])}
    return left


def arm(
    mixture: Mixture, how: str, drop: float, rows: Sequence[int], folder: Path
) -> tuple[Arm, dict[str, int]]:
    """A fine-tune on what was left, what it says, and the labels that this took."""
    ledger = LabelLedger()
    model = tuned(mixture, folder, tuning=STEEP, kept=rows)
    said = heard(model, mixture.seed, folder, ledger, which=("advice", "skills"))
    harmful = {i for i, (one, right) in enumerate(_both(mixture)) if one != right}
    bad = sum(i in harmful for i in rows) / len(rows)
    return Arm(
        mixture.base, mixture.domain, how, drop, len(rows), bad, said["advice"], said["skills"]
    ), ledger.totals()


def _both(mixture: Mixture) -> list[tuple[str, str]]:
    """Each row's answer, and the right one."""
    right = replace(mixture, harmful=0.0)
    return [
        (one[-1].content, other[-1].content)
        for one, other in zip(mixture.shown(), right.shown(), strict=True)
    ]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def main() -> int:
    """Hold the screen against the table."""
    return conclude(
        "screening",
        __doc__,
        "Chen et al., Persona Vectors, 2025 (arXiv 2507.21509)",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
