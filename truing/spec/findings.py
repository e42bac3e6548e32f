"""What a check found, and where."""

from dataclasses import dataclass
from enum import StrEnum

from truing.types import InputError, Record


class Severity(StrEnum):
    """How bad it is."""

    error = "error"
    """The specification contradicts itself, or a part of it means nothing."""
    warning = "warning"
    """It can be used, and a person should look."""


@dataclass(frozen=True, slots=True)
class Finding(Record):
    """Something that is wrong in a file: a sentence without its subject, and how to mend it."""

    severity: Severity
    problem: str
    file: str
    row: int
    mend: str = ""

    @classmethod
    def of(cls, severity: Severity, why: InputError) -> "Finding":
        """The finding that an error tells of."""
        return cls(severity, why.problem, str(why.file), why.row or 1, why.mend)

    def __str__(self) -> str:
        mend = f"; {self.mend}" if self.mend else ""
        return f"{self.severity}: {self.file}, row {self.row}: {self.problem}{mend}."


@dataclass(frozen=True, slots=True)
class Checked(Record):
    """All findings about a specification or a rule set; `digest` is empty where it could not be read."""

    name: str
    digest: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that must be mended."""
        return tuple(one for one in self.findings if one.severity is Severity.error)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The others."""
        return tuple(one for one in self.findings if one.severity is Severity.warning)
