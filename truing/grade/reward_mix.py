"""Several rewards with weights as one: what each pays for an answer, and their sum."""

import asyncio
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Thread
from typing import Any, Protocol

from truing.data import from_messages
from truing.grade.reward_checks import Batch, call_failed, numbers
from truing.grade.rewards import RewardFunction
from truing.types import Completion, FrozenDict, InputError, Message, Record, Role, Stop, thaw


class AsyncRewardFunction(Protocol):
    """A reward function that waits for something, such as a judge behind a server; all of a mix wait together."""

    async def __call__(
        self,
        *,
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]] | None,
        **columns: Any,
    ) -> Sequence[float | None]:
        """One reward for each row."""
        ...


class PromptLike(Protocol):
    """A prompt, and what the rewards are told beside it: `truing.train.PromptRow` is one."""

    @property
    def id(self) -> str:
        """Names it in errors."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was asked."""

    @property
    def columns(self) -> FrozenDict:
        """The further columns of its row."""


@dataclass(frozen=True, slots=True)
class MixedRewards(Record):
    """The rewards of N answers. None says that there is none, which is never a low one."""

    total: tuple[float | None, ...]
    """The sum of what applies to each answer [N]; None where nothing does, or a verdict is missing."""
    components: FrozenDict
    """Name of a reward -> weight times value of each answer [N], None where it has none."""


class RewardMix:
    """The weighted sum of rewards, itself a reward as TRL calls it.

    What a function gives as None does not apply to that answer, and the others alone are added up. Rewards
    that always apply say so by `none_is_missing`: their None is a verdict that is missing (a judge
    abstained, an answer did not fit), and so is the total. Async functions are awaited together, on one event
    loop that lives as long as this.

    Raises:
        InputError: there is no reward, a weight is not finite or is 0, or a name comes twice. While scoring: a
            function raises, or gives another number of rewards than there are answers, or NaN, an infinity
            or no number; the sentence names the reward and the row.
    """

    def __init__(
        self,
        parts: Sequence[tuple[str, RewardFunction | AsyncRewardFunction, float]],
        *,
        texts: bool = False,
    ) -> None:
        """Add up `parts`: a name, a function and its weight for each.

        With `texts` functions that are called by `mixed` get prompts and completions as texts, as TRL does
        for data of its standard form; else as lists of messages.
        """
        if not parts:
            raise InputError("there is no reward", mend="give at least one")
        self.parts = tuple(parts)
        names = [name for name, _, _ in parts]
        for name, _, weight in parts:
            if not math.isfinite(weight) or weight == 0:
                raise InputError(f"the weight of {name} is a number other than 0, not {weight}")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(f"the reward {twice[0]} is there twice", mend="add up its weights")
        self._texts = texts
        self.__name__ = "reward_mix"

    @property
    def definition(self) -> str:
        """What is added up, in words."""
        each = (name if weight == 1 else f"{weight:g} x {name}" for name, _, weight in self.parts)
        return " + ".join(each)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward for each row."""
        if len(prompts) != len(completions):
            raise InputError(f"there are {len(prompts)} prompts and {len(completions)} completions")
        rows = [f"row {i}" for i in range(1, len(prompts) + 1)]
        return list(self._mixed(Batch(rows, prompts, completions, completion_ids, columns)).total)

    def mixed(self, rows: Sequence[PromptLike], completions: Sequence[Completion]) -> MixedRewards:
        """What each completion of `rows` is paid, and for what.

        Functions see the answer without its reasoning, which a message has beside it (`reasoning_content`),
        and the columns of the prompts, None where a prompt has no such column. A completion that ended in
        an error is shown to none of them and has no reward.
        """
        fine = [i for i, one in enumerate(completions) if one.stop is not Stop.error]
        found = self._mixed(self._batch([rows[i] for i in fine], [completions[i] for i in fine]))

        def spread(values: Sequence[float | None]) -> tuple[float | None, ...]:
            at = dict(zip(fine, values, strict=True))
            return tuple(at.get(i) for i in range(len(completions)))

        components = {name: spread(values) for name, values in found.components.items()}
        return MixedRewards(spread(found.total), FrozenDict(components))

    def _batch(self, rows: Sequence[PromptLike], completions: Sequence[Completion]) -> Batch:
        names = dict.fromkeys(name for row in rows for name in row.columns)
        columns = {name: [thaw(row.columns.get(name)) for row in rows] for name in names}
        prompts: list[Any] = [
            row.messages[-1].content if self._texts else from_messages(row.messages) for row in rows
        ]
        answers: list[Any] = [one.answer if self._texts else _turns(one) for one in completions]
        ids = [list(one.token_ids or ()) for one in completions]
        called = [
            f"prompt {row.id}, sample {one.sample + 1}" for row, one in zip(rows, completions, strict=True)
        ]
        return Batch(called, prompts, answers, ids, columns)

    def _mixed(self, batch: Batch) -> MixedRewards:
        given = self._given(batch) if batch.rows else [[] for _ in self.parts]
        paid: dict[str, tuple[float | None, ...]] = {}
        missing: set[int] = set()
        for (name, function, weight), values in zip(self.parts, given, strict=True):
            paid[name] = numbers(name, values, batch, weight)
            if getattr(function, "none_is_missing", False):
                missing |= {i for i, value in enumerate(paid[name]) if value is None}
        total: list[float | None] = []
        for i in range(len(batch.rows)):
            applies = [values[i] for values in paid.values()]
            sums = [value for value in applies if value is not None]
            total.append(math.fsum(sums) if sums and i not in missing else None)
        return MixedRewards(tuple(total), FrozenDict(paid))

    def _given(self, batch: Batch) -> list[Any]:
        """What each function gives; those that are async wait for each other's answers only at the end."""
        given: list[Any] = []
        waiting: list[tuple[int, Any]] = []
        for number, (name, function, _) in enumerate(self.parts):
            try:
                value = function(**batch.arguments)
            except (Exception, SystemExit) as why:
                raise call_failed(name, why, batch, partial(self._alone, function)) from why
            if inspect.isawaitable(value):
                waiting.append((number, asyncio.run_coroutine_threadsafe(_wait(value), self._loop)))
            given.append(value)
        for number, future in waiting:
            name, function, _ = self.parts[number]
            try:
                given[number] = future.result()
            except Exception as why:
                raise call_failed(name, why, batch, partial(self._alone, function)) from why
        return given

    def _alone(self, function: Callable[..., Any], batch: Batch) -> None:
        """Call a function again, to see whether it fails."""
        value = function(**batch.arguments)
        if inspect.isawaitable(value):
            asyncio.run_coroutine_threadsafe(_wait(value), self._loop).result()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # One loop for good: a client that a function keeps open belongs to the loop it was opened on.
        loop = asyncio.new_event_loop()
        Thread(target=loop.run_forever, name="async rewards", daemon=True).start()
        return loop


async def _wait(value: Any) -> Any:
    return await value


def _turns(completion: Completion) -> list[dict[str, Any]]:
    return from_messages([Message(Role.assistant, completion.answer, completion.reasoning)])
