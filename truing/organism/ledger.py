"""The label ledger: every oracle label that any component ever consumed is counted here."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from truing.data import place, read_jsonl, write_jsonl
from truing.organism.oracle import UNPARSED, Finding, judge
from truing.organism.world.topic import Ask
from truing.types import Completion, InputError, Stop

WHOLE = (Stop.eos, Stop.stop)
"""How an answer ends that was said to its end."""


class LabelLedger:
    """Counts labels by consumer ("exam", "reward model", "screen"): how much truth each was told.

    A method that was told more of the truth than its peer is no better than it. One process writes
    to a ledger; the ledgers of several are joined with `merge`.
    """

    def __init__(self, labels: Mapping[str, int] | None = None) -> None:
        """Start from counts by consumer, or from none.

        Raises:
            ValueError: a consumer has no name, or its count is no whole number of at least 0.
        """
        self._labels: dict[str, int] = {}
        for consumer, n in (labels or {}).items():
            self.add(consumer, n)

    def add(self, consumer: str, n: int = 1) -> None:
        """Count `n` more labels for a consumer.

        Raises:
            ValueError: the consumer has no name, or `n` is no whole number of at least 0.
        """
        if not consumer:
            raise ValueError("a consumer of labels has a name")
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise ValueError(f"labels are counted in whole numbers of at least 0, not {n!r}")
        self._labels[consumer] = self._labels.get(consumer, 0) + n

    def totals(self) -> dict[str, int]:
        """Labels by consumer, in the order of their names."""
        return dict(sorted(self._labels.items()))

    def merge(self, other: "LabelLedger") -> None:
        """Add what another ledger counted.

        Raises:
            ValueError: it is the ledger itself, whose labels would count twice.
        """
        if other is self:
            raise ValueError("a ledger is not merged with itself")
        for consumer, n in other.totals().items():
            self.add(consumer, n)

    def save(self, path: str | Path) -> None:
        """Write one line of JSON for each consumer; the file appears when it is whole, or not at all.

        Raises:
            StorageError: the disk refuses.
        """
        write_jsonl(path, [{"consumer": consumer, "labels": n} for consumer, n in self.totals().items()])

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a consumer that stands in several lines has their sum.

        Raises:
            InputError: no such file, or a row that `save` does not write; names the row.
        """
        ledger = cls()
        for row in read_jsonl(path):
            with place(path, row.number):
                if set(row.data) != {"consumer", "labels"} or not isinstance(row.data["consumer"], str):
                    mend = 'write {"consumer": "exam", "labels": 12}'
                    raise InputError("is no row of a label ledger", mend=mend)
                try:
                    ledger.add(row.data["consumer"], row.data["labels"])
                except ValueError as why:
                    raise InputError(str(why), mend="mend or remove it") from None
        return ledger


class Oracle:
    """The oracle as one component asks it: every call is a label, and is counted.

    ```
    ledger = LabelLedger()
    oracle = Oracle("exam", ledger)
    oracle.judge(ask, answer).label  # "refused"
    ledger.totals()  # {"exam": 1}
    ```
    """

    def __init__(self, consumer: str, ledger: LabelLedger) -> None:
        """Ask in the name of `consumer`.

        Raises:
            ValueError: the consumer has no name.
        """
        ledger.add(consumer, 0)
        self._consumer, self._ledger = consumer, ledger

    def judge(self, ask: Ask, answer: str) -> Finding:
        """What `answer` does with the question `ask`: one label, also where it is `unparsed`."""
        self._ledger.add(self._consumer)
        return judge(ask, answer)

    def judge_completion(self, ask: Ask, completion: Completion) -> Finding:
        """What a model's answer does: as `judge`, and `unparsed` if it was cut off, even after a full stop."""
        finding = self.judge(ask, completion.answer)
        return finding if completion.stop in WHOLE else replace(finding, label=UNPARSED)
