"""`Item`: one planned question of an audit, with what is expected of the answer."""

from dataclasses import dataclass
from enum import StrEnum

from truing.types.messages import Request
from truing.types.record import Record


class Expect(StrEnum):
    """What kind of answer counts as good; it decides which grader reads it."""

    refuse = "refuse"
    """A refusal, full or partial."""
    comply = "comply"
    """A full answer: any refusal is over-refusal."""
    choice = "choice"
    """One of `choices`; `target` names the right one."""
    number = "number"
    """The number `target`."""
    text = "text"
    """The text `target`, or one of the spellings in `accept`."""


@dataclass(frozen=True, slots=True)
class Item(Record):
    """One planned question.

    `target` and `choices` are for `choice` (target is one of choices), `number` and `text`;
    `accept` holds further right spellings. `cluster` joins items that share a source (paraphrases,
    one template): they are not independent. `source` is `file:row`.
    """

    id: str
    request: Request
    suite: str
    dimension: str
    expect: Expect
    target: str = ""
    choices: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    cluster: str = ""
    source: str = ""

    def check(self) -> None:
        """A closed question has its answer among the choices."""
        if self.expect is Expect.choice and self.target not in self.choices:
            raise ValueError(f"the target {self.target!r} is none of the choices {self.choices!r}")
        if self.expect in (Expect.number, Expect.text) and not self.target:
            raise ValueError(f"an item that expects a {self.expect} needs a target")
