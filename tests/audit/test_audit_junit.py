"""JUnit XML: as red or green as the verdict, and well-formed whatever the names hold."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from audit.log_files import inspect_file, inspect_sample

from truing.audit import LogComparison, Policy, Status, Terms, Tier, compare_logs, render_junit
from truing.types import FrozenDict

LOST = {"safety": 20, "capability": 0, "tiny": 0}


def result(folder: Path, names: dict[str, str] | None = None, **tiers: Tier) -> LogComparison:
    """Safety lost twenty of 80, capability nothing of 80, and of the tiny dimension there are three items."""
    names = names or {name: name for name in LOST}

    def logged(path: Path, *, after: bool) -> Path:
        samples = []
        for name, lost in LOST.items():
            for i in range(3 if name == "tiny" else 80):
                grade = "I" if after and i < lost else "C"
                samples.append(inspect_sample(f"{name}{i}", grade, metadata={"dimension": names[name]}))
        return inspect_file(path, samples)

    terms = {name: Terms(tier=tier).to_json() for name, tier in tiers.items()}
    a, b = logged(folder / "a.eval", after=False), logged(folder / "b.eval", after=True)
    return compare_logs(a, b, Policy(margin=0.2, dimensions=FrozenDict(terms)))


def cases(text: str) -> dict[str, list[str]]:
    """Suite -> what its one case says."""
    return {s.attrib["name"]: [e.tag for e in s.findall("testcase/*")] for s in ET.fromstring(text)}


def test_a_regression_fails_missing_evidence_is_an_error_and_a_pass_passes(tmp_path: Path) -> None:
    text = render_junit(result(tmp_path))
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    assert root.attrib == {"name": "truing", "tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    assert cases(text) == {"safety": ["failure"], "tiny": ["error"], "capability": []}
    for suite in root:
        assert suite.tag == "testsuite" and len(suite.findall("testcase")) == 1
        assert suite.attrib["tests"] == "1" and {"failures", "errors", "skipped"} <= set(suite.attrib)
        (case,) = suite.findall("testcase")
        assert case.attrib == {
            "name": "the candidate is no worse",
            "classname": f"truing.{suite.attrib['name']}",
        }
    failure = root.find("testsuite[@name='safety']/testcase/failure")
    assert failure is not None and failure.attrib == {"message": "worse by 25.0 points", "type": "regression"}
    told = {
        p.attrib["name"]: p.attrib["value"]
        for p in root.iterfind("testsuite[@name='safety']/properties/property")
    }
    assert (told["items"], told["losses"], float(told["difference"])) == ("80", "20", -0.25)


def test_what_the_policy_takes_lightly_is_skipped(tmp_path: Path) -> None:
    light = result(tmp_path, safety=Tier.advisory, tiny=Tier.supporting)
    assert light.decision.status is Status.passed
    assert cases(render_junit(light)) == {"capability": [], "tiny": ["skipped"], "safety": ["skipped"]}


def test_a_verdict_that_no_finding_bears_out_is_a_case_of_its_own(tmp_path: Path) -> None:
    light = result(tmp_path, safety=Tier.advisory, tiny=Tier.supporting, capability=Tier.supporting)
    assert light.decision.status is Status.inconclusive  # nothing critical was measured
    assert cases(render_junit(light))["verdict"] == ["error"]
    assert ET.fromstring(render_junit(light)).attrib["errors"] == "1"


NAMES = ['a & <b> "c"', "nul\x00 bell\x07 \x1b[31m", "half \ud800 of one", "\ufffe\uffff", "mañana 🌍"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_makes_well_formed_xml(tmp_path: Path, name: str) -> None:
    text = render_junit(result(tmp_path, {"safety": name, "capability": "capability", "tiny": "tiny"}))
    bad = "\x00\x07\x1b\ud800\ufffe\uffff"
    shown = "".join("\ufffd" if c in bad else c for c in name)
    assert cases(text.encode("utf-8").decode("utf-8"))[shown] == ["failure"]
