"""Boolean expressions over names: `a and not (b or c)`, read by a small parser and never executed.

One `fold` gives them every meaning: truth values, probabilities, decision diagrams.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Generic, TypeAlias, TypeVar

V = TypeVar("V")

MAX_DEPTH = 50
"""Parentheses within parentheses."""
NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What propositions, response types, classes and categories are called."""
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[()]")


@dataclass(frozen=True, slots=True)
class Name:
    """A proposition, simple or derived."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    of: "Node"


@dataclass(frozen=True, slots=True)
class Several:
    """`word` (and, or) between two or more parts."""

    word: str
    parts: tuple["Node", ...]


Node: TypeAlias = Name | Not | Several


@dataclass(frozen=True, slots=True)
class Algebra(Generic[V]):
    """What `not`, `and`, `or` mean for values of one kind."""

    negate: Callable[[V], V]
    conjoin: Callable[[Iterable[V]], V]
    disjoin: Callable[[Iterable[V]], V]


TRUTH: Algebra[bool] = Algebra(lambda a: not a, all, any)
CHANCE: Algebra[float] = Algebra(
    lambda p: 1 - p, lambda ps: prod(ps, start=1.0), lambda ps: 1 - prod((1 - p for p in ps), start=1.0)
)
"""Probabilities as if the parts were independent, as rule-based rewards take them (Mu et al. 2024)."""


def fold(node: Node, value_of: Callable[[str], V], algebra: Algebra[V]) -> V:
    """The value of an expression, given that of each name in it."""
    if isinstance(node, Name):
        return value_of(node.name)
    if isinstance(node, Not):
        return algebra.negate(fold(node.of, value_of, algebra))
    join = algebra.conjoin if node.word == "and" else algebra.disjoin
    return join([fold(part, value_of, algebra) for part in node.parts])


def names_in(node: Node) -> list[str]:
    """The names of an expression in the order in which they appear first."""
    if isinstance(node, Name):
        return [node.name]
    if isinstance(node, Not):
        return names_in(node.of)
    return list(dict.fromkeys(name for part in node.parts for name in names_in(part)))


def conjunction(literals: Iterable[tuple[str, bool]]) -> Node:
    """All of the literals: (name, whether it is asserted or denied). At least one."""
    return _several("and", [Name(name) if truth else Not(Name(name)) for name, truth in literals])


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """Read `and`, `or`, `not`, parentheses and names; `not` binds closest, then `and`.

    Raises:
        ValueError: it is no such expression; the sentence says where, and names no file.
    """
    tokens, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if not match:
            raise ValueError(f"has {text[at]!r} where a name, and, or, not or a parenthesis belongs")
        tokens.append(match[0])
        at = match.end()
    return _Parser(tokens).whole()


def written(node: Node) -> str:
    """The expression as `parse` reads it, with no more parentheses than it needs."""
    if isinstance(node, Name):
        return node.name
    if isinstance(node, Not):
        inner = written(node.of)
        return f"not ({inner})" if isinstance(node.of, Several) else f"not {inner}"
    parts = [
        f"({written(part)})" if node.word == "and" and isinstance(part, Several) else written(part)
        for part in node.parts
    ]
    return f" {node.word} ".join(parts)


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    def whole(self) -> Node:
        if not self.tokens:
            raise ValueError("is an empty expression")
        node = self.any_of()
        if self.at < len(self.tokens):
            raise ValueError(f"has {self._next()!r} where and, or or the end belongs")
        return node

    def any_of(self) -> Node:
        parts = [self.all_of()]
        while self._skip("or"):
            parts.append(self.all_of())
        return _several("or", parts)

    def all_of(self) -> Node:
        parts = [self.one()]
        while self._skip("and"):
            parts.append(self.one())
        return _several("and", parts)

    def one(self) -> Node:
        denied = False
        while self._skip("not"):
            denied = not denied
        node = self._inner() if self._skip("(") else self._name()
        return Not(node) if denied else node

    def _inner(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"has parentheses more than {MAX_DEPTH} deep")
        node = self.any_of()
        if not self._skip(")"):
            raise ValueError(f"has {self._next()!r} where a closing parenthesis belongs")
        self.depth -= 1
        return node

    def _name(self) -> Node:
        token = self._next()
        if token in ("and", "or", ")", "the end") or not NAME.fullmatch(token):
            raise ValueError(f"has {token!r} where a name belongs (lower case, such as apology)")
        self.at += 1
        return Name(token)

    def _next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else "the end"

    def _skip(self, word: str) -> bool:
        found = self._next() == word
        self.at += found
        return found


def _several(word: str, parts: list[Node]) -> Node:
    """Parts joined by a word; those that are joined by the same word already are taken apart."""
    if len(parts) == 1:
        return parts[0]
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, Several) and part.word == word else [part]
    return Several(word, tuple(flat))
