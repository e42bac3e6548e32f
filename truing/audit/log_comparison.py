"""Two logs, whatever tool wrote them, compared as an audit compares two models."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from truing import __version__
from truing.audit.comparison import Pair, compare, refusal_counts
from truing.audit.conclude import rewards_refusal
from truing.audit.gate import decide
from truing.audit.judge_error import Cards, by_judge, called
from truing.audit.logs.base import Log, LogRow
from truing.audit.logs.pairing import Pairing, pair_logs
from truing.audit.logs.reading import read_log
from truing.audit.policy import Policy
from truing.audit.report import render_report
from truing.audit.result import AuditResult, ModelRecord, NotAsked, SuiteRecord
from truing.audit.settings import Settings
from truing.grade import CalibrationCard, Reading, shipped_cards
from truing.run import Run
from truing.types import Expect, FrozenDict, Item, Outcome, Verdict, ask, digest

RESULT = "compare.json"
"""What a comparison leaves in its folder."""
_SHOWN = 5


@dataclass(frozen=True)
class LogComparison(AuditResult):
    """As an audit's result; of how answers were drawn the logs' tools know more than is read here.

    `changed_prompts` are the ids under which the two logs asked different things; like the rows that
    only one log has they count as missing. `notes` say how the logs were read.
    """

    changed_prompts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As an audit's, without the settings that no log was asked for."""
        told = AuditResult.to_json(self)
        del told["settings"]
        return told | {"seed": self.settings.seed}

    @property
    def drawn(self) -> str:
        """How answers were drawn is not told here."""
        return "as logged"

    @property
    def decoding(self) -> str:
        """How answers were drawn, in words."""
        return "before, as the settings of the logged runs say"

    def lines(self) -> list[str]:
        """The result for a terminal: how it was read, a table, then the verdict."""
        missing = [f"{n.what}: {n.rows} ({n.why})" for n in self.not_asked]
        told = [*self.notes, *missing]
        return [*told, "", *AuditResult.lines(self)] if told else AuditResult.lines(self)


def compare_logs(
    baseline: str | Path,
    candidate: str | Path,
    policy: Policy | None = None,
    *,
    score: str | None = None,
    seed: int = 0,
    cards: Sequence[CalibrationCard] = (),
    out: Path | None = None,
) -> LogComparison:
    """Compare two logs of one tool item by item (see `read_log` for what a path may be).

    Items are paired by task, id and prompt. Where the rows name no dimension, each task is one.
    Rows that only one log has, or whose prompts differ, count as missing evidence. `seed` keys the
    resampling of intervals. With `out`, `compare.json` and `report.html` are written there.

    Raises:
        InputError: a log cannot be read, or the two have nothing in common.
        LockedError: another process is writing `out`.
        StorageError: the disk refused a write.
    """
    policy = policy or Policy()
    known = [*shipped_cards(), *cards]
    refs = {"baseline": str(baseline), "candidate": str(candidate)}
    logs = {side: _as_read(read_log(ref, score=score), known) for side, ref in refs.items()}
    pairing = pair_logs(logs["baseline"], logs["candidate"])
    pairs = _planned(pairing)
    result = _concluded(pairs, policy, seed, by_judge(known), logs, refs, pairing)
    if out is not None:
        config = {
            "verb": "compare", **refs, "score": score, "seed": seed, "policy": policy.to_json(),
            "cards": [card.digest for card in cards],
        }  # fmt: skip
        inputs = {f"{side}/{name}": sha for side, log in logs.items() for name, sha in log.files.items()}
        with Run.open(out, config, inputs=inputs) as run:
            run.write_json(RESULT, result.to_json())
            run.write_text("report.html", render_report(result))
    return result


