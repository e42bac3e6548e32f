"""The behavioural rivals: log-odds against a forward pass by hand, and sampled answers counted by a grader."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from model.tiny_local import make_local

from truing.model import LocalModel
from truing.probe import AnswerPair, calibrate, watched, wrong_answers, wrong_log_odds
from truing.types import GraderId, InputError, Outcome, SamplingParams, Shown, Stop, Verdict, ask


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return make_local("llama")


def by_hand(model: LocalModel, asked: str, said: str) -> float:
    """log P of the words and of the end of the turn, one forward pass for each answer."""
    tokenizer = model.chat.tokenizer
    prompt = list(model.chat.prompt_ids(ask(asked, id="x")))
    end = tokenizer.convert_tokens_to_ids(model.chat.end_of_turn)
    answer = [*tokenizer.encode(said, add_special_tokens=False), end]
    with torch.no_grad():
        logits = model.net(torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
    return sum(float(logits[len(prompt) - 1 + at, id]) for at, id in enumerate(answer))


def test_log_odds_are_those_of_a_forward_pass_by_hand(model):
    pairs = [
        AnswerPair(ask("What mends a kite?", id="1"), ("glue", "a hammer"), ("thread",)),
        AnswerPair(ask("Who counts gulls?", id="2"), ("the miller",), ("the keeper of the lighthouse", "I")),
    ]
    found = wrong_log_odds(model, pairs)
    for pair, value in zip(pairs, found, strict=True):
        wrong, right = (
            math.log(sum(math.exp(by_hand(model, pair.request.last, said)) for said in side))
            for side in (pair.wrong, pair.right)
        )
        assert value == pytest.approx(wrong - right, abs=1e-3)
    assert wrong_log_odds(model, pairs[::-1]) == pytest.approx(found[::-1], abs=1e-4)
    assert len(wrong_log_odds(model, [])) == 0


def test_log_odds_take_the_same_calibration_as_a_direction(model):
    pairs = [AnswerPair(ask(f"What of {n}?", id="x"), ("glue",), ("thread",)) for n in range(3)]
    base = wrong_log_odds(model, pairs)
    rng = np.random.default_rng(0)
    fixed = calibrate(base, {str(n): base + rng.normal() for n in range(19)})
    assert watched(base, base + 50.0 + rng.normal(size=3) / 10, fixed).exceeds


@pytest.mark.parametrize(
    ("wrong", "right"), [((), ("a",)), (("a",), ()), (("a",), ("a",)), (("a", "a"), ("b",))]
)
def test_what_is_no_pair_raises(wrong, right):
    with pytest.raises(ValueError):
        AnswerPair(ask("q", id="1"), wrong, right)


def test_a_request_that_cannot_be_rendered_names_its_row(model):
    pairs = [AnswerPair(ask("q", id="1"), ("a",), ("b",))] * 2
    broken = make_local("llama")
    broken.chat.end_of_turn = None
    with pytest.raises(InputError) as error:
        wrong_log_odds(broken, pairs)
    assert error.value.row == 1


class Lengths:
    """Wrong is an answer of an odd number of characters; one that was cut off or is empty is not decided."""

    id = GraderId("lengths", "1", exact=True)

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        return [{"odd": self._verdict(one)} for one in shown]

    def _verdict(self, one: Shown) -> Verdict:
        if one.stop is not Stop.eos:
            return Verdict("odd", Outcome.truncated, self.id)
        if not one.answer:
            return Verdict("odd", Outcome.unparsed, self.id)
        return Verdict("odd", Outcome.decided, self.id, score=float(len(one.answer) % 2 == 0))


def test_sampled_answers_are_counted_by_hand_and_undecided_ones_apart():
    model = make_local("llama")
    model.chat.eos_ids = frozenset(range(0, 512, 8))
    requests = [ask(f"What of {n}?", id=f"r{n}") for n in range(4)]
    params = SamplingParams(max_tokens=8, n=12)
    found = wrong_answers(model, requests, Lengths(), "odd", params, key=5)
    assert [one.request_id for one in found] == ["r0", "r1", "r2", "r3"]
    for request, one in zip(requests, found, strict=True):
        done = list(model.sample([request], params, key=5))
        whole = [len(each.answer) % 2 for each in done if each.stop is Stop.eos and each.answer]
        assert (one.wrong, one.decided, one.undecided) == (sum(whole), len(whole), 12 - len(whole))
        assert one.share == (sum(whole) / len(whole) if whole else None)
    assert sum(one.undecided for one in found) > 0 and sum(one.wrong for one in found) > 0


def test_a_request_that_cannot_be_answered_is_undecided_and_has_no_share(model):
    params = SamplingParams(max_tokens=10**6)
    (found,) = wrong_answers(model, [ask("q", id="1")], Lengths(), "odd", params, key=0)
    assert (found.wrong, found.decided, found.undecided, found.share) == (0, 0, 1, None)
    with pytest.raises(ValueError):
        wrong_answers(model, [ask("q", id="1")] * 2, Lengths(), "odd", params, key=0)
