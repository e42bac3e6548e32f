"""Which failures of a request are worth another try, and how long to wait before it."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from truing.numerics import uniforms

FIRST_PAUSE = 0.5
"""Seconds before the second try; each later pause is twice as long."""
LONGEST_PAUSE = 60.0


class RequestFailed(Exception):
    """One request got no usable answer; `str(error)` is the sentence for its row."""

    def __init__(
        self,
        why: str,
        *,
        again: bool = False,
        down: bool = False,
        status: int | None = None,
        wait: float = 0.0,
    ) -> None:
        """`again`: another try may help. `down`: the endpoint itself seems to be the trouble.

        `wait` is how many seconds the server asked for.
        """
        super().__init__(why)
        self.again, self.down, self.status, self.wait = again, down, status, wait


def pause(key: int, request_id: str, sample: int, attempt: int) -> float:
    """Seconds to wait after failed try number `attempt` (from 0): exponential, with keyed jitter.

    The jitter takes away up to half, so that requests that failed together do not return together.
    """
    jitter = float(uniforms(key, f"retry/{request_id}", sample, attempt))
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**attempt) * (1 - jitter / 2)


def retry_after(value: str | None, *, now: datetime | None = None) -> float:
    """Seconds that a `Retry-After` header asks for (RFC 9110: seconds or a date); 0 if it asks nothing."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
