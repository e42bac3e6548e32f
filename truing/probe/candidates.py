"""Which of many candidate directions is the refusal direction: the published rule, over a file of scores.

Source: Arditi et al. 2024, "Refusal in Language Models Is Mediated by a Single Direction", section 2.3
and appendix C. The files have the form of that paper's `direction_evaluations.json`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from truing.data import reading
from truing.run import replace_file
from truing.types import InputError, Record

SHALLOW = 0.8
"""The share of layers from the first on that are considered: near the output a direction is words."""
MOST_KL = 0.1
"""The most that removing a direction may change what is said to harmless requests, in nats."""
LEAST_STEERING = 0.0
"""The refusal score that adding a direction must bring harmless requests to, in nats of log-odds."""

_PLACE = ("position", "layer")
_SCORES = ("refusal_score", "steering_score", "kl_div_score")
_KEYS = (*_PLACE, *_SCORES)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A direction, by where it was read, and what it does; a score may be NaN."""

    position: int
    """The token of the prompt it was read at, counted from its end: -1 is the last."""
    layer: int
    """The decoder layer at whose input it was read, from 0."""
    refusal: float
    """Mean refusal score (nats) of harmful requests with the direction removed everywhere: low is good."""
    steering: float
    """Mean refusal score (nats) of harmless requests with the direction added at its layer: high is good."""
    kl: float
    """KL(model || model without the direction), nats, at the last token of harmless requests."""


@dataclass(frozen=True, slots=True)
class Chosen(Record):
    """The candidate that the rule chooses, and how many it chose among."""

    position: int
    layer: int
    kept: int
    refusal: float
    steering: float
    kl: float


def choose(candidates: Sequence[Candidate], layers: int) -> Chosen:
    """The candidate with the least refusal score of those that pass the filter; of equal ones the first.

    Discarded is what has a score that is no finite number, lies in the last fifth of the `layers`
    (from int(0.8 layers) on), changes harmless answers by more than 0.1 nats, or does not bring
    harmless requests to a refusal score of 0.

    Raises:
        InputError: none passes; the sentence counts why, and names no file (see `truing.data.place`).
    """
    faults = [_fault(one, layers) for one in candidates]
    kept = [one for one, fault in zip(candidates, faults, strict=True) if not fault]
    if not kept:
        why = ", ".join(f"{faults.count(fault)} {fault}" for fault in dict.fromkeys(faults))
        raise InputError(
            f"none of the {len(candidates)} candidates passes the filter ({why or 'the list is empty'})",
            mend="there is no direction to choose: try more prompts, or a model that refuses",
        )
    best = min(kept, key=lambda one: one.refusal)
    return Chosen(best.position, best.layer, len(kept), best.refusal, best.steering, best.kl)


def read_candidates(file: str | Path, layers: int) -> list[Candidate]:
    """The candidates of an evaluations file: a JSON list of objects with position, layer and three scores.

    A score that is NaN, infinite or null (NaN as other languages write it) is no fault of the file.

    Raises:
        InputError: the file is not there, is no such JSON, or a row lacks a key, has no number there, or
            is of a layer that a model of so many `layers` does not have.
    """
    if layers < 1:
        raise InputError(f"a model has at least one layer, not {layers}")
    with reading(file) as opened:
        raw = opened.read()
    try:
        data = json.loads(raw.decode("utf-8-sig"))  # the published files hold NaN
    except UnicodeDecodeError:
        raise InputError("is not UTF-8", file=file, mend="save it as UTF-8") from None
    except (ValueError, RecursionError) as why:
        told = f" ({why.msg} at line {why.lineno})" if isinstance(why, json.JSONDecodeError) else ""
        raise InputError(f"is not JSON{told}", file=file, mend="give an evaluations file") from None
    if not isinstance(data, list) or not data:
        raise InputError("holds no list of candidates", file=file, mend="give an evaluations file")
    return [_candidate(row, layers, file, number) for number, row in enumerate(data, start=1)]


def write_candidates(file: Path, candidates: Sequence[Candidate]) -> None:
    """Write an evaluations file that `read_candidates` reads; scores that are no number stay so.

    Raises:
        StorageError: the disk refuses.
    """
    rows = [dict(zip(_KEYS, astuple(one), strict=True)) for one in candidates]
    replace_file(file, (json.dumps(rows, indent=4) + "\n").encode("ascii"))


def _fault(one: Candidate, layers: int) -> str:
    """Why the filter discards a candidate; "" if it keeps it."""
    if not all(map(math.isfinite, (one.refusal, one.steering, one.kl))):
        return "with a score that is no number"
    if one.layer >= int(SHALLOW * layers):
        return "in the last fifth of the layers"
    if one.kl > MOST_KL:
        return "that change harmless answers"
    if one.steering < LEAST_STEERING:
        return "that induce no refusals"
    return ""


def _candidate(row: object, layers: int, file: str | Path, number: int) -> Candidate:
    if not isinstance(row, dict):
        raise InputError("is no object", file=file, row=number, mend="give an evaluations file")
    if missing := [key for key in _KEYS if key not in row]:
        raise InputError(f"has no {missing[0]}", file=file, row=number, mend="add it, or remove the row")
    for key in _KEYS:
        kinds = int if key in _PLACE else int | float | None
        if isinstance(row[key], bool) or not isinstance(row[key], kinds):
            wanted = "whole number" if key in _PLACE else "number"
            raise InputError(
                f"the {key} is {row[key]!r:.40} and no {wanted}", file=file, row=number, mend="mend the row"
            )
    position, layer = (row[key] for key in _PLACE)
    if not 0 <= layer < layers:
        raise InputError(
            f"the candidate is of layer {layer}, and a model of {layers} layers has 0 to {layers - 1}",
            file=file,
            row=number,
            mend="give the number of layers of the model that the file is about",
        )
    return Candidate(position, layer, *(_number(row[key]) for key in _SCORES))


def _number(value: float | None) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.inf
