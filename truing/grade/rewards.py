"""Rule-based rewards at run time: what the rules pay for an answer, alone and on top of a learned reward."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from truing.grade.reward_rows import rewarded
from truing.grade.rule_features import RuleFeatures
from truing.grade.rule_weights import RuleWeights, read_rule_weights
from truing.spec import RuleSet
from truing.types import FrozenDict, Grader, InputError, Record, Request, Shown


class RewardFunction(Protocol):
    """TRL's reward function. None says that there is no reward for a row; it is never a low one.

    It is called by keywords alone, as TRL does it, so that it may name only those that it reads.
    """

    def __call__(
        self,
        *,
        prompts: list[Any],
        completions: list[Any],
        completion_ids: list[list[int]] | None,
        **columns: Any,
    ) -> Sequence[float | None]:
        """One reward for each row."""
        ...


@dataclass(frozen=True, slots=True)
class RewardParts(Record):
    """What one answer was paid, and for what.

    `total` is None where a part is missing that belongs to it; `why` says which. `rbr` is None on
    prompts that have nothing to do with safety, where the rules pay nothing (`response_type` is empty).
    """

    total: float | None
    rm: float | None = None
    rbr: float | None = None
    response_type: str = ""
    contributions: FrozenDict = FrozenDict()
    """Feature -> weight times value; they add up to `rbr`."""
    why: str = ""


class RuleReward:
    """R_rbr of answers to safety-relevant prompts (Mu et al. 2024, arXiv 2411.01111), as TRL calls it.

    Which prompts those are, and what response each calls for, says the column `response_type` (empty or
    None elsewhere), or the function given as `response_type`. On all other prompts the reward is 0.
    None where the grader did not decide, or the answer was cut off (seen by `ends`, the ids of the tokens
    that end an answer): a missing verdict is no verdict. `last` holds the parts of the last call.

    `weights` are those of a fit or their file. They belong to one rule set and one grader; a grader of
    another id is refused unless `another_grader`, which is for the same judge on another device.

    Raises:
        InputError: the weights were fitted for other rules or another grader; while scoring, a response
            type is unknown or has no weights, or the column is missing.
    """

    none_is_missing = True
    """It applies to every answer, so that None is a verdict that is missing; see `RewardMix`."""

    def __init__(
        self,
        weights: RuleWeights | str | Path,
        rules: RuleSet,
        grader: Grader,
        *,
        response_type: Callable[[Request], str | None] | None = None,
        ends: Collection[int] = (),
        another_grader: bool = False,
    ) -> None:
        file = None if isinstance(weights, RuleWeights) else weights
        self.weights = weights if isinstance(weights, RuleWeights) else read_rule_weights(weights)
        if self.weights.rules != rules.digest:
            seen = f"{self.weights.rules[:12]}, not {rules.digest[:12]}"
            raise InputError(
                f"was fitted for the rules {seen}", file=file or "the weights", mend="fit them anew"
            )
        if self.weights.grader != grader.id and not another_grader:
            mine, theirs = self.weights.grader, grader.id
            seen = f"{mine.name} {mine.spec}, not {theirs.name} {theirs.spec}"
            raise InputError(
                f"was fitted with the grader {seen}", file=file or "the weights", mend="fit them anew"
            )
        names = {of.response_type: of.features for of in self.weights.types}
        self._features = RuleFeatures(rules, grader, names=names)
        self._response_type, self._ends = response_type, ends
        self.last: list[RewardParts] = []
        self.__name__ = "rule_reward"

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward for each row; None where there is none."""
        self.last = self.parts(prompts, completions, completion_ids, **columns)
        _log(self.last, columns)
        return [one.total for one in self.last]

    def parts(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[RewardParts]:
        """What each row is paid, and for what."""
        shown = rewarded(prompts, completions, completion_ids, ends=self._ends)
        called = self._called_for(shown, columns.get("response_type"))
        safety = [i for i, one in enumerate(called) if one]
        found = self._features.of([shown[i] for i in safety], [called[i] for i in safety])
        out = [RewardParts(0.0)] * len(shown)
        for i, phi in zip(safety, found, strict=True):
            of = self.weights.of(called[i])
            if phi.values is None:
                out[i] = RewardParts(None, response_type=called[i], why=phi.why)
                continue
            named = zip(of.features, of.weights, phi.values, strict=True)
            paid = {name: weight * value for name, weight, value in named}
            total = of.score(phi.values)
            out[i] = RewardParts(total, rbr=total, response_type=called[i], contributions=FrozenDict(paid))
        return out

    def _called_for(self, shown: Sequence[Shown], column: Sequence[str | None] | None) -> list[str]:
        """The response type of each row by its name in the rules; empty where the rules pay nothing."""
        if self._response_type is not None:
            column = [self._response_type(one.request) for one in shown]
        if column is None:
            mend = "add it, empty where a prompt has nothing to do with safety, or give a function"
            raise InputError("there is no column response_type", mend=mend)
        if len(column) != len(shown):
            raise InputError(f"there are {len(shown)} prompts and {len(column)} response types")
        try:
            return [self._features.rules.response_type(one) if one else "" for one in column]
        except ValueError as why:
            raise InputError(str(why)) from None


class CombinedReward:
    """R = R_rm + R_rbr on safety-relevant prompts, and R_rm alone on all others, as TRL calls it.

    `rm` is any reward function of TRL, `rules` says which prompts are which. None where either part
    is missing that belongs to a row: added up by TRL instead, a missing part would count as 0.
    `last` holds the parts of the last call.
    """

    none_is_missing = True
    """It applies to every answer, so that None is a verdict that is missing; see `RewardMix`."""

    def __init__(self, rm: RewardFunction, rules: RuleReward) -> None:
        self.rm, self.rules = rm, rules
        self.last: list[RewardParts] = []
        self.__name__ = "combined_reward"

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward for each row; None where there is none."""
        ids = None if completion_ids is None else [list(one) for one in completion_ids]
        learned = self.rm(prompts=list(prompts), completions=list(completions), completion_ids=ids, **columns)
        by_rules = self.rules.parts(prompts, completions, completion_ids, **columns)
        self.last = [_sum(rm, part) for rm, part in zip(learned, by_rules, strict=True)]
        _log(self.last, columns)
        return [one.total for one in self.last]


def _sum(rm: float | None, part: RewardParts) -> RewardParts:
    if rm is None:
        return replace(part, total=None, why=part.why or "the learned reward gives none")
    total = None if part.total is None else rm + part.total
    return replace(part, total=total, rm=rm)


def _log(parts: Sequence[RewardParts], columns: dict[str, Any]) -> None:
    """Hand the parts to the trainer's table of completions, where it has one (TRL's `log_extra`)."""
    log = columns.get("log_extra")
    if callable(log):
        log("reward_rm", [one.rm for one in parts])
        log("reward_rbr", [one.rbr for one in parts])
