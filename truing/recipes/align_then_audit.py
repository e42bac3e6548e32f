"""Align a model by a method, then audit what that did to it: two runs in one folder, a page that leads to both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.audit import AuditResult, Policy, Runtime, Settings, plan_items, run_audit
from truing.data import read_json
from truing.grade import CalibrationCard, open_grader
from truing.model import identify
from truing.pages import points, render
from truing.run import SafetyRow, replace_file, with_safety
from truing.types import InputError, digest

ALIGNMENT, INDEX = "alignment", "index.html"


@dataclass(frozen=True)
class Audited:
    """What was made, what the audit says of it, and the page that leads to both."""

    alignment: Mapping[str, Any]
    """The result.json of the alignment."""
    audit: AuditResult
    page: Path


def align_and_audit(
    align: Callable[[Path], object],
    baseline: str,
    suites: str,
    settings: Settings,
    policy: Policy,
    out: Path,
    *,
    cards: Sequence[CalibrationCard] = (),
    runtime: Runtime | None = None,
) -> Audited:
    """Have `align` make a model, and audit it against `baseline`, the model as it was.

    Args:
        align: leaves a run in the folder it is given, with the new model's reference as `model` in its
            result.json; called again on a finished or interrupted run, it goes on or does nothing. Every method of
            `truing align` that makes a policy is one.
        baseline: what the new model is compared with, as a model reference.
        suites: what is asked, as for `run_audit`.
        settings: how it is asked.
        policy: what counts as a finding.
        out: the folder of both runs, `alignment` and `audit-DIGEST`, where DIGEST names what is asked: another
            suite is another audit of the same alignment.
        cards: calibration cards of graders.
        runtime: where both models run, and what is asked again.

    What the audit needs is looked at first, so that hours of training do not end in a misspelt suite. The new
    model's card gets the audit as its safety evaluation. Called again after an interruption, it goes on.

    Raises:
        InputError: a suite, a grader, the baseline or a folder cannot be used, or `align` left no model.
        TruingError: as `align` and `run_audit`.
    """
    planned = plan_items(suites, settings, policy)
    for spec in {item.grader for item in planned.items if item.grader}:
        open_grader(spec)
    before = identify(baseline)
    asked = (baseline, before, suites, settings, policy, tuple(card.digest for card in cards))
    folder = (
        out / f"audit-{digest([one.to_json() if hasattr(one, 'to_json') else one for one in asked])[:12]}"
    )
    align(out / ALIGNMENT)
    alignment = _result(out / ALIGNMENT)
    model = str(alignment["model"])
    audit = run_audit(model, baseline, suites, settings, policy, cards=cards, out=folder, runtime=runtime)
    _evaluate(Path(model), audit)
    page = out / INDEX
    html = _page(alignment, audit, out, folder)
    replace_file(page, html.encode("utf-8", "backslashreplace"))
    return Audited(alignment, audit, page)


def _result(folder: Path) -> Mapping[str, Any]:
    file = folder / "result.json"
    found = read_json(file) if file.is_file() else None
    if not isinstance(found, dict) or "model" not in found:
        raise InputError(
            "names no model", file=file, mend="align-audit what makes a model: sft, dpo, grpo or ppo"
        )
    return found


def _evaluate(model: Path, audit: AuditResult) -> None:
    """Write the audit into the card of the new model; its weights are as they were."""
    card = model / "README.md"
    if card.is_file():
        rows = [
            SafetyRow(name, before, after, f"{status} (difference {difference}, {ends})")
            for name, status, before, after, difference, ends in _rows(audit)
        ]
        text = with_safety(card.read_text(encoding="utf-8"), rows)
        replace_file(card, text.encode("utf-8"))


def _page(alignment: Mapping[str, Any], audit: AuditResult, out: Path, folder: Path) -> str:
    shown = {
        name: value
        for name, value in alignment.items()
        if isinstance(value, (str, int, float)) and value != ""
    }
    hacking = alignment.get("hacking")
    return render(
        "aligned.html.j2",
        package="truing.recipes",
        title="What did the alignment do?",
        method=alignment.get("method", ""),
        model=alignment["model"],
        baseline=audit.baseline.ref,
        status=audit.decision.status,
        reason=audit.decision.reason,
        ground=audit.baseline.ground[:1].upper() + audit.baseline.ground[1:],
        level=audit.level,
        rows=_rows(audit),
        audit_page=f"{folder.name}/report.html",
        alignment_page=f"{ALIGNMENT}/report.html" if (out / ALIGNMENT / "report.html").is_file() else "",
        hacking=hacking if isinstance(hacking, dict) else None,
        facts=[(name.replace("_", " "), _told(value)) for name, value in shown.items()],
    )


def _rows(audit: AuditResult) -> list[tuple[str, str, str, str, str, str]]:
    """(dimension, status, score before, after, difference, its interval) of each dimension, worst first."""
    by_name = {c.dimension: c for c in audit.comparisons}
    rows = []
    for finding in audit.decision.findings:
        c = by_name.get(finding.dimension)
        if c is None or c.difference is None or c.low is None or c.high is None:
            rows.append((finding.dimension, str(finding.status), *("–",) * 4))
            continue
        scores = f"{c.baseline.score:.1%}", f"{c.candidate.score:.1%}"
        ends = f"{points(c.low)} to {points(c.high)}"
        rows.append((finding.dimension, str(finding.status), *scores, points(c.difference), ends))
    return rows


def _told(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
