"""A user's own questions: one JSON object a line."""

from typing import Any

from truing.audit.suites.base import Loaded
from truing.audit.suites.sources import read_sources, text_field
from truing.data import Row, place, to_messages
from truing.grade import same_number
from truing.types import Expect, FrozenDict, InputError, Item, Request, ask, canonical_text

_FIELDS = {
    "id", "prompt", "messages", "tools", "system", "dimension", "expect", "target", "choices", "accept", "cluster",
    "group", "grader", "samples",
}  # fmt: skip


class JSONLSuite:
    """Rows of `prompt` or `messages`, what to `expect`, and the `dimension` they count for.

    `expect` is refuse, comply, choice, number, text, secret or judged; it may be left out where
    `choices` (choice), `grader` (judged) or `target` (text) say it. `dimension` defaults to safety for
    refuse, over_refusal for comply, privacy for secret, capability for the rest. `id`, `system`,
    `tools`, `accept`, `cluster`, `group` and `samples` are optional; any other field is refused,
    because a misspelt one would silently change what is measured.
    """

    name = "jsonl"
    version = "1"

    def load(self, source: str | None) -> Loaded:
        """Read one file, every `*.jsonl` of a folder, or the train split of a Hub data set."""
        if source is None:
            raise InputError("the suite jsonl needs a file", mend="name it as jsonl:FILE")
        sources = read_sources(self.name, source, "*.jsonl", split="train")
        items = []
        for file in sources:
            for row in file.rows:
                try:
                    with place(file.name, row.number):
                        items.append(self._item(row, file.name))
                except ValueError as why:
                    raise InputError(
                        str(why), file=file.name, row=row.number, mend="mend or remove the row"
                    ) from None
        return Loaded(self.name, self.version, tuple(items), {s.name: s.digest for s in sources})

    def _item(self, row: Row, file: str) -> Item:
        data = row.data
        if unknown := sorted(set(data) - _FIELDS):
            raise InputError(
                f"there is no field {unknown[0]!r}", mend=f"known are {', '.join(sorted(_FIELDS))}"
            )
        id = f"{self.name}/{file.removesuffix('.jsonl')}/{data.get('id', row.number)}"
        expect = _expect(data)
        _check_answerable(data, expect)
        defaults = {Expect.refuse: "safety", Expect.comply: "over_refusal", Expect.secret: "privacy"}
        return Item(
            id,
            _request(row, file, id),
            self.name,
            _text(data, "dimension", defaults.get(expect, "capability")),
            expect,
            _text(data, "target", ""),
            _texts(data, "choices"),
            _texts(data, "accept"),
            _text(data, "cluster", ""),
            f"{file}:{row.number}",
            _text(data, "grader", ""),
            _text(data, "group", ""),
            _samples(data),
        )


def _request(row: Row, file: str, id: str) -> Request:
    tools = row.data.get("tools", [])
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InputError("the field 'tools' is not a list of objects", mend="give JSON schemas")
    if "messages" in row.data:
        if "prompt" in row.data or "system" in row.data:
            raise InputError(
                "a row has either `messages` or `prompt` (and `system`)", mend="remove one of them"
            )
        messages = to_messages(row.data["messages"])
    else:
        system = text_field(row, "system", file) if "system" in row.data else None
        messages = ask(text_field(row, "prompt", file), id=id, system=system).messages
    return Request(id, messages, tuple(map(FrozenDict, tools)))


def _check_answerable(data: dict[str, Any], expect: Expect) -> None:
    """Refuse what no answer could meet, or what could not be told apart."""
    dimension = data.get("dimension", "x")
    if (
        not isinstance(dimension, str)
        or not dimension.strip()
        or not dimension.isprintable()
        or len(dimension) > 60
    ):
        raise InputError("the dimension is no short printable name", mend="call it like over_refusal")
    target = str(data.get("target", ""))
    if expect is Expect.number and not same_number(target, target):
        raise InputError(f"the target {target!r} is no number", mend="write it in digits")
    if expect is Expect.secret and not any(char.isalnum() for char in target):
        raise InputError(
            f"the secret {target!r} cannot be found in an answer", mend="give the secret as target"
        )
    choices = _texts(data, "choices")
    if expect is Expect.choice and len({choice.casefold().strip() for choice in choices}) < max(
        2, len(choices)
    ):
        raise InputError("the choices are fewer than two, or two of them are the same", mend="mend the row")


def _expect(data: dict[str, Any]) -> Expect:
    if "expect" in data:
        try:
            return Expect(data["expect"])
        except ValueError:
            known = ", ".join(Expect)
            raise InputError(f"expect is {data['expect']!r}", mend=f"choose from {known}") from None
    if "choices" in data:
        return Expect.choice
    if "grader" in data:
        return Expect.judged
    if "target" in data:
        return Expect.text
    raise InputError("the row does not say what to expect", mend="add expect, choices or target")


def _samples(data: dict[str, Any]) -> int:
    samples = data.get("samples", 1)
    if not isinstance(samples, int) or isinstance(samples, bool) or not 1 <= samples <= 1000:
        raise InputError(
            f"samples is {samples!r}, no number of answers", mend="write how many answers to draw"
        )
    return samples


def _text(data: dict[str, Any], field: str, default: str) -> str:
    value = data.get(field, default)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and field == "target":
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"the field {field!r} is not text", mend="quote it")
    return canonical_text(value)


def _texts(data: dict[str, Any], field: str) -> tuple[str, ...]:
    value = data.get(field, [])
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise InputError(f"the field {field!r} is not a list of texts", mend="quote each entry")
    return tuple(value)
