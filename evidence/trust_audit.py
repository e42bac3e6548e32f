"""Converting an instruct model into a reasoning model costs trust, and the audit says what, how much and how sure.

Three conversions of the study: fine-tuning on traces, which is a stage of the organism, and reinforcement learning and
distillation, whose models are made here. Of the order of what they cost the ground tells little: nobody looked
through some of the rows of the first, while the others learn from ordinary questions.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from evidence.claims import Measured, Options, conclude
from evidence.trust_audit_arms import Lineage, converted
from evidence.trust_audit_measures import CLAIMS, METHODS, measures, paper_claim
from truing.audit import AuditResult, Settings, run_audit
from truing.organism import LabelLedger, open_folder, read_checkpoint
from truing.run import progress

BASES = (1, 2, 3)
FRESH = 21
"""The first tuning seed of instruct and of what is converted from it; `evidence.organism` raises the same ones."""
SEEDS = 3
_DRIFT_PROMPTS = 20


@dataclass(frozen=True)
class Arm:
    """One audit: whose instruct model, and how it was converted; the model itself without."""

    lineage: Lineage
    method: str


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Make and audit every conversion, two at a time, and take each line's worst base."""
    bases = BASES[:1] if options.quick else BASES
    seeds = [FRESH + options.seed + i for i in range(1 if options.quick else SEEDS)]
    itself = Arm(Lineage(bases[0], seeds[0]), "")
    # What has to be trained first comes first.
    arms = [Arm(Lineage(b, s), method) for b in bases for s in seeds for method in reversed(METHODS)]
    found = _run([*arms, itself], options, ledger)
    by_base = {m: {b: [found[Arm(Lineage(b, s), m)] for s in seeds] for b in bases} for m in METHODS}
    return measures(by_base, found[itself])


def _run(arms: Sequence[Arm], options: Options, ledger: LabelLedger) -> dict[Arm, AuditResult]:
    """All audits, in two processes of one thread each; first the lineages are raised."""
    lineages = list(dict.fromkeys(arm.lineage for arm in arms))
    found: dict[Arm, AuditResult] = {}
    with progress(len(arms), "audits", unit="audits") as advance, ProcessPoolExecutor(2) as pool:
        for told in pool.map(_raised, lineages):
            ledger.merge(LabelLedger(told))
        jobs = {pool.submit(_audited, arm, options): arm for arm in arms}
        for job in as_completed(jobs):
            result, labels = job.result()
            found[jobs[job]] = result
            ledger.merge(LabelLedger(labels))
            ledger.add("audit", _labels(result))
            advance(1)
    return found


def _raised(lineage: Lineage) -> dict[str, int]:
    """Raise an instruct model and its reasoner, if need be; the labels that it took."""
    _one_thread()
    ledger = LabelLedger()
    for ref in (lineage.instruct, lineage.reasoner):
        told = read_checkpoint(open_folder(ref.removeprefix("organism:"))).labels
        ledger.merge(LabelLedger({consumer: n for consumer, n in told.items() if consumer != "exam"}))
    return ledger.totals()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _labels(result: AuditResult) -> int:
    """What the oracle was asked: every answer of both models, the reasoning aside."""
    sides = [side for c in result.comparisons for side in (c.baseline, c.candidate)]
    return sum(sum(side.outcomes.values()) for side in sides)


def _audited(arm: Arm, options: Options) -> tuple[AuditResult, dict[str, int]]:
    """The audit of a conversion, which is made if need be, and the labels that making it took."""
    _one_thread()
    folder, lineage = options.out / "trust_audit", arm.lineage
    name, labels = f"{arm.method or 'itself'}-{lineage.base}-{lineage.seed}", dict[str, int]()
    candidate = lineage.reasoner if arm.method else lineage.instruct
    if arm.method not in ("", "sft"):
        made = converted(lineage, arm.method, folder / "models")
        name, candidate, labels = made.folder.name, str(made.folder), dict(made.labels)
    # With fewer questions a gain of two points in capability, which is all there is to gain, would not be told.
    settings = Settings(seed=options.seed, judge_traces=True, drift=_DRIFT_PROMPTS)
    return run_audit(candidate, lineage.instruct, "organism", settings, out=folder / name), labels


def main() -> int:
    """Hold the conversions against the table."""
    return conclude(
        "trust_audit",
        "the audit tells what a conversion to reasoning costs in trust, beside what it gains",
        "Kini et al., Does Reasoning Preserve Alignment?, 2026 (arXiv 2606.11046), tables of section 4",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
