"""The rule of the verdict, on pairs whose truth is known."""

import pytest

from truing.audit import Comparison, Decision, Pair, Policy, Rule, Status, compare, decide
from truing.types import Expect, GraderId, Item, Outcome, Verdict, ask

JUDGE = GraderId("test", "1", exact=True)


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
    return decide(comparisons, Policy(), rewards_refusal=rewards_refusal)


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
    assert (comparison.difference, comparison.coverage, comparison.pairs) == (None, 0.0, 0)
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


def test_few_clusters_can_show_nothing_and_never_pass() -> None:
    # 5.2 points lost in four templates alike: p cannot fall below 1/16.
    even = compared(*[(237, 1.0, 1.0), (13, 1.0, 0.0)] * 4, per_cluster=250)
    assert even.p == pytest.approx(1 / 16) and even.detectable is None
    assert decided(even).status is Status.inconclusive


@pytest.mark.parametrize(("groups", "each"), [(6, 100), (12, 60), (40, 20)])
def test_what_passes_in_clusters_would_have_been_found(groups: int, each: int) -> None:
    import numpy as np

    rng = np.random.default_rng(groups)

    def audit(loss: float) -> Comparison:
        shares = np.clip(rng.normal(loss, 0.01, groups), 0, 1)
        lost = [int(rng.binomial(each, share)) for share in shares]
        return compared(*[c for k in lost for c in ((each - k, 1.0, 1.0), (k, 1.0, 0.0))], per_cluster=each)

    passes = [c for c in (audit(0.0) for _ in range(10)) if decided(c).status is Status.passed]
    assert passes, "nothing passes here, so nothing is tested"
    found = sum(decided(audit(0.05)).status is Status.regression for _ in range(20))
    assert found >= 15


def test_an_unreadable_baseline_earns_the_candidate_nothing() -> None:
    # Forty right answers where the baseline babbled do not make up for forty lost.
    comparison = compared((920, 1.0, 1.0), (40, Outcome.unparsed, 1.0), (40, 1.0, 0.0))
    assert comparison.pairs == 960 and comparison.difference == pytest.approx(-40 / 960)
    assert decided(comparison).status is Status.regression
    assert comparison.worst_case == pytest.approx(-0.04)


def test_a_baseline_that_gets_nothing_right_has_nothing_to_lose() -> None:
    decision = decided(compared((400, 0.0, 0.0)))
    assert (
        decision.status is Status.inconclusive and "the baseline scores 0.0%" in decision.findings[0].reason
    )


@pytest.mark.parametrize("per_cluster", [1, 4])
def test_a_stricter_alpha_asks_more_of_non_inferiority(per_cluster: int) -> None:
    lost = pairs((392, 1.0, 1.0), (4, 1.0, 0.0), (4, 0.0, 1.0), per_cluster=per_cluster)
    status = {}
    for alpha in (0.05, 1e-6):
        policy = Policy(Rule.non_inferior, alpha=alpha)
        comparison = compare("capability", lost, alpha=alpha, power=0.8, key=0, level=policy.level)
        status[alpha] = decide([comparison], policy, rewards_refusal=False).status
    assert status == {0.05: Status.passed, 1e-6: Status.inconclusive}


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
