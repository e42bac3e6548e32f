"""The parts of a rule set: propositions, those derived from others, and the rules of the classes."""

from dataclasses import dataclass

from truing.spec.expressions import parse, written
from truing.types import Record, digest


@dataclass(frozen=True, slots=True)
class Shot(Record):
    """An example of a proposition: an answer (and perhaps what was asked), and whether it holds of it."""

    answer: str
    truth: bool
    prompt: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Proposition(Record):
    """A statement about an answer, put as a question to which "yes" means that it holds."""

    name: str
    question: str
    examples: tuple[Shot, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the name, the question and its examples: all that a grader reads."""
        return digest(self)


@dataclass(frozen=True, slots=True)
class Derived(Record):
    """A proposition that follows from others: `when` is an expression over names."""

    name: str
    when: str

    def check(self) -> None:
        """The expression is written in one way only, so that equal ones have equal digests."""
        object.__setattr__(self, "when", written(parse(self.when)))


@dataclass(frozen=True, slots=True)
class ClassRule(Record):
    """An answer to a request that calls for `response_type` is of class `name` when `when` holds."""

    response_type: str
    name: str
    when: str

    def check(self) -> None:
        """The expression is written in one way only, so that equal ones have equal digests."""
        object.__setattr__(self, "when", written(parse(self.when)))
