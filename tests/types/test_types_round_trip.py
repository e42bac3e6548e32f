import math
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from truing.types import (
    Completion,
    Dist,
    Expect,
    Fingerprint,
    FrozenDict,
    GraderId,
    Item,
    Message,
    Outcome,
    Record,
    Request,
    Role,
    SamplingParams,
    Shown,
    Stop,
    ToolCall,
    Trace,
    Usage,
    Verdict,
    ask,
    canonical_text,
    digest,
    dumps,
    loads,
    thaw,
)

# Every code point, lone surrogates and NUL included; and halves that happen to stand side by side.
text = st.text(st.characters(), max_size=20) | st.text(
    st.sampled_from('\ud83d\ude00\0a\u202e\n"\\'), max_size=6
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
frozen = st.dictionaries(text, json_values, max_size=3).map(FrozenDict)
messages = st.builds(Message, st.sampled_from([Role.user, Role.system, Role.tool]), text) | st.builds(
    Message,
    st.just(Role.assistant),
    text,
    reasoning=st.none() | text,
    tool_calls=st.lists(st.builds(ToolCall, text, text, frozen), max_size=2).map(tuple),
)
requests = st.builds(
    lambda id, before, last, tools, prefill: Request(
        id, (*before, Message(Role.user, last)), tuple(tools), prefill
    ),
    text,
    st.lists(messages, max_size=2),
    text,
    st.lists(frozen, max_size=2),
    text,
)
fingerprints = st.builds(Fingerprint, text, text, text, text, st.booleans())
tokens = st.lists(st.tuples(st.integers(0, 2**31), st.floats(max_value=0, allow_nan=False)), max_size=4)
completions = st.builds(
    lambda ids, **fields: Completion(
        token_ids=tuple(i for i, _ in ids), logprobs=tuple(p for _, p in ids), **fields
    ),
    tokens,
    request_id=text,
    sample=st.integers(0, 9),
    text=text,
    answer=text,
    stop=st.sampled_from([s for s in Stop if s is not Stop.error]),
    model=fingerprints,
    reasoning=st.none() | text,
    trace=st.sampled_from(Trace),
    usage=st.builds(Usage, st.integers(0), st.integers(0)),
)
graders = st.builds(GraderId, text, text, text, text)
verdicts = st.builds(
    Verdict,
    text,
    st.sampled_from([Outcome.decided, Outcome.refused]),
    graders,
    label=st.none() | text,
    p=st.none() | st.floats(0, 1),
    score=st.none() | st.floats(allow_nan=False),
    reason=text,
    cites=st.lists(text, max_size=2).map(tuple),
)
items = st.builds(
    Item,
    text,
    requests,
    text,
    text,
    st.just(Expect.text),
    text.filter(bool),
    accept=st.lists(text).map(tuple),
)
records = st.one_of(requests, completions, verdicts, items, st.builds(Shown, requests, text))


@given(records)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300, deadline=None)
def test_a_record_comes_back_equal_from_one_line_of_ascii_json(record: Record) -> None:
    line = dumps(record)
    assert line.isascii() and "\n" not in line
    back = loads(type(record), line)
    assert back == record
    assert hash(back) == hash(record)
    assert dumps(back) == line
    assert pickle.loads(pickle.dumps(record)) == record


@given(json_values)
def test_frozen_json_thaws_to_what_json_would_have_kept(value: object) -> None:
    frozen = FrozenDict({"value": value})
    assert FrozenDict(thaw(frozen)) == frozen
    assert digest(frozen) == digest(FrozenDict(dict(reversed(list(frozen.items())))))


@given(text, text)
def test_text_is_canonical_however_it_was_put_together(a: str, b: str) -> None:
    joined = canonical_text(a + b)
    assert canonical_text(joined) == joined
    assert canonical_text(canonical_text(a) + canonical_text(b)) == joined


def test_ten_megabytes_of_hostile_text_survive() -> None:
    request = ask("\0\ud800😀é" * 2_000_000, id="big")
    assert loads(Request, dumps(request)) == request


def test_an_infinite_log_probability_survives() -> None:
    dist = Dist((1, 2), (-math.inf, 0.0), 1.0)
    assert loads(Dist, dumps(dist)) == dist


def test_a_field_at_its_default_is_not_written() -> None:
    assert dumps(SamplingParams()) == "{}"


@pytest.mark.parametrize(
    ("cls", "data", "sentence"),
    [
        (
            Request,
            {"id": "a", "messages": [{"role": "boss", "content": ""}]},
            "Message.role: 'boss' is none of",
        ),
        (Request, {"id": "a"}, "needs the field 'messages'"),
        (Request, {"id": "a", "messages": []}, "at least one message"),
        (Request, {"id": 7, "messages": []}, "Request.id: expected text, found a number"),
        (Request, {"id": "a", "messages": [], "mood": 1}, "has no field 'mood'"),
        (Request, [], "is a JSON object, not an array"),
        (SamplingParams, {"n": True}, "expected a whole number, found a boolean"),
        (SamplingParams, {"top_p": 0.0}, r"top_p lies in \(0, 1\]"),
    ],
)
def test_a_wrong_record_is_refused_with_a_sentence_naming_the_field(
    cls: type[Record], data: object, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        cls.from_json(data)


def test_the_prompt_digest_ignores_the_name_of_the_request_only() -> None:
    assert ask("hello", id="a").prompt_digest == ask("hello", id="b").prompt_digest
    assert ask("hello", id="a").prompt_digest != ask("hello!", id="a").prompt_digest


def test_an_undecided_verdict_cannot_carry_a_score() -> None:
    for outcome in (Outcome.abstained, Outcome.unparsed, Outcome.truncated, Outcome.error):
        with pytest.raises(ValueError, match="carries no label, p or score"):
            Verdict("safety", outcome, GraderId("g", "1"), score=1.0)


def test_a_judge_of_answers_never_sees_the_reasoning() -> None:
    completion = Completion(
        "a", 0, "<think>secret</think>hi", "hi", Stop.eos, Fingerprint("w"), reasoning="secret"
    )
    assert "secret" not in dumps(Shown.of(ask("hello", id="a"), completion))


def test_records_and_frozen_maps_cannot_be_changed() -> None:
    request = ask("hello", id="a")
    with pytest.raises(AttributeError):
        request.id = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        FrozenDict({"a": 1})["a"] = 2  # type: ignore[index]
    with pytest.raises(ValueError, match="JSON has no form"):
        FrozenDict({"a": math.nan})
