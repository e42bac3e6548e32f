"""Comparisons as what a model reads: every answer rendered with its prompt, whole or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from truing.data import Comparison
from truing.types import InputError

if TYPE_CHECKING:
    from truing.model import ChatFormat, Rendered
    from truing.train import ComparedRows

By = Literal["prompt", "customer", "labeler"]
TOO_LONG = "an answer with its prompt is longer than the model's context"


@dataclass(frozen=True)
class RenderedComparisons:
    """The comparisons that fit into the model's context, and how many do not."""

    rows: tuple[Comparison, ...]
    answers: tuple[tuple["Rendered", ...], ...]
    """The answers of each row, rendered with its prompt."""
    skipped: Mapping[str, int]

    def laid_out(self) -> "ComparedRows":
        """What the loops of `train` read."""
        from truing.train import ComparedRows

        return ComparedRows.of((each, row.ranks) for row, each in zip(self.rows, self.answers, strict=True))


def render_comparisons(
    chat: "ChatFormat", rows: Sequence[Comparison], *, context: int | None, data: str
) -> RenderedComparisons:
    """Render comparisons; one that is longer than the context is left out and counted, never cut.

    Raises:
        InputError: the template refuses a comparison, or none fits into the context; `data` names the file.
    """
    kept, answers, too_long = [], [], 0
    for row in rows:
        try:
            each = tuple(chat.training_example((*row.prompt, *answer), row.tools) for answer in row.answers)
        except InputError as why:
            raise InputError(f"comparison {row.id}: {why.problem}", file=data, mend=why.mend) from None
        if context is not None and max(len(one.ids) for one in each) > context:
            too_long += 1
        else:
            kept.append(row)
            answers.append(each)
    if not kept:
        problem = f"none of its {len(rows)} comparisons fits into the model's context of {context} tokens"
        raise InputError(problem, file=data, mend="shorten them, or take a model with a longer context")
    return RenderedComparisons(tuple(kept), tuple(answers), {TOO_LONG: too_long} if too_long else {})


def added(*counts: Mapping[str, int]) -> dict[str, int]:
    """The sums of counts by name."""
    names = dict.fromkeys(name for each in counts for name in each)
    return {name: sum(each.get(name, 0) for each in counts) for name in names}
