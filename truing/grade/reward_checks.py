"""What can be wrong with a reward function while it scores, as one sentence that names it and the row."""

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from truing.types import InputError, TruingError

_MEND = "mend it and run the same again"
_NUMBER = "give a finite number, or None where the reward does not apply"


@dataclass(frozen=True)
class Batch:
    """Rows as TRL hands them to a reward function, and what each is called in an error."""

    rows: Sequence[str]
    prompts: Sequence[Any]
    completions: Sequence[Any]
    completion_ids: Sequence[Sequence[int]] | None
    columns: dict[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the call."""
        named = {
            "prompts": self.prompts,
            "completions": self.completions,
            "completion_ids": self.completion_ids,
        }
        return named | self.columns

    def alone(self, i: int) -> "Batch":
        """Row i by itself; a column that is no list of one value for each row stays as it is."""

        def of(values: Any) -> Any:
            listed = isinstance(values, list | tuple) and len(values) == len(self.rows)
            return [values[i]] if listed else values

        columns = {name: of(values) for name, values in self.columns.items()}
        return Batch(
            [self.rows[i]], [self.prompts[i]], [self.completions[i]], of(self.completion_ids), columns
        )


def call_failed(name: str, why: BaseException, batch: Batch, again: Callable[[Batch], None]) -> InputError:
    """That a function raised, and on which row: the first that it fails on alone, too, when asked `again`."""
    for i, row in enumerate(batch.rows):
        try:
            again(batch.alone(i))
        except (Exception, SystemExit):
            return InputError(f"the reward {name} fails on {row}: {_cause(why)}", mend=_MEND)
    where = f"on {len(batch.rows)} answers at once ({_span(batch)}), on none of them alone"
    return InputError(f"the reward {name} fails {where}: {_cause(why)}", mend=_MEND)


def numbers(name: str, given: Any, batch: Batch, weight: float) -> tuple[float | None, ...]:
    """What a function gave, times its weight, as one finite number, or None, for each row.

    Raises:
        InputError: it is something else.
    """
    try:
        values = list(given)
    except TypeError:
        problem = f"the reward {name} gives {_shown(given)}, not a list with one reward for each answer"
        raise InputError(problem, mend=_MEND) from None
    if len(values) != len(batch.rows):
        problem = f"the reward {name} gives {len(values)} rewards for {len(batch.rows)} answers"
        raise InputError(f"{problem} ({_span(batch)})", mend="give one for each, in their order")
    rows = zip(values, batch.rows, strict=True)
    return tuple(None if value is None else _number(name, value, row, weight) for value, row in rows)


def _number(name: str, value: Any, row: str, weight: float) -> float:
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        number = float(value)  # also of numpy's numbers, and of tensors that hold one
    except (TypeError, ValueError, RuntimeError):
        problem = f"the reward {name} gives {_shown(value)} for {row}, which is no number"
        raise InputError(problem, mend=_NUMBER) from None
    if not math.isfinite(number * weight):
        raise InputError(f"the reward {name} gives {number} for {row}", mend=_NUMBER)
    return number * weight


def _cause(why: BaseException) -> str:
    """The exception in words, with the line of code that raised it; what is foreseen speaks for itself."""
    if isinstance(why, TruingError):
        return str(why).rstrip(".")
    told = " ".join(str(why).split())
    called = f"{type(why).__name__}: {told}" if told else type(why).__name__
    frames = traceback.extract_tb(why.__traceback__)
    return f"{called} ({frames[-1].filename}, line {frames[-1].lineno})" if len(frames) > 1 else called


def _span(batch: Batch) -> str:
    return f"{batch.rows[0]} to {batch.rows[-1]}" if len(batch.rows) > 1 else "".join(batch.rows)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}…"
