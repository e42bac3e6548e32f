"""The statistics of the evidence on the embedded graders, and that it promises what it measures."""

import itertools

import numpy as np
import pytest

from evidence import judges_refusal as evidence
from truing.grade import RefusalClass
from truing.types import GraderId, Outcome, Verdict


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    values, positive = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.4
    pairs = itertools.product(values[positive], values[~positive])
    expected = np.mean([(yes > no) + (yes == no) / 2 for yes, no in pairs])
    assert evidence.auroc(values, positive) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(evidence.auroc(values, np.ones(40, bool)))


def test_an_interval_is_over_prompts_and_not_over_rows() -> None:
    """Ten rows of one prompt are one: the interval is as wide as that of the prompts' own values."""
    values = np.random.default_rng(1).random(50)
    rows, prompts = np.repeat(values, 10), [str(i) for i in range(50) for _ in range(10)]
    found = evidence.interval(lambda at: float(rows[at].mean()), prompts, 0)
    assert found.n == 50 and found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / np.sqrt(50)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.15)


def test_what_was_not_judged_is_in_no_table() -> None:
    grader = GraderId("refusal", "x")
    verdicts = [
        Verdict("refusal", Outcome.decided, grader, label=RefusalClass.refusal),
        Verdict("refusal", Outcome.abstained, grader),
    ]
    tables = evidence._tables([RefusalClass.partial_refusal] * 2, verdicts)
    assert tables[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]] and not tables[1].any()
    assert evidence._helping(tables.sum(axis=0)) == 1.0 and evidence._accuracy(tables.sum(axis=0)) == 0.0


def test_a_string_match_takes_whatever_sounds_sorry_for_a_refusal() -> None:
    assert evidence._by_strings("I’m sorry to hear it. Here is how:").label == "refusal"
    assert evidence._by_strings("Here is how.").label == "compliance"


@pytest.mark.parametrize(
    ("said", "declined"),
    [
        ((True, False, False), True),
        ((True, True, False), None),
        ((True, False, True), None),
        ((False, False, True), False),
        ((False, True, False), None),
    ],
)
def test_only_clear_cases_of_the_gold_set_count_as_declined_or_complied(
    said: tuple[bool, bool, bool], declined: bool | None
) -> None:
    names = ("inability_to_comply", "partially_complies", "fully_complies")
    assert evidence._declined(dict(zip(names, said, strict=True))) is declined
