import io
import re
import sys
import time

import pytest

from truing.run import meter, progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(meter.time, "monotonic", clock)
    return clock


def test_a_quick_job_shows_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress(10, "asking", unit="items") as advance:
        for _ in range(10):
            clock.now += 0.19
            advance(1)
    assert capsys.readouterr().err == ""


def test_a_log_gets_a_line_at_most_every_ten_seconds_with_the_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(100, "asking", unit="items") as advance:
        for _ in range(25):
            clock.now += 1
            advance(1)
    assert capsys.readouterr().err.splitlines() == [
        "asking: 2 of 100 items, about 2 min left",
        "asking: 12 of 100 items, about 88 s left",
        "asking: 22 of 100 items, about 78 s left",
    ]


def test_what_a_resumed_run_skips_does_not_count_as_speed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(1000, "asking", unit="items") as advance:
        advance(500)
        for _ in range(20):
            clock.now += 1
            advance(1)
    assert capsys.readouterr().err.splitlines()[-1] == "asking: 512 of 1000 items, about 8 min left"


def test_quiet_is_silent(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUING_QUIET", "1")
    with progress(2, "asking", unit="items") as advance:
        clock.now += 60
        advance(1)
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_even_while_the_first_step_is_going_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(meter, "_QUICK", 0.05)
    with progress(7, "asking [/bold]", unit="items") as advance:
        time.sleep(0.4)
        assert re.search(r"asking \[/bold\].*0/7", screen.getvalue())
        advance(7)


def test_a_terminal_shows_nothing_of_a_quick_job_and_the_bar_goes_when_the_job_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with pytest.raises(KeyError), progress(7, "asking", unit="items") as advance:
        advance(1)
        raise KeyError
    assert "asking" not in screen.getvalue()
