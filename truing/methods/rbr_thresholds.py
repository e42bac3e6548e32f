"""From which probability on a proposition counts as true, tuned on answers whose truths people know."""

from collections.abc import Mapping, Sequence

import numpy as np

from truing.grade import RuleFeatures
from truing.types import Shown

USUAL = 0.5
_FEWEST = 3
"""True and false answers that it takes to move a threshold."""


def tune_thresholds(
    shown: Sequence[Shown], truths: Sequence[Mapping[str, bool]], features: RuleFeatures
) -> dict[str, float]:
    """For each proposition the threshold with the highest mean of the shares of true and false ones that are seen.

    Of equal ones it is the one closest to 0.5, midway between two probabilities that were seen. A proposition
    of which fewer than three true or three false answers are known keeps 0.5, as does whatever the grader
    did not decide. (Mu et al. 2024 tune theirs on the gold set of 518 answers; how was not published.)
    """
    if len(shown) != len(truths):
        raise ValueError(f"{len(shown)} answers need as many truths, not {len(truths)}")
    verdicts = features.grader.grade(shown) if shown else []
    out = {}
    for one in features.rules.propositions:
        known = [
            (verdict.p, of[one.name])
            for found, of in zip(verdicts, truths, strict=True)
            if one.name in of and (verdict := found.get(one.name)) is not None and verdict.p is not None
        ]
        out[one.name] = _best(np.array([p for p, _ in known]), np.array([t for _, t in known], dtype=bool))
    return out


def _best(
    p: "np.ndarray[tuple[int], np.dtype[np.float64]]", true: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
) -> float:
    if min(np.count_nonzero(true), np.count_nonzero(~true)) < _FEWEST:
        return USUAL
    seen = np.unique(p)
    cuts = np.array([USUAL, *((seen[1:] + seen[:-1]) / 2)])
    above = p[None, :] >= cuts[:, None]
    score = above[:, true].mean(axis=1) + (~above[:, ~true]).mean(axis=1)
    best = cuts[score >= score.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - USUAL))])
