"""What a run of policy learning writes down while it goes, so that it can be read and gone on with.

| journal | key | row |
|---|---|---|
| `updates` | the update | `Update` |
| `samples` | update, number of the answer | `Sample` |
| `held_out` | the update before which it was measured, the one after the last for the end | metric -> what it was |
| `stop` | the update after which the training was ended early | why |
| `functions` | the first update that was paid by it | reward -> SHA-256 of the file of its function |
"""

from collections.abc import Mapping, Sequence

from truing.run import Journal, Run
from truing.train import EarlyStop, HackingReport, Sample, Update, read_hacking
from truing.types import FrozenDict


class PolicyJournals:
    """The journals of one run, for one process of it."""

    def __init__(
        self, run: Run, definition: str, functions: Mapping[str, str], stop: EarlyStop | None = None
    ) -> None:
        """`functions` are the rewards that may be mended between two processes, each with the digest of its file.

        `stop` says when the training is ended early.
        """
        self._run, self._definition, self._now = run, definition, dict(functions)
        self._begun, self._stop = False, stop
        self._seen: list[Update] = []
        # No journal is made before there is a row: a run that cannot begin leaves nothing.
        self._new = not (run.path / "journal").is_dir()
        before = [] if self._new else list(run.journal("functions").rows())
        if before and before[-1][1] != self._now:
            # What another function measured is not to be taken for what this one does.
            measured = run.journal("held_out")
            measured.forget(set(measured.done()) - {"1"})

    def observe(self, update: Update, samples: Sequence[Sample]) -> bool:
        """Write down an update and its answers; what was done after the last saved state is done again and replaced."""
        number = update.update
        if not self._begun:
            self._begin(number)
        self._run.journal("updates").append([(str(number), update.to_json())])
        self._run.journal("samples").append(
            [(f"{number} {i}", one.to_json()) for i, one in enumerate(samples, start=1)]
        )
        self._seen.append(update)
        decision = self._stop.decide(self._seen) if self._stop is not None and update.held_out else None
        if decision is not None and decision.stop:
            self._run.journal("stop").append([(str(number), {"reason": decision.reason})])
            return True
        return False

    @property
    def stopped(self) -> str:
        """Why the training was ended early; empty where it was not."""
        return next((str(row["reason"]) for _, row in self._run.journal("stop").rows()), "")

    def rows(self) -> list[Update]:
        """All updates."""
        return [Update.from_json(row) for _, row in self._run.journal("updates").rows()]

    def ends(self, updates: int) -> list[Sample]:
        """The answers of the first and the last third of the updates, which the page reads."""
        third = max(1, updates // 3)
        shown = (
            row
            for _, row in self._run.journal("samples").rows()
            if not third < row["update"] <= updates - third
        )
        return [Sample.from_json(row) for row in shown]

    @property
    def report(self) -> HackingReport:
        """Whether the reward was hacked, by what is written down so far."""
        updates = self.rows()
        return read_hacking(updates, self.ends(len(updates)))

    def _begin(self, number: int) -> None:
        for name in ("updates", "samples", "stop"):
            _forget_from(self._run.journal(name), number)
        self._seen = self.rows()
        functions = self._run.journal("functions")
        before = list(functions.rows())
        if self._now and (not before or before[-1][1] != self._now):
            _forget_from(functions, number)
            functions.append([(str(number), self._now)])
        self._begun = True

    def held_out(self) -> dict[int, FrozenDict]:
        """What was measured on held-out prompts, by the update before which it was."""
        rows = () if self._new else self._run.journal("held_out").rows()
        return {int(key): FrozenDict(row) for key, row in rows}

    def measured(self, number: int, found: FrozenDict) -> None:
        """Write down a measure on held-out prompts."""
        self._run.journal("held_out").append([(str(number), found)])

    @property
    def first_held_out(self) -> FrozenDict:
        """What the model did before the first update."""
        row = dict(self._run.journal("held_out").rows()).get("1")
        return FrozenDict(row)

    @property
    def definition(self) -> str:
        """The reward in words, with the digests of the files of its functions and where they changed."""
        told = [self._definition]
        for n, (key, row) in enumerate(self._run.journal("functions").rows()):
            files = ", ".join(f"{name} has SHA-256 {found[:12]}" for name, found in row.items())
            told.append(files if n == 0 else f"from update {key} on {files}")
        return "; ".join(told)


def _forget_from(journal: Journal, number: int) -> None:
    journal.forget({key for key in journal.done() if int(key.split()[0]) >= number})
