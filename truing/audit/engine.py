"""The audit, top to bottom: load suites, draw items, ask both models, judge, compare, decide, report."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from truing.audit.changes import Change, most_changed
from truing.audit.collect import Judged, ask_all, judge_all, keys_of
from truing.audit.conclude import Circumstances, Sides, conclude
from truing.audit.dimensions import dimension
from truing.audit.drift import Drift
from truing.audit.drift_measuring import measure_drift, why_no_drift
from truing.audit.export import export_inspect
from truing.audit.gate import Status
from truing.audit.judge_error import by_judge
from truing.audit.plan import plan_items
from truing.audit.policy import Policy
from truing.audit.report import render_report
from truing.audit.result import AuditResult, ModelRecord, NotAsked
from truing.audit.retry import forget_errors
from truing.audit.reuse import take_over
from truing.audit.settings import Settings
from truing.audit.traces import TraceSafety, judge_traces
from truing.grade import CalibrationCard, Instrument, grader_versions, open_grader, shipped_cards
from truing.model import identify, load
from truing.run import Journal, Ledger, Run, progress
from truing.types import Fingerprint, FrozenDict, InputError, Item, digest

if TYPE_CHECKING:
    from truing.model import EndpointModel, LocalModel

SIDES = ("baseline", "candidate")
REPEAT = "repeat"
"""The journal of the baseline's second answers, for the noise floor."""
_SHOWN = 12
"""Changed answers on the page."""
_SAID = {REPEAT: "baseline again"}


@dataclass(frozen=True)
class Runtime:
    """How an audit is run, whatever its result: where local models run and in which numbers, and what is done again.

    `reuse` is the folder of an audit that asked the baseline before; with `retry_errors` what ended in
    an error is asked and judged again.
    """

    device: str = "auto"
    dtype: str = "auto"
    reuse: Path | None = None
    retry_errors: bool = False


def run_audit(
    candidate: str,
    baseline: str,
    suites: str,
    settings: Settings,
    policy: Policy | None = None,
    *,
    cards: Sequence[CalibrationCard] = (),
    out: Path | None = None,
    runtime: Runtime | None = None,
    inspect: bool = False,
) -> AuditResult:
    """Audit `candidate` against `baseline` (model references) on `suites` (`NAME[:SOURCE],...`).

    Writes into `out` (by default `runs/audit-DIGEST`) the journals of answers and of verdicts of each
    model, `audit.json` and `report.html`, and with `inspect` a log for Inspect of each model; run again
    after a crash, it does only what the journals lack and writes the same bytes. The baseline's
    answers are taken over from the audit in `runtime.reuse`, if that asked it the same.

    Raises:
        InputError: a reference, a suite, a grader or the folder cannot be used.
        LockedError: another process is writing the folder.
        StorageError: the disk refused a write.
        EndpointError: an endpoint cannot be used at all.
    """
    policy, runtime, cards = policy or Policy(), runtime or Runtime(), [*shipped_cards(), *cards]
    refs = {"baseline": baseline, "candidate": candidate}
    planned = plan_items(suites, settings, policy)
    settings = replace(settings, max_tokens=planned.max_tokens)
    instruments = {
        spec: _calibrated(open_grader(spec), cards)
        for spec in sorted({i.grader for i in planned.items if i.grader})
    }
    for instrument in instruments.values():
        instrument.check_criterion()
    config = {
        "verb": "audit",
        **refs,
        "suites": suites,
        "settings": settings.to_json(),
        "policy": policy.to_json(),
        "device": runtime.device,
        "dtype": runtime.dtype,
        "graders": _versions(instruments),
        "dimensions": {
            name: dimension(name).to_json() for name in sorted({i.dimension for i in planned.items})
        },
        "cards": [card.digest for card in cards],
        "items": digest([item.to_json() for item in planned.items]),
        "models": {side: identify(ref) for side, ref in refs.items()},
    }
    folder = out or Path("runs") / f"audit-{digest(config)[:12]}"
    with Run.open(folder, config) as run:
        if runtime.retry_errors:
            forget_errors(run)
        if runtime.reuse is not None:
            take_over(run, runtime.reuse, config)
        models = {side: _ask(run, side, refs[side], planned.items, settings, runtime) for side in SIDES}
        if settings.noise_floor:  # in another order, so that other answers share a batch
            _ask(run, REPEAT, baseline, planned.items[::-1], settings, runtime)
        judged = {side: _judge(run, side, planned.items, instruments) for side in SIDES}
        repeated = _judge(run, REPEAT, planned.items, instruments) if settings.noise_floor else None
        safety_of_traces = _judge_traces(run, planned.items, instruments, settings)
        drift, why_not = _drift(run, refs, planned.items, settings, runtime) if settings.drift else ([], [])
        result = conclude(
            planned.items,
            Sides(judged["baseline"], judged["candidate"], repeated),
            settings,
            policy,
            Circumstances(
                models,
                _versions(instruments),
                planned.suites,
                (*planned.not_asked, *why_not, *_untold(settings, safety_of_traces)),
                planned.margins,
                by_judge(cards),
                safety_of_traces,
                drift,
            ),
        )
        run.write_json("audit.json", result.to_json())
        run.write_text("report.html", render_report(result, _changes(run, planned.items, judged, result)))
        for side in SIDES if inspect else ():
            journals = run.journal(side), run.journal(f"verdicts-{side}")
            export_inspect(folder / f"{side}.eval", planned.items, *journals, model=refs[side])
        with Ledger(folder / "ledger.sqlite") as ledger:
            answers = judged | ({REPEAT: repeated} if repeated else {})
            spent = {side: float(sum(one.tokens for one in of)) for side, of in answers.items()}
            ledger.record_many("completion tokens", spent, component="audit")
            ledger.register_run(folder, run.config_hash, "audit", result.decision.status)
    return result


