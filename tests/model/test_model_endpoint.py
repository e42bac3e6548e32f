import json
import time

import pytest
from model.faulty_server import (
    PARAMS,
    Behaviour,
    Exchange,
    FaultyServer,
    asked,
    quick_and_keyless,  # noqa: F401
    reply,
    sampled,
    says,
    streamed,
    well,
)

from truing.model.endpoint import EndpointModel
from truing.types import (
    Completion,
    EndpointError,
    FrozenDict,
    InputError,
    Message,
    Request,
    Role,
    SamplingParams,
    Stop,
    ToolCall,
    Trace,
    Usage,
    dumps,
    loads,
)

pytestmark = pytest.mark.usefixtures("quick_and_keyless")

# What is asked


def test_a_request_goes_out_in_the_shape_of_the_protocol():
    call = ToolCall("c1", "look", FrozenDict({"at": "sky"}))
    tool = FrozenDict({"type": "function", "function": {"name": "look", "parameters": {}}})
    turns = (
        Message(Role.system, "be kind"),
        Message(Role.user, "look up"),
        Message(Role.assistant, "", reasoning="the sky it is", tool_calls=(call,)),
        Message(Role.tool, "blue", tool_call_id="c1"),
    )
    params = SamplingParams(temperature=0.5, top_p=0.9, top_k=7, max_tokens=5, stop=("END",))
    with FaultyServer([well]) as server:
        model = EndpointModel(server.url, "tiny", extra={"chat_template_kwargs": {"enable_thinking": False}})
        list(model.sample([Request("q", turns, tools=(tool,))], params, key=3))
    (body,) = server.seen
    seed = body.pop("seed")
    assert 0 <= seed < 2**31
    assert body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "look up"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"at": "sky"}'},
                    }
                ],
            },
            {"role": "tool", "content": "blue", "tool_call_id": "c1"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 7,
        "max_tokens": 5,
        "stop": ["END"],
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_what_is_off_is_not_sent():
    with FaultyServer([well]) as server:
        sampled(server, params=SamplingParams(temperature=0, max_tokens=4))
    assert set(server.seen[0]) == {"model", "messages", "temperature", "top_p", "max_tokens"}


def test_the_seed_depends_on_key_request_and_sample_alone():
    def seeds(server, **options):
        start = len(server.seen)
        sampled(server, "a", "b", **options)
        return {(b["messages"][0]["content"], b["seed"]) for b in server.seen[start:]}

    with FaultyServer([well]) as server:
        assert seeds(server, concurrency=1) == seeds(server, concurrency=8)
        assert not seeds(server, key=1) & seeds(server, key=2)
        assert len({seed for _, seed in seeds(server)}) == 2


def test_surrogates_and_nul_travel_both_ways_unharmed():
    strange = "a\x00b\ud800c\U0001f600 \u2028 \udfff"
    with FaultyServer([lambda e: e.json(reply(e.last))]) as server:
        (completion,) = sampled(server, strange)
    assert completion.text == strange
    assert loads(Completion, dumps(completion)) == completion


def test_the_key_is_sent_and_never_shown(monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "the-other-key")
    monkeypatch.setenv("TRUING_API_KEY", "hush-hush")
    caplog.set_level("DEBUG")

    def tells(status: int, padding: str = "") -> Behaviour:
        def behave(exchange: Exchange) -> None:
            said = f"{padding} bad: {exchange.handler.headers['Authorization']}"
            exchange.json({"error": {"message": said}}, status)

        return behave

    for behaviour in (tells(400), tells(200), tells(400, padding="x" * 380)):
        with FaultyServer([behaviour]) as server:
            model = EndpointModel(server.url, "tiny", retries=0)
            (completion,) = model.sample(asked(), PARAMS, key=1)
            streamed(server, retries=0)
        assert server.headers[0]["Authorization"] == "Bearer hush-hush"
        assert "bad" in completion.error or "x" in completion.error
        assert "hush" not in f"{model!r} {model.describe()} {completion!r} {caplog.text}"
    with FaultyServer([tells(401)]) as server, pytest.raises(EndpointError) as caught:
        sampled(server)
    assert "hush" not in str(caught.value) and "[key]" in str(caught.value)


def test_without_a_key_none_is_sent():
    with FaultyServer([well]) as server:
        sampled(server)
    assert "Authorization" not in server.headers[0]


# What comes back


def test_completions_come_in_the_order_of_the_requests():
    def slow_first(exchange: Exchange) -> None:
        if exchange.last == "p0":
            time.sleep(0.1)
        well(exchange)

    prompts = [f"p{i}" for i in range(20)]
    with FaultyServer([slow_first]) as server:
        completions = sampled(server, *prompts)
    assert [c.text.split()[0] for c in completions] == prompts
    assert [c.request_id for c in completions] == [f"q{i}" for i in range(20)]


def test_no_more_requests_are_in_flight_than_allowed():
    def slow(exchange: Exchange) -> None:
        time.sleep(0.01)
        well(exchange)

    with FaultyServer([slow]) as server:
        sampled(server, *["p"] * 20, concurrency=3)
    assert server.most_at_once == 3


@pytest.mark.parametrize(
    ("finish", "stop"),
    [
        ("stop", Stop.eos),
        ("length", Stop.length),
        ("tool_calls", Stop.tool),
        ("content_filter", Stop.filtered),
    ],
)
def test_finish_reasons_become_stops(finish, stop):
    with FaultyServer([says("so", finish=finish)]) as server:
        (completion,) = sampled(server)
    assert (completion.stop, completion.text, completion.usage) == (stop, "so", Usage(7, 1))


def test_an_unknown_or_missing_finish_reason_is_no_finished_answer():
    for finish in ("abort", None):
        with FaultyServer([says("so", finish=finish)]) as server:
            (completion,) = sampled(server, retries=1)
        assert completion.stop is Stop.error
        assert len(server.seen) == 2


def test_reasoning_kept_apart_becomes_the_trace():
    for name in ("reasoning", "reasoning_content"):
        with FaultyServer([says("\n\nyes", **{name: "hm"})]) as server:
            (completion,) = sampled(server)
        assert (completion.reasoning, completion.answer, completion.trace) == ("hm", "yes", Trace.closed)
        assert "hm" in completion.text and "yes" in completion.text


def test_reasoning_that_never_ended_leaves_no_answer():
    with FaultyServer([says(None, finish="length", reasoning="hm")]) as server:
        (completion,) = sampled(server)
    assert (completion.answer, completion.trace, completion.stop) == ("", Trace.unclosed, Stop.length)


def test_reasoning_marks_left_in_the_text_are_split():
    with FaultyServer([says("<think>hm</think>yes")]) as server:
        (completion,) = sampled(server)
    assert (completion.reasoning, completion.answer, completion.trace) == ("hm", "yes", Trace.closed)
    assert completion.text == "<think>hm</think>yes"


def test_a_refusal_field_is_what_the_model_said():
    with FaultyServer([says(None, refusal="I would rather not.")]) as server:
        (completion,) = sampled(server)
    assert completion.answer == "I would rather not."


def test_tool_calls_stand_in_the_text():
    calls = [{"id": "c", "type": "function", "function": {"name": "open", "arguments": '{"door": 3}'}}]
    with FaultyServer([says(None, finish="tool_calls", tool_calls=calls)]) as server:
        (completion,) = sampled(server, params=SamplingParams(stop=("\n",)))
    assert completion.stop is Stop.tool
    assert completion.answer == '<tool_call>\n{"name": "open", "arguments": {"door": 3}}\n</tool_call>'


def test_an_empty_answer_is_an_answer_and_a_missing_one_is_not():
    with FaultyServer([says(""), says(None)]) as server:
        empty, missing = sampled(server, "a", "b", retries=0, concurrency=1)
    assert (empty.text, empty.stop) == ("", Stop.eos)
    assert missing.stop is Stop.error


def test_a_stop_string_that_the_server_left_in_is_cut():
    with FaultyServer([says("one END two")]) as server:
        (completion,) = sampled(server, params=SamplingParams(stop=("END",)))
    assert (completion.text, completion.stop) == ("one ", Stop.stop)


def test_a_stop_string_that_the_server_names_is_told_from_the_end():
    answer = reply("one ")
    answer["choices"][0]["stop_reason"] = "END"
    with FaultyServer([lambda e: e.json(answer)]) as server:
        (completion,) = sampled(server, params=SamplingParams(stop=("END",)))
    assert completion.stop is Stop.stop


# Proof that what was asked came back


def test_an_honoured_n_costs_one_request():
    with FaultyServer([well]) as server:
        model = EndpointModel(server.url, "tiny")
        completions = list(model.sample(asked(), SamplingParams(n=3), key=1))
    assert len(server.seen) == 1
    assert [c.sample for c in completions] == [0, 1, 2]
    assert sum(c.usage.completion_tokens for c in completions) == 3
    assert model.capabilities.n is True


def test_an_ignored_n_is_detected_and_each_sample_asked_for_with_its_own_seed():
    with FaultyServer([lambda e: e.json(reply(str(e.body["seed"])))]) as server:
        model = EndpointModel(server.url, "tiny")
        completions = list(model.sample(asked("a", "b"), SamplingParams(n=3), key=1))
        assert len(server.seen) == 6
        list(model.sample(asked("c"), SamplingParams(n=3), key=1))
        assert not any("n" in body for body in server.seen[6:])
    assert [(c.request_id, c.sample) for c in completions] == [
        (f"q{i}", j) for i in range(2) for j in range(3)
    ]
    assert len({c.text for c in completions}) == 6
    assert model.capabilities.n is False
    assert any("`n`" in sentence for sentence in model.describe()["statements"])


def test_a_refused_n_is_asked_for_one_by_one():
    def only_one(exchange: Exchange) -> None:
        exchange.json({"error": "n must be 1"}, 400) if "n" in exchange.body else well(exchange)

    with FaultyServer([only_one]) as server:
        model = EndpointModel(server.url, "tiny")
        completions = list(model.sample(asked(), SamplingParams(n=3), key=1))
    assert all(c.error is None for c in completions)
    assert model.capabilities.n is False


def test_choices_are_numbered_by_their_index():
    answer = reply("first", "second")
    answer["choices"].reverse()
    with FaultyServer([lambda e: e.json(answer)]) as server:
        completions = sampled(server, params=SamplingParams(n=2))
    assert [(c.sample, c.text) for c in completions] == [(0, "first"), (1, "second")]


def test_more_choices_than_asked_for_are_dropped():
    with FaultyServer([says("a", "b")]) as server:
        assert [c.text for c in sampled(server)] == ["a"]


def test_equal_samples_at_a_temperature_are_stated():
    with FaultyServer([says("same", "same")]) as server:
        model = EndpointModel(server.url, "tiny")
        list(model.sample(asked(), SamplingParams(n=2), key=1))
    assert model.capabilities.samples_differ is False
    with FaultyServer([well]) as server:
        model = EndpointModel(server.url, "tiny")
        list(model.sample(asked(), SamplingParams(n=2), key=1))
    assert model.capabilities.samples_differ is True


def test_missing_log_probabilities_stay_missing_and_are_stated():
    for logprobs in (None, {"content": None}, {"content": [{"token": "a", "logprob": -1.0}]}):
        answer = reply("a")
        answer["choices"][0]["logprobs"] = logprobs
        with FaultyServer([lambda e, answer=answer: e.json(answer)]) as server:
            model = EndpointModel(server.url, "tiny", logprobs=True)
            (completion,) = model.sample(asked(), PARAMS, key=1)
        assert server.seen[0]["logprobs"] is True
        assert completion.error is None and completion.logprobs is None
        assert model.capabilities.logprobs is False
        assert any("log-probabilities" in sentence for sentence in model.describe()["statements"])


def test_log_probabilities_with_token_ids_are_taken_over():
    answer = reply("ab") | {"prompt_token_ids": [1, 2]}
    answer["choices"][0] |= {
        "token_ids": [5, 6],
        "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -2.0}]},
    }
    with FaultyServer([lambda e: e.json(answer)]) as server:
        model = EndpointModel(server.url, "tiny", logprobs=True, extra={"return_token_ids": True})
        (completion,) = model.sample(asked(), PARAMS, key=1)
    assert server.seen[0]["return_token_ids"] is True
    assert (completion.prompt_ids, completion.token_ids, completion.logprobs) == (
        (1, 2),
        (5, 6),
        (-0.5, -2.0),
    )
    assert model.capabilities.logprobs is True


def test_impossible_log_probabilities_are_not_believed():
    answer = reply("a")
    for values in ([0.5], [float("nan")], [-1, -1]):
        content = [{"logprob": value} for value in values]
        answer["choices"][0] |= {"token_ids": [5], "logprobs": {"content": content}}
        with FaultyServer([lambda e: e.json(answer)]) as server:
            (completion,) = sampled(server, logprobs=True)
        assert completion.logprobs is None


def test_log_probabilities_of_another_distribution_are_not_asked_for():
    model = EndpointModel("http://localhost:1/v1", "tiny", logprobs=True)
    with pytest.raises(InputError, match="unscaled"):
        list(model.sample(asked(), SamplingParams(temperature=0.7), key=1))


def test_another_name_and_too_many_tokens_are_stated():
    answer = reply("a", model="impostor")
    answer["usage"]["completion_tokens"] = 17
    with FaultyServer([lambda e: e.json(answer)]) as server:
        model = EndpointModel(server.url, "tiny")
        list(model.sample(asked(), PARAMS, key=1))
    assert model.capabilities.answered_as == ("impostor",)
    assert model.capabilities.max_tokens is False
    assert len(model.describe()["statements"]) == 2
    json.dumps(model.describe())


def test_a_prefilled_turn_is_refused_as_a_row():
    with FaultyServer([well]) as server:
        model = EndpointModel(server.url, "tiny")
        request = Request("q", (Message(Role.user, "hello"),), prefill="Sure,")
        completions = list(model.sample([request], SamplingParams(n=2), key=1))
    assert [c.stop for c in completions] == [Stop.error] * 2
    assert "prefilled" in completions[0].error and not server.seen


def test_an_endpoint_scores_nothing():
    model = EndpointModel("http://localhost:1/v1", "tiny")
    for call in (model.score, model.next_token):
        with pytest.raises(EndpointError, match="own folder"):
            call([[1]], [[2]])
