"""JUnit XML: a result as a test report, which every continuous integration shows."""

import re
from xml.etree import ElementTree as ET

from truing.audit.ci import Weight, weighed
from truing.audit.comparison import Comparison
from truing.audit.gate import Finding
from truing.audit.result import AuditResult

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no form for, not even escaped."""
_TAGS = {Weight.fails: "failure", Weight.lacks: "error", Weight.told: "skipped"}
_CASE = "the candidate is no worse"
_NUMBERS = ("items", "pairs", "coverage", "difference", "low", "high", "losses", "gains", "p", "detectable")


def render_junit(result: AuditResult) -> str:
    """A suite for each dimension with one case: a regression fails, missing evidence is an error.

    What the policy weighs too lightly to stand in the way is skipped, with its reason. There are no
    times: results hold no clock.
    """
    found = weighed(result)
    by_name = {c.dimension: c for c in result.comparisons}
    root = ET.Element("testsuites", {"name": "truing", **_counts([weight for _, weight in found])})
    for finding, weight in found:
        _suite(root, finding, weight, by_name.get(finding.dimension))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _suite(root: ET.Element, finding: Finding, weight: Weight, comparison: Comparison | None) -> None:
    name = _clean(finding.dimension)
    suite = ET.SubElement(root, "testsuite", {"name": name, **_counts([weight])})
    if comparison is not None:
        properties = ET.SubElement(suite, "properties")
        for number in _NUMBERS:
            if (value := getattr(comparison, number)) is not None:
                ET.SubElement(properties, "property", {"name": number, "value": f"{value}"})
    case = ET.SubElement(suite, "testcase", {"name": _CASE, "classname": f"truing.{name}"})
    if tag := _TAGS.get(weight):
        said = ET.SubElement(case, tag, {"message": _clean(finding.reason)})
        if tag != "skipped":
            said.set("type", finding.status.value)
            said.text = _clean(f"{finding.status}: {finding.reason}")


def _counts(weights: list[Weight]) -> dict[str, str]:
    counts = {"tests": len(weights)} | {
        name: weights.count(weight)
        for name, weight in (("failures", Weight.fails), ("errors", Weight.lacks), ("skipped", Weight.told))
    }
    return {name: str(count) for name, count in counts.items()}


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
