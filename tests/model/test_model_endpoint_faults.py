import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model.faulty_server import (
    PARAMS,
    Exchange,
    FaultyServer,
    asked,
    quick_and_keyless,  # noqa: F401
    refuses,
    reply,
    sampled,
    sends,
    well,
)

from truing.model.endpoint import EndpointModel
from truing.model.endpoint_http import GIVE_UP_AFTER
from truing.model.endpoint_retry import RequestFailed, pause, retry_after
from truing.model.endpoint_wire import read_choice, read_reply
from truing.types import Completion, EndpointError, Fingerprint, SamplingParams, Stop, dumps, loads

pytestmark = pytest.mark.usefixtures("quick_and_keyless")


@pytest.mark.parametrize(
    "fault",
    [
        refuses(429, Retry_After="0"),
        refuses(500),
        refuses(503),
        sends(b'{"choices": [', promised=4000),
        sends(b'{"choices": [', Content_Type="application/json"),
        sends(b"\xff\xfe\xfa", Content_Type="application/json"),
        sends(b"[" * 100_000, Content_Type="application/json"),
        sends(b"<html>sign in</html>", Content_Type="text/html"),
        sends(b"not gzip", Content_Encoding="gzip"),
        sends(b""),
        sends(b"[]"),
        sends(b'{"choices": []}'),
        sends(b'{"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}'),
        sends(b'{"error": {"message": "overloaded"}}'),
        lambda exchange: exchange.drop(),
    ],
)
def test_a_passing_fault_is_tried_again(fault):
    with FaultyServer([fault, well]) as server:
        (completion,) = sampled(server)
    assert completion.error is None
    assert len(server.seen) == 2


def test_a_passing_hang_is_tried_again():
    with FaultyServer([lambda exchange: exchange.hang(), well]) as server:
        (completion,) = sampled(server, timeout=0.5)
        assert completion.error is None


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (refuses(500, "out of memory"), "the endpoint answered 500: out of memory"),
        (sends(b"Internal Server Error", status=500), "the endpoint answered 500: Internal Server Error"),
        (sends(b"", status=502), "the endpoint answered 502: nothing more was said"),
        (sends(b"{"), "the endpoint's answer is not JSON"),
        (sends(b'{"choices": []}'), "no chat completion"),
        (sends(b'{"error": {"message": "overloaded"}}'), "reported an error: overloaded"),
        (lambda exchange: exchange.drop(), "connection"),
    ],
)
def test_a_lasting_fault_ends_as_a_row_after_the_retry_budget(fault, sentence):
    with FaultyServer([fault]) as server:
        (completion,) = sampled(server, retries=2)
        assert completion.stop is Stop.error
        assert sentence in completion.error and "\n" not in completion.error
    assert len(server.seen) == 3


def test_a_lasting_hang_ends_as_a_row_within_the_deadline():
    with FaultyServer([lambda exchange: exchange.hang()]) as server:
        start = time.monotonic()
        (completion,) = sampled(server, timeout=0.1, deadline=0.25, retries=1000)
        assert "in time" in completion.error
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_row_is_not_tried_again(status):
    with FaultyServer([refuses(status, "too long")]) as server:
        (completion,) = sampled(server)
    assert completion.error == f"the endpoint answered {status}: too long"
    assert len(server.seen) == 1


def test_a_row_that_fails_leaves_the_others_alone():
    def picky(exchange: Exchange) -> None:
        refuses(400)(exchange) if exchange.last == "b" else well(exchange)

    with FaultyServer([picky]) as server:
        completions = sampled(server, "a", "b", "c")
    assert [c.error is None for c in completions] == [True, False, True]


@pytest.mark.parametrize("status", [401, 404, 405, 308])
def test_a_wrong_key_model_or_url_ends_the_run_at_once(status):
    with (
        FaultyServer([refuses(status, "wrong", Location="http://elsewhere/v1")]) as server,
        pytest.raises(EndpointError, match=str(status)),
    ):
        sampled(server, *["p"] * 50, concurrency=1)
    assert len(server.seen) == 1


def test_a_404_after_good_answers_is_a_row():
    with FaultyServer([well, refuses(404), well]) as server:
        completions = sampled(server, "a", "b", "c", concurrency=1)
    assert [c.error is None for c in completions] == [True, False, True]


def test_a_filtered_first_row_does_not_end_the_run():
    with FaultyServer([refuses(403, "flagged"), well]) as server:
        completions = sampled(server, "a", "b", concurrency=1)
    assert [c.error is None for c in completions] == [False, True]


def test_filtered_rows_after_good_answers_never_end_the_run():
    with FaultyServer([well, refuses(403, "flagged")]) as server:
        completions = sampled(server, *["p"] * (2 * GIVE_UP_AFTER), concurrency=1)
    assert sum(c.error is not None for c in completions) == 2 * GIVE_UP_AFTER - 1


