"""Does what moved cause anything? Added to the base it must induce, taken from the fine-tunes suppress.

Source: Wang et al. 2025 (arXiv 2506.19823), section 3. The control is theirs and one more: a random
direction of the same length, for a push of any kind can change how a model answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from truing.model import Add, Where
from truing.probe.diff_effects import Behaved, Behaviour, Judged, Shift, behaved, shift
from truing.probe.diff_strength import Strength, strongest_within
from truing.probe.diffing import RequestSplit
from truing.probe.directions import Direction, random_like
from truing.probe.samples import SampledAnswer, sampled_answers
from truing.types import Completion, Record, Request, SamplingParams

if TYPE_CHECKING:
    from truing.model import LocalModel


@dataclass(frozen=True, slots=True)
class Side(Record):
    """One of the two experiments."""

    search: Strength
    """How strength was chosen, on the requests that select."""
    steered: Behaved | None = None
    """On the requests that test; None where no strength is within the budget."""
    random_strength: float | None = None
    """The same, or less where the model does not bear as much of the random direction."""
    random: Behaved | None = None
    random_same: Behaved | None = None
    """The random direction at the strength of the direction itself, however much of it makes no sense then."""
    effect: Shift | None = None
    """What the direction does, in the sense that is claimed: induced on the base, suppressed on the fine-tunes."""
    over_random: Shift | None = None
    """By how much that is more than what the random direction does."""
    own_strength: float | None = None
    """How far training itself moved along the direction, as a strength; None where nobody told."""
    own: Behaved | None = None
    """What the direction does at that, on the requests that test."""
    samples: tuple[SampledAnswer, ...] = ()
    """Of what the first of the models answers under the push: those asked for."""


@dataclass(frozen=True)
class Experiment:
    """How answers are sampled and judged, and what may be asked of whom."""

    behaviour: Behaviour
    requests: RequestSplit
    """Those that select choose strengths, those that test measure effects."""
    params: SamplingParams
    budget: float = 0.1
    """The largest share of incoherent answers at which a strength is used."""
    most: float = 4.0
    """The largest strength, in mean norms of the residual stream."""
    bisections: int = 4
    where: Where = Where.all
    level: float = 0.95
    """Of the intervals of one latent; whoever tries many corrects for it."""
    key: int = 0


class Answered(NamedTuple):
    """Answers and what was said of each, side by side."""

    completions: list[Completion]
    judged: list[Judged]


def answered(
    experiment: Experiment,
    models: Sequence["LocalModel"],
    requests: Sequence[Request],
    direction: Direction | None = None,
    coefficient: float = 0.0,
) -> Answered:
    """Judge what the models answer, model by model, request by request, under `h + coefficient * direction`.

    Samples are drawn with the same random numbers whatever the direction is.

    Raises:
        InputError: the edit does not fit a model.
        ValueError: `behaviour` judged another number of answers.
    """
    out = Answered([], [])
    for model in models:
        done = _sampled(experiment, model, requests, direction, coefficient)
        found = list(experiment.behaviour(done))
        if len(found) != len(done):
            raise ValueError(f"the behaviour judged {len(found)} of {len(done)} answers")
        out.completions.extend(done)
        out.judged.extend(found)
    return out


def try_direction(
    experiment: Experiment,
    models: Sequence["LocalModel"],
    direction: Direction,
    plain: Sequence[Judged],
    *,
    sign: int,
    unit: float,
    own: float | None = None,
    shown: Sequence[int] = (),
) -> Side:
    """Push the models along a direction as hard as they bear it, and see whether behaviour follows.

    Args:
        experiment: see there.
        models: the base alone, or the fine-tunes.
        direction: what is tried; a strength of 1 moves by `unit` along it.
        plain: what the models answer to the requests that test, unsteered (see `answered`).
        sign: 1 adds, and the claim is that misalignment rises; -1 subtracts, and it is to fall.
        unit: the mean norm of the activations at the site.
        own: how far training moved along the direction, in the same units: is tried as well.
        shown: the places of the answers, of the first of the models, that are kept as they are.

    Raises:
        InputError, ValueError: see `answered`.
    """

    def pushed(one: Direction, strength: float, requests: Sequence[Request]) -> Answered:
        return answered(experiment, models, requests, one, sign * strength * unit / one.norm)

    def push(one: Direction, strength: float, requests: Sequence[Request]) -> list[Judged]:
        return pushed(one, strength, requests).judged

    def incoherence(one: Direction, strength: float) -> float | None:
        return behaved(push(one, strength, experiment.requests.select)).incoherence

    search = strongest_within(
        lambda strength: incoherence(direction, strength),
        experiment.budget,
        most=experiment.most,
        bisections=experiment.bisections,
    )
    if search.value is None:
        return Side(search)
    control = random_like(direction, key=experiment.key)
    borne = _borne(experiment, lambda strength: incoherence(control, strength), search.value)
    done, steered = pushed(direction, search.value, experiment.requests.test)
    # A random direction that the model bears in no strength is compared with at none: the model as it is.
    random = push(control, borne, experiment.requests.test) if borne else list(plain)
    same = random if borne == search.value else push(control, search.value, experiment.requests.test)
    requests = _requests(experiment, len(models))

    def over(other: Sequence[Judged]) -> Shift:
        more, less = (steered, other) if sign > 0 else (other, steered)
        return shift(more, less, requests, experiment.level)

    counts = behaved(steered), borne, behaved(random), behaved(same)
    own_strength = None if own is None else own / unit
    at_own = behaved(push(direction, own_strength, experiment.requests.test)) if own_strength else None
    kept = sampled_answers(experiment.requests.test, done, steered, shown)
    return Side(search, *counts, over(plain), over(random), own_strength, at_own, kept)


def gap_between(experiment: Experiment, base: Sequence[Judged], tuned: Sequence[Judged]) -> Shift:
    """By how much the fine-tunes are more often misaligned than the base: answers as `answered` gives them."""
    models = len(tuned) // len(base)
    return shift(tuned, list(base) * models, _requests(experiment, models), experiment.level)


def _borne(experiment: Experiment, incoherence: Callable[[float], float | None], strength: float) -> float:
    """The strength at which the control is tried: the same, or the strongest below it that is within the budget."""
    share = incoherence(strength)
    if share is not None and share <= experiment.budget:
        return strength
    found = strongest_within(
        incoherence, experiment.budget, first=strength / 4, most=strength, bisections=experiment.bisections
    )
    return found.value or 0.0


def _requests(experiment: Experiment, models: int) -> list[str]:
    """The request of each answer, for every model again."""
    once = [request.id for request in experiment.requests.test for _ in range(experiment.params.n)]
    return once * models


def _sampled(
    experiment: Experiment,
    model: "LocalModel",
    requests: Sequence[Request],
    direction: Direction | None,
    coefficient: float,
) -> list[Completion]:
    edits = (
        []
        if direction is None
        else [Add(direction.site, direction.vector, coefficient, where=experiment.where)]
    )
    with model.steered(edits):
        done = list(model.sample(requests, experiment.params, key=experiment.key))
    order = {request.id: at for at, request in enumerate(requests)}
    return sorted(done, key=lambda c: (order[c.request_id], c.sample))
