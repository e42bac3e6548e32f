"""How far a job is and when it ends, on stderr, for jobs that take a while."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

_QUICK = 2.0
_BETWEEN_LINES = 10.0


@contextmanager
def progress(total: int, what: str, *, unit: str) -> Iterator[Callable[[int], None]]:
    """Yield `advance(n)`, to be told of every n of `total` units that are done.

    Nothing is shown in the first 2 seconds. Then a terminal shows a bar with the time left, and
    anything else gets a line at most every 10 seconds. `TRUING_QUIET=1` shows nothing.
    """
    if os.environ.get("TRUING_QUIET") == "1":
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(total, what, unit) as advance:
            yield advance
    else:
        yield _lines(total, what, unit)


@contextmanager
def _bar(total: int, what: str, unit: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit, markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(what, total=total)
    # A timer, so that the bar also comes up while the first step is still going on.
    timer = Timer(_QUICK, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda n: bar.advance(task, n)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _lines(total: int, what: str, unit: str) -> Callable[[int], None]:
    started = time.monotonic()
    done, shown_done, shown_at, due = 0, 0, started, started + _QUICK

    def advance(n: int) -> None:
        nonlocal done, shown_done, shown_at, due
        done += n
        now = time.monotonic()
        if now < due:
            return
        # The speed since the last line: what a resumed run skips at its start says nothing about it.
        speed = (done - shown_done) / (now - shown_at)
        left = f", about {_duration((total - done) / speed)} left" if speed > 0 else ""
        print(f"{what}: {done} of {total} {unit}{left}", file=sys.stderr, flush=True)
        shown_done, shown_at, due = done, now, now + _BETWEEN_LINES

    return advance


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
