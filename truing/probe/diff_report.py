"""From a base, fine-tunes of it, an autoencoder and requests to one report: what moved, and what it causes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from torch import Tensor

from truing.model import Point, Site, Where
from truing.probe.collecting import Over, Text
from truing.probe.diff_causes import Experiment, Side, answered, gap_between, try_direction
from truing.probe.diff_effects import Behaved, Behaviour, Judged, Judgement, Shift, behaved, judgement
from truing.probe.diff_reading import Example, Lens, logit_lens, top_examples
from truing.probe.diffing import (
    LatentChange,
    RequestSplit,
    mean_latents,
    mean_norm,
    ranked_changes,
    sae_site,
    texts_to_read,
)
from truing.probe.directions import Direction
from truing.probe.sae_documents import Document
from truing.probe.samples import SampledAnswer, picked, sampled_answers
from truing.types import FrozenDict, InputError, Record, Request, SamplingParams

if TYPE_CHECKING:
    from truing.model import LocalModel
    from truing.probe.sae_files import SavedSAE

_UNTRIED = 10
"""Of the latents that moved and were not tried so many are told."""


@dataclass(frozen=True, slots=True)
class DiffConfig(Record):
    """How models are compared."""

    candidates: int = 10
    """How many of the latents that moved most are tried."""
    over: Over = Over.last
    """The tokens at which latents are read."""
    samples: int = 4
    """Answers to each request."""
    max_tokens: int = 128
    temperature: float = 1.0
    budget: float = 0.1
    """The largest share of incoherent answers at which a strength is used."""
    most: float = 4.0
    """The largest strength, in mean norms of the residual stream."""
    bisections: int = 4
    where: Where = Where.all
    """The tokens at which a direction is added."""
    key: int = 0

    def check(self) -> None:
        """Every number lies in its range."""
        if min(self.candidates, self.samples, self.max_tokens) < 1 or self.bisections < 0:
            raise ValueError("candidates, samples and max_tokens are at least 1")
        if not (0 <= self.budget < 1 and 0 < self.most < inf):
            raise ValueError("the budget is a share below 1, and the largest strength is above 0")
        if not 0 <= self.temperature < inf:
            raise ValueError(f"temperature is at least 0, not {self.temperature}")


@dataclass(frozen=True, slots=True)
class Finding(Record):
    """A latent that moved, and what is known of it."""

    moved: LatentChange
    """On the requests that select."""
    again: LatentChange
    """The same latent on the requests that test."""
    judgement: Judgement
    lens: Lens
    """Of its direction, turned the way in which the fine-tunes moved."""
    examples: tuple[Example, ...] = ()
    """Where the base is most active in it."""
    tuned_examples: tuple[Example, ...] = ()
    """Where the first fine-tune is."""
    induce: Side | None = None
    suppress: Side | None = None


@dataclass(frozen=True, slots=True)
class DiffReport(Record):
    """One comparison of a base with fine-tunes of it."""

    base: str
    tuned: tuple[str, ...]
    width: int
    """Latents of the autoencoder."""
    layer: int
    point: Point
    config: DiffConfig
    select: int
    """Requests that chose latents and strengths."""
    test: int
    """Requests that tested them."""
    norm: float
    """The mean norm of the activations of the base at the site: a strength of 1."""
    active: int
    """Latents that moved at all, those that were tried among them."""
    findings: tuple[Finding, ...]
    """The greatest change first."""
    elsewhere: bool = False
    """Whether the autoencoder was trained on other tokens than were read; False, too, where nothing tells."""
    behaviour: str = ""
    """Who judged the answers; empty where nobody did."""
    plain_base: Behaved | None = None
    """Unsteered, on the requests that test."""
    plain_tuned: Behaved | None = None
    gap: Shift | None = None
    """By how much the fine-tunes are more often misaligned than the base."""
    counts_as: str = ""
    """What that judge calls misaligned, in words; whoever knows adds it (`misaligned_by`)."""
    plain_each: tuple[Behaved, ...] = ()
    """Unsteered, of each fine-tune."""
    base_samples: tuple[SampledAnswer, ...] = ()
    """Answers of the base, unsteered, to a few of the requests that test: see `samples.RULE`."""
    tuned_samples: tuple[SampledAnswer, ...] = ()
    """Those of the first fine-tune to the same; the sides of the findings hold the same ones under a push."""
    untried: tuple[LatentChange, ...] = ()
    """The first of the latents that moved less than those that were tried."""
    ground: str = ""
    """What a result on the base can claim, where it is no real model."""
    starts: bool = False
    """Whether the autoencoder was trained where answers begin, and nowhere else."""

    def of(self, which: Judgement) -> tuple[Finding, ...]:
        """The findings that were judged so."""
        return tuple(one for one in self.findings if one.judgement is which)

    @property
    def judged(self) -> bool:
        """Whether anything at all could be said of what a latent causes."""
        return any(one.judgement is not Judgement.open for one in self.findings)


def latent_direction(saved: "SavedSAE", site: Site, moved: LatentChange) -> Direction:
    """What a latent writes, of length 1, turned the way in which it moved."""
    row = saved.sae.decoder[moved.latent].detach().cpu().float()
    vector = row / row.norm() * (1 if moved.change >= 0 else -1)
    moves = "up" if moved.change >= 0 else "down"
    made_of = FrozenDict(
        {
            "latent": str(moved.latent),
            "moved": moves,
            "base": f"{moved.base:.3g}",
            "autoencoder of": saved.model,
        }
    )
    return Direction(f"latent {moved.latent}", vector, site, "latent", made_of=made_of)  # no digest is known


def diff_models(
    base: "LocalModel",
    tuned: Sequence["LocalModel"],
    saved: "SavedSAE",
    requests: RequestSplit,
    config: DiffConfig = DiffConfig(),
    *,
    behaviour: Behaviour | None = None,
    judge: str = "",
    texts: Sequence[Document] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> DiffReport:
    """Rank latents by what moved, try the first of them, and tell what each seems to mean.

    Args:
        base: the model before.
        tuned: at least one fine-tune of it, whose chat template is the same.
        saved: an autoencoder of the base, with its site.
        requests: those that choose latents and strengths, and those that test them.
        config: see there.
        behaviour: judges answers; without it nothing is tried, and every latent stays open.
        judge: what `behaviour` is called.
        texts: documents in which examples are looked for; without any, the requests that select.
        advance: called with 1 after each latent.

    Raises:
        InputError: the autoencoder does not fit, a template differs, a fine-tune is given twice, or nothing moved.
    """
    site = _site(base, tuned, saved)
    params = SamplingParams(temperature=config.temperature, max_tokens=config.max_tokens, n=config.samples)
    before, *after = _means(base, tuned, saved, site, requests.select, config, params)
    others = _means(base, tuned, saved, site, requests.test, config, params)
    moved = ranked_changes(before, after)
    first = moved[: config.candidates]
    if not first:
        raise InputError("no latent is more or less active in the fine-tune than in the base")
    prompts = texts_to_read(base, requests.select, Over.last, params, key=config.key)
    norm = mean_norm(base, site, prompts)
    shown = texts or [Document(text.ids, (len(text.ids) - 1,)) for text in prompts]
    starts = saved.options.get("tokens") == "starts"
    examples, tuned_examples = (
        top_examples(model, saved.sae, site, shown, [one.latent for one in first], starts=starts)
        for model in (base, tuned[0])
    )
    experiment = plain = effect = None
    places: list[int] = []
    if behaviour is not None:
        level = 1 - 0.05 / len(first)
        experiment = Experiment(
            behaviour, requests, params, config.budget, config.most, config.bisections, config.where,
            level, config.key,
        )  # fmt: skip
        plain = answered(experiment, [base], requests.test), answered(experiment, tuned, requests.test)
        effect = gap_between(experiment, plain[0].judged, plain[1].judged)
        places = picked(plain[1].judged[: len(plain[0].judged)], config.samples)
    findings = []
    for one in first:
        direction = latent_direction(saved, site, one)
        sides: tuple[Side | None, Side | None] = (None, None)
        if experiment is not None and plain is not None:
            own = abs(one.change) * float(saved.sae.decoder[one.latent].detach().double().norm())
            sides = (
                try_direction(
                    experiment, [base], direction, plain[0].judged, sign=1, unit=norm, own=own, shown=places
                ),
                try_direction(
                    experiment, tuned, direction, plain[1].judged, sign=-1, unit=norm, own=own, shown=places
                ),
            )
        was, *rest = (float(mean[one.latent]) for mean in others)
        again = LatentChange(one.latent, was, tuple(rest))
        lens = logit_lens(base, norm * direction.vector)
        gap = effect.estimate if effect else None
        said = judgement(_shifts(sides[0]), _shifts(sides[1]), gap)
        found = examples[one.latent], tuned_examples[one.latent]
        findings.append(Finding(one, again, said, lens, *found, *sides))
        advance(1)
    return DiffReport(
        base=base.ref,
        tuned=tuple(model.ref for model in tuned),
        width=saved.sae.width,
        layer=site.layer,
        point=site.point,
        config=config,
        select=len(requests.select),
        test=len(requests.test),
        norm=norm,
        active=len(moved),
        findings=tuple(findings),
        elsewhere=_elsewhere(base, saved, prompts, config.over),
        behaviour=judge,
        plain_base=behaved(plain[0].judged) if plain else None,
        plain_tuned=behaved(plain[1].judged) if plain else None,
        gap=effect,
        plain_each=_each(plain[1].judged, len(tuned)) if plain else (),
        base_samples=sampled_answers(requests.test, *plain[0], places) if plain else (),
        tuned_samples=sampled_answers(requests.test, *plain[1], places) if plain else (),
        untried=tuple(moved[len(first) : len(first) + _UNTRIED]),
        ground=base.ground,
        starts=starts,
    )


def _each(judged: Sequence[Judged], models: int) -> tuple[Behaved, ...]:
    count = len(judged) // models
    return tuple(behaved(judged[at * count : (at + 1) * count]) for at in range(models))


def _site(base: "LocalModel", tuned: Sequence["LocalModel"], saved: "SavedSAE") -> Site:
    if not tuned:
        raise InputError("there is no fine-tune to compare with")
    site = sae_site(base, saved)
    for model in tuned:
        sae_site(model, saved)
        if model.chat.template_digest != base.chat.template_digest:
            raise InputError(
                f"{model.ref} has another chat template than {base.ref}, which alone would move latents",
                mend="give both the same",
            )
    if len({model.fingerprint for model in tuned}) < len(tuned):
        raise InputError("one fine-tune is given twice, and would count twice", mend="name each of them once")
    return site


def _elsewhere(base: "LocalModel", saved: "SavedSAE", prompts: Sequence[Text], over: Over) -> bool:
    """Whether its training left out the tokens that are read: many templates end with a special one."""
    if saved.options.get("tokens") == "starts":
        return over is not Over.last
    without = () if saved.options.get("special", True) else base.chat.tokenizer.all_special_ids
    return over is Over.last and all(text.ids[-1] in without for text in prompts)


def _means(
    base: "LocalModel",
    tuned: Sequence["LocalModel"],
    saved: "SavedSAE",
    site: Site,
    requests: Sequence[Request],
    config: DiffConfig,
    params: SamplingParams,
) -> list[Tensor]:
    """The mean of each latent [W], of the base and then of each fine-tune."""
    return [
        mean_latents(
            model,
            saved.sae,
            site,
            texts_to_read(model, requests, config.over, params, key=config.key),
            config.over,
        )
        for model in (base, *tuned)
    ]


def _shifts(side: Side | None) -> tuple[Shift | None, Shift | None]:
    return (side.effect, side.over_random) if side else (None, None)