def _ask(
    run: Run, side: str, ref: str, items: Sequence[Item], settings: Settings, runtime: Runtime
) -> ModelRecord:
    """Complete the journal of one side. A finished journal needs no model: its record was kept."""
    journal = run.journal(side)
    record = run.read_json(f"{side}.json")
    wanted = sum(len(keys_of(item, greedy=settings.temperature == 0)) for item in items)
    if record is not None and len(journal.done()) == wanted:
        return ModelRecord.from_json(record)
    model = _load(ref, settings, runtime)
    _refuse_another_model(journal, model.fingerprint, side)
    seen = kept = ModelRecord.from_json(record) if record is not None else None

    def described() -> ModelRecord:
        return ModelRecord(ref, model.fingerprint.short, _merged(seen, model.describe()), model.ground)

    def keep() -> None:
        nonlocal kept
        if (now := described()) != kept:
            run.write_json(f"{side}.json", now.to_json())
            kept = now

    started = time.monotonic()
    with progress(len(items), f"asking the {_SAID.get(side, side)}", unit="items") as advance:
        key = settings.key_of(side)
        ask_all(model, items, settings.params, journal, key=key, advance=advance, observed=keep)
    run.timing(f"asking the {side}", time.monotonic() - started)
    keep()
    return described()


def _load(ref: str, settings: Settings, runtime: Runtime) -> "LocalModel | EndpointModel":
    if ref.startswith("endpoint:"):  # decides itself where and how its model runs
        runtime = Runtime()
    return load(ref, device=runtime.device, dtype=runtime.dtype, thinking=settings.thinking)


def _judge(run: Run, side: str, items: Sequence[Item], instruments: Mapping[str, Instrument]) -> list[Judged]:
    answers, verdicts = run.journal(side), run.journal(f"verdicts-{side}")
    started = time.monotonic()
    with progress(len(answers.done()), f"judging the {_SAID.get(side, side)}", unit="answers") as advance:
        judged = judge_all(items, answers, verdicts, instruments, advance=advance)
    run.timing(f"judging the {side}", time.monotonic() - started)
    return judged


def _drift(
    run: Run, refs: Mapping[str, str], items: Sequence[Item], settings: Settings, runtime: Runtime
) -> tuple[list[Drift], list[NotAsked]]:
    """The drift of each dimension, or why there is none: an audit does not fail over what only describes."""
    candidate, baseline = (_load(refs[side], settings, runtime) for side in ("candidate", "baseline"))
    if why := why_no_drift(candidate, baseline):
        return [], [NotAsked("drift", 0, why)]
    started = time.monotonic()
    found = measure_drift(
        cast("LocalModel", candidate),
        cast("LocalModel", baseline),
        items,
        per_dimension=settings.drift,
        key=settings.seed,
        max_tokens=settings.params.max_tokens,
        journal=run.journal("drift"),
    )
    run.timing("measuring drift", time.monotonic() - started)
    return found, []


def _changes(
    run: Run, items: Sequence[Item], judged: Mapping[str, Sequence[Judged]], result: AuditResult
) -> list[Change]:
    """What the page shows of the answers: losses of the dimensions that lost, the worst finding first."""
    order = [f.dimension for f in result.decision.findings if f.status is Status.regression]
    journals = {side: run.journal(side) for side in SIDES}
    return most_changed(items, judged, journals, order=order, count=_SHOWN)


def _judge_traces(
    run: Run, items: Sequence[Item], instruments: Mapping[str, Instrument], settings: Settings
) -> list[TraceSafety]:
    """The reasoning of both models, where it is asked for and a grader can judge it."""
    if not settings.judge_traces:
        return []
    return [
        found
        for side in SIDES
        for found in judge_traces(
            items,
            run.journal(side),
            run.journal(f"verdicts-{side}"),
            run.journal(f"traces-{side}"),
            instruments,
            model=side,
            key=settings.seed,
        )
    ]


def _untold(settings: Settings, found: Sequence[TraceSafety]) -> list[NotAsked]:
    """That reasoning was to be judged and none was: no word of it would look like nothing found."""
    if found or not settings.judge_traces:
        return []
    return [NotAsked("reasoning", 0, "No answer has a closed trace that its grader can judge.")]


def _calibrated(instrument: Instrument, cards: Sequence[CalibrationCard]) -> Instrument:
    """The instrument, read as on its card; of several cards the last."""
    own = [card.reading for card in cards if card.belongs_to(instrument)]
    return replace(instrument, reading=own[-1]) if own else instrument


def _versions(instruments: Mapping[str, Instrument]) -> FrozenDict:
    """Every instrument that may judge, by what calls it, with all that its verdicts depend on."""
    named = {spec: instrument.id.to_json() for spec, instrument in instruments.items()}
    return FrozenDict(grader_versions() | named)


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
