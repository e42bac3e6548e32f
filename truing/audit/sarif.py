"""SARIF 2.1.0: a result as findings that code scanning shows beside the code."""

import json
from typing import Any
from urllib.parse import quote

from truing.audit.ci import Weight, weighed
from truing.audit.comparison import Comparison
from truing.audit.dimensions import dimension
from truing.audit.gate import Finding
from truing.audit.result import AuditResult
from truing.types import digest

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Weight.fails: "error", Weight.lacks: "warning", Weight.told: "note"}
_NUMBERS = ("items", "pairs", "coverage", "difference", "low", "high", "p", "detectable")


def render_sarif(result: AuditResult, *, artifact: str = "audit.json") -> str:
    """One rule for each dimension, and a result for each that did not pass.

    A regression is an error, missing evidence a warning, what the policy weighs lightly a note. What
    passes has its rule and no result: code scanning takes every result for something to mend, and
    closes what is no longer there. `artifact` is the file, relative to the repository, at which
    findings are shown. A finding keeps its fingerprint while the same suites find it.
    """
    found = weighed(result)
    names = [finding.dimension for finding, _ in found]
    by_name = {c.dimension: c for c in result.comparisons}
    suites = sorted(suite.name for suite in result.suites)
    driver = {
        "name": "truing",
        "version": result.truing,
        "rules": [_rule(name) for name in names],
    }
    results = [
        _result(finding, weight, names.index(finding.dimension), by_name.get(finding.dimension))
        | {
            "locations": [_location(artifact)],
            "partialFingerprints": {"truing/v1": digest([finding.dimension, suites])},
        }
        for finding, weight in found
        if weight is not Weight.passes
    ]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True}],
        "results": results,
        "properties": {
            "verdict": result.decision.status.value,
            "reason": result.decision.reason,
            "baseline": result.baseline.ref,
            "candidate": result.candidate.ref,
        },
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(name: str) -> dict[str, Any]:
    asks = dimension(name).asks or f"Is the candidate no worse on {name}?"
    return {
        "id": name,
        "name": name,
        "shortDescription": {"text": asks},
        "defaultConfiguration": {"level": "error"},
    }


def _result(finding: Finding, weight: Weight, index: int, comparison: Comparison | None) -> dict[str, Any]:
    numbers = {} if comparison is None else {name: getattr(comparison, name) for name in _NUMBERS}
    return {
        "ruleId": finding.dimension,
        "ruleIndex": index,
        "level": _LEVELS[weight],
        "message": {"text": f"{finding.dimension} {finding.status}: {finding.reason}."},
        "properties": {"status": finding.status.value} | {k: v for k, v in numbers.items() if v is not None},
    }


def _location(artifact: str) -> dict[str, Any]:
    where = {"artifactLocation": {"uri": quote(artifact)}, "region": {"startLine": 1}}
    return {"physicalLocation": where}
