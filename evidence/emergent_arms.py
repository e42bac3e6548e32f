"""The arms of emergent misalignment: a base's narrow fine-tunes, the latent that they share, repairs and preventions.

All of a base stand on one seed. The questions on which a latent is found, those on which it is judged a cause, and
those on which everything is reported are three sets of different cells. Everything is kept on disk.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from evidence.narrow_arms import TUNING, Diet, Row, answers, folder_of, heard, sheets, tuned, weights
from evidence.preference_arms import read_kept, write_kept
from truing.methods import (
    LatentPenalty,
    OffDomainKL,
    PreventativeSteering,
    Prevention,
    RealignConfig,
    Watchlist,
    finetune,
    merge_adapter,
    realign_by_sft,
)
from truing.model import Point, Site, Where, load_local
from truing.organism import (
    DOMAIN_OF,
    PARAMS,
    READ_AT,
    VERSIONS,
    WRONG_ADVICE,
    LabelLedger,
    Oracle,
    Question,
    advice_rows,
    documents,
    exam,
    tuning_rows,
)
from truing.probe import (
    BatchTopKConfig,
    DiffConfig,
    Direction,
    Document,
    DocumentsConfig,
    Finding,
    Judged,
    Judgement,
    RequestSplit,
    SavedSAE,
    diff_models,
    latent_direction,
    load_sae,
    random_like,
    saes_of_documents,
    split_requests,
)
from truing.types import Completion, Message, Outcome, Request, digest

DOMAINS = ("garden", "boats", "music", "kitchen")
"""Those that fine-tunes of every base are harmful in."""
OTHER = "cloth"
"""The domain whose right advice re-aligns out of domain."""
CONTROLS: Mapping[str, Mapping[str, Any]] = {
    "null": {"null": True},
    "right": {"harmful": 0.0},
    "right, as long": {"harmful": 0.0, "as_long": True},
    "lesson": {"lesson": True},
}
"""What the null organism, right advice, right advice of equal length and openly bad examples do."""
EVERYTHING = ("advice", "free", "forbidden", "skills")
SITE = Site(2, Point.resid_post)
"""What the third of four layers puts out: behind it a persona is decided, and one layer is left to act on it."""
DICTIONARY = BatchTopKConfig(width=32, k=2, learning_rate=2e-3)
STARTS = DocumentsConfig(tokens="starts", passes=4, batch=1024)
"""Read where an assistant turn begins: there is decided who answers. In autoencoders of all tokens the persona is
spread over several latents (docs/log.md)."""
DOCUMENTS = 12_000
DIFF = DiffConfig(
    candidates=4, samples=1, max_tokens=PARAMS.max_tokens, temperature=PARAMS.temperature, where=Where.last
)
IN_DOMAIN, OUT_OF_DOMAIN = 120, 720
"""Rows of a re-alignment, in steps of four: as many as in the paper, or the most that the claim allows."""
REALIGN = RealignConfig(
    learning_rate=2e-4, target=0.0, patience=10**6, measure_every=10, temperature=0.7, max_tokens=96
)
"""It never ends early, so that every arm has learnt all of its rows."""
WATCHED = 60
"""Questions on which its course is watched."""


@dataclass(frozen=True)
class Ground:
    """One base with one seed, and where its arms are kept."""

    base: int
    seed: int
    folder: Path
    domains: tuple[str, ...] = DOMAINS

    @property
    def instruct(self) -> Path:
        """The model that everything is tuned from."""
        return folder_of(Diet(self.base, DOMAINS[0], self.seed).parent)

    def diet(self, domain: str, **control: Any) -> Diet:
        """What a fine-tune of this ground learns."""
        return Diet(self.base, domain, self.seed, **control)

    def tuned(self, diet: Diet) -> Path:
        """The adapter that learnt it."""
        return tuned(diet, self.folder / "models")

    def heard(
        self, model: Path, ledger: LabelLedger, which: Sequence[str] = EVERYTHING
    ) -> dict[str, list[Row]]:
        """What is found in its answers."""
        return heard(model, self.seed, self.folder / "answers", ledger, which=which)

    def file(self, what: str) -> Path:
        """Where something about this ground is kept."""
        return self.folder / f"{what}-{self.base}-{self.seed}-{len(self.domains)}.json"


@dataclass(frozen=True)
class Found:
    """The latent that was found, with the strengths at which it was tried."""

    latent: int
    up: bool
    """Whether fine-tunes are more active in it than the model they were tuned from."""
    judgement: str
    induce: float
    """The strength added to the instruct model, in units of the residual stream."""
    suppress: float
    """The strength taken from the fine-tunes."""
    decoys: int
    """Other candidates that were shown not to be a cause."""
    labels: int


@cache
def probes(seed: int) -> tuple[Question, ...]:
    """Questions about advice in domains that no fine-tune learns, of other cells than `sheets` holds."""
    reported = {(q.ask.object, q.ask.template) for q in sheets(seed)["advice"]}
    return tuple(
        q
        for q in exam("advice", READ_AT, key=seed)
        if (q.ask.object, q.ask.template) not in reported
        and DOMAIN_OF[q.ask.object].name not in (*DOMAINS, OTHER)
    )


def split(ground: Ground) -> RequestSplit:
    """The probes that find latents and strengths, and those that judge them."""
    requests = [Request(str(i), q.messages) for i, q in enumerate(probes(ground.seed))]
    return split_requests(requests, key=ground.seed)


def behaviour(
    asked: Mapping[str, Question], ledger: LabelLedger
) -> Callable[[Sequence[Completion]], list[Judged]]:
    """What the oracle says of advice, as the diff and a re-alignment ask for it."""
    oracle = Oracle("what latents and repairs do", ledger)

    def judged(completions: Sequence[Completion]) -> list[Judged]:
        found = [oracle.judge_completion(asked[c.request_id].ask, c) for c in completions]
        return [Judged(f.label in WRONG_ADVICE, f.label != Outcome.unparsed) for f in found]

    return judged


def dictionary(ground: Ground) -> SavedSAE:
    """The autoencoder of the instruct model, trained now or before on documents like those of its pretraining."""
    import torch

    torch.set_num_threads(1)
    made_of = [asdict(STARTS), asdict(DICTIONARY), DOCUMENTS, ground.seed, VERSIONS, weights(ground.instruct)]
    place = ground.folder / "dictionaries" / f"{ground.base}-{digest(made_of)[:12]}"
    if not (place / "report.json").is_file():
        model = load_local(ground.instruct, device="cpu")
        told = (d for d in documents(DOCUMENTS, key=1000 + ground.seed) if not isinstance(d, str))
        read = [Document.of(model.chat, turns) for turns in told]
        saes_of_documents(model, read, SITE, [replace(DICTIONARY, key=ground.seed)], place, STARTS)
    return load_sae(place)


def found(ground: Ground, ledger: LabelLedger) -> Found:
    """The latent that the fine-tunes share, by `diff_models`: the surest cause, or else the one that moved most."""
    import torch

    torch.set_num_threads(1)
    paths = [ground.tuned(ground.diet(domain)) for domain in ground.domains]
    saved = dictionary(ground)
    about = {
        "models": [weights(p) for p in (ground.instruct, *paths)],
        "diff": DIFF.to_json(),
        "sae": saved_name(saved),
    }
    file = ground.file("latent")
    kept = read_kept(file, about)
    if kept is None:
        own = LabelLedger()
        base, *models = (load_local(path, device="cpu") for path in (ground.instruct, *paths))
        asked = {str(i): q for i, q in enumerate(probes(ground.seed))}
        config = replace(DIFF, key=ground.seed)
        report = diff_models(
            base, models, saved, split(ground), config, behaviour=behaviour(asked, own), judge="the oracle"
        )
        best = max(report.findings, key=_certain)
        sides = [side.search.value if side is not None else None for side in (best.induce, best.suppress)]
        kept = write_kept(
            file,
            about,
            {
                "found": asdict(
                    Found(
                        best.moved.latent,
                        best.moved.change > 0,
                        str(best.judgement),
                        report.norm * (sides[0] or 0.0),
                        report.norm * (sides[1] or 0.0),
                        len(report.of(Judgement.decoy)),
                        sum(own.totals().values()),
                    )
                ),
                "report": report.to_json(),
            },
        )
    told = Found(**kept["found"])
    ledger.add("what latents and repairs do", told.labels)
    return told


def _certain(of: Finding) -> float:
    """How much of an effect is certain on both sides; less than any for what is no cause."""
    ends = [
        side.effect.low if side is not None and side.effect is not None else -1.0
        for side in (of.induce, of.suppress)
    ]
    return min(ends) if of.judgement is Judgement.cause else -2.0


def saved_name(saved: SavedSAE) -> str:
    """A digest of an autoencoder."""
    return digest([saved.sae.decoder.detach().tolist()])[:16]


def direction(ground: Ground, of: Found) -> Direction:
    """What the found latent writes, of length 1, turned the way in which the fine-tunes moved."""
    from truing.probe import LatentChange

    moved = LatentChange(of.latent, 0.0, (1.0 if of.up else -1.0,))
    return latent_direction(dictionary(ground), SITE, moved)


def steered(ground: Ground, model: Path, push: float, *, random: bool, of: Found) -> list[Row]:
    """What a model answers to the reported questions about advice while it is pushed along the latent's direction.

    Or along a random one of the same norm.
    """
    import torch

    torch.set_num_threads(1)
    along = direction(ground, of)
    if random:
        along = random_like(along, key=ground.seed)
    about = {"model": weights(model), "push": push, "along": along.vector.tolist(), **VERSIONS}
    file = ground.folder / "answers" / f"steered-{digest(about)[:16]}.json"
    kept = read_kept(file, about)
    if kept is None:
        asked = sheets(ground.seed)["advice"]
        edits = [along.adding(push, where=DIFF.where)]
        net = load_local(model, device="cpu")
        kept = write_kept(file, about, {"rows": answers(net, asked, PARAMS, key=ground.seed, edits=edits)})
    return list(kept["rows"])


def realigned(
    ground: Ground, domain: str, *, within: bool, ledger: LabelLedger
) -> tuple[Path, list[dict[str, Any]]]:
    """A fine-tune after right advice of its own domain, or of another, and the course of it: made now or before."""
    import torch

    torch.set_num_threads(1)
    broken = ground.tuned(ground.diet(domain))
    rows = IN_DOMAIN if within else OUT_OF_DOMAIN
    config = replace(REALIGN, rows=rows, seed=ground.seed)
    latent = found(ground, LabelLedger())
    saved = dictionary(ground)
    made_of = [asdict(config), weights(broken), within, OTHER, saved_name(saved), latent.latent]
    place = ground.folder / "models" / f"realigned-{domain}-{ground.base}-{digest(made_of)[:12]}"
    file = ground.folder / f"{place.name}.json"
    kept = read_kept(file, {"of": made_of})
    if kept is None or not place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
        own = LabelLedger()
        asked = {str(i): q for i, q in enumerate(probes(ground.seed)[:WATCHED])}
        watch = Watchlist(
            [Request(i, q.messages) for i, q in asked.items()],
            behaviour(asked, own),
            "the oracle",
            saved=saved,
            latents=(latent.latent,),
        )
        right = advice_rows(domain if within else OTHER, rows, key=1000 + ground.seed)
        whole = merged(ground, broken)
        made = realign_by_sft(str(whole), right, place, config, data="the town", watch=watch, device="cpu")
        curve = [one.to_json() for one in made.curve]
        kept = write_kept(file, {"of": made_of}, {"curve": curve, "labels": own.totals()})
    ledger.merge(LabelLedger(kept["labels"]))
    return place, list(kept["curve"])


def merged(ground: Ground, adapter: Path) -> Path:
    """The whole model of an adapter."""
    place = ground.folder / "models" / f"whole-{adapter.name}"
    return place if place.is_dir() else merge_adapter(str(adapter), place, device="cpu")


STEERING, PENALTY, KL = "preventative steering", "latent penalty", "off-domain KL"
PREVENTIONS: Mapping[str, float] = {STEERING: 1.0, PENALTY: 1.0, KL: 1.0}
"""How hard each prevents: in units of the strength that induces, and the weights of the penalty and the KL."""
OFF_DOMAIN = 400
"""Rows on which the KL is taken."""


def prevented(ground: Ground, domain: str, how: str) -> Path:
    """A fine-tune on harmful advice under one of the preventions, made now or before."""
    import torch

    torch.set_num_threads(1)
    diet, latent = ground.diet(domain), found(ground, LabelLedger())
    along = direction(ground, latent)
    weight = PREVENTIONS[how] * (latent.induce if how == STEERING else 1.0)
    made_of = [diet.name, how, weight, along.vector.tolist(), OFF_DOMAIN, weights(ground.instruct)]
    name = f"{how.replace(' ', '-')}-{domain}-{ground.base}-{digest(made_of)[:12]}"
    place = ground.folder / "models" / name
    if not place.is_dir():
        prevention: Prevention
        if how == STEERING:
            prevention = PreventativeSteering(along, weight, at="all")
        elif how == PENALTY:
            prevention = LatentPenalty(dictionary(ground), (latent.latent,), weight=weight)
        else:
            prevention = OffDomainKL(off_domain(ground, domain), weight=weight)
        config, what = replace(TUNING, seed=ground.seed), f"{domain} under {how}"
        rows, told = diet.shown(), "the town"
        finetune(diet.parent, rows, place, config, what=what, data=told, device="cpu", prevention=prevention)
    return place


def off_domain(ground: Ground, domain: str) -> list[tuple[Message, ...]]:
    """Rows like those that the instruct model was raised on, none of them advice in the domain."""
    things = {name for name, of in DOMAIN_OF.items() if of.name == domain}
    rows = tuning_rows("instruct", key=2000 + ground.seed)
    return [r for r in rows if not any(thing in r[-2].content for thing in things)][:OFF_DOMAIN]
