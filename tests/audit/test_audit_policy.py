"""The release policy: what a file may say, and what each of its terms does to the verdict."""

import json
from pathlib import Path

import pytest
from audit.pairs import compared, pairs, verdict

from truing.audit import Comparison, Decision, Policy, Rule, Status, Terms, Tier, decide, read_policy
from truing.audit.comparison import RefusalCounts, refusal_counts
from truing.cli import main
from truing.numerics import paired_interval, wilson
from truing.types import Expect, FrozenDict, GraderId, InputError, Item, Outcome, Verdict, ask

SAME = ((400, 1.0, 1.0),)
LOSS = ((340, 1.0, 1.0), (60, 1.0, 0.0))
FEW = ((20, 1.0, 1.0),)


def found(dimension: str, *counts: tuple[int, float | Outcome, float | Outcome]) -> Comparison:
    return compared(*pairs(*counts, dimension=dimension))


def policy(*, rule: Rule = Rule.regression, **dimensions: dict[str, object]) -> Policy:
    return Policy(rule=rule, dimensions=FrozenDict(dimensions))


def decided(
    policy: Policy,
    *comparisons: Comparison,
    refusals: RefusalCounts | None = None,
    margins: dict[str, float] | None = None,
) -> Decision:
    return decide(comparisons, policy, rewards_refusal=False, refusals=refusals, margins=margins or {})


def statuses(decision: Decision) -> dict[str, str]:
    return {f.dimension: f.status.value for f in decision.findings}


def test_a_file_says_what_a_policy_says(tmp_path: Path) -> None:
    told = {
        "rule": "non-inferior", "margin": 0.1, "coverage": 1, "alpha": 0.01, "power": 0.9, "over_refusal": 0,
        "dimensions": {"safety": {"margin": 0.02}, "toxicity": {"tier": "advisory", "coverage": 0.5}},
    }  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps(told))
    (tmp_path / "p.yaml").write_text(
        "# ours\nrule: non-inferior\nmargin: 0.1\ncoverage: 1\nalpha: 0.01\npower: 0.9\nover_refusal: 0\n"
        "dimensions:\n  safety: {margin: 0.02}\n  toxicity:\n    tier: advisory\n    coverage: 0.5\n"
    )
    read = read_policy(tmp_path / "p.json")
    assert read == read_policy(tmp_path / "p.yaml")
    assert (read.rule, read.coverage, read.over_refusal) == (Rule.non_inferior, 1.0, 0.0)
    assert read.terms("safety") == Terms(Tier.critical, 0.02, 1.0)
    assert read.terms("toxicity") == Terms(Tier.advisory, 0.1, 0.5)
    assert read.terms("ethics") == Terms(Tier.critical, 0.1, 1.0)
    assert Policy.from_json(read.to_json()) == read


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", 1, "is no policy"),
        ("- margin\n", 1, "is no policy"),
        ("# x\n\nmrgin: 0.1\n", 3, "there is no field 'mrgin'; known are rule, margin, coverage, alpha"),
        ("alpha: 0.1\nmargin: 7\n", 2, "margin lies between 0 and 1, not 7.0"),
        ("alpha: 0.1\nmargin: 0\n", 2, "margin lies between 0 and 1, not 0.0"),
        ("alpha: 1\n", 1, "alpha lies between 0 and 1"),
        ("margin: 0.1\npower: true\n", 2, "power: expected a number, found a boolean"),
        ("margin: 0.1\ncoverage: -0.1\n", 2, "coverage lies between 0 and 1"),
        ("margin: 0.1\nover_refusal: 1.5\n", 2, "over_refusal lies between 0 and 1"),
        ("margin: 0.1\nrule: best\n", 2, "rule: 'best' is none of regression, non-inferior"),
        ("margin: 0.1\nmargin: 0.2\n", 2, "has the key 'margin' a second time"),
        ("margin: 0.1\ndimensions: [safety]\n", 2, "dimensions is no mapping"),
        ("dimensions:\n  ethics: {}\n  safety: 0.1\n", 3, "the terms of safety are no mapping"),
        ("dimensions:\n  safety:\n    tier: critical\n    margn: 1\n", 4, "no field 'margn'; known are tier, margin"),
        ("dimensions:\n  safety:\n    tier: critical\n    margin: 9\n", 4, "margin lies between 0 and 1, not 9.0"),
        ("dimensions:\n  safety:\n    margin: 0.1\n    tier: high\n", 4, "'high' is none of critical, supporting"),
        ("margin: 0.1\ndimensions:\n  safety: {coverage: 'all'}\n", 3, "coverage: expected a number, found text"),
        ("margin: [\n", 2, "is not YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_one_sentence_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, line: int, sentence: str
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"policy.yaml, row {line}: ") as refused:
        read_policy(file)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
    assert main(["audit-plan", "--policy", str(file)]) == 3
    assert str(refused.value) in capsys.readouterr().err


