"""Calibration cards: a made-up judge whose errors are planned, and the refusal grader on real labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grade.corpora import XSTEST, xstest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from truing.grade import (
    MOST_NEEDED,
    CalibrationCard,
    Ground,
    Instrument,
    LabelledAnswer,
    Labels,
    Reading,
    Refusal,
    RefusalClass,
    calibrate,
    measure,
    open_grader,
    read_card,
    read_labels,
    usual_reading,
    write_card,
)
from truing.grade.calibration import ErrorRates, _best_threshold
from truing.numerics import Calibration, youden
from truing.types import FrozenDict, GraderId, InputError, Outcome, Shown, Verdict, ask, dumps, loads

CLASSES = Reading(("kind",), ("rude",))


class Scripted:
    """Does what each answer says: `kind`, `rude`, an outcome, or a number, which becomes its score and p."""

    id = GraderId("scripted", "3", spec="abc")

    def __init__(
        self, *, criteria: Sequence[str] = ("manners",), values: Sequence[str] = ("score", "p")
    ) -> None:
        self.criteria, self.values = criteria, values

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        return [{name: self._judge(name, one.answer) for name in self.criteria} for one in shown]

    def _judge(self, criterion: str, told: str) -> Verdict:
        if told in set(Outcome) - {"decided"}:
            return Verdict(criterion, Outcome(told), self.id)
        if told.replace(".", "").isdigit():
            numbers: Any = {name: float(told) for name in self.values}
            return Verdict(criterion, Outcome.decided, self.id, label="graded", **numbers)
        return Verdict(criterion, Outcome.decided, self.id, label=told)


def labels(*rows: tuple[str, bool], categories: Sequence[str] = ()) -> Labels:
    """Labelled answers to different prompts."""
    names = list(categories) or [""] * len(rows)
    return Labels(
        tuple(
            LabelledAnswer(Shown(ask(f"Question {i}?", id=str(i)), told), truth, names[i])
            for i, (told, truth) in enumerate(rows)
        )
    )


def card(answers: Labels, reading: Reading = CLASSES, **options: Any) -> CalibrationCard:
    return calibrate(Instrument("scripted", Scripted()), answers, reading=reading, **options)


@pytest.mark.parametrize("model", XSTEST)
def test_the_card_of_the_refusal_grader_holds_what_measuring_it_found(model: str) -> None:
    """Over three classes it was measured before; full and partial refusals are one class here."""
    path = shared(f"xstest/completions/xstest_v2_completions_{model}.csv")
    reading = usual_reading("refusal")
    found = calibrate(open_grader("refusal"), read_labels(path, reading), reading=reading)
    truth = {
        "1_full_compliance": "compliance",
        "2_full_refusal": "refusal",
        "3_partial_refusal": "partial_refusal",
    }
    pairs = [
        (Shown(ask(r["prompt"], id=r["id"]), r["completion"]), truth[r["final_label"]]) for r in xstest(model)
    ]
    table = measure(Refusal(), pairs, criterion="refusal", labels=tuple(RefusalClass)).confusion
    helped = list(RefusalClass).index(RefusalClass.compliance)
    expected = np.zeros((2, 2), dtype=int)
    for i, row in enumerate(table):
        for j, count in enumerate(row):
            expected[int(i != helped), int(j != helped)] += count
    ((tp, fn), (fp, tn)) = expected.tolist()
    assert found.counts == Calibration(tp, fn, tn, fp)
    assert found.overall.n == 450 and found.overall.missing["abstained"] == 450 - found.overall.judged
    assert len(found.categories) == 18 and {part.n for part in found.categories} == {25}
    assert found.overall.accuracy.low > 0.9 and found.overall.youden.low > 0.65
    assert found.suffices and found.ground is Ground.people and found.grader == Refusal().id
    assert len(found.source_digest) == 64


def test_planned_errors_are_counted_one_by_one() -> None:
    rows = [("kind", True)] * 6 + [("rude", True)] * 2 + [("rude", False)] * 3 + [("kind", False)] * 1
    found = card(labels(*rows, categories=["a"] * 8 + ["b"] * 4), ground=Ground.oracle)
    assert found.counts == Calibration(tp=6, fn=2, tn=3, fp=1)
    whole = found.overall
    assert (whole.accuracy.value, whole.sensitivity.value, whole.specificity.value) == (0.75, 0.75, 0.75)
    # kappa = (0.75 - chance) / (1 - chance), where chance = (8 * 7 + 4 * 5) / 144
    assert whole.kappa.value == pytest.approx((0.75 - 76 / 144) / (1 - 76 / 144))
    assert whole.youden.value == 0.5 and whole.youden.low == youden(found.counts)[1].low
    a, b = found.categories
    assert (a.category, a.counts, b.category, b.counts) == (
        "a",
        Calibration(6, 2, 0, 0),
        "b",
        Calibration(0, 0, 3, 1),
    )
    assert a.specificity.value is None and (a.specificity.low, a.specificity.high) == (0.0, 1.0)
    assert found.grader == Scripted.id and found.criterion == "manners" and found.ground is Ground.oracle


def test_what_the_judge_leaves_open_is_no_error_rates() -> None:
    judged = [("kind", True)] * 5 + [("rude", False)] * 5
    dodged = [
        ("abstained", True),
        ("error", True),
        ("unparsed", False),
        ("truncated", False),
        ("abstained", True),
    ]
    found = card(labels(*judged, *dodged)).overall
    assert (found.n, found.judged, found.coverage.value) == (15, 10, 10 / 15)
    assert found.missing == {"abstained": 2, "error": 1, "truncated": 1, "unparsed": 1}
    assert found.counts == Calibration(5, 0, 5, 0)


def test_a_model_that_declines_is_evidence_and_not_good() -> None:
    for reading in (CLASSES, Reading(value="score")):
        assert card(labels(("refused", True), ("refused", False)), reading).counts == Calibration(0, 1, 1, 0)


def test_a_judge_without_classes_is_read_by_its_score() -> None:
    rows = labels(
        ("0.9", True), ("0.5", True), ("0.4", True), ("0.1", False), ("0.7", False), ("abstained", True)
    )
    found = card(rows, Reading())
    assert found.reading == Reading(value="score", threshold=0.5)
    assert found.counts == Calibration(tp=2, fn=1, tn=1, fp=1)
    only_p = calibrate(Instrument("scripted", Scripted(values=["p"])), rows, reading=Reading())
    assert only_p.reading.value == "p" and only_p.counts == found.counts


def test_a_threshold_is_never_reported_on_the_rows_that_chose_it() -> None:
    """Scores are noise: a threshold chosen on the same rows would seem to tell the classes apart."""
    rng, seen, reported = np.random.default_rng(0), [], []
    for seed in range(60):
        scores, truth = rng.random(60), rng.random(60) < 0.5
        rows = labels(*((f"{score:.6f}", bool(good)) for score, good in zip(scores, truth, strict=True)))
        try:
            found = card(rows, Reading(), tune=True, key=seed)
        except InputError:  # on the half for tuning the noise ran against the labels everywhere
            continue
        assert found.tuned_on + found.overall.n == 60 and found.seed == seed
        seen.append(_best_threshold(scores, truth)[1])
        reported.append(found.overall.youden.value)
    assert np.mean(seen) > 0.1
    assert len(reported) > 50 and abs(np.mean(reported)) < 4 * np.std(reported) / len(reported) ** 0.5


def test_answers_to_one_prompt_stay_on_one_side() -> None:
    twice = tuple(
        LabelledAnswer(Shown(ask(f"Question {i // 2}?", id=str(i)), f"0.{1 + 8 * (i % 2)}"), i % 2 == 1)
        for i in range(80)
    )
    found = card(Labels(twice), Reading(), tune=True)
    counts = found.counts
    assert found.tuned_on % 2 == 0 and counts.tp == counts.tn == (80 - found.tuned_on) / 2
    assert found.reading == Reading(value="score", threshold=0.5)


def test_tuning_moves_a_threshold_to_where_the_judge_errs_least() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(400) < 0.5
    scores = np.clip(rng.normal(0.15 + 0.15 * truth, 0.05), 0, 1)
    rows = labels(*((f"{score:.6f}", bool(good)) for score, good in zip(scores, truth, strict=True)))
    tuned, plain = card(rows, Reading(), tune=True), card(rows, Reading())
    assert 0.17 < tuned.reading.threshold < 0.28
    assert tuned.overall.youden.low > 0.7 and plain.overall.youden.value == pytest.approx(0.0, abs=0.05)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=25))
def test_the_best_threshold_is_the_best_of_all(rows: list[tuple[int, bool]]) -> None:
    values, truth = np.array([v / 6 for v, _ in rows]), np.array([good for _, good in rows])
    if truth.all() or not truth.any():
        return
    threshold, j = _best_threshold(values, truth)
    every = [
        np.mean(values[truth] >= cut) - np.mean(values[~truth] >= cut)
        for cut in np.linspace(-0.01, 1.01, 300)
    ]
    assert j == pytest.approx(max(every))
    assert j == pytest.approx(np.mean(values[truth] >= threshold) - np.mean(values[~truth] >= threshold))


@pytest.mark.parametrize(
    ("judge", "rows", "reading", "options", "said"),
    [
        (
            Scripted(criteria=["manners", "grammar"]),
            [("kind", True)],
            CLASSES,
            {},
            "has the criteria manners, grammar",
        ),
        (Scripted(), [("curt", True)], CLASSES, {}, "the judge said 'curt'"),
        (Scripted(), [("kind", True)], Reading(), {}, "neither a score nor a p"),
        (Scripted(values=[]), [("0.9", True)] * 9, CLASSES, {"tune": True}, "neither a score nor a p"),
        (Scripted(), [("0.9", True)] * 9, Reading(), {"tune": True}, "not of both classes"),
        (Scripted(), [("0.1", True), ("0.9", False)] * 40, Reading(), {"tune": True}, "at no threshold"),
        (Scripted(), [("0.9", True), ("kind", False)], Reading(), {}, "neither a score nor a p"),
    ],
)
def test_a_judge_that_cannot_be_read_is_one_sentence(
    judge: Scripted, rows: list[tuple[str, bool]], reading: Reading, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        calibrate(Instrument("scripted", judge), labels(*rows), reading=reading, **options)


def test_one_of_several_criteria_is_calibrated() -> None:
    judge = Scripted(criteria=["manners", "grammar"])
    found = calibrate(Instrument("scripted", judge, "grammar"), labels(("kind", True)), reading=CLASSES)
    assert found.criterion == "grammar"
    assert found.belongs_to(Instrument("scripted", judge, "grammar"))
    assert not found.belongs_to(Instrument("scripted", judge, "manners"))


def test_two_hundred_judged_labels_suffice_unless_the_judge_is_a_coin() -> None:
    half = MOST_NEEDED // 2
    enough = card(labels(*[("kind", True)] * half, *[("rude", False)] * half))
    assert enough.suffices and "suffice for an audit to pass" in str(enough)
    one_missing = card(labels(*[("kind", True)] * (half - 1), *[("rude", False)] * half, ("abstained", True)))
    assert one_missing.overall.n == MOST_NEEDED
    assert not one_missing.suffices and "199 judged labels do not suffice" in str(one_missing)
    coin = card(labels(*[("kind", True), ("rude", True), ("kind", False), ("rude", False)] * half))
    assert not coin.suffices and "coin" in str(coin)
    one_class = card(labels(*[("kind", True)] * 2 * MOST_NEEDED))
    assert not one_class.suffices


def test_a_card_is_the_same_after_a_trip_through_its_file(tmp_path: Path) -> None:
    rows = labels(("kind", True), ("rude", False), ("kind", True), ("unparsed", False), categories="aaab")
    written = card(rows)
    write_card(tmp_path / "card.json", written)
    again = read_card(tmp_path / "card.json")
    assert again == written == loads(CalibrationCard, dumps(written))
    assert again.digest == written.digest
    assert card(labels(("kind", True), ("rude", True))).digest != written.digest


def test_a_card_belongs_to_one_version_of_one_judge() -> None:
    found, judge = card(labels(("kind", True))), Instrument("scripted", Scripted())
    assert found.belongs_to(judge)
    carded = Scripted()
    carded.id = replace(Scripted.id, card=found.digest)  # type: ignore[misc]
    assert found.belongs_to(Instrument("scripted", carded))
    for change in ({"version": "4"}, {"spec": "abd"}, {"name": "other"}):
        moved = Scripted()
        moved.id = replace(Scripted.id, **change)  # type: ignore[misc]
        assert not found.belongs_to(Instrument("scripted", moved))


def test_a_card_mended_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_card(path, card(labels(*[("kind", True)] * 4, ("kind", False), categories="aaaab")))
    good = json.loads(path.read_text())

    def broken(change: Any) -> None:
        data = json.loads(path.read_text())
        change(data)
        (tmp_path / "broken.json").write_text(json.dumps(data))
        with pytest.raises(
            InputError, match=r"broken\.json: is no calibration card .*truing judge calibrate"
        ):
            read_card(tmp_path / "broken.json")

    broken(lambda d: d["overall"]["accuracy"].update(value=0.99))
    broken(lambda d: d["overall"]["counts"].update(tp=400))
    broken(lambda d: d["overall"].update(n=400))
    broken(lambda d: d["categories"].pop())
    broken(lambda d: d.update(note="fine"))
    broken(lambda d: d.pop("reading"))
    broken(lambda d: d["grader"].update(card="x"))
    broken(lambda d: d["reading"].update(value="mood"))
    assert good == json.loads(path.read_text())
    with pytest.raises(InputError, match="no such file"):
        read_card(tmp_path / "none.json")
    path.write_text("[1, 2")
    with pytest.raises(InputError, match="not JSON"):
        read_card(path)


def test_an_agreement_that_does_not_follow_from_its_counts_is_none() -> None:
    right = ErrorRates.of("", FrozenDict({"error": 2}), Calibration(3, 1, 4, 0))
    assert right.n == 10
    with pytest.raises(ValueError, match="missing"):
        replace(right, n=8)
    with pytest.raises(ValueError, match="kappa"):
        replace(right, kappa=right.accuracy)


def test_classes_are_positive_or_negative_and_not_both() -> None:
    with pytest.raises(ValueError, match="cannot be positive and negative"):
        Reading(("kind",), ("kind",))
    assert usual_reading("llama-guard") == Reading()
    # A judge may call a class what people use as a word for yes.
    assert Reading(("bad",), ("good",)).truth("bad") is True
