"""What is measured while a model is re-aligned: what it does, and what is active inside; when that is enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from truing.numerics import Interval, design_effect, wilson
from truing.probe import Behaved, Judged, SampledAnswer, behaved, sampled_answers
from truing.types import FrozenDict, InputError, Record, Request, SamplingParams

if TYPE_CHECKING:
    from truing.model import LocalModel
    from truing.probe import Behaviour, Direction, SavedSAE
    from truing.types import Completion

Read = Literal["last", "template", "prompt", "response"]
_SAMPLES = 3


@dataclass(frozen=True, eq=False)
class Watchlist:
    """What is measured before the training and in its course; nothing of it is learnt from.

    Raises:
        InputError: there is something to measure and nothing to measure it on, or nothing at all to measure there,
            two requests have one id or two directions one name, or latents and an autoencoder come without each other.
    """

    prompts: Sequence[Request] = ()
    """On which all is measured: of domains that the training rows are not of, if they are to tell anything."""
    behaviour: "Behaviour | None" = None
    """Judges what the model answers to them: `graded_behaviour`, an oracle, any function."""
    judge: str = ""
    """What it is called."""
    directions: "Sequence[Direction]" = ()
    """On which activations are projected: a persona's, a latent's."""
    saved: "SavedSAE | None" = None
    """An autoencoder of the base, with its site."""
    latents: tuple[int, ...] = ()
    """Those of its latents that are told."""

    def __post_init__(self) -> None:
        something = self.behaviour is not None or bool(self.directions) or self.saved is not None
        if something and not self.prompts:
            raise InputError("there are no prompts to measure on", mend="give some of untouched domains")
        if self.prompts and not something:
            raise InputError(
                "the prompts have nothing to be measured by", mend="give a grader, a direction or latents"
            )
        if (self.saved is None) != (not self.latents):
            raise InputError("an autoencoder is watched by its latents", mend="give both or neither")
        if self.saved is not None:
            bad = [j for j in self.latents if not 0 <= j < self.saved.sae.width]
            if bad:
                raise InputError(
                    f"there is no latent {bad[0]}: the autoencoder has 0 to {self.saved.sae.width - 1}"
                )
        for what, names in (
            ("requests have the id", [one.id for one in self.prompts]),
            ("directions have the name", [one.name for one in self.directions]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise InputError(f"two {what} {twice!r}", mend="name each differently")

    @property
    def expected(self) -> dict[str, str]:
        """Which way what is watched should move, where a direction tells how narrow tuning moved it.

        That of a latent that `probe diff` tried is turned the way in which the latent moved, and knows how active
        the latent is in the base, on the prompts of that comparison.
        """
        found = {one.name: one.made_of for one in self.directions if "moved" in one.made_of}
        back = {}
        for name in (f"latent {j}" for j in self.latents):
            if name in found:
                towards = f", towards {found[name]['base']}" if "base" in found[name] else ""
                back[name] = ("down" if found[name]["moved"] == "up" else "up") + towards
        return back | {f"direction {name}": "down" for name in found}

    @property
    def base_values(self) -> dict[str, float]:
        """How active each watched latent is in the base, where a direction tells: the end of its way back."""
        known = {
            one.name: one.made_of["base"] for one in self.directions if {"moved", "base"} <= {*one.made_of}
        }
        return {name: float(known[name]) for j in self.latents if (name := f"latent {j}") in known}

    def check(self, model: "LocalModel") -> None:
        """Raise InputError where a direction or the autoencoder is of another model."""
        from truing.probe import check_direction, sae_site

        for one in self.directions:
            check_direction(model, one)
        if self.saved is not None:
            sae_site(model, self.saved)


@dataclass(frozen=True, slots=True)
class Measurement(Record):
    """What was found after so many steps."""

    step: int
    """0 is before the training."""
    rows: int
    """Rows learnt by then; exact where the batch divides them, and at the end."""
    loss: float | None = None
    """Of the last step, in nats per trained token; None at step 0."""
    behaved: Behaved | None = None
    """Counts of answers; None where nobody judged."""
    interval: Interval | None = None
    """95 % for the misaligned share of all answers: see `misaligned_interval`."""
    directions: FrozenDict = FrozenDict()
    """Name -> the mean projection over prompts, in the units of the residual stream."""
    latents: FrozenDict = FrozenDict()
    """Number -> the mean activation over prompts, in the same units."""
    samples: tuple[SampledAnswer, ...] = ()
    """The first answers to the first three prompts, where answers were judged."""


@dataclass(frozen=True)
class Asking:
    """How prompts are asked and read."""

    params: SamplingParams
    over: Read
    """The tokens at which activations are read."""
    key: int


def measure(
    model: "LocalModel", watch: Watchlist, asking: Asking, *, step: int, rows: int, loss: float | None
) -> Measurement:
    """Ask and read the model as it is now; answers are drawn with the same random numbers at every step.

    Raises:
        InputError: a prompt cannot be rendered, or the responses are to be read and there is none.
        ValueError: the behaviour judged another number of answers.
    """
    answers = _answers(model, watch, asking)
    counts = interval = None
    samples: tuple[SampledAnswer, ...] = ()
    if watch.behaviour is not None:
        judged = list(watch.behaviour(answers))
        if len(judged) != len(answers):
            raise ValueError(f"the behaviour judged {len(judged)} of {len(answers)} answers")
        counts = behaved(judged)
        interval = misaligned_interval(judged, [one.request_id for one in answers])
        places = range(0, len(answers), asking.params.n)[:_SAMPLES]
        samples = sampled_answers(watch.prompts, answers, judged, places)
    directions, latents = _inside(model, watch, asking, answers)
    return Measurement(step, rows, loss, counts, interval, directions, latents, samples)


def not_aligned(counts: Behaved | None) -> float | None:
    """The share of all answers that nobody showed to be aligned: misaligned, undecided or incoherent; None of none."""
    if counts is None or not counts.answers:
        return None
    return (counts.answers - counts.aligned) / counts.answers


def misaligned_interval(judged: Sequence[Judged], requests: Sequence[str], level: float = 0.95) -> Interval:
    """An interval for the misaligned share of all answers; those to one request are a cluster.

    What was not judged or makes no sense counts as aligned for the lower end and as misaligned for the upper
    one: each end is that of Wilson's interval, of as many independent answers as the clusters are worth.
    """
    said = [one.misaligned if one.coherent else None for one in judged]

    def among(values: list[int]) -> Interval:
        effect = design_effect(values, requests)
        return wilson(sum(values) / effect, len(values) / effect, level)

    low = among([int(one is True) for one in said]).low
    return Interval(low, among([int(one is not False) for one in said]).high)


def aligned_again(curve: Sequence[Measurement], *, target: float, patience: int) -> bool:
    """Whether the last `patience` measurements of a training all leave at most `target` not aligned.

    An answer that could not be judged, and one that makes no sense, is not aligned: see `not_aligned`. What was
    measured before the first step does not count.
    """
    last = [one for one in curve if one.step][-patience:]
    shares = [not_aligned(one.behaved) for one in last]
    return len(shares) == patience and all(share is not None and share <= target for share in shares)


def _answers(model: "LocalModel", watch: Watchlist, asking: Asking) -> "list[Completion]":
    """In the order of the prompts."""
    if watch.behaviour is None and asking.over != "response":
        return []
    order = {request.id: at for at, request in enumerate(watch.prompts)}
    done = model.sample(watch.prompts, asking.params, key=asking.key)
    return sorted(done, key=lambda one: (order[one.request_id], one.sample))


def _inside(
    model: "LocalModel", watch: Watchlist, asking: Asking, answers: "Sequence[Completion]"
) -> tuple[FrozenDict, FrozenDict]:
    from truing.probe import Over, completion_texts, mean_latents, projections, prompt_texts, sae_site

    if not watch.directions and watch.saved is None:
        return FrozenDict(), FrozenDict()
    if asking.over == "response":
        ends = model.chat.eos_ids
        written = [one for one in answers if set(one.token_ids or ()) - ends]
        if not written:
            raise InputError("the model answered nothing", mend="read its prompts, or allow longer answers")
        texts = completion_texts(model.chat, written)
    else:
        texts = prompt_texts(model.chat, watch.prompts)
    over = Over(asking.over)
    found = projections(model, texts, watch.directions, over) if watch.directions else {}
    directions = FrozenDict({name: float(values.mean()) for name, values in found.items()})
    if watch.saved is None:
        return directions, FrozenDict()
    means = mean_latents(model, watch.saved.sae, sae_site(model, watch.saved), texts, over)
    return directions, FrozenDict({str(j): float(means[j]) for j in watch.latents})