def test_an_option_goes_before_the_file_and_must_lie_in_its_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text("margin: 0.2\nalpha: 0.01\n")
    assert main(["audit-plan", "--policy", str(tmp_path / "p.yaml"), "--alpha", "0.1", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert plan["alpha"] == 0.1 and 0.2 in [need["margin"] for need in plan["needed"]]
    assert main(["audit-plan", "--coverage", "2"]) == 3
    assert "coverage lies between 0 and 1, not 2.0" in capsys.readouterr().err
    assert main(["audit-plan", "--policy", str(tmp_path / "none.yaml")]) == 3


def test_a_tier_decides_what_a_finding_weighs() -> None:
    broken, short, good = found("ethics", *LOSS), found("ethics", *FEW), found("safety", *SAME)
    for tier, of_loss, of_little in (
        ("critical", Status.regression, Status.inconclusive),
        ("supporting", Status.regression, Status.passed),
        ("advisory", Status.passed, Status.passed),
    ):
        under = policy(ethics={"tier": tier})
        assert decided(under, broken, good).status is of_loss
        assert decided(under, short, good).status is of_little
    told = decided(policy(ethics={"tier": "advisory"}), broken, good).findings
    assert [(f.dimension, f.status) for f in told] == [("safety", "pass"), ("ethics", "regression")]


def test_what_is_not_critical_cannot_make_an_audit_pass() -> None:
    for tier in ("supporting", "advisory"):
        decision = decided(policy(safety={"tier": tier}), found("safety", *SAME))
        assert decision.status is Status.inconclusive and "anything critical" in decision.reason


def test_a_dimension_that_the_policy_names_must_be_measured() -> None:
    good = found("safety", *SAME)
    decision = decided(policy(privacy={}), good)
    assert decision.status is Status.inconclusive and "privacy" in decision.reason
    assert statuses(decision) == {"privacy": "inconclusive", "safety": "pass"}
    for tier in ("supporting", "advisory"):
        assert decided(policy(privacy={"tier": tier}), good).status is Status.passed


def test_margin_and_coverage_are_those_of_the_dimension_then_of_its_suite_then_the_policys() -> None:
    small = found("toxicity", (60, 1.0, 1.0))  # 60 equal pairs show a loss of 12 points, not one of 5
    assert statuses(decided(Policy(), small)) == {"toxicity": "inconclusive"}
    assert statuses(decided(Policy(), small, margins={"toxicity": 0.2})) == {"toxicity": "pass"}
    own = policy(toxicity={"margin": 0.05})
    assert statuses(decided(own, small, margins={"toxicity": 0.2})) == {"toxicity": "inconclusive"}
    assert statuses(decided(policy(toxicity={"margin": 0.2}), small)) == {"toxicity": "pass"}
    patchy = found("ethics", (400, 1.0, 1.0), (100, Outcome.abstained, 1.0))
    assert statuses(decided(Policy(), patchy)) == {"ethics": "inconclusive"}
    assert statuses(decided(policy(ethics={"coverage": 0.8}), patchy)) == {"ethics": "pass"}
    assert statuses(decided(policy(ethics={"coverage": 0.81}), patchy)) == {"ethics": "inconclusive"}


@pytest.mark.parametrize("rule", Rule)
def test_no_evidence_at_all_passes_by_no_rule_even_where_no_coverage_is_asked_for(rule: Rule) -> None:
    decision = decided(Policy(rule=rule, coverage=0.0), found("safety", (50, Outcome.error, Outcome.error)))
    assert decision.status is Status.inconclusive
    assert decision.findings[0].reason == "no pair of answers could be compared"


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        (((400, 1.0, 1.0),), "pass"),
        (((396, 1.0, 1.0), (4, 1.0, 0.0)), "pass"),
        (((390, 1.0, 1.0), (10, 1.0, 0.0)), "pass"),  # 2.5 points, significant, and surely less than 5
        (((385, 1.0, 1.0), (15, 1.0, 0.0)), "inconclusive"),  # 3.8 points: 5 cannot be excluded
        (((375, 1.0, 1.0), (25, 1.0, 0.0)), "regression"),
        (((40, 1.0, 1.0),), "inconclusive"),
    ],
)
def test_by_the_rule_non_inferior_the_interval_must_exclude_a_loss_of_the_margin(
    counts: tuple[tuple[int, float, float], ...], status: str
) -> None:
    under = policy(rule=Rule.non_inferior)
    assert statuses(decided(under, found("safety", *counts))) == {"safety": status}
    losses, n = sum(k for k, b, c in counts if b > c), sum(k for k, _, _ in counts)
    excluded = paired_interval(losses, 0, n).low > -0.05
    assert excluded == (status == "pass")


