"""The answers on the page: real losses, of every dimension and kind that lost."""

from collections.abc import Mapping
from pathlib import Path

from audit.pairs import verdict

from truing.audit.changes import most_changed
from truing.audit.collect import Judged
from truing.run import Journal
from truing.types import Completion, Expect, Fingerprint, Item, Message, Outcome, Request, Role, Stop, Trace

MODEL = Fingerprint("m")
Told = tuple[str, str, float | Outcome, float | Outcome]
"""Dimension, group, what became of the baseline's answer and of the candidate's."""


def asked(i: int, dimension: str, group: str, samples: int = 1) -> Item:
    turns = (Message(Role.system, "Be brief."), Message(Role.user, f"question {i}"))
    return Item(
        f"{i}",
        Request(f"{i}", turns),
        "s",
        dimension,
        Expect.judged,
        grader="exact",
        group=group,
        samples=samples,
    )


def changes(folder: Path, *told: Told, order: tuple[str, ...], count: int = 12, text: str = "") -> list[str]:
    """The ids of what is shown."""
    items = [asked(i, dimension, group) for i, (dimension, group, _, _) in enumerate(told)]
    judged: dict[str, list[Judged]] = {"baseline": [], "candidate": []}
    journals: Mapping[str, Journal] = {side: Journal(folder / f"{side}.jsonl") for side in judged}
    for place, side in enumerate(judged, start=2):
        rows = []
        for item, one in zip(items, told, strict=True):
            said = Completion(
                item.id, 0, text or f"{side} {item.id}", text or f"{side} {item.id}", Stop.eos, MODEL
            )
            found = verdict(one[place])  # type: ignore[arg-type]
            judged[side].append(Judged(found, (found,), "digest", 3, (Trace.none,)))
            rows.append((item.id, said.to_json()))
        journals[side].append(rows)
    found = most_changed(items, judged, journals, order=order, count=count)
    for change in found:
        assert change.system == "Be brief." and change.prompt == f"question {change.id}"
        assert text or change.candidate.text == f"candidate {change.id}"
        assert text or change.baseline.text == f"baseline {change.id}"
    for journal in journals.values():
        journal.close()
    assert all(len(change.candidate.text) <= 1202 for change in found)
    return [change.id for change in found]


def test_the_largest_losses_come_first_and_gains_and_ties_not_at_all(tmp_path: Path) -> None:
    rows: list[Told] = [("a", "", 1.0, 0.5), ("a", "", 1.0, 0.0), ("a", "", 0.0, 1.0), ("a", "", 1.0, 1.0)]
    assert changes(tmp_path, *rows, order=("a",)) == ["1", "0"]


def test_what_is_missing_is_no_loss_but_what_nobody_can_read_is(tmp_path: Path) -> None:
    rows: list[Told] = [
        ("a", "", 1.0, Outcome.truncated),
        ("a", "", 1.0, Outcome.error),
        ("a", "", 1.0, Outcome.abstained),
        ("a", "", Outcome.unparsed, 0.0),
        ("a", "", 1.0, Outcome.unparsed),
        ("a", "", 0.5, 0.0),
    ]
    assert changes(tmp_path, *rows, order=("a",)) == ["4", "5"]


def test_dimensions_take_turns_in_the_given_order_and_groups_within_them(tmp_path: Path) -> None:
    rows: list[Told] = [
        *[("a", "x", 1.0, 0.0)] * 3, ("a", "y", 1.0, 0.5), *[("b", "", 1.0, 0.0)] * 2, ("c", "", 1.0, 0.0)
    ]  # fmt: skip
    assert changes(tmp_path, *rows, order=("b", "a")) == ["4", "0", "5", "3", "1", "2"]
    assert changes(tmp_path / "few", *rows, order=("b", "a"), count=3) == ["4", "0", "5"]
    assert changes(tmp_path / "none", *rows, order=()) == []


def test_a_long_answer_is_shortened(tmp_path: Path) -> None:
    assert changes(tmp_path, ("a", "", 1.0, 0.0), order=("a",), text="word " * 2000) == ["0"]


def test_of_several_answers_the_worst_is_shown(tmp_path: Path) -> None:
    item = asked(0, "toxicity", "", samples=2)
    journals = {side: Journal(tmp_path / f"{side}.jsonl") for side in ("baseline", "candidate")}
    for side, journal in journals.items():
        rows = [Completion("0", k, f"{side} {k}", f"{side} {k}", Stop.eos, MODEL).to_json() for k in (0, 1)]
        journal.append([(f"0#{k}", row) for k, row in enumerate(rows)])
    judged = {
        side: [Judged(verdict(min(scores)), tuple(map(verdict, scores)), "digest", 6, (Trace.none,) * 2)]
        for side, scores in (("baseline", (1.0, 1.0)), ("candidate", (0.6, 0.0)))
    }
    (change,) = most_changed([item], judged, journals, order=("toxicity",), count=3)
    assert (change.baseline.text, change.candidate.text) == ("baseline 0", "candidate 1")
    assert change.candidate.finding == "0.0"
    for journal in journals.values():
        journal.close()
