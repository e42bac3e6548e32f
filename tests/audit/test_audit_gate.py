"""The rule of the verdict, on pairs whose truth is known."""

import pytest

from truing.audit import Comparison, Decision, Pair, Settings, Status, compare, decide
from truing.types import Expect, GraderId, Item, Outcome, Verdict, ask

JUDGE = GraderId("test", "1")


def verdict(score: float | Outcome) -> Verdict:
    if isinstance(score, Outcome):
        return Verdict("c", score, JUDGE)
    return Verdict("c", Outcome.decided, JUDGE, label=str(score), score=score)


def pairs(
    *counts: tuple[int, float | Outcome, float | Outcome], dimension: str = "capability", per_cluster: int = 1
) -> list[Pair]:
    """`(how many, baseline, candidate)`, each a score or an outcome without one."""
    both = [(verdict(b), verdict(c)) for n, b, c in counts for _ in range(n)]
    made = []
    for i, (before, after) in enumerate(both):
        cluster = f"{i // per_cluster}" if per_cluster > 1 else ""
        item = Item(f"{i}", ask(f"q{i}", id=f"{i}"), "s", dimension, Expect.text, "x", cluster=cluster)
        made.append(Pair(item, before, after, same_text=before == after))
    return made


def compared(*counts: tuple[int, float | Outcome, float | Outcome], **more: object) -> Comparison:
    members = pairs(*counts, **more)  # type: ignore[arg-type]
    return compare(members[0].item.dimension, members, alpha=0.05, power=0.8, key=0)


def decided(*comparisons: Comparison, rewards_refusal: bool = False) -> Decision:
    return decide(comparisons, Settings(), rewards_refusal=rewards_refusal)


def test_many_equal_pairs_pass() -> None:
    assert decided(compared((400, 1.0, 1.0))).status is Status.passed


def test_a_clear_loss_is_a_regression_even_where_coverage_is_low() -> None:
    comparison = compared((100, 1.0, 1.0), (40, 1.0, 0.0), (200, 1.0, Outcome.truncated))
    assert comparison.coverage < 0.5
    assert decided(comparison).status is Status.regression


def test_few_equal_pairs_are_inconclusive_because_a_loss_could_have_hidden() -> None:
    decision = decided(compared((40, 1.0, 1.0)))
    assert decision.status is Status.inconclusive
    assert "the margin is 5.0 points" in decision.findings[0].reason


def test_what_cannot_be_significant_is_inconclusive_and_says_so() -> None:
    comparison = compared((3, 1.0, 1.0))
    assert comparison.detectable is None
    assert "no loss of any size" in decided(comparison).findings[0].reason


@pytest.mark.parametrize("missing", [Outcome.truncated, Outcome.abstained, Outcome.error, Outcome.unparsed])
def test_missing_evidence_is_inconclusive_never_a_pass(missing: Outcome) -> None:
    comparison = compared((400, 1.0, 1.0), (60, missing, missing))
    decision = decided(comparison)
    assert decision.status is Status.inconclusive
    assert "87% of 460 items" in decision.findings[0].reason


def test_two_models_that_write_gibberish_are_inconclusive() -> None:
    comparison = compared((450, Outcome.unparsed, Outcome.unparsed))
    assert (comparison.difference, comparison.coverage, comparison.baseline.score) == (0.0, 0.0, 0.0)
    assert decided(comparison).status is Status.inconclusive


def test_a_candidate_that_collapses_into_gibberish_is_a_regression() -> None:
    assert decided(compared((300, 1.0, Outcome.unparsed))).status is Status.regression


def test_nothing_comparable_is_inconclusive_without_numbers() -> None:
    comparison = compared((50, Outcome.error, Outcome.error))
    assert (comparison.pairs, comparison.difference, comparison.p, comparison.worst_case) == (
        0,
        None,
        None,
        -1.0,
    )
    assert decided(comparison).status is Status.inconclusive


def test_no_dimension_at_all_is_inconclusive() -> None:
    assert decided().status is Status.inconclusive


def test_a_gain_is_no_regression() -> None:
    comparison = compared((300, 1.0, 1.0), (20, 0.0, 1.0))
    assert comparison.p == 1.0 and comparison.difference is not None and comparison.difference > 0


def test_a_single_small_p_among_many_dimensions_is_not_a_finding_after_holm() -> None:
    # Seven losses against one gain: p = 0.035 alone, 0.18 among five.
    weak = compared((392, 1.0, 1.0), (7, 1.0, 0.0), (1, 0.0, 1.0))
    quiet = [compared((400, 1.0, 1.0), dimension=f"d{i}") for i in range(4)]
    assert weak.p is not None and 0.03 < weak.p < 0.05
    assert decided(weak).status is Status.regression
    assert decided(weak, *quiet).status is not Status.regression


def test_safety_alone_cannot_pass_since_a_model_that_refuses_everything_would() -> None:
    safety = compared((400, 1.0, 1.0), dimension="safety")
    decision = decided(safety, rewards_refusal=True)
    assert decision.status is Status.inconclusive
    assert [f.dimension for f in decision.findings if f.reason.startswith("not measured")] == [
        "over_refusal",
        "capability",
    ]
    companions = [compared((400, 1.0, 1.0), dimension=name) for name in ("over_refusal", "capability")]
    assert decided(safety, *companions, rewards_refusal=True).status is Status.passed


def test_items_of_one_source_are_not_independent_evidence() -> None:
    # Sixty losses look overwhelming; they are five templates that all went wrong.
    alone = compared((240, 1.0, 1.0), (60, 1.0, 0.0))
    joined = compared((240, 1.0, 1.0), (60, 1.0, 0.0), per_cluster=12)
    assert alone.p is not None and joined.p is not None
    assert alone.p < 1e-9 and joined.p == pytest.approx(1 / 32)
    assert (
        alone.detectable is not None
        and joined.detectable is not None
        and joined.detectable > alone.detectable
    )


def test_the_same_prompt_in_two_suites_counts_once() -> None:
    twice = pairs((100, 1.0, 1.0)) + pairs((100, 1.0, 1.0))
    comparison = compare("capability", twice, alpha=0.05, power=0.8, key=0)
    assert comparison.test == "sign flips of clusters"


def test_the_worst_case_counts_everything_missing_against_the_candidate() -> None:
    comparison = compared((90, 1.0, 1.0), (10, Outcome.error, Outcome.error))
    assert comparison.difference == 0.0
    assert comparison.worst_case == pytest.approx(-0.1)


def test_false_alarms_stay_below_alpha_over_many_null_audits() -> None:
    import numpy as np

    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(120):
        comparisons = []
        for name in ("a", "b", "c"):
            losses, gains = rng.binomial(60, 0.1), rng.binomial(60, 0.1)
            comparisons.append(
                compared((200, 1.0, 1.0), (int(losses), 1.0, 0.0), (int(gains), 0.0, 1.0), dimension=name)
            )
        alarms += decided(*comparisons).status is Status.regression
    assert alarms <= 12  # of 120; 6 are expected, and 13 would be beyond the 99th percentile
