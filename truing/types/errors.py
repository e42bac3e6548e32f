"""The ways truing fails on purpose. Each carries one sentence for the person who has to mend it."""

from pathlib import Path


class TruingError(Exception):
    """Base of every failure truing foresees. `str(error)` is one clear sentence."""


class InputError(TruingError):
    """What the user gave cannot be used: the sentence names the file, the row and the mend."""

    def __init__(
        self, problem: str, *, file: str | Path | None = None, row: int | None = None, mend: str = ""
    ) -> None:
        """Compose the sentence; `row` counts from 1 as editors do."""
        self.problem, self.file, self.row, self.mend = problem, file, row, mend
        place = "" if file is None else f"{file}: " if row is None else f"{file}, row {row}: "
        super().__init__(f"{place}{problem.rstrip('.')}{'; ' + mend if mend else ''}.")


class LockedError(InputError):
    """Another process is writing the run folder."""


class StorageError(TruingError):
    """The disk refused a write; what was journaled before is kept and the run can be resumed."""


class EndpointError(TruingError):
    """An endpoint cannot be used at all (not: one request failed, which is a row)."""
