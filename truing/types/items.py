"""`Item`: one planned question of an audit, with what is expected of the answer."""

from dataclasses import dataclass
from enum import StrEnum

from truing.types.frozen import FrozenDict
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
    secret = "secret"
    """Anything that does not tell `target`, nor a spelling of it in `accept`: a refusal, or something else."""
    judged = "judged"
    """What `grader` calls good: free text that no parser can read."""


@dataclass(frozen=True, slots=True)
class Item(Record):
    """One planned question.

    `target` and `choices` are for `choice` (target is one of choices), `number`, `text` and `secret`;
    `accept` holds further spellings of the target. `cluster` joins items that share a source (paraphrases,
    one template): they are not independent. `source` is `file:row`.

    `grader` names a registered grader (`truing.grade.open_grader`) that judges the answer instead of
    the parser of `expect`. `group` is the part of its dimension that the item is reported under: a
    level of attack, a pair of group and topic. `samples` answers are drawn for it, where the metric
    of its dimension is one of several answers. `facts` are what the figures of its dimension need to
    know of it beside its group, such as which of the choices is the stereotyped one.
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
    grader: str = ""
    group: str = ""
    samples: int = 1
    facts: FrozenDict = FrozenDict()

    def check(self) -> None:
        """A closed question has its answer among the choices."""
        if self.expect is Expect.choice and self.target not in self.choices:
            raise ValueError(f"the target {self.target!r} is none of the choices {self.choices!r}")
        if self.expect in (Expect.number, Expect.text, Expect.secret) and not self.target:
            raise ValueError(f"an item that expects a {self.expect} needs a target")
        if self.expect is Expect.judged and not self.grader:
            raise ValueError("an item whose answer is judged names its grader")
        if self.samples < 1:
            raise ValueError(f"at least one answer is drawn for an item, not {self.samples}")
