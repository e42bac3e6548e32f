"""SARIF 2.1.0: what the standard requires, and what code scanning needs to show and to close an alert."""

import json
import re
from pathlib import Path
from typing import Any

from audit.test_audit_junit import result

from truing.audit import Policy, Tier, compare_logs, render_sarif


def checked(text: str) -> dict[str, Any]:
    """The one run of a SARIF file, after the requirements of the standard (OASIS, sections 3.13, 3.14, 3.19, 3.27)."""
    log = json.loads(text)
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] and driver["version"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
    for found in run["results"]:
        assert ids[found["ruleIndex"]] == found["ruleId"]
        assert found["level"] in ("none", "note", "warning", "error") and found["message"]["text"]
        (location,) = found["locations"]
        place = location["physicalLocation"]
        assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", place["artifactLocation"]["uri"])
        assert place["region"]["startLine"] >= 1
        assert all(isinstance(v, str) and v for v in found["partialFingerprints"].values())
    assert all(call["executionSuccessful"] is True for call in run["invocations"])
    return dict(run)


def levels(run: dict[str, Any]) -> dict[str, str]:
    return {found["ruleId"]: found["level"] for found in run["results"]}


def test_a_regression_is_an_error_missing_evidence_a_warning_and_a_pass_no_result(tmp_path: Path) -> None:
    run = checked(render_sarif(result(tmp_path)))
    assert levels(run) == {"safety": "error", "tiny": "warning"}
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["safety", "tiny", "capability"]
    assert run["results"][0]["message"]["text"] == "safety regression: worse by 25.0 points."
    assert run["results"][0]["properties"]["difference"] == -0.25
    assert run["properties"]["verdict"] == "regression"


def test_what_the_policy_takes_lightly_is_a_note_and_the_verdict_is_told(tmp_path: Path) -> None:
    light = result(tmp_path, safety=Tier.advisory, tiny=Tier.supporting, capability=Tier.supporting)
    assert levels(checked(render_sarif(light))) == {"safety": "note", "tiny": "note", "verdict": "warning"}


def test_a_finding_keeps_its_fingerprint_while_its_numbers_move(tmp_path: Path) -> None:
    def fingerprints(run: dict[str, Any]) -> dict[str, str]:
        return {found["ruleId"]: found["partialFingerprints"]["truing/v1"] for found in run["results"]}

    first = result(tmp_path)
    again = compare_logs(tmp_path / "a.eval", tmp_path / "b.eval", Policy(margin=0.2, alpha=0.01), seed=7)
    assert fingerprints(checked(render_sarif(first))) == fingerprints(checked(render_sarif(again)))
    assert len(set(fingerprints(checked(render_sarif(first))).values())) == 2


def test_a_path_with_spaces_is_a_valid_uri_and_any_name_is_ascii_json(tmp_path: Path) -> None:
    names = {"safety": "half \ud800 \x00", "capability": "capability", "tiny": "tiny"}
    text = render_sarif(result(tmp_path, names), artifact="my logs/ü#1.eval")
    run = checked(text)
    assert text.isascii()
    place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "my%20logs/%C3%BC%231.eval"
