"""Reading propositions and rules from YAML: our form, and that of the published rule set.

Ours has the keys propositions, derived, classes, template; the published one (openai/safety-rbr-code-and-data,
config/proposition_prompts.yaml) simple_propositions, derived_propositions, completion_classes,
completion_class_order, prompt_template, with the classes outside and the response types inside.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.data import Yaml, parse_yaml
from truing.spec.expressions import conjunction, written
from truing.spec.files import CONTROL, read_text
from truing.spec.propositions import ClassRule, Derived, Proposition, Shot
from truing.spec.rule_faults import rule_faults
from truing.spec.rules import RuleSet
from truing.types import InputError, Record

MAX_RULES = 300_000
"""Bytes of a file of rules: YAML takes seconds for more."""


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What the parts are called, and whether a class stands within a response type or around it."""

    propositions: str
    derived: str
    classes: str
    template: str
    order: tuple[str, ...]
    question: str
    classes_outside: bool


_OURS = _Dialect("propositions", "derived", "classes", "template", ("classes", "order"), "question", False)
_PUBLISHED = _Dialect(
    "simple_propositions",
    "derived_propositions",
    "completion_classes",
    "prompt_template",
    ("completion_class_order",),
    "prompt",
    True,
)


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A rule set, and the lines of the file on which its parts stand."""

    rules: RuleSet
    yaml: Yaml
    dialect: _Dialect

    def error(self, problem: str, part: Record | None, mend: str = "") -> InputError:
        """An error about a part of the rules (or all of them), naming the file and the line."""
        return self.yaml.error(problem, *_path(part, self.dialect), mend=mend)


def read_rules(path: str | Path) -> RuleSet:
    """Read propositions and rules from a YAML file of either form.

    Raises:
        InputError: no such file, or not such rules: not YAML, an unknown key, an expression that
            cannot be read, a name that is unknown, defined twice, or derived from itself. Names the
            file and the line.
    """
    return read_rules_file(Path(path)).rules


def read_rules_file(path: Path, *, on_error: Callable[[InputError], None] | None = None) -> RulesFile:
    """As `read_rules`, with the lines. With `on_error`, every error is handed to it before one raises.

    Raises:
        InputError: as `read_rules`.
    """
    errors: list[InputError] = []
    try:
        return _parsed(parse_yaml(read_text(path, MAX_RULES), file=str(path)), errors)
    except InputError as why:
        errors += [] if why in errors else [why]
        for error in errors if on_error else ():
            on_error(error)  # type: ignore[misc]
        raise errors[0] from None


def _parsed(yaml: Yaml, errors: list[InputError]) -> RulesFile:
    """The rules of a document; all that is wrong with them goes to `errors` and the first is raised."""
    data = _mapping(yaml)
    dialect = _PUBLISHED if _PUBLISHED.propositions in data else _OURS
    known = (dialect.propositions, dialect.derived, dialect.classes, dialect.template, dialect.order[0])
    for key in data:
        if key not in known:
            raise yaml.error(f"has the unknown key {key!r}", key, mend=f"choose from {', '.join(known)}")
    reader = _Reader(yaml, dialect, errors)
    parts = (
        tuple(reader.propositions()),
        tuple(reader.derived()),
        reader.order(),
        tuple(reader.classes()),
    )
    template = data.get(dialect.template) or ""
    if template and not (isinstance(template, str) and "{question}" in template):
        why = "has a template that does not hold {question}"
        errors.append(yaml.error(why, dialect.template, mend="say in it where the question goes"))
    if not errors:
        errors += [
            yaml.error(fault.problem, *_path(fault.part, dialect), mend=fault.mend)
            for fault in rule_faults(*parts)
        ]
    if errors:
        raise errors[0]
    return RulesFile(RuleSet(*parts, template), yaml, dialect)


@dataclass(frozen=True, slots=True)
class _Reader:
    yaml: Yaml
    dialect: _Dialect
    errors: list[InputError]

    def propositions(self) -> Iterator[Proposition]:
        key, question = self.dialect.propositions, self.dialect.question
        for name, value in _mapping(self.yaml, key).items():
            path = (key, name)
            if isinstance(value, str):
                value = {question: value}
            if not isinstance(value, dict) or not isinstance(value.get(question), str):
                self._wrong(
                    f"the proposition {name!r} has no {question}", *path, mend=f'give it a {question}: "..."'
                )
            elif unknown := set(value) - {question, "examples"}:
                self._wrong(f"the proposition {name!r} has the unknown key {min(unknown)!r}", *path, min(unknown),
                            mend=f"use {question} and examples")  # fmt: skip
            elif not value[question].strip() or CONTROL.search(value[question]):
                what = "a control character in its" if value[question].strip() else "an empty"
                self._wrong(
                    f"the proposition {name!r} has {what} {question}", *path, mend="write it in plain text"
                )
            else:
                yield Proposition(
                    name, value[question].strip(), tuple(self._shots(name, value.get("examples") or []))
                )

    def _shots(self, name: str, examples: Any) -> Iterator[Shot]:
        path = (self.dialect.propositions, name, "examples")
        for i, example in enumerate(examples if isinstance(examples, list) else [examples]):
            try:
                yield Shot.from_json(example)
            except ValueError as why:
                mend = "write {answer: TEXT, truth: true or false} and perhaps prompt and why"
                self._wrong(f"an example of {name!r} is wrong ({why})", *path, i, mend=mend)

    def derived(self) -> Iterator[Derived]:
        key = self.dialect.derived
        for name, value in _mapping(self.yaml, key).items():
            if when := self._expression(value, key, name):
                yield Derived(name, when)

    def classes(self) -> Iterator[ClassRule]:
        key = self.dialect.classes
        for outer in _mapping(self.yaml, key):
            if (key, outer) == self.dialect.order:
                continue
            for inner, value in _mapping(self.yaml, key, outer).items():
                if when := self._expression(value, key, outer, inner):
                    pair = (inner, outer) if self.dialect.classes_outside else (outer, inner)
                    yield ClassRule(*pair, when)

    def order(self) -> tuple[str, ...]:
        data = self.yaml.data
        for key in self.dialect.order:
            data = data.get(key) if isinstance(data, dict) else None
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            mend = f"list their names under {'.'.join(self.dialect.order)}"
            self._wrong(
                "does not say in which order the classes come, best first", *self.dialect.order, mend=mend
            )
            return ()
        return tuple(data)

    def _expression(self, value: Any, *path: str) -> str:
        """The text of an expression; of a mapping {name: true, other: false}, that of its conjunction."""
        name = path[-1]
        try:
            if isinstance(value, str):
                return Derived(name, value).when
            if isinstance(value, dict) and value and all(isinstance(truth, bool) for truth in value.values()):
                return Derived(name, written(conjunction(value.items()))).when
        except ValueError as why:
            self._wrong(f"{name!r} {why}", *path, mend="write names with and, or, not and parentheses")
            return ""
        mend = "write an expression, or a mapping such as {apology: true, judgement: false}"
        self._wrong(f"{name!r} is no expression", *path, mend=mend)
        return ""

    def _wrong(self, problem: str, *path: str | int, mend: str) -> None:
        self.errors.append(self.yaml.error(problem, *path, mend=mend))


def _mapping(yaml: Yaml, *path: str) -> dict[str, Any]:
    data = yaml.data
    for key in path:
        data = data.get(key)
    if data is None and path:
        return {}
    if not isinstance(data, dict):
        what = repr(path[-1]) if path else "the file"
        raise yaml.error(f"{what} is no mapping of names", *path, mend="write NAME: VALUE on each line")
    return data


def _path(part: Record | None, dialect: _Dialect) -> tuple[str, ...]:
    """The keys that lead to a part."""
    if isinstance(part, Proposition):
        return dialect.propositions, part.name
    if isinstance(part, Derived):
        return dialect.derived, part.name
    if isinstance(part, ClassRule):
        pair = (part.response_type, part.name)
        return dialect.classes, *(reversed(pair) if dialect.classes_outside else pair)
    return ()
