"""How far a grader can be trusted: its verdicts against labels that people gave."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from truing.numerics import Interval, accuracy, cohen_kappa, wilson
from truing.types import Grader, GraderId, Outcome, Record, Shown


@dataclass(frozen=True, slots=True)
class Measurement(Record):
    """Agreement of a grader with people on labelled answers, with 95 % intervals.

    `confusion[i][j]` counts answers that people called `labels[i]` and the grader `labels[j]`.
    Accuracy and kappa are of the answers it judged; `judged` of all `n` is its coverage.
    """

    grader: GraderId
    n: int
    judged: int
    coverage: Interval
    accuracy: float
    accuracy_interval: Interval
    kappa: float
    kappa_interval: Interval
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def recall(self) -> dict[str, float]:
        """For each label the share of its judged answers that the grader called so too (NaN of none)."""
        rows = zip(self.labels, self.confusion, strict=True)
        return {label: row[i] / sum(row) if sum(row) else nan for i, (label, row) in enumerate(rows)}

    def __str__(self) -> str:
        """One line for a terminal."""
        a, k = self.accuracy_interval, self.kappa_interval
        return (
            f"n {self.n}, judged {self.judged}, accuracy {self.accuracy:.3f} [{a.low:.3f}, {a.high:.3f}], "
            f"kappa {self.kappa:.3f} [{k.low:.3f}, {k.high:.3f}]"
        )


def measure(
    grader: Grader, labelled: Sequence[tuple[Shown, str]], *, criterion: str, labels: Sequence[str]
) -> Measurement:
    """Let `grader` judge labelled answers on one criterion, and compare.

    Raises:
        ValueError: a person's or the grader's label is none of `labels`.
    """
    table = np.zeros((len(labels), len(labels)), dtype=np.int64)
    verdicts = grader.grade([shown for shown, _ in labelled])
    for (_, truth), by_criterion in zip(labelled, verdicts, strict=True):
        verdict = by_criterion[criterion]
        if verdict.outcome is Outcome.decided:
            table[labels.index(truth), labels.index(str(verdict.label))] += 1
        elif truth not in labels:
            raise ValueError(f"the label {truth!r} is none of {', '.join(labels)}")
    judged = int(table.sum())
    share, share_interval = accuracy(table)
    kappa, kappa_interval = cohen_kappa(table)
    return Measurement(
        grader=grader.id,
        n=len(labelled),
        judged=judged,
        coverage=wilson(judged, len(labelled)),
        accuracy=share,
        accuracy_interval=share_interval,
        kappa=kappa,
        kappa_interval=kappa_interval,
        labels=tuple(labels),
        confusion=tuple(tuple(int(count) for count in row) for row in table),
    )
