import asyncio
import os
import signal
import threading

import pytest
from model.faulty_server import (
    PARAMS,
    FaultyServer,
    asked,
    quick_and_keyless,  # noqa: F401
    sampled,
    well,
)

from truing.model.endpoint import BATCH, EndpointModel
from truing.types import InputError

pytestmark = pytest.mark.usefixtures("quick_and_keyless")


def event_loops() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "portal" in thread.name]


def test_sampling_works_inside_a_running_event_loop():
    async def notebook(server):
        return sampled(server)

    with FaultyServer([well]) as server:
        (completion,) = asyncio.run(notebook(server))
    assert completion.error is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
def test_leaving_early_cancels_what_is_in_flight(error):
    # By its words: of two requests in flight, either may arrive first.
    with FaultyServer(
        [lambda exchange: well(exchange) if exchange.last == "first" else exchange.hang()]
    ) as server:
        completions = EndpointModel(server.url, "tiny", concurrency=2).sample(
            asked("first", *["p"] * 8), PARAMS, key=1
        )
        next(completions)
        with pytest.raises(error):
            completions.throw(error)
        assert not event_loops()
        assert len(server.seen) < 5


def test_an_interrupt_while_waiting_cancels_what_is_in_flight():
    first = iter([True])

    def interrupts(exchange):
        # As a request has arrived, its sender is waiting for sure, however slow the machine is.
        if next(first, False):
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        exchange.hang()

    # A shell starts what runs in its background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with FaultyServer([interrupts]) as server, pytest.raises(KeyboardInterrupt):
            sampled(server)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not event_loops()


def test_the_plan_covers_every_request_once_in_order():
    model = EndpointModel("http://localhost:1/v1", "tiny")
    for count in (0, 1, BATCH, 2 * BATCH + 1):
        plan = model.plan(asked(*["p"] * count) if count else [], PARAMS)
        assert [i for batch in plan for i in batch] == list(range(count))
        assert all(0 < len(batch) <= BATCH for batch in plan)


def test_no_requests_ask_nothing():
    with FaultyServer([well]) as server:
        assert list(EndpointModel(server.url, "tiny").sample([], PARAMS, key=1)) == []
    assert server.seen == []


def test_a_reference_names_url_and_model():
    model = EndpointModel.from_ref("endpoint:https://host:8000/v1/#org/name#4bit")
    assert model.fingerprint.weights == "endpoint:https://host:8000/v1#org/name#4bit"
    assert model.fingerprint.verified is False


def test_extra_settings_are_part_of_the_fingerprint():
    plain, extra = (EndpointModel("http://h/v1", "m", extra=e) for e in (None, {"min_p": 0.1}))
    assert plain.fingerprint != extra.fingerprint


@pytest.mark.parametrize(
    "ref",
    [
        "endpoint:http://host/v1",
        "endpoint:http://host/v1#",
        "endpoint:#m",
        "endpoint:ftp://host/v1#m",
        "endpoint:host:8000/v1#m",
        "endpoint:http://#m",
        "endpoint:http://host:port/v1#m",
        "endpoint:http://me:secret@host/v1#m",
        "endpoint:http://host/v1?key=secret#m",
        "endpoint:http://ho\ud800st/v1#m",
        "http://host/v1#m",
    ],
)
def test_a_broken_reference_is_refused_without_showing_a_secret(ref):
    with pytest.raises(InputError) as caught:
        EndpointModel.from_ref(ref)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": "two\nlines"},
        {"api_key": "clé"},
        {"extra": {"messages": []}},
        {"timeout": 0},
        {"deadline": -1},
        {"retries": -1},
        {"concurrency": 0},
    ],
)
def test_an_unusable_setting_is_one_sentence(options):
    with pytest.raises(InputError):
        EndpointModel("http://host/v1", "m", **options)
