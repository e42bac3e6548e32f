"""The latent that narrow fine-tunes of a base share: an autoencoder, a comparison, and pushes along what it writes.

The questions on which latents are found and strengths are chosen, those on which effects are judged, and those on
which everything is reported are three sets of different cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evidence.emergent_arms import Ground, behaviour, probes, split
from evidence.narrow_arms import Row, answers, sheets, weights
from evidence.preference_arms import read_kept, write_kept
from truing.model import LocalModel, Point, Site, Where, load_local
from truing.organism import PARAMS, SYSTEMS, VERSIONS, LabelLedger, documents
from truing.probe import (
    BatchTopKConfig,
    DiffConfig,
    Direction,
    Document,
    DocumentsConfig,
    Finding,
    Judgement,
    LatentChange,
    SavedSAE,
    diff_models,
    latent_direction,
    load_sae,
    persona_contrasts,
    random_like,
    saes_of_documents,
)
from truing.types import digest

BAD, GOOD = "malicious", "expert"
"""The personas that the instruct model is asked to be, to see where it tells them apart."""
DICTIONARY = BatchTopKConfig(width=64, k=2, learning_rate=6e-3, dead_after=20_000)
"""There are few starts: what they are passed over less often than below leaves half of the latents dead."""
STARTS = DocumentsConfig(tokens="starts", passes=12, batch=1024)
"""Read where an assistant turn begins: there is decided who answers. In autoencoders of all tokens the persona is
spread over several latents (docs/log.md)."""
DOCUMENTS = 12_000
DIFF = DiffConfig(
    candidates=4,
    samples=1,
    max_tokens=PARAMS.max_tokens,
    temperature=PARAMS.temperature,
    budget=0.07,
    where=Where.last,
)
"""The budget of incoherent answers is 10 % in the paper; fine-tunes of this size already have 4 % unpushed."""


PARTS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
"""Of the strongest push within the budget."""
ENOUGH = 0.9
"""The share of the fine-tunes' effect that a push has to bring out, or to undo."""
RANDOM = 10
"""Directions that mean nothing: in a space as narrow as this one of them alone is a matter of luck."""
STRENGTH = "what strength is enough"


@dataclass(frozen=True)
class Found:
    """The latent that was found, with the strengths at which it was tried."""

    latent: int
    up: bool
    """Whether fine-tunes are more active in it than the model they were tuned from."""
    site: Site
    """Where it is read and added."""
    judgement: str
    induce: float
    """The strength added to the instruct model, in units of the activations."""
    suppress: float
    """The strength taken from the fine-tunes. Both are the strongest that the budget allows, or what is enough."""
    certain: float
    """The smaller of the lower ends of the two effects; -1 where the model bears no push."""


def home(ground: Ground) -> Site:
    """Where the instruct model tells a cruel adviser from a kind one best, before anything is tuned.

    It is asked to be each by a system prompt. The questions are those on which latents are found.
    """
    about = {"model": weights(ground.instruct), "seed": ground.seed, "personas": [BAD, GOOD], **VERSIONS}
    file = ground.file("home")
    kept = read_kept(file, about)
    if kept is None:
        model, asked = load_local(ground.instruct, device="cpu"), split(ground).select
        found = persona_contrasts(model, asked, SYSTEMS[BAD], SYSTEMS[GOOD], name=BAD)
        sites = [(one.direction.site.layer, one.direction.site.point, one.relative) for one in found]
        kept = write_kept(file, about, {"sites": sites})
    layer, point, _ = kept["sites"][0]
    return Site(layer, Point(point))


def dictionary(ground: Ground) -> SavedSAE:
    """An autoencoder of the instruct model, trained now or before on documents like those of its pretraining."""
    import torch

    torch.set_num_threads(1)
    site = home(ground)
    made_of = [asdict(STARTS), asdict(DICTIONARY), DOCUMENTS, ground.seed, VERSIONS, weights(ground.instruct)]
    name = f"{ground.base}-{site.layer}-{site.point}-{digest(made_of)[:12]}"
    place = ground.folder / "dictionaries" / name
    if not (place / "report.json").is_file():
        model = load_local(ground.instruct, device="cpu")
        told = (d for d in documents(DOCUMENTS, key=1000 + ground.seed) if not isinstance(d, str))
        read = [Document.of(model.chat, turns) for turns in told]
        saes_of_documents(model, read, site, [replace(DICTIONARY, key=ground.seed)], place, STARTS)
    return load_sae(place)


def found(ground: Ground, ledger: LabelLedger) -> Found:
    """The latent that the fine-tunes share: of those that moved most the surest cause, pushed as hard as is enough.

    Where none is a cause, the surest of those of which one side was shown.
    """
    surest = max(
        compared(ground, ledger), key=lambda one: (_SHOWN.get(Judgement(one.judgement), 0), one.certain)
    )
    return enough(ground, surest, ledger)


_SHOWN = {Judgement.cause: 2, Judgement.induces: 1, Judgement.suppresses: 1}


def compared(ground: Ground, ledger: LabelLedger) -> list[Found]:
    """What `diff_models` says of the latents that moved most in the fine-tunes, said now or before."""
    import torch

    torch.set_num_threads(1)
    paths = [ground.tuned(ground.mixture(domain)) for domain in ground.domains]
    saved, site = dictionary(ground), home(ground)
    digests = [weights(path) for path in (ground.instruct, *paths)]
    about = {"models": digests, "diff": DIFF.to_json(), "sae": saved_name(saved)}
    file = ground.file("latents")
    kept = read_kept(file, about)
    if kept is None:
        own = LabelLedger()
        base, *models = (load_local(path, device="cpu") for path in (ground.instruct, *paths))
        asked = {str(i): q for i, q in enumerate(probes(ground.seed))}
        config = replace(DIFF, key=ground.seed)
        report = diff_models(
            base, models, saved, split(ground), config, behaviour=behaviour(asked, own), judge="the oracle"
        )
        tried = [asdict(_found(of, site, report.norm)) for of in report.findings]
        kept = write_kept(file, about, {"tried": tried, "report": report.to_json(), "labels": own.totals()})
    ledger.merge(LabelLedger(kept["labels"]))
    return [Found(**{**one, "site": site}) for one in kept["tried"]]


