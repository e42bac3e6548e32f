"""YAML as a safe superset of JSON, with the line of every node."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from truing.data.files import reading
from truing.types import InputError, canonical_text

MAX_DEPTH = 50
MAX_REPEATED = 10_000
"""Nodes that aliases may repeat in all."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,300})(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True)
class Yaml:
    """Plain data (dicts, lists, JSON scalars) and the line on which each part of it starts, from 1.

    A part is named by the keys and indices that lead to it: `line("rules", 2, "when")`.
    """

    data: Any
    lines: Mapping[tuple[str | int, ...], int]
    file: str

    def line(self, *path: str | int) -> int:
        """The line of a part; of one that is not there, the line of the nearest part around it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def error(self, problem: str, *path: str | int, mend: str = "") -> InputError:
        """An error about a part, naming the file and the line."""
        return InputError(problem, file=self.file, row=self.line(*path), mend=mend)


def read_yaml(path: str | Path) -> Yaml:
    """Read a YAML file (UTF-8); see `parse_yaml`.

    Raises:
        InputError: no such file, or not such YAML. Names the file and the line.
    """
    with reading(path) as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        line = data.count(b"\n", 0, why.start) + 1
        raise InputError("is not UTF-8", file=path, row=line, mend="save it as UTF-8") from None
    return parse_yaml(text, file=str(path))


def parse_yaml(text: str, *, file: str) -> Yaml:
    """Parse one YAML document into JSON values; `file` is for the error sentences.

    Plain `true`, `false`, `null` (and `~`) and numbers as JSON writes them are what they say; every
    other scalar is text: dates, `yes` and `no`, `007`, `0x1f`, `.nan`. A key is its text. Aliases
    may repeat 10,000 nodes in all; mappings and lists may be nested 50 deep.

    Raises:
        InputError: not YAML, more than one document, a tag, a merge key (`<<`), a key that is no
            scalar or appears twice, too deep, or too much repeated. Names the file and the line.
    """
    builder = _Builder()
    try:
        root = _Loader(text).get_single_node()
        data = None if root is None else builder.build(root, (), _line(root))
    except InputError as why:
        raise InputError(why.problem, file=file, row=why.row, mend=why.mend) from None
    except yaml.reader.ReaderError as why:
        line = text.count("\n", 0, why.position) + 1
        mend = "write it as an escape in double quotes"
        raise InputError("holds a control character", file=file, row=line, mend=mend) from None
    except yaml.MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(f"is not YAML ({why.problem})", file=file, row=line, mend="mend it") from None
    except (ValueError, OverflowError):  # an escape beyond Unicode, a directive of absurd numbers
        raise InputError("is not YAML (a number in an escape or directive)", file=file) from None
    return Yaml(data, builder.lines or {(): 1}, file)


class _Loader(yaml.SafeLoader):
    """Composes nodes, refusing tags and depth before they cost anything."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if getattr(event, "tag", None) is not None:
            raise InputError(
                f"has the tag {event.tag!r}", row=line, mend="write the plain value, quoted if text"
            )
        self.depth += 1
        if self.depth > MAX_DEPTH + 1:
            raise InputError(f"is nested more than {MAX_DEPTH} deep", row=line, mend="flatten it")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Builder:
    """Makes plain data of nodes, and notes their lines."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str | int, ...], int] = {}
        self.seen: set[int] = set()
        self.repeated = 0

    def build(self, node: yaml.Node, path: tuple[str | int, ...], line: int) -> Any:
        self.lines[path] = line
        self._count(node, path)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        return [self.build(item, (*path, i), _line(item)) for i, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError("has a key that is no text", row=line, mend="give the entry a name")
            key = canonical_text(key_node.value)
            if key == "<<" and key_node.style is None:
                raise InputError("has a merge key (<<)", row=line, mend="write the entries out")
            if key in data:
                first = self.lines[(*path, key)]
                raise InputError(
                    f"has the key {key!r} a second time (first in row {first})", row=line, mend="remove one"
                )
            data[key] = self.build(value_node, (*path, key), line)
        return data

    def _count(self, node: yaml.Node, path: tuple[str | int, ...]) -> None:
        """Bound what aliases repeat; an alias inside its own anchor would repeat for ever."""
        self.repeated += id(node) in self.seen
        self.seen.add(id(node))
        if self.repeated > MAX_REPEATED or len(path) > MAX_DEPTH:
            raise InputError("repeats too much by aliases (*)", row=_line(node), mend="write less of it")


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    text = canonical_text(node.value)
    if node.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if number := _NUMBER.fullmatch(text):
        value = float(text) if number[2] or number[3] else int(text)
        return value if isfinite(value) else text
    return text


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
