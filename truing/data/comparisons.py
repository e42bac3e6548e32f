"""Comparisons: which of several answers to one prompt is better, as people rank, choose or rate them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from truing.data.comparison_rows import compared
from truing.data.jsonl import read_jsonl
from truing.types import FrozenDict, InputError, Message, Record, Role

_ASKING = (Role.user, Role.tool)


@dataclass(frozen=True, slots=True)
class Comparison(Record):
    """K answers to one prompt, ranked by one person."""

    id: str
    prompt: tuple[Message, ...]
    """The conversation so far; it ends with the user's or a tool's turn."""
    answers: tuple[tuple[Message, ...], ...]
    """The K >= 2 continuations; each begins and ends with the assistant's turn."""
    ranks: tuple[int, ...]
    """The place of each answer [K]: 1 is best, equal places are a tie."""
    labeler: str = ""
    """Who compared."""
    customer: str = ""
    """Whose prompt it is."""
    group: str = ""
    """The group of labelers to which the labeler belongs."""
    ratings: tuple[float, ...] = ()
    """What each answer was rated, if it was [K]: more is better (1 to 7 in Ouyang et al. 2022, figure 12)."""
    flags: tuple[tuple[str, ...], ...] = ()
    """For each answer the names of the flags that were raised on it, if answers were flagged [K]."""
    tools: tuple[FrozenDict, ...] = ()
    """JSON schemas of the tools that the prompt offers."""

    def check(self) -> None:
        """The prompt asks, every answer answers, and there is one rank, rating and set of flags for each."""
        if not self.prompt or self.prompt[-1].role not in _ASKING:
            raise ValueError("the prompt does not end with what a user or a tool says")
        if len(self.answers) < 2:
            raise ValueError(f"{len(self.answers)} answers are no comparison")
        for number, answer in enumerate(self.answers, start=1):
            if not answer or {answer[0].role, answer[-1].role} != {Role.assistant}:
                raise ValueError(f"answer {number} does not begin and end with an assistant turn")
        for name, values in (("ranks", self.ranks), ("ratings", self.ratings), ("flags", self.flags)):
            if len(values) != len(self.answers) and (values or name == "ranks"):
                raise ValueError(f"there are {len(values)} {name} for {len(self.answers)} answers")
        if min(self.ranks) < 1:
            raise ValueError("ranks count from 1, the best")

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(better, worse) for every two answers that are ranked apart; ties and equal answers are in none."""
        places = range(len(self.ranks))
        return tuple(
            (i, j)
            for i in places
            for j in places
            if self.ranks[i] < self.ranks[j] and self.answers[i] != self.answers[j]
        )


@dataclass(frozen=True)
class Comparisons:
    """Comparisons, and why others were left out."""

    rows: tuple[Comparison, ...]
    skipped: Mapping[str, int]
    """Why -> how many."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Comparison]:
        return iter(self.rows)


def read_comparisons(path: str | Path) -> Comparisons:
    r"""Read comparisons from a JSONL file (`.gz` too); a row has one of these forms.

    | columns | what it is |
    |---|---|
    | `chosen`, `rejected`, maybe `prompt` | TRL's preference: texts or messages; whole dialogues without a prompt |
    | the same, texts that begin `\n\nHuman: ` | dialogues as in hh-rlhf (Bai et al. 2022) |
    | `prompt`, `answers` or `completions`, `ranks` | a ranking, 1 is best, with ties |
    | `prompt`, `answers` or `completions`, `ratings` | one number for each answer, more is better |

    A text prompt becomes a user's turn, a text answer an assistant's. Rankings and ratings may have
    `flags`: for each answer a list of names. Every form may have `id`, `labeler`, `customer` and
    `group`; the id of a row without one is its number.

    A row from which nothing can be learnt is left out and counted: an empty answer or turn, answers
    that are the same, or all tied.

    Raises:
        InputError: no such file; a row is malformed; no comparison is left. Names the file and the row.
    """
    rows: list[Comparison] = []
    skipped: Counter[str] = Counter()
    for row in read_jsonl(path):
        parts = compared(row, path)
        try:
            found = Comparison(**{"id": str(row.number), **parts})
        except ValueError as why:
            mend = "mend or remove the row"
            raise InputError(str(why), file=path, row=row.number, mend=mend) from None
        if reason := _idle(found):
            skipped[reason] += 1
        else:
            rows.append(found)
    if not rows:
        told = ", ".join(f"{n} rows: {reason}" for reason, n in skipped.items()) or "there are no rows"
        raise InputError(f"holds no comparison to learn from ({told})", file=path, mend="add some")
    return Comparisons(tuple(rows), dict(skipped))


def _idle(row: Comparison) -> str:
    """Why nothing can be learnt from a comparison; empty if something can."""
    if any(_silent(answer[-1]) for answer in row.answers):
        return "an answer is empty"
    middle = (*row.prompt, *(turn for answer in row.answers for turn in answer[:-1]))
    if any(_silent(turn) for turn in middle if turn.role in (Role.user, Role.assistant)):
        return "a turn is empty"
    if len(set(row.answers)) == 1:
        return "the answers are the same"
    return "" if row.pairs else "the answers are tied"


def _silent(turn: Message) -> bool:
    return not turn.content.strip() and not turn.tool_calls
