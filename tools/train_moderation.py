"""Make the weights and the calibration cards of the moderation grader that comes with the package.

Learned from the half of openai/moderation-api-release in `moderation/dev.jsonl.gz` (Markov et al. 2022,
MIT), which alone is measured and calibrated on. Beside it, at a tenth of the weight, stand

- tweets that annotators called hate speech, and as many that are neither hateful nor offensive (Davidson
  et al. 2017, MIT), for `hate` alone;
- opening turns, and short sentences of them, of every second dialogue about being helpful in the test set of
  HH-RLHF (Bai et al. 2022, MIT). Nobody labelled them: they are taken to be in order. Without them, one
  ordinary turn in six is flagged as hate.
"""

import re
from pathlib import Path

import tyro

from truing.data import read_csv, read_jsonl
from truing.grade import (
    CATEGORIES,
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
_TURN, _SENTENCE = re.compile(r"\n\n(?:Human|Assistant): "), re.compile(r"(?<=[.!?])\s+")
_TURNS, _SENTENCES = 1200, 800


def beside(data: Path) -> ModerationRows:
    """The texts that only help to learn."""
    turns = opening_turns(data, half=0)
    texts = turns[:_TURNS] + short_sentences(turns)[:_SENTENCES]
    ordinary = FrozenDict(dict.fromkeys(CATEGORIES.values(), False))
    tweets = _tweets(data / "davidson" / "labeled_data.csv")
    return ModerationRows((*tweets, *(ModerationRow(text, ordinary) for text in texts)))


def opening_turns(data: Path, *, half: int) -> list[str]:
    """The first question and the first answer of every second dialogue."""
    rows = list(read_jsonl(data / "hh_rlhf" / "helpful-base" / "test.jsonl.gz"))[half::2]
    return [turn for row in rows for turn in _TURN.split(row.data["chosen"])[1:3]]


def short_sentences(turns: list[str], longest: int = 8) -> list[str]:
    """Sentences of at most so many words."""
    sentences = [sentence for turn in turns for sentence in _SENTENCE.split(turn)]
    return [sentence for sentence in sentences if 0 < len(sentence.split()) <= longest]


def train(data: Path) -> TrainedModeration:
    """The shipped model, its figures and its cards."""
    return train_moderation(read_moderation_rows(data / "moderation" / "dev.jsonl.gz"), extra=beside(data))


def main(folder: tyro.conf.Positional[Path]) -> None:
    """Write the weights and the cards, and print what each head reaches."""
    trained = train(folder)
    trained.model.save(GRADE / "moderation" / "weights.npz")
    for card in trained.cards:
        write_card(GRADE / "cards" / f"moderation-{card.criterion.replace('/', '-')}.json", card)
    for figures in trained.figures:
        print(figures)


def _tweets(path: Path) -> list[ModerationRow]:
    """All tweets of hate speech, and as many that are neither hateful nor offensive."""
    rows = [(row.data["tweet"], row.data["class"]) for row in read_csv(path)]
    most = sum(kind == "0" for _, kind in rows)
    chosen = [r for wanted in _TWEETS for r in [r for r in rows if r[1] == wanted][:most]]
    return [ModerationRow(text, FrozenDict({"hate": _TWEETS[kind]})) for text, kind in chosen]


if __name__ == "__main__":
    tyro.cli(main)