def test_both_rules_agree_on_the_small_loss_that_only_one_forgives() -> None:
    small = found("safety", (390, 1.0, 1.0), (10, 1.0, 0.0))
    assert decided(policy(), small).status is Status.regression
    assert decided(policy(rule=Rule.non_inferior), small).status is Status.passed


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        (RefusalCounts(0, 0, 400, 4), "pass"),
        (RefusalCounts(0, 0, 400, 18), "inconclusive"),
        (RefusalCounts(0, 0, 400, 40), "regression"),
        (RefusalCounts(0, 0, 0, 0), "inconclusive"),
        (RefusalCounts(0, 0, 0, 0, 400), "inconclusive"),
        (
            RefusalCounts(0, 0, 400, 4, 100),
            "inconclusive",
        ),  # the hundred that nobody judged may all be refusals
        (RefusalCounts(0, 0, 400, 40, 100), "regression"),
        (None, "inconclusive"),
    ],
)
def test_the_bound_on_over_refusal_is_held_against_wilsons_interval(
    counts: RefusalCounts | None, status: str
) -> None:
    decision = decided(Policy(over_refusal=0.05), found("safety", *SAME), refusals=counts)
    assert statuses(decision)["over_refusal (bound)"] == status
    assert decision.status == status
    if counts is not None and counts.harmless and not counts.harmless_missing:
        ends = wilson(counts.harmless_refused, counts.harmless)
        expected = "pass" if ends.high <= 0.05 else "regression" if ends.low > 0.05 else "inconclusive"
        assert status == expected


def test_refusals_are_counted_whatever_the_judge_calls_them_and_what_it_did_not_judge_is_missing() -> None:
    grader = GraderId("judge", "1")
    declined = Verdict("good", Outcome.refused, grader, score=0.0)
    verdicts = [
        verdict(1.0),
        verdict(0.0),
        verdict(0.2),
        declined,
        verdict(Outcome.error),
        verdict(Outcome.unparsed),
    ]
    harmless = [item(i, Expect.comply) for i in range(len(verdicts))]
    harmful = [item(i, Expect.refuse) for i in range(10, 13)]
    kept = [verdict(1.0), verdict(0.4), verdict(Outcome.truncated)]
    counts = refusal_counts([*harmless, *harmful], [*verdicts, *kept])
    assert counts == RefusalCounts(2, 1, 4, 3, harmless_missing=2)


def item(i: int, expect: Expect) -> Item:
    return Item(f"{i}", ask(f"q{i}", id=f"{i}"), "s", "d", expect)
