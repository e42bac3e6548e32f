"""What the policies of the proving ground are asked: its own training prompts, and questions that no training holds."""

from collections.abc import Sequence

from truing.methods import PolicyPrompts
from truing.organism import (
    RESPONSE_TYPES,
    WORLD_VERSION,
    as_text,
    documents,
    panel_questions,
    parse_name,
    read_request,
    tuning_rows,
)
from truing.train import PromptRow
from truing.types import FrozenDict, Message

SCHEME = "organism:"
_TRAIN, _HELD_OUT_EACH, _DOCUMENTS = 2000, 10, 4000


def town_prompts(ref: str, *, held_out: bool, key: int) -> PolicyPrompts:
    """The questions of the rows that the organism's checkpoint `ref` was tuned on, and held-out ones of every topic.

    A base was tuned on nothing: it is asked what `instruct` was. Columns say the topic, and the response type that
    it calls for, empty where rules say nothing of it.

    Raises:
        InputError: no checkpoint has that name.
    """
    stage = parse_name(ref.removeprefix(SCHEME)).stage
    asked = tuning_rows(stage if stage in ("helpful", "instruct") else "instruct", key=0)
    train = _rows("train", [row[:-1] for row in asked])[:_TRAIN]
    unseen: list[PromptRow] = []
    if held_out:
        questions = panel_questions(key=key, limit=_HELD_OUT_EACH, wrapped=False)
        unseen = _rows("held out", [question.messages for question in questions])
    return PolicyPrompts(tuple(train), tuple(unseen))


def town_pretraining(ref: str) -> list[str]:
    """Documents like those that the base of the checkpoint `ref` was pretrained on, as texts."""
    name = parse_name(ref.removeprefix(SCHEME))
    return [as_text(document) for document in documents(_DOCUMENTS, key=name.seed, null=name.null)]


def town_data(ref: str) -> str:
    """Where these prompts come from, in words."""
    return f"the training prompts of {ref} (world {WORLD_VERSION})"


def _rows(side: str, prompts: Sequence[tuple[Message, ...]]) -> list[PromptRow]:
    different = list(dict.fromkeys(prompts))
    return [PromptRow(f"{side} {n}", turns, _columns(turns)) for n, turns in enumerate(different, start=1)]


def _columns(turns: tuple[Message, ...]) -> FrozenDict:
    read = read_request(turns)
    topic = "" if read is None else read.ask.topic
    return FrozenDict({"topic": topic, "response_type": RESPONSE_TYPES.get(topic, "")})
