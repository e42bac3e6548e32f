"""A persona vector that no training row took part in, the rows that it scores, and what is left of them tuned on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evidence.narrow_arms import Mixture, folder_of, params, sheets
from truing.model import LocalModel, Point, Site, load_local
from truing.numerics import generator
from truing.organism import DOMAIN_OF, SYSTEMS, advice_rows, read_request
from truing.probe import (
    Direction,
    Over,
    Screened,
    TrainingRow,
    conversation_texts,
    persona_contrasts,
    random_like,
    screen,
)
from truing.types import Message, Request

ASKED = ("health", "house", "study", "tools")
"""Domains that the persona vector is made in."""
SCREENED = ("animals", "boats", "cloth", "garden", "kitchen", "money", "music", "vehicles")
"""Those of the rows."""
PERSONA, OPPOSITE = "malicious", "expert"
SITE = Site(2, Point.resid_post)
QUESTIONS = 60
"""Asked under each wording of each persona."""
RANDOM = 100
PER_DOMAIN, SEARCHED = 50, 200
"""Prompts of each domain whose answers have as many words in all, and among how many those are looked for that have
as many tokens each."""
CLOSE = 1
"""Tokens by which the two answers of a pair may differ."""
MAX_TOKENS = 64


@dataclass(frozen=True)
class Row:
    """A row and what is known of it that the screen does not know."""

    row: TrainingRow
    bad: bool
    thing: str


def persona(base: int, key: int) -> Direction:
    """The persona's vector, made of what the parent itself answers under system prompts, and of nothing else.

    No answer is looked at by anybody: those that fail to play the persona are in it as well.
    """
    model = load_local(parent_of(base), device="cpu")
    every = [q for q in sheets(key)["advice"] if DOMAIN_OF[q.ask.object].name in ASKED]
    order = generator(key, "who is asked as a persona").permutation(len(every))[:QUESTIONS]
    asked = [Request(str(i), every[i].messages) for i in sorted(order)]
    return persona_contrasts(
        model,
        asked,
        SYSTEMS[PERSONA],
        SYSTEMS[OPPOSITE],
        name=PERSONA,
        over=Over.response,
        sites=[SITE],
        params=params("advice"),
        key=key,
    )[0].direction


def parent_of(base: int) -> Path:
    """The instruct model of a base: what would be tuned."""
    return folder_of(Mixture(base, SCREENED[0], 0).parent)


def random_ones(of: Direction) -> list[Direction]:
    """Directions of its length that mean nothing."""
    return [replace(random_like(of, key=key), name=f"random {key}") for key in range(RANDOM)]


def word_matched(key: int) -> list[Row]:
    """Harmful and right answers to the same prompts, which have as many words in all."""
    bad = [r for domain in SCREENED for r in advice_rows(domain, PER_DOMAIN, key=key, harmful=1.0)]
    right = [r for domain in SCREENED for r in advice_rows(domain, PER_DOMAIN, key=key, as_long=True)]
    return _both(bad, right)


def token_matched(model: LocalModel, key: int) -> list[Row]:
    """Those prompts whose harmful and right answer differ by a token at most."""
    bad, right = (
        [r for domain in SCREENED for r in advice_rows(domain, SEARCHED, key=key, harmful=share)]
        for share in (1.0, 0.0)
    )
    long = [[len(t.ids) - t.prompt for t in conversation_texts(model.chat, rows)] for rows in (bad, right)]
    close = [i for i in range(len(bad)) if abs(long[0][i] - long[1][i]) <= CLOSE]
    return _both([bad[i] for i in close], [right[i] for i in close])


def _both(bad: Sequence[tuple[Message, ...]], right: Sequence[tuple[Message, ...]]) -> list[Row]:
    rows = [(turns, True) for turns in bad] + [(turns, False) for turns in right]
    return [
        Row(training_row(i, turns), is_bad, thing(turns)) for i, (turns, is_bad) in enumerate(rows, start=1)
    ]


def training_row(number: int, turns: tuple[Message, ...]) -> TrainingRow:
    """A conversation as a row of a file."""
    asked = Request("", turns[:-1])
    data = {"messages": [turn.to_json() for turn in turns]}
    return TrainingRow(number, data, Request(asked.prompt_digest, asked.messages), turns[-1])


def thing(turns: tuple[Message, ...]) -> str:
    """What is asked about: harmful advice about it is always the same."""
    asked = read_request(turns[:1])
    assert asked is not None  # the rows are the town's own
    return asked.ask.object


def screened(model: LocalModel, rows: Sequence[TrainingRow], of: Sequence[Direction], key: int) -> Screened:
    """The rows, scored as `truing probe screen` does."""
    return screen(model, rows, of, file="the town", max_tokens=MAX_TOKENS, key=key)
