"""What a judge's error does to a comparison: its card widens the interval, and without one nothing passes."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from audit.pairs import EXACT, JUDGE, Count, compared, pairs

from truing.audit import Comparison, Policy, Status, by_judge, decide
from truing.audit.judge_error import called, instrument_of
from truing.grade import MOST_NEEDED, CalibrationCard, ErrorRates, Ground, Reading
from truing.numerics import (
    Calibration,
    corrected_interval,
    detectable_true_loss,
    paired_interval,
    smallest_detectable_effect,
    youden,
)
from truing.types import Expect, FrozenDict, GraderId, Item, ask

GOOD = Calibration(tp=190, fn=10, tn=190, fp=10)
WEAK = Calibration(tp=108, fn=92, tn=100, fp=100)
SAME: tuple[Count, ...] = ((1000, 1.0, 1.0), (500, 0.0, 0.0))
LOSS: tuple[Count, ...] = ((300, 1.0, 1.0), (40, 1.0, 0.0), (10, 0.0, 1.0), (50, 0.0, 0.0))


def card(
    counts: Calibration, grader: GraderId = JUDGE, criterion: str = "good", missing: int = 0
) -> CalibrationCard:
    rates = ErrorRates.of("", FrozenDict({"abstained": missing} if missing else {}), counts)
    return CalibrationCard(
        grader, criterion, Reading(value="score"), Ground.people, "labels", "0" * 64, rates
    )


def judged(*counts: Count, cards: tuple[CalibrationCard, ...] = (), grader: GraderId = JUDGE) -> Comparison:
    return compared(*pairs(*counts, grader=grader), cards=by_judge(cards))


def status(comparison: Comparison) -> tuple[Status, str]:
    (finding,) = decide([comparison], Policy(), rewards_refusal=False).findings
    return finding.status, finding.reason


def interval(low: float | None, high: float | None) -> tuple[float, float]:
    assert low is not None and high is not None
    return low, high


def test_a_judge_that_is_right_by_construction_changes_nothing() -> None:
    exact = judged(*LOSS, grader=EXACT)
    assert exact.judges == () and exact.judged_difference is None
    assert exact == judged(*LOSS, grader=EXACT, cards=(card(GOOD, EXACT),))
    seen = paired_interval(40, 10, 400)
    assert interval(exact.low, exact.high) == pytest.approx((seen.low, seen.high))
    assert exact.detectable == smallest_detectable_effect(400, 50 / 400, alpha=0.05, power=0.8)


def test_the_numbers_of_one_judge_are_those_of_the_published_correction() -> None:
    comparison = judged(*LOSS, cards=(card(GOOD),))
    difference, ends = corrected_interval(-30 / 400, paired_interval(40, 10, 400), GOOD)
    assert comparison.difference == pytest.approx(difference) == pytest.approx(-30 / 400 / 0.9)
    assert interval(comparison.low, comparison.high) == pytest.approx((ends.low, ends.high))
    assert comparison.judged_difference == -30 / 400
    uncorrected = judged(*LOSS, grader=EXACT)
    assert comparison.p == uncorrected.p and comparison.losses == uncorrected.losses
    least = youden(GOOD)[1].low
    assert comparison.detectable == pytest.approx(
        detectable_true_loss(smallest_detectable_effect(400, 50 / 400), least)
    )
    (note,) = comparison.judges
    assert (note.pairs, note.labels, note.card) == (400, 400, card(GOOD).digest)
    assert (note.youden, note.youden_low) == (pytest.approx(0.9), least)


def test_strata_of_several_judges_are_corrected_apart_and_joined_by_their_shares() -> None:
    other, third = GraderId("other", "2", spec="abc"), GraderId("third", "1")
    members = [
        *pairs(*LOSS, grader=JUDGE),
        *pairs((150, 1.0, 1.0), (30, 1.0, 0.0), (20, 0.0, 1.0), grader=other, start=1000),
        *pairs((90, 1.0, 1.0), (10, 1.0, 0.0), grader=third, start=2000),
        *pairs((280, 1.0, 1.0), (20, 0.0, 1.0), grader=EXACT, start=3000),
    ]
    so_so = Calibration(tp=300, fn=100, tn=350, fp=50)
    cards = by_judge([card(GOOD), card(so_so, other)])
    comparison = compared(*members, cards=cards)
    parts = [
        (400, *corrected_interval(-30 / 400, paired_interval(40, 10, 400), GOOD)),
        (200, *corrected_interval(-10 / 200, paired_interval(30, 20, 200), so_so)),
        (100, -10 / 100, paired_interval(10, 0, 100)),  # taken at its word, and the gate lets it not pass
        (300, 20 / 300, paired_interval(0, 20, 300)),
    ]
    middle = sum(n * d for n, d, _ in parts) / 1000
    below, above = (
        sqrt(sum((n / 1000 * (d - i.low if lower else i.high - d)) ** 2 for n, d, i in parts))
        for lower in (True, False)
    )
    assert comparison.difference == pytest.approx(middle)
    assert interval(comparison.low, comparison.high) == pytest.approx((middle - below, middle + above))
    assert [n.grader for n in comparison.judges] == ["judge/good 1", "other/good 2 abc", "third/good 1"]
    assert [n.labels for n in comparison.judges] == [400, 800, 0]
    weakest = min(youden(GOOD)[1].low, youden(so_so)[1].low)
    uncorrected = compared(*members).detectable
    assert uncorrected is not None and comparison.detectable == pytest.approx(uncorrected / weakest)
    assert status(comparison)[0] is not Status.passed


def test_without_a_card_nothing_passes_and_a_regression_is_one_all_the_same() -> None:
    assert status(judged(*SAME, grader=EXACT))[0] is Status.passed
    found, why = status(judged(*SAME))
    assert (
        found is Status.inconclusive and "judge/good 1 has no calibration card, 200 labels are needed" in why
    )
    assert status(judged(*LOSS))[0] is Status.regression


@pytest.mark.parametrize(
    "other",
    [
        card(GOOD, replace(JUDGE, version="2")),
        card(GOOD, replace(JUDGE, spec="another specification")),
        card(GOOD, replace(JUDGE, name="namesake")),
        card(GOOD, criterion="kind"),
    ],
)
def test_the_card_of_another_version_specification_or_criterion_is_no_card(other: CalibrationCard) -> None:
    comparison = judged(*SAME, cards=(other,))
    assert status(comparison)[0] is Status.inconclusive and comparison.judged_difference is None


def test_a_card_needs_two_hundred_judged_labels() -> None:
    few = Calibration(tp=99, fn=0, tn=MOST_NEEDED - 100, fp=0)
    enough = Calibration(tp=99, fn=0, tn=MOST_NEEDED - 99, fp=0)
    found, why = status(judged(*SAME, cards=(card(few),)))
    assert found is Status.inconclusive and "a calibration card of 199 labels, 200 labels are needed" in why
    # What it did not judge is no label.
    assert status(judged(*SAME, cards=(card(few, missing=500),)))[0] is Status.inconclusive
    assert status(judged(*SAME, cards=(card(enough),)))[0] is Status.passed


def test_a_judge_no_better_than_a_coin_says_nothing_however_many_labels_it_has() -> None:
    comparison = judged(*SAME, cards=(card(WEAK),))
    assert interval(comparison.low, comparison.high) == (-1.0, 1.0) and comparison.detectable is None
    found, why = status(comparison)
    assert found is Status.inconclusive and "too weak" in why
    upside_down = judged(*SAME, cards=(card(Calibration(tp=10, fn=190, tn=10, fp=190)),))
    assert interval(upside_down.low, upside_down.high) == (-1.0, 1.0)
    assert status(upside_down)[0] is Status.inconclusive
    one_class = judged(*SAME, cards=(card(Calibration(tp=300, fn=0, tn=0, fp=0)),))
    assert one_class.judges[0].youden is None and status(one_class)[0] is Status.inconclusive


def test_a_judge_that_errs_needs_more_items_than_one_that_does_not() -> None:
    so_so = Calibration(tp=150, fn=50, tn=150, fp=50)
    differs: tuple[Count, ...] = ((370, 1.0, 1.0), (15, 1.0, 0.0), (15, 0.0, 1.0))
    exact, noisy = judged(*differs, grader=EXACT), judged(*differs, cards=(card(so_so),))
    assert exact.detectable is not None and noisy.detectable is not None
    assert noisy.detectable > 1 / 0.6 * exact.detectable


def test_of_two_cards_of_a_judge_the_later_counts() -> None:
    told = by_judge([card(WEAK), card(GOOD)])
    assert list(told) == ["judge/good 1"] and told["judge/good 1"][2] == GOOD


def test_the_worst_of_several_answers_is_noted_and_not_divided() -> None:
    members = [
        replace(p, item=replace(p.item, samples=5)) for p in pairs(*LOSS, dimension="toxicity", grader=JUDGE)
    ]
    worst = compared(*members, cards=by_judge([card(GOOD)]))
    assert worst.judged_difference is None and worst.difference == -30 / 400
    assert [n.labels for n in worst.judges] == [400]
    mean = compared(
        *[replace(p, item=replace(p.item, dimension="safety")) for p in members], cards=by_judge([card(GOOD)])
    )
    assert mean.difference == pytest.approx(-30 / 400 / 0.9)


def test_an_instrument_is_called_by_all_that_its_verdicts_depend_on() -> None:
    assert called(GraderId("refusal", "3"), "refusal") == called(GraderId("refusal", "3"), "") == "refusal 3"
    assert called(GraderId("guard", "1", spec="ab"), "harm") == "guard/harm 1 ab"
    parsed = Item("i", ask("q", id="i"), "s", "safety", Expect.refuse)
    verdict = pairs((1, 1.0, 1.0), grader=JUDGE)[0].baseline
    assert instrument_of(parsed, verdict) == "judge 1"
    assert instrument_of(replace(parsed, grader="judge"), verdict) == "judge/good 1"


def test_the_corrected_interval_covers_the_truth_that_a_noisy_judge_blurs() -> None:
    """A judge with sensitivity 0.9 and specificity 0.8, calibrated on 300 labels, sees a loss of 10 points."""
    rng, truth, covered, blurred = np.random.default_rng(3), -0.1, 0, 0
    for _ in range(40):
        before = rng.random(600) < 0.7
        after = before & (rng.random(600) < 0.6 / 0.7)
        seen = [np.where(good, rng.random(600) < 0.9, rng.random(600) < 0.2) for good in (before, after)]
        tp, tn = (int(rng.binomial(150, share)) for share in (0.9, 0.8))
        counts: list[Count] = [
            (int(((seen[0] == b) & (seen[1] == c)).sum()), float(b), float(c)) for b in (0, 1) for c in (0, 1)
        ]
        found = judged(*counts, cards=(card(Calibration(tp=tp, fn=150 - tp, tn=tn, fp=150 - tn)),))
        low, high = interval(found.low, found.high)
        covered += low <= truth <= high
        assert found.judged_difference is not None
        blurred += abs(found.judged_difference) < abs(truth) - 0.01
    assert covered >= 34  # of 40; 38 are expected, and fewer than 34 would be below the 1st percentile
    assert blurred >= 27
