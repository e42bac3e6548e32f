"""What behaviour itself says of a fine-tune: the rivals of every detector that reads activations.

Both give one reading for each prompt, so that `calibrate` and `watched` judge them as they judge a
direction. A detector sees something before behaviour shows it only where it beats the log-odds, which
see behaviour that sampling is too coarse for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from truing.types import (
    Grader,
    InputError,
    Message,
    Outcome,
    Record,
    Request,
    Role,
    SamplingParams,
    Shown,
    Verdict,
)

if TYPE_CHECKING:
    from truing.model import LocalModel


@dataclass(frozen=True, slots=True)
class AnswerPair(Record):
    """A prompt with its wrong and its right answers, each written out; several of one kind count together."""

    request: Request
    wrong: tuple[str, ...]
    right: tuple[str, ...]

    def check(self) -> None:
        """There is an answer of each kind, and none is of both or stands twice."""
        every = (*self.wrong, *self.right)
        if not self.wrong or not self.right or len(set(every)) < len(every):
            raise ValueError("a pair has wrong and right answers, and each of them once")


@dataclass(frozen=True, slots=True)
class WrongAnswers(Record):
    """Sampled answers to one prompt. What could not be decided is neither wrong nor right."""

    request_id: str
    wrong: int
    decided: int
    undecided: int

    @property
    def share(self) -> float | None:
        """Wrong answers of those that were decided; None where none was."""
        return self.wrong / self.decided if self.decided else None


def wrong_log_odds(model: "LocalModel", pairs: Sequence[AnswerPair]) -> NDArray[np.float64]:
    """Log P(wrong answers) - log P(right ones) after each prompt, in nats, float64 [N]: exact, nothing is sampled.

    An answer's probability is that of all its tokens and of the end of the turn. Longer answers are less
    probable by themselves; between a base and its fine-tunes that cancels.

    Raises:
        InputError: a prompt or an answer cannot be rendered; names the row. Or the model's output is no number.
    """
    prompts, answers, rows = [], [], []
    for row, pair in enumerate(pairs, start=1):
        prompt = model.chat.prompt_ids(pair.request)
        for answer in (*pair.wrong, *pair.right):
            prompts.append(prompt)
            answers.append(_answer_ids(model, pair.request, answer, len(prompt), row))
            rows.append(row - 1)
    sums = np.array([sum(logprobs) for logprobs in model.score(prompts, answers)])
    if not np.isfinite(sums).all():
        row = rows[int(np.flatnonzero(~np.isfinite(sums))[0])] + 1
        raise InputError("the model gives an answer no probability", row=row, mend="check the model")
    parts = np.split(sums, np.flatnonzero(np.diff(rows)) + 1) if len(sums) else []
    return np.array(
        [
            logsumexp(part[: len(pair.wrong)]) - logsumexp(part[len(pair.wrong) :])
            for pair, part in zip(pairs, parts, strict=True)
        ]
    )


def wrong_answers(
    model: "LocalModel",
    requests: Sequence[Request],
    grader: Grader,
    criterion: str,
    params: SamplingParams,
    *,
    key: int,
) -> list[WrongAnswers]:
    """Sample `params.n` answers to each request and count those that a grader scores below 1/2, in the order given.

    Decided are answers with a score. Errors, abstentions, answers that were cut off or could not be read
    are counted apart, whatever they would look like.

    Raises:
        ValueError: two requests have one id.
    """
    by_id = {one.id: one for one in requests}
    if len(by_id) < len(requests):
        raise ValueError("two requests have the same id")
    done = list(model.sample(requests, params, key=key))
    verdicts = grader.grade([Shown.of(by_id[one.request_id], one) for one in done])
    scores: dict[str, list[float | None]] = {id: [] for id in by_id}
    for one, by_criterion in zip(done, verdicts, strict=True):
        scores[one.request_id].append(_score(by_criterion, criterion))
    return [
        WrongAnswers(
            id,
            sum(score is not None and score < 0.5 for score in some),
            sum(score is not None for score in some),
            sum(score is None for score in some),
        )
        for id, some in scores.items()
    ]


def _score(verdicts: Mapping[str, Verdict], criterion: str) -> float | None:
    verdict = verdicts[criterion]
    counts = verdict.outcome in (Outcome.decided, Outcome.refused)
    return verdict.score if counts else None


def _answer_ids(model: "LocalModel", request: Request, answer: str, prompt: int, row: int) -> tuple[int, ...]:
    try:
        turns = (*request.messages, Message(Role.assistant, answer))
        rendered = model.chat.training_example(turns, request.tools)
    except InputError as why:
        raise InputError(why.problem, row=row, mend=why.mend) from None
    return tuple(id for id, learnt in list(zip(rendered.ids, rendered.mask, strict=True))[prompt:] if learnt)
