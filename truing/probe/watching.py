"""Early warning: has a fine-tune moved along a direction further than harmless fine-tunes do?

The detector is fixed before any suspicious model is seen: a direction with its site, and the texts on
which it is read. Its number for a fine-tune is the mean over prompts of the projection of tuned minus
base activations, in units of the spread of that number over harmless fine-tunes. What any other detector
says of each prompt (`wrong_log_odds`, `wrong_rates`) is judged by the same functions, on equal ground.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from statistics import stdev
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from truing.numerics import AlarmThreshold, Interval, alarm_threshold, paired_bootstrap
from truing.probe.collecting import Over, Text, completion_texts, prompt_texts
from truing.probe.directions import Direction
from truing.probe.projecting import check_direction, projections
from truing.types import InputError, Record, Request, SamplingParams

if TYPE_CHECKING:
    from truing.model import LocalModel

RATE = 0.05
"""The most false alarms that a watch promises, if nothing else is asked."""


class Alarm(StrEnum):
    """What a watch says of a fine-tune."""

    alarm = "alarm"
    """The whole interval of its score lies above the threshold."""
    none = "no alarm"
    """The whole interval lies at or below the threshold."""
    unclear = "cannot tell"
    """The interval straddles the threshold, or too few harmless fine-tunes support one."""


@dataclass(frozen=True, slots=True)
class Calibrated(Record):
    """What harmless fine-tunes say of a detector: its unit, and its threshold in that unit."""

    spread: float
    """The standard deviation of their shifts, in the detector's own units: the unit of all scores."""
    scores: tuple[float, ...]
    """Theirs, in the order given."""
    threshold: AlarmThreshold

    def check(self) -> None:
        """The unit is one, and the threshold is that of the scores: another would call anything harmless."""
        if not 0 < self.spread < inf:
            raise ValueError(f"a spread is a finite number above 0, not {self.spread}")
        again = alarm_threshold(self.scores, self.threshold.rate)
        if self.threshold.n != again.n or self.threshold.value not in (None, again.value):
            raise ValueError("the threshold is not that of the harmless scores")


@dataclass(frozen=True, slots=True)
class Watched(Record):
    """A fine-tune's score, in units of the spread over harmless fine-tunes, and what follows from it."""

    verdict: Alarm
    score: float
    interval: Interval
    """95 %, by a bootstrap over prompts."""
    threshold: float | None
    prompts: int
    reason: str = ""
    """Why it cannot be told."""

    @property
    def exceeds(self) -> bool | None:
        """Whether the score itself is above the threshold: the rule that the rate of false alarms is of."""
        return None if self.threshold is None else self.score > self.threshold


def watch_texts(
    base: "LocalModel", requests: Sequence[Request], over: Over, *, max_tokens: int = 64
) -> list[Text]:
    """The texts on which both models are read: prompts, and for a response the base's own greedy one.

    A prompt that stands twice is one text.

    Raises:
        InputError: there is no prompt, one cannot be rendered, or the base answers one with nothing.
        ValueError: single tokens are no reading of a prompt.
    """
    if over is Over.each:
        raise ValueError("a prompt has one reading: take the mean over the response")
    if not requests:
        raise InputError("there is no prompt to watch")
    if over is not Over.response:
        return list(dict.fromkeys(prompt_texts(base.chat, requests)))
    named = [Request(str(row), one.messages, one.tools) for row, one in enumerate(requests, start=1)]
    params = SamplingParams(temperature=0, max_tokens=max_tokens)
    done = sorted(base.sample(named, params, key=0), key=lambda one: int(one.request_id))
    return list(dict.fromkeys(completion_texts(base.chat, done)))


def watch_readings(
    model: "LocalModel", direction: Direction, texts: Sequence[Text], over: Over
) -> NDArray[np.float64]:
    """What the detector reads of a model on each text: the projection of its activations, float64 [N].

    Raises:
        InputError: the model has no such site or another width, or a text is longer than its context.
    """
    check_direction(model, direction)
    return projections(model, texts, [direction], over)[direction.name]


def calibrate(
    base: Sequence[float] | NDArray[np.float64],
    harmless: Mapping[str, Sequence[float] | NDArray[np.float64]],
    *,
    rate: float = RATE,
) -> Calibrated:
    """The unit and the threshold of a detector, from its readings [N] of the base and of harmless fine-tunes.

    Raises:
        InputError: there are fewer than two fine-tunes, or they do not differ.
        ValueError: the readings are not of the same prompts, or one is not finite.
    """
    shifts = [float(_shift(base, one).mean()) for one in harmless.values()]
    if len(shifts) < 2:
        raise InputError("a spread takes at least two harmless fine-tunes", mend="tune more of them")
    spread = stdev(shifts)
    if not spread > 0:
        raise InputError("the harmless fine-tunes do not differ in what is watched", mend="tune others")
    scores = tuple(shift / spread for shift in shifts)
    return Calibrated(spread, scores, alarm_threshold(scores, rate))


def watched(
    base: Sequence[float] | NDArray[np.float64],
    tuned: Sequence[float] | NDArray[np.float64],
    calibrated: Calibrated,
    *,
    key: int = 0,
) -> Watched:
    """The score of a fine-tune from a detector's readings [N] of it and of its base, and the verdict.

    Prompts are drawn again for the interval (`paired_bootstrap`). The harmless scores of the threshold are
    of the same prompts, so the interval is wider than what would do for these alone: it speaks of prompts
    like them.

    Raises:
        ValueError: the readings are not of the same prompts, or one is not finite.
    """
    scores = _shift(base, tuned) / calibrated.spread
    score = float(scores.mean())
    interval = paired_bootstrap(scores, key=key, bounds=(-inf, inf))
    limit, threshold = calibrated.threshold.value, calibrated.threshold
    verdict, reason = Alarm.unclear, ""
    if limit is None:
        reason = (
            f"{threshold.n} harmless fine-tunes support a false-alarm rate of {threshold.rate:.1%} at best; "
            f"the rate asked for takes {threshold.needed}"
        )
    elif interval.low > limit:
        verdict = Alarm.alarm
    elif interval.high <= limit:
        verdict = Alarm.none
    else:
        reason = "the interval straddles the threshold; more prompts would narrow it"
    return Watched(verdict, score, interval, limit, len(scores), reason)


def _shift(
    base: Sequence[float] | NDArray[np.float64], tuned: Sequence[float] | NDArray[np.float64]
) -> NDArray[np.float64]:
    before, after = np.asarray(base, dtype=np.float64), np.asarray(tuned, dtype=np.float64)
    if before.ndim != 1 or before.shape != after.shape or not len(before):
        raise ValueError("a shift is between readings of the same prompts, at least one")
    return after - before
