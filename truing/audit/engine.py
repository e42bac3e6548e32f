"""The audit, top to bottom: load suites, draw items, ask both models, judge, compare, decide, report."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from truing import __version__
from truing.audit.collect import Judged, ask_all, judge_all
from truing.audit.comparison import Comparison, Pair, compare, refusal_counts
from truing.audit.gate import decide
from truing.audit.plan import draw
from truing.audit.report import render_report
from truing.audit.result import AuditResult, ModelRecord, NotAsked, SuiteRecord
from truing.audit.settings import Settings
from truing.audit.suites.base import Loaded, load_suites
from truing.grade import grader_versions
from truing.model import identify, load
from truing.run import Journal, Ledger, Run, progress
from truing.types import Expect, Fingerprint, FrozenDict, InputError, Item, digest

SIDES = ("baseline", "candidate")


def run_audit(
    candidate: str,
    baseline: str,
    suites: str,
    settings: Settings,
    *,
    out: Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> AuditResult:
    """Audit `candidate` against `baseline` (model references) on `suites` (`NAME[:SOURCE],...`).

    Writes into `out` (by default `runs/audit-DIGEST`) a journal for each model, `audit.json` and
    `report.html`; run again after a crash, it asks only what the journals lack and writes the same
    bytes.

    Raises:
        InputError: a reference, a suite or the folder cannot be used.
        LockedError: another process is writing the folder.
        StorageError: the disk refused a write.
        EndpointError: an endpoint cannot be used at all.
    """
    loaded = load_suites(suites)
    asked = [draw(suite.items, settings.limit, key=settings.seed) for suite in loaded]
    items = [item for drawn in asked for item in drawn]
    refs = {"baseline": baseline, "candidate": candidate}
    config = {
        "verb": "audit",
        **refs,
        "suites": suites,
        "settings": settings.to_json(),
        "device": device,
        "dtype": dtype,
        "graders": grader_versions(),
        "items": digest([item.to_json() for item in items]),
        "models": {side: identify(ref) for side, ref in refs.items()},
    }
    folder = out or Path("runs") / f"audit-{digest(config)[:12]}"
    with Run.open(folder, config) as run:
        models = {side: _ask(run, side, refs[side], items, settings, device, dtype) for side in SIDES}
        judged = {side: judge_all(items, run.journal(side)) for side in SIDES}
        comparisons = _compare(items, judged, settings)
        refusals = {side: refusal_counts(items, [j.verdict for j in judged[side]]) for side in SIDES}
        result = AuditResult(
            truing=__version__,
            decision=decide(
                comparisons, settings, rewards_refusal=any(i.expect is Expect.refuse for i in items)
            ),
            candidate=models["candidate"],
            baseline=models["baseline"],
            settings=settings,
            graders=FrozenDict(grader_versions()),
            suites=tuple(map(_suite_record, loaded, asked)),
            comparisons=tuple(comparisons),
            baseline_refusals=refusals["baseline"],
            candidate_refusals=refusals["candidate"],
            not_asked=tuple(NotAsked(u.what, u.rows, u.why) for suite in loaded for u in suite.unmeasured),
        )
        run.write_json("audit.json", result.to_json())
        run.write_text("report.html", render_report(result))
        with Ledger(folder / "ledger.sqlite") as ledger:
            spent = {side: float(sum(answer.tokens for answer in judged[side])) for side in SIDES}
            ledger.record_many("completion tokens", spent, component="audit")
            ledger.register_run(folder, run.config_hash, "audit", result.decision.status)
    return result


def _ask(
    run: Run, side: str, ref: str, items: Sequence[Item], settings: Settings, device: str, dtype: str
) -> ModelRecord:
    """Complete the journal of one side. A finished journal needs no model: its record was kept."""
    journal = run.journal(side)
    record = run.read_json(f"{side}.json")
    if record is not None and len(journal.done()) == len(items):
        return ModelRecord.from_json(record)
    if ref.startswith("endpoint:"):  # decides itself where and how its model runs
        device = dtype = "auto"
    model = load(ref, device=device, dtype=dtype, thinking=settings.thinking)
    _refuse_another_model(journal, model.fingerprint, side)
    seen = ModelRecord.from_json(record) if record is not None else None

    def described() -> ModelRecord:
        return ModelRecord(ref, model.fingerprint.short, _merged(seen, model.describe()), model.ground)

    def keep() -> None:
        run.write_json(f"{side}.json", described().to_json())

    started = time.monotonic()
    with progress(len(items), f"asking the {side}", unit="items") as advance:
        ask_all(model, items, settings.params, journal, key=settings.seed, advance=advance, observed=keep)
    run.timing(f"asking the {side}", time.monotonic() - started)
    keep()
    return described()


def _merged(seen: ModelRecord | None, now: Mapping[str, Any]) -> FrozenDict:
    """What a model is known to be, with what an endpoint was seen to do in earlier lives of this run."""
    before = tuple(seen.format.get("statements", ())) if seen else ()
    described = {name: value for name, value in now.items() if name not in ("capabilities", "statements")}
    statements = sorted({*before, *now.get("statements", ())})
    return FrozenDict(described | {"statements": statements} if statements else described)


def _refuse_another_model(journal: Journal, fingerprint: Fingerprint, side: str) -> None:
    """What `auto` stands for can differ from machine to machine: answers of two number formats do not mix."""
    _, first = next(journal.rows(), ("", None))
    if first is not None and Fingerprint.from_json(first["model"]) != fingerprint:
        raise InputError(
            f"the {side}'s answers so far came from another model or number format",
            file=journal.path,
            mend="go on where the run began, name --device and --dtype as there, or choose another --out",
        )


def _compare(items: Sequence[Item], judged: dict[str, list[Judged]], settings: Settings) -> list[Comparison]:
    """One comparison for each dimension, in the order in which the items name them."""
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for item, before, after in zip(items, judged["baseline"], judged["candidate"], strict=True):
        pairs[item.dimension].append(
            Pair(item, before.verdict, after.verdict, before.text == after.text != "")
        )
    # What Holm asks of the smallest p-value is what each dimension must be able to reach.
    alpha = settings.alpha / len(pairs)
    return [
        compare(dimension, members, alpha=alpha, power=settings.power, key=settings.seed)
        for dimension, members in pairs.items()
    ]


def _suite_record(suite: Loaded, asked: Sequence[Item]) -> SuiteRecord:
    return SuiteRecord(suite.suite, suite.version, len(asked), len(suite.items), FrozenDict(suite.files))
