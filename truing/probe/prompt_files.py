"""Requests of a file, as the published splits and TRL's data sets write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.data import place, read_json, read_jsonl, to_messages
from truing.probe.personas import under_system
from truing.types import InputError, Request, ask

if TYPE_CHECKING:
    from truing.model import LocalModel

_COLUMNS = ("prompt", "instruction")


def read_prompts(file: str | Path) -> list[Request]:
    """The requests of a JSONL file, or of a JSON file that holds a list; the id of each is its row.

    A row has a `prompt`, which is a text or messages, or an `instruction`, which is a text.

    Raises:
        InputError: no such file, no row, or a row that asks nothing; names the row.
    """
    if str(file).removesuffix(".gz").endswith(".json"):
        data = read_json(file)
        if not isinstance(data, list):
            raise InputError("holds no list of requests", file=file, mend="write a list, or JSONL")
        rows: list[tuple[int, Any]] = list(enumerate(data, start=1))
    else:
        rows = [(row.number, row.data) for row in read_jsonl(file)]
    if not rows:
        raise InputError("holds no request", file=file, mend="write one on each line")
    out = []
    for number, row in rows:
        with place(file, number):
            out.append(_request(row, number))
    return out


def check_prompts(
    model: "LocalModel",
    requests: Sequence[Request],
    file: str | Path,
    *,
    system: Sequence[str] = (),
    answer: int = 0,
) -> None:
    """See that a model can read every request of a file: told before hours are spent, and by its row.

    Args:
        model: what will read them.
        requests: as `read_prompts` gave them.
        file: where they are from.
        system: system prompts under each of which all are asked, if any.
        answer: tokens that the model will write behind each.

    Raises:
        InputError: the template refuses one, or it is too long for the context; names the row.
    """
    context = model.trunk.context
    for request in requests:
        with place(file, int(request.id)):
            for asked in [under_system(request, prompt, id=request.id) for prompt in system] or [request]:
                length = len(model.chat.prompt_ids(asked))
                if context is not None and length + answer > context:
                    more = f" and {answer} more are asked for" if answer else ""
                    raise InputError(
                        f"has {length} tokens{more}, and the model's context is {context}",
                        mend="shorten it, leave it out or ask for fewer"
                        if answer
                        else "shorten it or leave it out",
                    )


def _request(row: Any, number: int) -> Request:
    found = [row[key] for key in _COLUMNS if row.get(key)] if isinstance(row, dict) else []
    if len(found) != 1:
        raise InputError("is no request", mend="give it one prompt or instruction")
    if isinstance(found[0], str):
        return ask(found[0], id=str(number))
    try:
        return Request(str(number), to_messages(found[0]))
    except ValueError as why:
        raise InputError(str(why), mend="end it with the user's turn") from None