def test_an_endpoint_that_is_down_ends_the_run_and_keeps_what_is_done():
    with FaultyServer([well, well, well, lambda exchange: exchange.drop()]) as server:
        model = EndpointModel(server.url, "tiny", retries=1, concurrency=1)
        done = []
        with pytest.raises(EndpointError, match="resumed"):
            done.extend(model.sample(asked(*["p"] * 50), PARAMS, key=1))
        # `extend` keeps what an iterator gave before it raised
    assert [c.error is None for c in done] == [True] * 3 + [False] * (GIVE_UP_AFTER - 1)
    assert len(server.seen) == 3 + 2 * GIVE_UP_AFTER


def test_a_down_endpoint_is_counted_across_batches():
    with FaultyServer([refuses(503)]) as server:
        model = EndpointModel(server.url, "tiny", retries=0, concurrency=1)
        with pytest.raises(EndpointError, match="down"):
            for _ in range(GIVE_UP_AFTER):
                list(model.sample(asked(), PARAMS, key=1))


def test_nobody_listening_is_one_sentence():
    with FaultyServer([well]) as server:
        url = server.url
    model = EndpointModel(url, "tiny", retries=0)
    with pytest.raises(EndpointError, match="ConnectError"):
        list(model.sample(asked(*["p"] * GIVE_UP_AFTER), PARAMS, key=1))


def test_a_huge_body_is_a_row_and_is_not_read_whole():
    huge = reply("x" * 20_000_000)
    with FaultyServer([lambda e: e.json(huge)]) as server:
        (completion,) = sampled(server)
    assert "longer than" in completion.error


def test_a_trickle_does_not_outlast_the_timeout():
    def trickle(exchange: Exchange) -> None:
        exchange.handler.send_response(200)
        exchange.handler.send_header("Content-Length", "1000")
        exchange.handler.end_headers()
        while not exchange.released.wait(0.02):
            exchange.handler.wfile.write(b" ")

    with FaultyServer([trickle]) as server:
        (completion,) = sampled(server, timeout=0.2, retries=0)
    assert "in time" in completion.error


def test_a_wait_beyond_the_deadline_is_not_waited_for():
    with FaultyServer([refuses(429, "slow down", Retry_After="3600")]) as server:
        start = time.monotonic()
        (completion,) = sampled(server, deadline=5)
    assert time.monotonic() - start < 3
    assert completion.error == "the endpoint answered 429: slow down"
    assert len(server.seen) == 1


def test_retry_after_is_waited_for():
    with FaultyServer([refuses(429, Retry_After="0.2"), well]) as server:
        start = time.monotonic()
        sampled(server)
    assert time.monotonic() - start >= 0.2


def test_retry_after_may_be_seconds_or_a_date_or_nonsense():
    now = datetime(2025, 3, 1, tzinfo=UTC)
    assert retry_after("12", now=now) == 12
    assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now=now) == 90
    assert retry_after(format_datetime(now - timedelta(days=1), usegmt=True), now=now) == 0
    assert [retry_after(value) for value in (None, "", "soon", "-5", "inf", "nan")] == [0] * 6


def test_pauses_grow_with_a_keyed_jitter_and_are_bounded(monkeypatch):
    monkeypatch.setattr("truing.model.endpoint_retry.FIRST_PAUSE", 0.5)
    pauses = [pause(1, "q", 0, attempt) for attempt in range(12)]
    assert pauses == [pause(1, "q", 0, attempt) for attempt in range(12)]
    assert all(0.25 * 2**i <= p <= 0.5 * 2**i for i, p in enumerate(pauses[:7]))
    assert max(pauses) <= 60
    assert len({pause(1, f"q{i}", 0, 0) for i in range(50)}) == 50


def test_the_newer_name_of_max_tokens_is_found_out():
    def modern(exchange: Exchange) -> None:
        if "max_tokens" in exchange.body:
            refuses(400, "Use 'max_completion_tokens' instead.")(exchange)
        else:
            well(exchange)

    with FaultyServer([modern]) as server:
        completions = sampled(server, "a", "b", concurrency=1)
    assert all(c.error is None for c in completions)
    assert [body.get("max_completion_tokens") for body in server.seen] == [None, 16, 16]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
PLACES = [
    ("choices",),
    ("usage",),
    ("usage", "completion_tokens"),
    ("model",),
    ("prompt_token_ids",),
    ("error",),
    *(
        ("choices", 0, name)
        for name in ("index", "message", "finish_reason", "stop_reason", "logprobs", "token_ids")
    ),
    *(("choices", 0, "message", name) for name in ("content", "refusal", "reasoning", "tool_calls")),
]


@given(place=st.sampled_from(PLACES), value=ANYTHING)
@settings(max_examples=300, deadline=None)
def test_a_reply_with_anything_in_any_place_is_a_completion_or_a_failed_request(place, value):
    answer = reply("so")
    *path, last = place
    inner = answer
    for step in path:
        inner = inner[step]
    inner[last] = value
    try:
        whole = read_reply(json.dumps(answer).encode())
        completion = read_choice(whole, 0, "q", 0, SamplingParams(stop=("o",)), Fingerprint("w"))
    except RequestFailed as why:
        assert str(why)
    else:
        assert loads(Completion, dumps(completion)) == completion
