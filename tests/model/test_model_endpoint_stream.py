import pytest
from model.faulty_server import (
    Exchange,
    FaultyServer,
    chunk,
    quick_and_keyless,  # noqa: F401
    refuses,
    streamed,
    streams,
    well,
)

from truing.types import EndpointError, Message, Request, Role, SamplingParams, Stop

pytestmark = pytest.mark.usefixtures("quick_and_keyless")


def test_a_stream_is_the_answer_in_pieces():
    lines = (chunk(role="assistant"), chunk("a\u2028b"), chunk("\x85c"), chunk(finish="length"), b"[DONE]")
    with FaultyServer([streams(*lines)]) as server:
        pieces = streamed(server)
    assert server.seen[0]["stream"] is True
    assert "".join(piece.text for piece in pieces) == "a\u2028b\x85c"
    assert [piece.stop for piece in pieces if piece.stop] == [Stop.length] == [pieces[-1].stop]


@pytest.mark.parametrize(
    "lines",
    [
        [chunk("a")],
        [chunk("a"), b"[DONE]"],
        [chunk("a"), b'{"error": {"message": "gone"}}'],
        [chunk("a"), b"{"],
        [chunk("a"), b'{"choices": 5}'],
        [chunk("a"), chunk(finish="abort")],
    ],
)
def test_a_stream_that_breaks_off_ends_in_an_error(lines, caplog):
    with FaultyServer([streams(*lines)]) as server:
        pieces = streamed(server)
    assert "".join(piece.text for piece in pieces) == "a"
    assert pieces[-1].stop is Stop.error
    assert "endpoint" in caplog.text


def test_a_stream_that_falls_silent_ends_in_an_error():
    def silent(exchange: Exchange) -> None:
        exchange.events(chunk("a"))
        exchange.handler.wfile.flush()
        exchange.hang()

    with FaultyServer([silent]) as server:
        assert streamed(server, timeout=0.1)[-1].stop is Stop.error


def test_a_stream_is_tried_again_before_it_begins():
    with FaultyServer([refuses(503), streams(chunk("a", finish="stop"))]) as server:
        assert [(p.text, p.stop) for p in streamed(server)] == [("a", Stop.eos)]
    with FaultyServer([refuses(400)]) as server:
        assert [(p.text, p.stop) for p in streamed(server)] == [("", Stop.error)]
    with FaultyServer([refuses(401)]) as server, pytest.raises(EndpointError):
        streamed(server)


def test_a_stop_string_is_cut_wherever_the_stream_is_cut():
    text = "one EN END two"
    for at in range(1, len(text)):
        with FaultyServer([streams(chunk(text[:at]), chunk(text[at:]), chunk(finish="stop"))]) as server:
            pieces = streamed(server, params=SamplingParams(stop=("END", " two!")))
        assert "".join(piece.text for piece in pieces) == "one EN "
        assert pieces[-1].stop is Stop.stop


def test_streamed_tool_calls_come_whole_at_the_end():
    def call(index: int, **function: str) -> bytes:
        return chunk(tool_calls=[{"index": index, "function": function}])

    lines = [
        call(0, name="open"),
        call(0, arguments='{"door"'),
        call(0, arguments=": 3}"),
        chunk(finish="tool_calls"),
    ]
    with FaultyServer([streams(*lines)]) as server:
        (piece,) = [p for p in streamed(server) if p.text]
    assert (piece.stop, '"arguments": {"door": 3}' in piece.text) == (Stop.tool, True)


def test_a_prefilled_stream_is_refused():
    request = Request("q", (Message(Role.user, "hello"),), prefill="Sure,")
    with FaultyServer([well]) as server:
        assert [p.stop for p in streamed(server, request=request)] == [Stop.error]
    assert not server.seen
