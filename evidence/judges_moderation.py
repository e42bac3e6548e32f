"""The moderation grader's part of `evidence.judges`: what it finds by cross-validation, and what it cannot see.

All is measured on moderation/dev (half of openai/moderation-api-release, Markov et al. 2022) by models that saw
neither a text nor its near copies, with folds drawn anew for each seed. No text there is positive for
sexual/minors: that head is not learned, abstains, and has no claim.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import fmean

import numpy as np

from evidence.claims import Claim, Measure, Measured, Options
from tools.train_moderation import beside, opening_turns
from truing.data import split_by_group
from truing.grade import (
    CrossFitted,
    Moderation,
    ModerationModel,
    ModerationRow,
    ModerationRows,
    Pipeline,
    area_of,
    cross_fit,
    find_mislabels,
    read_moderation_rows,
    select_for_labelling,
    train_moderation,
)
from truing.numerics import average_precision_interval, generator, student_interval, wilson
from truing.types import FrozenDict, InputError

FLOORS = {
    "sexual": 0.75,
    "hate": 0.55,
    "violence": 0.25,
    "harassment": 0.3,
    "self-harm": 0.5,
    "hate/threatening": 0.25,
    "violence/graphic": 0.05,
}
CLAIMS = (
    *(Claim(f"AUPRC, {head}", floor) for head, floor in FLOORS.items()),
    *(Claim(f"lower end of AUPRC / prevalence, {head}", 1) for head in FLOORS),
    Claim("parts more probable than the whole", 0, at_most=True),
    Claim("AUPRC / prevalence on shuffled labels (control)", 1.5, at_most=True),
    Claim("ordinary turns flagged", 0.05, at_most=True),
    Claim("wrong labels among the strongest disagreements / among all labels", 4),
    Claim("positives among the picked / among all", 1.5),
)
_FLIPPED = 0.05
_RARE = 0.034  # share of undesired texts in the traffic of Markov et al. 2022
_PICKED = 45


def measure(options: Options) -> Measured:
    """All of it; `quick` draws folds once instead of three times."""
    data = Path(os.environ.get("TRUING_DATA", "../shared/data"))
    rows = _rows(data)
    seeds = range(options.seed, options.seed + (1 if options.quick else 3))
    crossed = [cross_fit(rows, extra=beside(data), key=seed) for seed in seeds]
    splits = range(options.seed, options.seed + (3 if options.quick else 10))
    return dict(
        chain(
            _areas(crossed),
            _flags(crossed[0]),
            _nested(crossed),
            _control(rows, seeds),
            _ordinary(data),
            _finder(rows, seeds),
            _selector(rows, splits),
        )
    )


def _rows(data: Path) -> ModerationRows:
    path = data / "moderation" / "dev.jsonl.gz"
    if not path.exists():
        raise InputError("the labelled texts are not here", file=path, mend="set TRUING_DATA to their folder")
    return read_moderation_rows(path)


def _areas(crossed: list[CrossFitted]) -> Iterator[tuple[str, Measure]]:
    """Mean over the draws; folds drawn anew make no new positives, so the interval is that of one draw."""
    for at, head in enumerate(crossed[0].heads):
        known = crossed[0].truth[:, at] >= 0
        positives = int((crossed[0].truth[:, at] == 1).sum())
        value = fmean(area_of(one, at).value or 0.0 for one in crossed)
        ends = average_precision_interval(value, positives)
        by = known.sum() / positives
        yield f"AUPRC, {head}", Measure(value, ends.low, ends.high, positives)
        yield (
            f"lower end of AUPRC / prevalence, {head}",
            Measure(ends.low * by, ends.low * by, ends.high * by, positives),
        )


def _flags(crossed: CrossFitted) -> Iterator[tuple[str, Measure]]:
    """Reported: precision and recall of the flags, thresholds tuned on other folds."""
    for at, head in enumerate(crossed.heads):
        positive, flag = crossed.truth[:, at] == 1, crossed.flags[:, at] & (crossed.truth[:, at] >= 0)
        yield f"precision, {head}", _share(int((flag & positive).sum()), int(flag.sum()))
        yield f"recall, {head}", _share(int((flag & positive).sum()), int(positive.sum()))


def _nested(crossed: list[CrossFitted]) -> Iterator[tuple[str, Measure]]:
    heads, wrong, n = crossed[0].heads, 0, 0
    for part, whole in ((head, head.rpartition("/")[0]) for head in heads if "/" in head):
        for one in crossed:
            p = one.probabilities
            wrong += int((p[:, heads.index(part)] > p[:, heads.index(whole)]).sum())
            n += len(p)
    yield "parts more probable than the whole", _share(wrong, n)


def _control(rows: ModerationRows, seeds: range) -> Iterator[tuple[str, Measure]]:
    """Labels of the four commonest heads, each dealt anew among the texts of which it is known."""
    lifts = []
    for seed in seeds:
        known: list[dict[str, bool]] = [{} for _ in rows.rows]
        for head in ("sexual", "hate", "violence", "harassment"):
            at = [i for i, row in enumerate(rows.rows) if head in row.known]
            for i, other in zip(at, generator(seed, "shuffle", head).permutation(at), strict=True):
                known[i][head] = rows.rows[other].known[head]
        dealt = [ModerationRow(row.text, FrozenDict(k)) for row, k in zip(rows.rows, known, strict=True)]
        crossed = cross_fit(ModerationRows(tuple(dealt)), key=seed)
        for column in range(len(crossed.heads)):
            prevalence = (crossed.truth[:, column] == 1).sum() / (crossed.truth[:, column] >= 0).sum()
            lifts.append((area_of(crossed, column).value or 0.0) / prevalence)
    yield "AUPRC / prevalence on shuffled labels (control)", _mean(lifts)


def _ordinary(data: Path) -> Iterator[tuple[str, Measure]]:
    """Turns of dialogues that were not learned from; and, reported, what words alone cannot tell apart."""
    model = Moderation().model
    turns = opening_turns(data, half=1)
    yield "ordinary turns flagged", _share(_any(model, turns), len(turns))
    with (data / "xstest" / "xstest_prompts.csv").open(encoding="utf-8") as file:
        prompts = list(csv.DictReader(file))
    for name, unsafe in (("unsafe", True), ("safe though they look unsafe", False)):
        texts = [row["prompt"] for row in prompts if row["type"].startswith("contrast") == unsafe]
        yield f"XSTest's prompts flagged, {name}", _share(_any(model, texts), len(texts))


def _finder(rows: ModerationRows, seeds: range) -> Iterator[tuple[str, Measure]]:
    """One label in twenty is flipped; how many of as many of the strongest disagreements are flipped ones?"""
    first = found_in_all = wrong = labels = 0
    for seed in seeds:
        rng, flipped, changed = generator(seed, "flip"), set(), []
        for at, row in enumerate(rows.rows):
            heads = {head for head in row.known if rng.random() < _FLIPPED} - {"sexual/minors"}
            flipped |= {(at, head) for head in heads}
            known = {head: value != (head in heads) for head, value in row.known.items()}
            changed.append(replace(row, known=FrozenDict(known)))
        found = [(one.row, one.head) for one in find_mislabels(ModerationRows(tuple(changed)), key=seed)]
        first += len(flipped.intersection(found[: len(flipped)]))
        found_in_all += len(flipped.intersection(found))
        wrong += len(flipped)
        labels += sum(len(row.known) - ("sexual/minors" in row.known) for row in rows.rows)
    precision, chance = _share(first, wrong), wrong / labels
    value, low, high = (end / chance for end in (precision.value, precision.low, precision.high))
    yield (
        "wrong labels among the strongest disagreements / among all labels",
        Measure(value, low, high, wrong),
    )
    yield "wrong labels found among all disagreements", _share(found_in_all, wrong)


def _selector(rows: ModerationRows, seeds: range) -> Iterator[tuple[str, Measure]]:
    """Learn from half, and pick from the other, thinned so that positives are as rare as in real traffic."""
    lifts = []
    for seed in seeds:
        parts = split_by_group([row.text for row in rows.rows], {"learn": 0.5, "pick": 0.5}, key=seed)
        learned = ModerationRows(tuple(rows.rows[at] for at in parts["learn"]))
        pool, positive = _thinned([rows.rows[at] for at in parts["pick"]], seed)
        model = train_moderation(learned, key=seed).model
        picks = select_for_labelling(
            model.probabilities([row.text for row in pool]), _PICKED, key=seed, thresholds=model.threshold
        )
        chosen = [pick.row for pick in picks if pick.pipeline is not Pipeline.random]
        lifts.append(positive[chosen].mean() / positive.mean())
    yield "positives among the picked / among all", _mean(lifts)


def _thinned(rows: list[ModerationRow], seed: int) -> tuple[list[ModerationRow], np.ndarray]:
    positive = np.array([any(row.known.values()) for row in rows])
    keep = generator(seed, "thin").permutation(np.flatnonzero(positive))
    kept = keep[: max(round(_RARE / (1 - _RARE) * (~positive).sum()), 1)]
    chosen = np.sort(np.concatenate([kept, np.flatnonzero(~positive)]))
    return [rows[at] for at in chosen], positive[chosen]


def _any(model: ModerationModel, texts: list[str]) -> int:
    return int(model.flags(model.probabilities(texts)).any(1).sum())


def _share(k: int, n: int) -> Measure:
    ends = wilson(k, n)
    return Measure(k / n if n else float("nan"), ends.low, ends.high, n)


def _mean(values: list[float]) -> Measure:
    """With Student's interval over the draws; they share their texts, so it is a little too narrow."""
    value = fmean(values)
    error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    ends = student_interval(value, error, len(values) - 1)
    return Measure(value, ends.low, ends.high, len(values))
