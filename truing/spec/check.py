"""Is a specification consistent? Whatever a careful reader would object to, with file and line."""

from pathlib import Path

from truing.spec.check_rules import check_rules
from truing.spec.check_texts import check_texts
from truing.spec.findings import Checked, Finding, Severity
from truing.spec.reading import read_folder
from truing.spec.rules_reading import RulesFile, read_rules_file
from truing.spec.shipped import is_rules, spec_folder
from truing.types import InputError


def check_spec(path_or_name: str | Path) -> Checked:
    """Check a specification (a folder or a name), or a file of rules alone.

    What cannot be read at all is a finding like others; then nothing is said of what stands on it.
    Errors are contradictions and names that mean nothing; warnings are what a person should look at.

    Raises:
        InputError: there is no such folder, name or file.
    """
    if is_rules(path_or_name):
        return _check_rules_alone(Path(path_or_name))
    findings: list[Finding] = []
    found = read_folder(
        spec_folder(path_or_name), on_error=lambda why: findings.append(Finding.of(Severity.error, why))
    )
    if found.spec:
        findings += check_texts(found, found.spec)
    if found.rules:
        findings += check_rules(found.rules)
    return _checked(found.folder, found.spec.digest if found.spec else "", findings)


def _check_rules_alone(path: Path) -> Checked:
    if not path.exists():
        raise InputError("there is no such file", file=path, mend="check its name")
    findings: list[Finding] = []
    found: RulesFile | None = None
    try:
        found = read_rules_file(path, on_error=lambda why: findings.append(Finding.of(Severity.error, why)))
    except InputError:  # told already
        pass
    else:
        findings += check_rules(found)
    return _checked(path, found.rules.digest if found else "", findings)


def _checked(path: Path, digest: str, findings: list[Finding]) -> Checked:
    """The findings in the order of files and lines."""
    return Checked(str(path), digest, tuple(sorted(findings, key=lambda one: (one.file, one.row))))
