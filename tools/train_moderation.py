"""Make the weights and the calibration cards of the moderation grader that comes with the package.

Fitted on openai/moderation-api-release (MIT; the half in `moderation/dev.jsonl.gz`) and, for `hate`
alone, on tweets that annotators called hate speech or neither (Davidson et al. 2017, MIT).
"""

import sys
from pathlib import Path

from truing.data import read_csv
from truing.grade import (
    ModerationRow,
    ModerationRows,
    TrainedModeration,
    read_moderation_rows,
    train_moderation,
    write_card,
)
from truing.types import FrozenDict

GRADE = Path(__file__).parents[1] / "truing" / "grade"
_TWEETS = {"0": True, "2": False}  # class 1 is offensive language that is not hate


def tweets(path: Path) -> ModerationRows:
    """All tweets of hate speech, and as many that are neither hateful nor offensive."""
    rows = [(row.data["tweet"], row.data["class"]) for row in read_csv(path)]
    most = sum(kind == "0" for _, kind in rows)
    chosen = [(text, kind) for wanted in _TWEETS for text, kind in [r for r in rows if r[1] == wanted][:most]]
    return ModerationRows(
        tuple(ModerationRow(text, FrozenDict({"hate": _TWEETS[kind]})) for text, kind in chosen)
    )


def train(data: Path) -> TrainedModeration:
    """The shipped model, its figures and its cards."""
    rows = read_moderation_rows(data / "moderation" / "dev.jsonl.gz")
    return train_moderation(rows, extra=tweets(data / "davidson" / "labeled_data.csv"))


def main(folder: str) -> None:
    """Write the weights and the cards, and print what each head reaches."""
    trained = train(Path(folder))
    trained.model.save(GRADE / "moderation" / "weights.npz")
    for card in trained.cards:
        write_card(GRADE / "cards" / f"moderation-{card.criterion.replace('/', '-')}.json", card)
    for figures in trained.figures:
        print(figures)


if __name__ == "__main__":
    main(sys.argv[1])
