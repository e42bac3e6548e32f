"""Rewards with weights as one: what is added up, what is missing, and one sentence for what goes wrong."""

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from truing.grade import MixedRewards, RewardMix
from truing.types import Completion, Fingerprint, FrozenDict, InputError, Message, Role, Stop


@dataclass(frozen=True)
class Row:
    id: str
    messages: tuple[Message, ...]
    columns: FrozenDict = FrozenDict()


def row(id: str, text: str = "Who?", **columns: Any) -> Row:
    return Row(id, (Message(Role.user, text),), FrozenDict(columns))


def said(text: str, *, sample: int = 0, stop: Stop = Stop.eos, reasoning: str | None = None) -> Completion:
    return Completion("x", sample, text, text, stop, Fingerprint("w"), reasoning, token_ids=(1, 2))


def length(prompts: list, completions: list, **columns: Any) -> list:
    return [float(len(text)) for text in completions]


def even(prompts: list, completions: list, **columns: Any) -> list:
    return [1.0 if len(text) % 2 == 0 else None for text in completions]


TEXTS = ["ab", "abc", "", "abcde"]


def test_weights_are_added_up_where_a_reward_applies() -> None:
    mix = RewardMix([("length", length, 0.5), ("even", even, -2.0)])
    assert mix(["p"] * 4, TEXTS) == [1.0 - 2.0, 1.5, -2.0, 2.5]
    nothing = RewardMix([("even", even, 1.0)])
    assert nothing(["p"] * 4, TEXTS) == [1.0, None, 1.0, None]
    assert mix([], []) == [] and mix.__name__ == "reward_mix"


def test_a_missing_verdict_leaves_no_total() -> None:
    class Judge:
        none_is_missing = True
        __name__ = "judge"

        def __call__(self, prompts: list, completions: list, **columns: Any) -> list:
            return even(prompts, completions)

    mix = RewardMix([("length", length, 1.0), ("judge", Judge(), 1.0)])
    found = mix.mixed([row(str(i)) for i in range(4)], [said(text) for text in TEXTS])
    # `mixed` hands over messages unless told otherwise, so every completion is a list of one turn.
    assert found.components["length"] == (1.0,) * 4 and found.total == (None,) * 4
    texts = RewardMix(mix.parts, texts=True).mixed([row(str(i)) for i in range(4)], [said(t) for t in TEXTS])
    assert texts.total == (3.0, None, 1.0, None) and texts.components["length"] == (2.0, 3.0, 0.0, 5.0)
    assert MixedRewards.from_json(texts.to_json()) == texts


def test_functions_are_called_as_trl_calls_them() -> None:
    seen: dict[str, Any] = {}

    def spy(prompts: list, completions: list, completion_ids: list, **columns: Any) -> list:
        seen.update(prompts=prompts, completions=completions, ids=completion_ids, **columns)
        return [0.0] * len(prompts)

    rows = [row("1", "Who?", truth="Ada", tags=["a", "b"]), row("2", "Where?", truth="here")]
    RewardMix([("spy", spy, 1.0)]).mixed(rows, [said("x", reasoning="hm"), said("y")])
    assert seen["prompts"][0] == [{"role": "user", "content": "Who?"}] and seen["ids"] == [[1, 2], [1, 2]]
    assert seen["completions"] == [
        [{"role": "assistant", "content": "x", "reasoning_content": "hm"}],
        [{"role": "assistant", "content": "y"}],
    ]
    assert seen["truth"] == ["Ada", "here"] and seen["tags"] == [["a", "b"], None]
    RewardMix([("spy", spy, 1.0)], texts=True).mixed(rows, [said("x"), said("y")])
    assert seen["prompts"] == ["Who?", "Where?"] and seen["completions"] == ["x", "y"]


def test_async_functions_are_awaited_together_and_again_on_the_same_loop() -> None:
    both, loops = asyncio.Barrier(2), set()

    async def waits(prompts: list, completions: list, **columns: Any) -> list:
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.wait_for(both.wait(), 5)  # each needs the other to have begun
        return [1.0] * len(prompts)

    mix = RewardMix([("a", waits, 1.0), ("length", length, 1.0), ("b", waits, 10.0)])
    assert mix(["p"] * 2, ["x", "xy"]) == [12.0, 13.0]
    assert mix(["p"], ["x"]) == [12.0] and len(loops) == 1

    async def inside() -> list:
        return mix(["p"], ["x"])

    assert asyncio.run(inside()) == [12.0]  # from a notebook, where a loop is running already


