"""Screening of training data before any training: which rows push which persona?

The projection difference (Chen et al. 2025, arXiv 2507.21509) of a row is the projection of its response,
the mean over response tokens, on a persona's direction, minus that of what the base model itself answers
to the same prompt. Above 0 the row pulls the model towards the persona.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from truing.data import place
from truing.numerics import Correlation, Interval, paired_bootstrap, spearman, without_line
from truing.probe.collecting import Over, Text, completion_texts, conversation_texts, prompt_texts
from truing.probe.directions import Direction
from truing.probe.projecting import check_direction, projections
from truing.probe.screening_rows import TrainingRow
from truing.run import progress
from truing.types import (
    Completion,
    FrozenDict,
    InputError,
    Record,
    Request,
    SamplingParams,
    Stop,
    digest,
)

if TYPE_CHECKING:
    from truing.model import ChatFormat, LocalModel

PUSHES = 2.0
"""A row pushes a persona that it scores more than so many units above the level."""


class Baseline(StrEnum):
    """What a row's response is compared with."""

    samples = "samples"
    """What the base model itself answers to the same prompt: the projection difference."""
    prompt = "prompt"
    """The last token of the prompt. Nothing is sampled, and rows can be compared with each other only."""


class RowOutcome(StrEnum):
    """What became of a row; only a scored one has scores."""

    scored = "scored"
    no_response = "no response"
    too_long = "too long"
    """It does not fit into the model's context."""
    no_baseline = "no baseline"
    """The base model could not answer the prompt, or did so with nothing."""


@dataclass(frozen=True, slots=True)
class RowScore(Record):
    """What a row does. Scores are by persona, in the units of the residual stream."""

    row: int
    outcome: RowOutcome
    tokens: int = 0
    """Of its response."""
    worst: float | None = None
    """The highest score of all personas, in each one's units above its level: what rows are ranked by."""
    scores: FrozenDict = FrozenDict()
    after_length: FrozenDict = FrozenDict()
    """The scores less what a straight line through the logarithm of the response's length explains."""
    pushes: tuple[str, ...] = ()
    """Personas that it scores more than 2 units above the level."""


@dataclass(frozen=True, slots=True)
class PersonaFigures(Record):
    """What the file as a whole does to one persona."""

    name: str
    mean: float
    interval: Interval
    """95 %, by a bootstrap over prompts."""
    level: float
    """What counts as no push: 0, or without samples the mean of all rows."""
    unit: float
    """The standard deviation of the base's own answers; without samples, that of the rows' scores."""
    pushing: int
    """Rows that push it."""
    length: Correlation
    """The rank correlation of score and response length."""


