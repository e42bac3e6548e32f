"""Moderation of 1,000 texts on one core, beside scikit-learn with the same kinds of features.

The texts are those of moderation/dev with their words shuffled anew for each round, so that no text comes twice.
Ours gives verdicts on eight heads; the peer gives the margins of as many heads as ours has learned.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from bench.pairs import time_pairs
from truing.grade import Moderation, ModerationRows, read_moderation_rows
from truing.numerics import generator
from truing.types import Shown, ask

TEXTS = 1000


def moderation(*, pairs: int = 5) -> dict[str, Any]:
    """What `time_pairs` gives, with our texts per second; all on the calling thread."""
    rows = read_moderation_rows(
        Path(os.environ.get("TRUING_DATA", "../shared/data")) / "moderation" / "dev.jsonl.gz"
    )
    ours, peer = _ours(), _peer(rows)
    rounds = [_round(rows, number) for number in range(pairs + 1)]  # the first warms up
    mine, theirs = iter(rounds), iter(rounds)
    timed = time_pairs(
        f"moderation of {TEXTS:,} texts", lambda: ours(next(mine)), lambda: peer(next(theirs)), pairs=pairs
    )
    return {**timed, "texts_per_second": TEXTS / timed["ours"]}


def _round(rows: ModerationRows, number: int) -> list[str]:
    """Another thousand texts each time."""
    rng = generator(number, "bench")
    return [" ".join(rng.permutation(rows.rows[i % len(rows.rows)].text.split())) for i in range(TEXTS)]


def _ours() -> Callable[[list[str]], None]:
    grader = Moderation()
    return lambda texts: _all([len(one) for one in grader.grade([Shown(ask("", id="1"), t) for t in texts])])


def _all(heads: list[int]) -> None:
    assert heads == [8] * TEXTS


def _peer(rows: ModerationRows) -> Callable[[list[str]], None]:
    kinds: list[dict[str, Any]] = [
        {"analyzer": "word", "ngram_range": (1, 2)},
        {"analyzer": "char_wb", "ngram_range": (3, 5)},
    ]
    features = make_union(
        *(
            make_pipeline(
                HashingVectorizer(n_features=2**15, norm=None, alternate_sign=False, **kind),
                TfidfTransformer(sublinear_tf=True),
            )
            for kind in kinds
        )
    )
    table = features.fit_transform([row.text for row in rows.rows])
    models = []
    for head in Moderation().model.heads:
        truth = rows.truth([head])[:, 0]
        known = np.flatnonzero(truth >= 0)
        models.append(LogisticRegression(C=10, solver="liblinear").fit(table[known], truth[known]))

    def judge(texts: list[str]) -> None:
        seen = features.transform(texts)
        for model in models:
            model.decision_function(seen)

    return judge