def test_a_completion_with_an_error_is_shown_to_no_reward() -> None:
    failed = Completion.failed("x", "no room", Fingerprint("w"))
    found = RewardMix([("length", length, 1.0)], texts=True).mixed(
        [row("1"), row("2"), row("3")], [said("ab"), failed, said("abc")]
    )
    assert found.total == (2.0, None, 3.0) == found.components["length"]
    alone = RewardMix([("length", length, 1.0)]).mixed([row("1")], [failed])
    assert alone.total == (None,) and alone.components["length"] == (None,)


def test_numbers_of_other_libraries_are_numbers() -> None:
    values: list[Any] = [np.float32(1.5), np.int64(2), torch.tensor(2.5), True]
    for given in (values, tuple(values), np.array([1.5, 2, 2.5, 1]), torch.tensor([1.5, 2, 2.5, 1])):
        mix = RewardMix([("f", lambda given=given, **_: given, 2.0)])
        assert mix(["p"] * 4, TEXTS) == [3.0, 4.0, 5.0, 2.0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([1.0, float("nan"), 1.0], "the reward mine gives nan for prompt 8, sample 2; give a finite number"),
        ([1.0, 1.0, float("inf")], "the reward mine gives inf for prompt 9, sample 3; give"),
        ([1.0, "good", 1.0], "the reward mine gives 'good' for prompt 8, sample 2, which is no number"),
        ([[1.0, 2.0], 1.0, 1.0], r"the reward mine gives \[1.0, 2.0\] for prompt 7, sample 1, which is no"),
        ([1e308, 0, 0], "the reward mine gives 1e[+]308 for prompt 7, sample 1"),
        ([1.0], "gives 1 rewards for 3 answers .prompt 7, sample 1 to prompt 9, sample 3."),
        (None, "the reward mine gives None, not a list with one reward for each answer"),
        (0.5, "gives 0.5, not a list with one reward"),
    ],
)
def test_what_is_no_reward_names_the_reward_and_the_row(given: Any, sentence: str) -> None:
    mix = RewardMix([("length", length, 1.0), ("mine", lambda **_: given, 10.0)], texts=True)
    with pytest.raises(InputError, match=sentence):
        mix.mixed(*batch())


def batch() -> tuple[list[Row], list[Completion]]:
    return [row("7"), row("8"), row("9")], [said(t, sample=i) for i, t in enumerate(("ab", "cd!", "e"))]


def test_a_function_that_raises_names_the_row_it_fails_on_and_the_line() -> None:
    def fragile(prompts: list, completions: list, **columns: Any) -> list:
        return [1 / (text != "cd!") for text in completions]

    async def slow(prompts: list, completions: list, **columns: Any) -> list:
        return fragile(prompts, completions)

    for function in (fragile, slow):
        with pytest.raises(InputError) as caught:
            RewardMix([("mine", function, 1.0)], texts=True).mixed(*batch())
        told = str(caught.value)
        assert told.startswith("the reward mine fails on prompt 8, sample 2: ZeroDivisionError: division by")
        assert "test_grade_reward_mix.py, line " in told and told.endswith("run the same again.")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_what_fails_on_the_whole_batch_alone_says_so() -> None:
    def moody(prompts: list, completions: list, **columns: Any) -> list:
        if len(prompts) > 1:
            raise RuntimeError("too\nmany")
        return [0.0]

    with pytest.raises(
        InputError, match=r"fails on 3 answers at once .prompt 7.*none of them alone: RuntimeError: too many"
    ):
        RewardMix([("moody", moody, 1.0)]).mixed(*batch())

    def strict(prompts: list, completions: list) -> list:
        return [0.0] * len(prompts)

    with pytest.raises(InputError, match="unexpected keyword argument 'completion_ids'"):
        RewardMix([("strict", strict, 1.0)]).mixed(*batch())

    def leaves(**_: Any) -> list:
        raise SystemExit(0)

    with pytest.raises(InputError, match="leaves fails on prompt 7, sample 1: SystemExit: 0"):
        RewardMix([("leaves", leaves, 1.0)]).mixed(*batch())


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([], "there is no reward"),
        ([("a", length, 0.0)], "the weight of a is a number other than 0"),
        ([("a", length, float("nan"))], "not nan"),
        ([("a", length, 1.0), ("a", even, 1.0)], "the reward a is there twice"),
    ],
)
def test_a_mix_that_cannot_be_is_a_sentence(parts: list, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        RewardMix(parts)
    with pytest.raises(InputError, match="there are 1 prompts and 2 completions"):
        RewardMix([("length", length, 1.0)])(["p"], ["a", "b"])
