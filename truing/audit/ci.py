"""What a continuous integration sees of a result: each finding with the weight it has there."""

from enum import StrEnum

from truing.audit.gate import Finding, Status
from truing.audit.policy import Tier
from truing.audit.result import AuditResult

VERDICT = "verdict"
"""The name under which the verdict stands where no finding says what it says."""


class Weight(StrEnum):
    """What a finding does to a build, in step with the verdict and its exit code."""

    fails = "fails"
    """A regression."""
    lacks = "lacks"
    """Evidence is missing where it is needed."""
    told = "told"
    """Reported, and in nobody's way: the policy weighs the dimension less."""
    passes = "passes"


def weighed(result: AuditResult) -> list[tuple[Finding, Weight]]:
    """The findings with their weights; a verdict that follows from none of them is one more, lest it look green."""
    found = [(finding, _weight(finding)) for finding in result.decision.findings]
    said = {Weight.fails: Status.regression, Weight.lacks: Status.inconclusive}
    status = result.decision.status
    if status is not Status.passed and status not in {said.get(weight) for _, weight in found}:
        finding = Finding(VERDICT, status, result.decision.reason)
        found.append((finding, _weight(finding)))
    return found


def _weight(finding: Finding) -> Weight:
    if finding.status is Status.passed:
        return Weight.passes
    if finding.tier is Tier.advisory:
        return Weight.told
    if finding.status is Status.regression:
        return Weight.fails
    return Weight.lacks if finding.tier is Tier.critical else Weight.told
