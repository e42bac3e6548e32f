"""Against a real server: `transformers serve` on a tiny random-weight folder."""

import asyncio
import os
import socket
import subprocess
import sys
import time

import httpx
import pytest
from model.tiny import make_checkpoint

from truing.model.endpoint import EndpointModel
from truing.types import SamplingParams, Stop, ask

GREEDY = SamplingParams(temperature=0, max_tokens=24)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """URL and model name of a server; needs fastapi, uvicorn and openai."""
    folder = make_checkpoint(tmp_path_factory.mktemp("served"), "qwen3")
    log = folder / "server.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from transformers.cli.transformers import main; main()"
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-c", command, "serve", str(folder), *options],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, server, log)
        yield f"{url}/v1", str(folder)
    finally:
        server.kill()
        server.wait()


def _wait(url, server, log):
    for _ in range(600):
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
        if server.poll() is not None:
            break
    pytest.fail(f"transformers serve did not start: {log.read_text()[-2000:]}")


def answers(model, *prompts, params=GREEDY, key=1):
    requests = [ask(prompt, id=f"q{i}") for i, prompt in enumerate(prompts)]
    return list(model.sample(requests, params, key=key))


def test_greedy_answers_are_repeated_to_the_letter(served):
    first, second = (answers(EndpointModel(*served), "Count the gulls.", "Mend the kite.") for _ in range(2))
    assert first == second
    assert all(c.error is None and c.text and c.usage.completion_tokens for c in first)
    assert {c.stop for c in first} <= {Stop.eos, Stop.length}


def test_an_ignored_n_is_detected_behind_a_200(served):
    model = EndpointModel(*served)
    completions = answers(model, "Count the gulls.", params=SamplingParams(n=3, max_tokens=8))
    assert [c.sample for c in completions] == [0, 1, 2]
    assert all(c.error is None for c in completions)
    assert model.capabilities.n is False


def test_ignored_log_probabilities_are_detected_behind_a_200(served):
    model = EndpointModel(*served, logprobs=True)
    (completion,) = answers(model, "Count the gulls.", params=SamplingParams(max_tokens=4))
    assert completion.error is None and completion.logprobs is None
    assert model.capabilities.logprobs is False


def test_an_ignored_temperature_is_stated(served):
    # This server samples only where the checkpoint's generation config says `do_sample`.
    model = EndpointModel(*served)
    answers(model, "Count the gulls.", params=SamplingParams(n=3, max_tokens=8))
    assert model.capabilities.samples_differ is False
    assert any("temperature" in sentence for sentence in model.describe()["statements"])


def test_the_name_it_answers_under_is_recorded(served):
    model = EndpointModel(*served)
    answers(model, "Count the gulls.")
    assert model.capabilities.answered_as == (f"{served[1]}@main",)


def test_a_limit_of_tokens_ends_in_a_length_stop(served):
    model = EndpointModel(*served)
    (completion,) = answers(model, "Count the gulls.", params=SamplingParams(temperature=0, max_tokens=3))
    assert (completion.stop, completion.usage.completion_tokens) == (Stop.length, 3)
    assert model.capabilities.max_tokens is True


def test_a_stop_string_that_it_leaves_in_is_cut(served):
    model = EndpointModel(*served)
    (whole,) = answers(model, "Count the gulls.")
    end = whole.text[0]
    (cut,) = answers(
        model, "Count the gulls.", params=SamplingParams(temperature=0, max_tokens=24, stop=(end,))
    )
    assert (cut.text, cut.stop) == ("", Stop.stop)


def test_a_setting_it_does_not_know_is_a_row_not_a_default(served):
    (completion,) = answers(EndpointModel(*served), "Count.", params=SamplingParams(top_k=3, max_tokens=4))
    assert "422" in completion.error and "top_k" in completion.error


def test_a_row_it_breaks_on_leaves_the_others_alone(served):
    completions = answers(EndpointModel(*served, retries=0), "one", "two \ud800", "three")
    assert [c.error is None for c in completions] == [True, False, True]


def test_another_model_than_it_serves_is_refused(served):
    (completion,) = answers(EndpointModel(served[0], "org/other"), "one")
    assert "pinned" in completion.error


def test_its_stream_is_the_same_answer_in_pieces(served):
    async def gather():
        model = EndpointModel(*served)
        return [delta async for delta in model.stream(ask("Count the gulls.", id="q0"), GREEDY)]

    (whole,) = answers(EndpointModel(*served), "Count the gulls.")
    pieces = asyncio.run(gather())
    assert "".join(piece.text for piece in pieces).strip() == whole.text  # which this server strips
    assert pieces[-1].stop is whole.stop
