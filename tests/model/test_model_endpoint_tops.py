"""The likeliest first tokens of an endpoint's answer: asked for, and not taken for granted."""

import math

import pytest
from model.faulty_server import FaultyServer, asked, quick_and_keyless, refuses, says, sends  # noqa: F401

from truing.model import EndpointModel
from truing.types import Request

pytestmark = pytest.mark.usefixtures("quick_and_keyless")


def shows(*tops: tuple[str, float]):
    """Answer with these tokens and probabilities."""
    listed = [{"token": token, "logprob": math.log(p)} for token, p in tops]
    first = {"token": tops[0][0], "logprob": listed[0]["logprob"], "top_logprobs": listed}
    choice = {
        "index": 0,
        "message": {"content": tops[0][0]},
        "finish_reason": "length",
        "logprobs": {"content": [first]},
    }
    return lambda exchange: exchange.json({"model": "tiny", "choices": [choice]})


def tops(server: FaultyServer, *prompts: str, **options):
    return EndpointModel(server.url, "tiny", **options).top_tokens(asked(*prompts))


def test_one_token_is_asked_for_with_the_twenty_likeliest_at_temperature_1():
    with FaultyServer([shows(("85", 0.6), ("90", 0.3))]) as server:
        (found,) = tops(server, "how kind?", extra={"chat_template_kwargs": {"enable_thinking": False}})
    assert found.tokens == ("85", "90")
    assert [math.exp(logprob) for logprob in found.logprobs] == pytest.approx([0.6, 0.3])
    assert server.seen == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "how kind?"}],
            "temperature": 1.0,
            "top_p": 1.0,
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": 20,
            "chat_template_kwargs": {"enable_thinking": False},
        }
    ]


def test_tokens_come_in_the_order_of_the_requests():
    with FaultyServer([lambda e: shows((e.last, 0.5))(e)]) as server:
        found = tops(server, *(str(n) for n in range(40)))
    assert [top.tokens for top in found] == [(str(n),) for n in range(40)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says("85"), "sent no top log-probabilities"),
        (shows(("85", 0.9), ("90", 0.3)), "are no probabilities"),
        (shows(*((str(n), 0.01) for n in range(21))), "are no probabilities"),
        (sends(b"<html>"), "not JSON"),
        (refuses(400, "logprobs are not supported"), "logprobs are not supported"),
    ],
)
def test_what_does_not_hold_top_tokens_is_an_error_of_its_request(answer, why):
    with FaultyServer([answer]) as server:
        (found,) = tops(server, retries=0)
    assert found.tokens == ()
    assert why in found.error


def test_a_request_that_failed_leaves_the_others_their_tokens():
    def odd_ones_fail(exchange):
        (says("no") if int(exchange.last) % 2 else shows((exchange.last, 0.5)))(exchange)

    with FaultyServer([odd_ones_fail]) as server:
        found = tops(server, *"0123")
    assert [top.tokens for top in found] == [("0",), (), ("2",), ()]


def test_a_prefilled_turn_is_refused():
    request = Request("q", asked()[0].messages, prefill="Sure")
    with FaultyServer([shows(("85", 0.5))]) as server:
        (found,) = EndpointModel(server.url, "tiny").top_tokens([request])
    assert "prefilled" in found.error
    assert server.seen == []
