"""Harmless texts with a planted truth: weather, of which storms are a part, and fruit."""

from functools import cache

import numpy as np

from truing.grade import ModerationModel, ModerationRow, ModerationRows, TrainedModeration, train_moderation
from truing.numerics import generator
from truing.types import FrozenDict

WORDS = {
    "weather": "rain cloud sunny drizzle wind forecast damp sky",
    "weather/storm": "thunder lightning gale hurricane flood",
    "fruit": "apple pear plum cherry orchard peel juicy ripe",
    "": "the a of and they we house street paper table window read write walk talk seven old new green tall "
    "letter garden door morning evening chair spoon road bridge river paint picture music number",
}


def planted(n: int = 300, *, key: int = 0, rate: float = 0.25) -> ModerationRows:
    """`n` texts of 12 words, 2 to 4 of each kind they belong to; some labels are left out."""
    rng = generator(key, "planted")
    rows = []
    for i in range(n):
        weather, fruit = rng.random(2) < rate
        storm = bool(weather) and rng.random() < 0.5
        truth = {"weather": bool(weather), "weather/storm": storm, "fruit": bool(fruit)}
        kinds = [head for head, true in truth.items() if true for _ in range(rng.integers(2, 5))]
        kinds += [""] * (12 - len(kinds))
        text = " ".join(str(rng.choice(WORDS[kind].split())) for kind in rng.permutation(kinds))
        known = {head: true for head, true in truth.items() if rng.random() < 0.9}
        rows.append(ModerationRow(text, FrozenDict(known), id=str(i + 1), group=f"site {i % 3}"))
    return ModerationRows(tuple(rows), source="planted")


@cache
def trained() -> TrainedModeration:
    """A model of such texts, with its figures and cards."""
    return train_moderation(planted())


def shuffled(rows: ModerationRows, key: int) -> ModerationRows:
    """The same texts with the labels of others."""
    order = generator(key, "shuffled").permutation(len(rows.rows))
    known = [rows.rows[at].known for at in order]
    return ModerationRows(
        tuple(ModerationRow(row.text, other) for row, other in zip(rows.rows, known, strict=True))
    )


def model() -> ModerationModel:
    """The model alone."""
    return trained().model


def truth(rows: ModerationRows, head: str) -> np.ndarray:
    """[N] of one head."""
    return rows.truth([head])[:, 0]
