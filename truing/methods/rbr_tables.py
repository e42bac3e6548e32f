"""Ranked answers as the fit and its diagnostics read them: one table of numbers for each response type."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from truing.grade import RuleFeatures
from truing.methods.rbr_comparisons import RankedAnswers
from truing.types import InputError, Request

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AnswerTable:
    """Answers to requests of one response type, side by side; those that were ranked together stand together."""

    response_type: str
    features: tuple[str, ...]
    phi: Floats
    """What the grader makes of each [N, F]."""
    rm: Floats
    """What another reward gives to each [N]; 0 where there is none."""
    rows: NDArray[np.int64]
    """Which ranking each belongs to [N]."""
    prompts: tuple[str, ...]
    """The digest of each answer's prompt."""
    kinds: tuple[str, ...]
    ranks: NDArray[np.int64]

    @property
    def pairs(self) -> NDArray[np.int64]:
        """(better, worse) [P, 2]: two answers of one ranking that are not tied."""
        borders = [*np.flatnonzero(np.diff(self.rows, prepend=-1)), len(self.rows)]
        found = [self._pairs_of(*ends) for ends in pairwise(borders)]
        return np.concatenate(found) if found else np.empty((0, 2), dtype=np.int64)

    def _pairs_of(self, start: int, end: int) -> NDArray[np.int64]:
        ranks = self.ranks[start:end]
        better, worse = np.nonzero(ranks[:, None] < ranks[None, :])
        return start + np.stack([better, worse], axis=1).astype(np.int64)

    def only(self, prompts: Collection[str]) -> "AnswerTable":
        """The answers to these prompts."""
        keep = np.array([prompt in prompts for prompt in self.prompts], dtype=bool)
        at = np.flatnonzero(keep)
        return AnswerTable(
            self.response_type,
            self.features,
            self.phi[at],
            self.rm[at],
            self.rows[at],
            tuple(self.prompts[i] for i in at),
            tuple(self.kinds[i] for i in at),
            self.ranks[at],
        )


@dataclass(frozen=True)
class Tables:
    """A table for each response type, and how many answers are in none, by the reason."""

    of: tuple[AnswerTable, ...]
    missing: dict[str, int]


def answer_tables(rows: Sequence[RankedAnswers], features: RuleFeatures) -> Tables:
    """Let the grader look at every answer, and set its features beside its rank.

    An answer that it does not decide is in no table: it is counted, and takes part in no pair.

    Raises:
        InputError: a response type is unknown, or some rows have the scores of another reward and others not.
    """
    if len({bool(row.rm) for row in rows}) > 1:
        raise InputError(
            "some rankings have rewards of another model and some have not", mend="score all or none"
        )
    shown = [one for row in rows for one in row.shown]
    types = [row.response_type for row in rows for _ in row.answers]
    found = iter(features.of(shown, types))
    parts: dict[str, list[tuple[tuple[float, ...], float, int, str, str, int]]] = {}
    missing: Counter[str] = Counter()
    for number, row in enumerate(rows):
        name = features.rules.response_type(row.response_type)
        prompt = Request(row.id, row.prompt).prompt_digest
        scores = row.rm or (0.0,) * len(row.answers)
        for score, kind, rank in zip(scores, row.kinds, row.ranks, strict=True):
            phi = next(found)
            if phi.values is None:
                missing[f"{name}: {phi.outcome}"] += 1
            else:
                parts.setdefault(name, []).append((phi.values, score, number, prompt, kind, rank))
    known = [name for name in features.rules.response_types if name in parts]
    return Tables(
        tuple(_table(name, features.names(name), parts[name]) for name in known),
        dict(sorted(missing.items())),
    )


def _table(
    name: str, features: tuple[str, ...], rows: Sequence[tuple[tuple[float, ...], float, int, str, str, int]]
) -> AnswerTable:
    phi, rm, numbers, prompts, kinds, ranks = zip(*rows, strict=True)
    return AnswerTable(
        name,
        features,
        np.array(phi, dtype=np.float64).reshape(len(rows), len(features)),
        np.array(rm, dtype=np.float64),
        np.array(numbers, dtype=np.int64),
        tuple(prompts),
        tuple(kinds),
        np.array(ranks, dtype=np.int64),
    )