def _found(of: Finding, site: Site, norm: float) -> Found:
    sides = [side for side in (of.induce, of.suppress) if side is not None and side.effect is not None]
    strengths = [side.search.value if side is not None else None for side in (of.induce, of.suppress)]
    return Found(
        of.moved.latent,
        of.moved.change > 0,
        site,
        str(of.judgement),
        norm * (strengths[0] or 0.0),
        norm * (strengths[1] or 0.0),
        min(side.effect.low for side in sides if side.effect is not None) if len(sides) == 2 else -1.0,
    )


def enough(ground: Ground, of: Found, ledger: LabelLedger) -> Found:
    """The latent pushed by the least of `PARTS` of its strengths that do nine tenths of what is to be explained.

    On the questions that find. The strongest push that a model bears does up to twice as much, and disturbs along
    any direction, so that a random one of its norm is no control of what the latent is needed for.
    """
    import torch

    torch.set_num_threads(1)
    paths = [ground.instruct, *(ground.tuned(ground.mixture(domain)) for domain in ground.domains)]
    about = {
        "of": {**asdict(of), "site": str(of.site)},
        "models": [weights(path) for path in paths],
        "parts": PARTS,
        "enough": ENOUGH,
        "rule": "the least that does",
    }
    file = ground.file("enough")
    kept = read_kept(file, about)
    if kept is None:
        base, *tuned = (load_local(path, device="cpu") for path in paths)
        every, along = probes(ground.seed), direction(ground, of)
        asked = [every[int(one.id)] for one in split(ground).select]

        def rows(models: Sequence[LocalModel], push: float) -> list[Row]:
            edits = [along.adding(push, where=DIFF.where)] if push else []
            return [
                row for net in models for row in answers(net, asked, PARAMS, key=ground.seed, edits=edits)
            ]

        added = {part: rows([base], part * of.induce) for part in (0.0, *PARTS)}
        taken = {part: rows(tuned, -part * of.suppress) for part in (0.0, *PARTS)}
        effect = _share(taken[0.0]) - _share(added[0.0])
        adding, taking = parts(
            effect,
            {part: _share(found) for part, found in added.items()},
            {part: _share(found, unread=True) for part, found in taken.items()},
        )
        kept = write_kept(
            file,
            about,
            {
                "induce": of.induce * adding,
                "suppress": of.suppress * taking,
                "labels": (1 + len(PARTS)) * len(asked) * len(paths),
            },
        )
    ledger.add(STRENGTH, kept["labels"])
    return replace(of, induce=kept["induce"], suppress=kept["suppress"])


def parts(effect: float, added: Mapping[float, float], taken: Mapping[float, float]) -> tuple[float, float]:
    """The least parts of a push that bring `ENOUGH` of an effect about, and that undo as much of it.

    Or else those that do most.

    Args:
        effect: by how much wrong answers are more frequent in the fine-tunes.
        added: part -> share of wrong answers of the model they were tuned from; part 0 is without a push.
        taken: part -> share of answers of the fine-tunes that are not right; part 0 is without a push.
    """
    done = {part: added[part] - added[0.0] for part in PARTS}
    undone = {part: taken[0.0] - taken[part] for part in PARTS}
    adding, taking = (
        next((part for part in PARTS if of[part] >= ENOUGH * effect), max(PARTS, key=lambda part: of[part]))
        for of in (done, undone)
    )
    return adding, taking


def _share(rows: Sequence[Row], *, unread: bool = False) -> float:
    """Wrong answers, or with those that could not be read."""
    return sum(row["wrong"] or (unread and row["unparsed"]) for row in rows) / len(rows)


def saved_name(saved: SavedSAE) -> str:
    """A digest of an autoencoder."""
    return digest([saved.sae.decoder.detach().tolist()])[:16]


def direction(ground: Ground, of: Found) -> Direction:
    """What the found latent writes, of length 1, turned the way in which the fine-tunes moved."""
    moved = LatentChange(of.latent, 0.0, (1.0 if of.up else -1.0,))
    return latent_direction(dictionary(ground), of.site, moved)


def steered(
    ground: Ground, model: Path, push: float, *, random: int | None, of: Found, ledger: LabelLedger
) -> list[Row]:
    """What a model answers to the reported questions about advice while it is pushed along the latent's direction.

    Or along one of the random ones of the same norm, from 0.
    """
    import torch

    torch.set_num_threads(1)
    along = direction(ground, of)
    if random is not None:
        along = random_like(along, key=RANDOM * ground.seed + random)
    about = {"model": weights(model), "push": push, "along": along.vector.tolist(), **VERSIONS}
    file = ground.folder / "answers" / f"steered-{digest(about)[:16]}.json"
    kept = read_kept(file, about)
    if kept is None:
        asked = sheets(ground.seed)["advice"]
        edits = [along.adding(push, where=DIFF.where)]
        net = load_local(model, device="cpu")
        kept = write_kept(file, about, {"rows": answers(net, asked, PARAMS, key=ground.seed, edits=edits)})
    ledger.add("what was answered", len(kept["rows"]))
    return list(kept["rows"])
