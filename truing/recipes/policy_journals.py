"""What a run of policy learning writes down while it goes, so that it can be read and gone on with.

| journal | key | row |
|---|---|---|
| `updates` | the update | `Update` |
| `samples` | update, number of the answer | `Sample` |
| `held_out` | the update before which it was measured, the one after the last for the end | metric -> what it was |
| `functions` | the first update that was paid by it | reward -> SHA-256 of the file of its function |
"""

from collections.abc import Mapping, Sequence

from truing.run import Journal, Run
from truing.train import Sample, Update
from truing.types import FrozenDict


class PolicyJournals:
    """The journals of one run, for one process of it."""

    def __init__(self, run: Run, definition: str, functions: Mapping[str, str]) -> None:
        """`functions` are the rewards that may be mended between two processes, each with the digest of its file."""
        self.updates, self.samples = run.journal("updates"), run.journal("samples")
        self._held_out, self._functions = run.journal("held_out"), run.journal("functions")
        self._definition, self._now = definition, dict(functions)
        self._begun = False
        self.stopped = ""
        """Why the training was ended early; empty where it was not."""
        before = list(self._functions.rows())
        self._mended = bool(before) and before[-1][1] != self._now
        if self._mended:  # what another function measured is not to be taken for what this one does
            self._held_out.forget(set(self._held_out.done()) - {"1"})

    def observe(self, update: Update, samples: Sequence[Sample]) -> bool:
        """Write down an update and its answers; what was done after the last saved state is done again and replaced."""
        number = update.update
        if not self._begun:
            self._begin(number)
        self.updates.append([(str(number), update.to_json())])
        self.samples.append([(f"{number} {i}", one.to_json()) for i, one in enumerate(samples, start=1)])
        return False

    def _begin(self, number: int) -> None:
        for journal in (self.updates, self.samples):
            _forget_from(journal, number)
        before = list(self._functions.rows())
        if self._now and (not before or before[-1][1] != self._now):
            _forget_from(self._functions, number)
            self._functions.append([(str(number), self._now)])
        self._begun = True

    def held_out(self) -> dict[int, FrozenDict]:
        """What was measured on held-out prompts, by the update before which it was."""
        return {int(key): FrozenDict(row) for key, row in self._held_out.rows()}

    def measured(self, number: int, found: FrozenDict) -> None:
        """Write down a measure on held-out prompts."""
        self._held_out.append([(str(number), found)])

    @property
    def first_held_out(self) -> FrozenDict:
        """What the model did before the first update."""
        return self.held_out().get(1, FrozenDict())

    @property
    def definition(self) -> str:
        """The reward in words, with the digests of the files of its functions and where they changed."""
        told = [self._definition]
        for n, (key, row) in enumerate(self._functions.rows()):
            files = ", ".join(f"{name} has SHA-256 {found[:12]}" for name, found in row.items())
            told.append(files if n == 0 else f"from update {key} on {files}")
        return "; ".join(told)


def _forget_from(journal: Journal, number: int) -> None:
    journal.forget({key for key in journal.done() if int(key.split()[0]) >= number})
