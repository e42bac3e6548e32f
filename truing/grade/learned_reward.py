"""`LearnedReward`: what a model learnt from comparisons, as TRL calls a reward."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from truing.grade.linear_reward import FILE, LinearReward, read_linear_reward
from truing.grade.reward_rows import rewarded
from truing.model import ScalarModel, find_folder
from truing.types import InputError, Message, Role, Shown, Stop


class LearnedReward:
    """The reward of a model that `truing align rm` made, by a language model or linear, as TRL calls it.

    None where there is no reward: the answer was cut off (seen by `ends`, the ids of the tokens that end
    an answer), is longer with its prompt than the model's context, cannot be rendered by its chat
    template, or the model makes NaN of it. `why` says which, for the rows of the last call. The bias that
    sets the mean of the demonstrations to 0 is in the model.

    Raises:
        InputError: `reward` names nothing that can be loaded, or no reward.
    """

    none_is_missing = True
    """It applies to every answer, so that None is a verdict that is missing; see `RewardMix`."""

    def __init__(
        self,
        reward: "str | Path | ScalarModel | LinearReward",
        *,
        device: str = "auto",
        ends: Sequence[int] = (),
    ) -> None:
        if isinstance(reward, str | Path):
            folder = find_folder(str(reward))
            linear = (folder / FILE).is_file()
            reward = read_linear_reward(folder) if linear else ScalarModel.load(reward, device=device)
        self.reward = reward
        self.why: list[str] = []
        self._ends = ends
        self.__name__ = "learned_reward"

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,  # noqa: ARG002  TRL hands over every column of the data
    ) -> list[float | None]:
        """One reward for each row: a prompt and its completion, as texts or as lists of messages."""
        return self.of(rewarded(prompts, completions, completion_ids, ends=self._ends))

    def of(self, shown: Sequence[Shown]) -> list[float | None]:
        """One reward for each answer."""
        self.why = ["the answer was cut off" if one.stop is Stop.length else "" for one in shown]
        found: list[float | None] = [None] * len(shown)
        rows: dict[int, Any] = {}
        for place, one in enumerate(shown):
            if not self.why[place]:
                try:
                    rows[place] = self._row(one)
                except InputError as error:
                    self.why[place] = str(error)
        for place, value in zip(rows, self._scores(list(rows.values())), strict=True):
            if np.isfinite(value):
                found[place] = float(value)
            else:
                self.why[place] = f"the model makes {value} of it"
        return found

    def _row(self, one: Shown) -> Any:
        """What the model reads of an answer."""
        answer = Message(Role.assistant, one.answer)
        if isinstance(self.reward, LinearReward):
            return one.request.messages, (answer,)
        ids = self.reward.chat.training_example((*one.request.messages, answer), one.request.tools).ids
        if self._context is not None and len(ids) > self._context:
            raise InputError(f"it has {len(ids)} tokens with its prompt, and the context {self._context}")
        return ids

    def _scores(self, rows: list[Any]) -> NDArray[np.float64]:
        return self.reward.score(rows) if rows else np.empty(0)

    @property
    def _context(self) -> int | None:
        from truing.model import context_length

        assert isinstance(self.reward, ScalarModel)
        return context_length(self.reward.net)