def _concluded(
    pairs: Mapping[str, Sequence[Pair]],
    policy: Policy,
    seed: int,
    cards: Cards,
    logs: Mapping[str, Log],
    refs: Mapping[str, str],
    pairing: Pairing,
) -> LogComparison:
    alpha = policy.alpha / len(pairs)
    comparisons = [
        compare(
            dimension,
            members,
            alpha=alpha,
            power=policy.power,
            key=seed,
            cards=cards,
            level=policy.level,
        )
        for dimension, members in pairs.items()
    ]
    every = [pair for members in pairs.values() for pair in members]
    items = [pair.item for pair in every]
    before = refusal_counts(items, [pair.baseline for pair in every])
    after = refusal_counts(items, [pair.candidate for pair in every])
    secrets = any(row.expect is Expect.secret for log in logs.values() for row in log.rows)
    asks_refusal = secrets or any(map(rewards_refusal, items))  # the stand-ins do not know what is secret
    models = {side: _model(log, refs[side]) for side, log in logs.items()}
    counted = Counter(item.suite for item in items)
    return LogComparison(
        truing=__version__,
        decision=decide(comparisons, policy, rewards_refusal=asks_refusal, refusals=after),
        candidate=models["candidate"],
        baseline=models["baseline"],
        settings=Settings(seed=seed),
        policy=policy,
        graders=FrozenDict(dict(logs["baseline"].scored_by) | dict(logs["candidate"].scored_by)),
        suites=tuple(SuiteRecord(task, "", n, n, FrozenDict()) for task, n in counted.items()),
        comparisons=tuple(comparisons),
        baseline_refusals=before,
        candidate_refusals=after,
        not_asked=tuple(_not_compared(pairing)),
        changed_prompts=tuple(a.id for a, _ in pairing.changed_prompts),
        notes=tuple(_notes(logs)),
    )


def _planned(pairing: Pairing) -> dict[str, list[Pair]]:
    """Every item of either log: what has no partner is missing on the other side, and lowers the coverage."""
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for dimension, members in pairing.pairs.items():
        for a, b in members:
            pairs[dimension].append(Pair(_item(a), a.verdict, b.verdict, a.answer == b.answer != ""))
    for a, b in pairing.changed_prompts:
        why = "the two logs asked different things"
        pairs[a.dimension].append(Pair(_item(a), _missing(a, why), _missing(b, why), same_text=False))
    for a in pairing.unmatched_a:
        lost = _missing(a, "not in the candidate's log")
        pairs[a.dimension].append(Pair(_item(a), a.verdict, lost, same_text=False))
    for b in pairing.unmatched_b:
        lost = _missing(b, "not in the baseline's log")
        pairs[b.dimension].append(Pair(_item(b), lost, b.verdict, same_text=False))
    return dict(pairs)


def _item(row: LogRow) -> Item:
    """A stand-in: of what was asked a log row keeps the digest. Equal prompts are one source."""
    expect = row.expect if row.expect in (Expect.refuse, Expect.comply) else None
    return Item(
        row.id,
        ask(row.prompt or row.id, id=row.id),
        suite=row.task,
        dimension=row.dimension,
        expect=expect or Expect.judged,
        cluster=row.cluster or row.prompt,
        grader=row.named_grader if expect else row.verdict.grader.name,
    )


def _missing(row: LogRow, why: str) -> Verdict:
    return Verdict(row.verdict.criterion, Outcome.error, row.verdict.grader, reason=why)


def _model(log: Log, ref: str) -> ModelRecord:
    told = {"tool": log.tool, "tool version": log.version, "model": log.model, **log.files}
    return ModelRecord(ref, digest(log.files)[:12], FrozenDict({k: v for k, v in told.items() if v}))


def _not_compared(pairing: Pairing) -> Iterable[NotAsked]:
    for rows, log in ((pairing.unmatched_a, "baseline"), (pairing.unmatched_b, "candidate")):
        for task, n in Counter(row.task for row in rows).items():
            yield NotAsked(f"{task}, only in the {log}'s log", n, "counted as missing in the other")
    for task, n in Counter(a.task for a, _ in pairing.changed_prompts).items():
        ids = [a.id for a, _ in pairing.changed_prompts if a.task == task]
        some = ", ".join(ids[:_SHOWN]) + (", ..." if n > _SHOWN else "")
        yield NotAsked(f"{task}, another prompt under the same id", n, f"not compared: {some}")


def _notes(logs: Mapping[str, Log]) -> list[str]:
    before, after = logs["baseline"], logs["candidate"]
    notes = [*before.notes, *after.notes]
    if before.version != after.version:
        told = [log.version or "an unknown version" for log in (before, after)]
        notes.append(f"{before.tool} moved from {told[0]} to {told[1]}: its scores may have changed with it")
    return list(dict.fromkeys(notes))


def _as_read(log: Log, cards: Sequence[CalibrationCard]) -> Log:
    """The log with the verdicts of calibrated judges read as on their cards: their error is that of this reading."""
    readings = {called(card.grader, card.criterion): card.reading for card in cards}
    return replace(log, rows=tuple(_row_as_read(row, readings) for row in log.rows))


def _row_as_read(row: LogRow, readings: Mapping[str, Reading]) -> LogRow:
    reading = readings.get(called(row.verdict.grader, row.verdict.criterion)) if row.named_grader else None
    return row if reading is None else replace(row, verdict=reading.read(row.verdict))
