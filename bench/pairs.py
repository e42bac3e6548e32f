"""Interleaved pairs: the machine's noise hits both sides, so only their ratio is reported."""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any


def compare_speed(what: str, ours: Callable[[], None], peer: Callable[[], None], *, pairs: int = 7) -> int:
    """Time `ours` and `peer` alternately and print the JSON line; a ratio above 1 is in our favour.

    The ratio is the median over pairs; low and high are its second smallest and second largest
    values. One unmeasured run of each warms caches.
    """
    print(json.dumps(time_pairs(what, ours, peer, pairs=pairs)))
    return 0


def time_pairs(
    what: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    pairs: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """What `compare_speed` prints, by the wall or another clock."""
    ours()
    peer()
    times = [(_seconds(ours, clock), _seconds(peer, clock)) for _ in range(pairs)]
    ratios = sorted(theirs / mine for mine, theirs in times)
    return {
        "what": what,
        "ours": statistics.median(mine for mine, _ in times),
        "peer": statistics.median(theirs for _, theirs in times),
        "ratio": statistics.median(ratios),
        "low": ratios[1],
        "high": ratios[-2],
    }


class Stopwatch:
    """The seconds spent in each call of what it wraps, by the wall or another clock."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.times: list[float] = []

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*values: Any, **named: Any) -> Any:
            start = self.clock()
            try:
                return function(*values, **named)
            finally:
                self.times.append(self.clock() - start)

        return timed


def _seconds(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start