@dataclass(frozen=True, slots=True)
class Screened(Record):
    """A screened file; rows worst first, those without a score last."""

    baseline: Baseline
    samples: int
    """Answers of the base model that were read."""
    cut: int
    """Of these, how many were cut off at the limit of tokens: they were read as far as they go."""
    personas: tuple[PersonaFigures, ...]
    rows: tuple[RowScore, ...]
    foreign: tuple[str, ...] = ()
    """Directions that were read in another model than the one that screened."""

    @property
    def pushing(self) -> int:
        """How many rows push a persona or more: as they are ranked, the first so many."""
        return sum(bool(row.pushes) for row in self.rows)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows had each outcome."""
        return {str(kind): sum(row.outcome is kind for row in self.rows) for kind in RowOutcome}


def screen(
    model: "LocalModel",
    rows: Sequence[TrainingRow],
    directions: Sequence[Direction],
    *,
    file: str | Path,
    baseline: Baseline = Baseline.samples,
    samples: int = 1,
    max_tokens: int = 128,
    key: int = 0,
) -> Screened:
    """Score every row on every direction. The order of the rows does not matter.

    Args:
        model: the base model that would be trained.
        rows: of one file.
        directions: of personas, each under a name of its own.
        file: where the rows come from; errors in a row name it.
        baseline: what a response is compared with.
        samples: how many answers of the base model to each prompt.
        max_tokens: the longest of them.
        key: draws the answers, by prompt, and the bootstrap.

    Raises:
        InputError: the template refuses a row, a direction is of another model, no row can be scored,
            or what the unit is made of does not vary.
    """
    for direction in directions:
        check_direction(model, direction)
    rows = sorted(rows, key=lambda row: digest(row.data))  # so that batches, and rounding, are the same
    outcomes: dict[int, RowOutcome] = {}
    texts: dict[int, Text] = {}
    for at, row in enumerate(rows):
        text = _text(model.chat, row, file)
        context = model.trunk.context
        if text is None:
            outcomes[at] = RowOutcome.no_response
        elif context is not None and len(text.ids) > context:
            outcomes[at] = RowOutcome.too_long
        else:
            texts[at] = text
    asked = {rows[at].prompt.id: rows[at].prompt for at in texts}
    base = _base(model, list(asked.values()), directions, baseline, samples, max_tokens, key)
    scored = [at for at in texts if rows[at].prompt.id in base.means]
    outcomes |= dict.fromkeys(set(texts) - set(scored), RowOutcome.no_baseline)
    if not scored:
        raise InputError(
            f"has no row that can be scored ({_counted(outcomes.values())})",
            file=file,
            mend="give rows with responses, and prompts behind which the context has room for an answer of "
            f"{max_tokens} tokens"
            if texts
            else "give rows with responses",
        )
    found = projections(model, [texts[at] for at in scored], directions, Over.response)
    tokens = np.array([len(texts[at].ids) - texts[at].prompt for at in scored])
    prompts = [rows[at].prompt.id for at in scored]
    scores = {
        name: values - np.array([base.means[prompt][name] for prompt in prompts])
        for name, values in found.items()
    }
    personas = [_figures(name, scores[name], tokens, prompts, base.own, key, file) for name in scores]
    ranked = _ranked([rows[at].number for at in scored], scores, tokens, personas)
    unscored = (RowScore(rows[at].number, outcome) for at, outcome in outcomes.items())
    which = digest(model.fingerprint)
    return Screened(
        baseline,
        base.read,
        base.cut,
        tuple(personas),
        (*ranked, *sorted(unscored, key=lambda one: one.row)),
        tuple(one.name for one in directions if one.model and one.model != which),
    )


def kept_rows(rows: Sequence[TrainingRow], screened: Screened, drop: float) -> list[TrainingRow]:
    """The rows without the worst share `drop` of the scored ones, in the order given; ties go by row.

    A row that has no score is not kept: nothing is known of it.

    Raises:
        InputError: the share is outside [0, 1).
    """
    if not 0 <= drop < 1:
        raise InputError(f"the share to drop is at least 0 and below 1, not {drop}")
    scored = [one.row for one in screened.rows if one.outcome is RowOutcome.scored]
    kept = set(scored[round(drop * len(scored)) :])
    return [row for row in rows if row.number in kept]


def _counted(outcomes: Iterable[RowOutcome]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(outcomes).items())


@dataclass(frozen=True)
class _Base:
    """What the base model is compared by: means by prompt and persona, and all its own answers by persona."""

    means: Mapping[str, Mapping[str, float]]
    own: Mapping[str, NDArray[np.float64]]
    read: int = 0
    cut: int = 0


def _base(
    model: "LocalModel",
    asked: Sequence[Request],
    directions: Sequence[Direction],
    baseline: Baseline,
    samples: int,
    max_tokens: int,
    key: int,
) -> _Base:
    if baseline is Baseline.prompt:
        found = projections(model, prompt_texts(model.chat, asked), directions, Over.last)
        means = {
            one.id: {name: float(values[at]) for name, values in found.items()}
            for at, one in enumerate(asked)
        }
        return _Base(means, {})
    params = SamplingParams(max_tokens=max_tokens, n=samples)
    answers: list[tuple[str, Text]] = []
    cut = 0
    with progress(len(asked) * samples, "answers of the base model", unit="answers") as advance:
        for done in model.sample(asked, params, key=key):
            text = _answer(model.chat, done)
            if text is not None:
                answers.append((done.request_id, text))
                cut += done.stop is Stop.length
            advance(1)
    own = projections(model, [text for _, text in answers], directions, Over.response)
    at: dict[str, list[int]] = {}
    for place_of, (prompt, _) in enumerate(answers):
        at.setdefault(prompt, []).append(place_of)
    means = {
        prompt: {name: float(values[some].mean()) for name, values in own.items()}
        for prompt, some in at.items()
    }
    return _Base(means, own, len(answers), cut)


def _text(chat: "ChatFormat", row: TrainingRow, file: str | Path) -> Text | None:
    if row.response is None:
        return None
    with place(file, row.number):
        return conversation_texts(chat, [(*row.prompt.messages, row.response)])[0]


def _answer(chat: "ChatFormat", done: Completion) -> Text | None:
    """What the base wrote; None where it failed or wrote nothing but an end."""
    ended = not done.token_ids or set(done.token_ids) <= chat.eos_ids
    return None if done.error is not None or ended else completion_texts(chat, [done])[0]


def _figures(
    name: str,
    scores: NDArray[np.float64],
    tokens: NDArray[np.int64],
    prompts: Sequence[str],
    own: Mapping[str, NDArray[np.float64]],
    key: int,
    file: str | Path,
) -> PersonaFigures:
    of = own.get(name, scores)
    unit = float(of.std(ddof=1)) if len(of) > 1 else 0.0
    if not unit > 0:
        raise InputError(
            f"has too few rows that differ to tell a unit of {name!r}",
            file=file,
            mend="ask the base for more --samples, or give other prompts" if own else "give more rows",
        )
    level = 0.0 if name in own else float(scores.mean())
    return PersonaFigures(
        name,
        float(scores.mean()),
        paired_bootstrap(scores, clusters=prompts, key=key, bounds=(-inf, inf)),
        level,
        unit,
        int(((scores - level) / unit > PUSHES).sum()),
        spearman(scores, tokens),
    )


def _ranked(
    numbers: Sequence[int],
    scores: Mapping[str, NDArray[np.float64]],
    tokens: NDArray[np.int64],
    personas: Sequence[PersonaFigures],
) -> list[RowScore]:
    after = {name: without_line(values, np.log(tokens)) for name, values in scores.items()}
    out = []
    for at, number in enumerate(numbers):
        above = {one.name: float((scores[one.name][at] - one.level) / one.unit) for one in personas}
        out.append(
            RowScore(
                number,
                RowOutcome.scored,
                int(tokens[at]),
                max(above.values()),
                FrozenDict({name: float(values[at]) for name, values in scores.items()}),
                FrozenDict({name: float(values[at]) for name, values in after.items()}),
                tuple(name for name, value in above.items() if value > PUSHES),
            )
        )
    return sorted(out, key=lambda one: (-(one.worst or 0.0), one.row))
