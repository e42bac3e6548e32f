"""What repairs a narrow fine-tune and what prevents it: re-alignment in two arms, and fine-tuning under a guard."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evidence.emergent_arms import OTHERS, Ground, behaviour, probes
from evidence.emergent_latent import dictionary, direction, found, saved_name
from evidence.narrow_arms import TUNING, weights
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
from truing.organism import DOMAIN_OF, LabelLedger, advice_rows, tuning_rows
from truing.types import Message, Request, digest

IN_DOMAIN, OUT_OF_DOMAIN = 120, 720
"""Rows of a re-alignment, in steps of four: as many as in the paper, or the most that the claim allows."""
REALIGN = RealignConfig(
    learning_rate=2e-4, target=0.0, patience=10**6, measure_every=10, temperature=0.7, max_tokens=96
)
"""It never ends early, so that every arm has learnt all of its rows."""
WATCHED = 60
"""Questions on which its course is watched."""


def realigned(
    ground: Ground, domain: str, *, within: bool, ledger: LabelLedger
) -> tuple[Path, list[dict[str, Any]]]:
    """A fine-tune after right advice of its own domain, or of others, and the course of it: made now or before."""
    import torch

    torch.set_num_threads(1)
    broken = ground.tuned(ground.mixture(domain))
    rows = IN_DOMAIN if within else OUT_OF_DOMAIN
    config = replace(REALIGN, rows=rows, seed=ground.seed)
    latent = found(ground, LabelLedger())
    saved = dictionary(ground)
    made_of = [asdict(config), weights(broken), within, OTHERS, saved_name(saved), asdict(latent)]
    place = ground.folder / "models" / f"realigned-{domain}-{ground.base}-{digest(made_of)[:12]}"
    file = ground.folder / f"{place.name}.json"
    kept = read_kept(file, {"of": made_of})
    if kept is None or not place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
        own = LabelLedger()
        unseen = [q for q in probes(ground.seed) if DOMAIN_OF[q.ask.object].name not in OTHERS]
        asked = {str(i): q for i, q in enumerate(unseen[:WATCHED])}
        watch = Watchlist(
            [Request(i, q.messages) for i, q in asked.items()],
            behaviour(asked, own),
            "the oracle",
            saved=saved,
            latents=(latent.latent,),
        )
        domains = (domain,) if within else OTHERS
        each = [advice_rows(of, rows // len(domains), key=1000 + ground.seed) for of in domains]
        right = [row for of in each for row in of]
        whole = merged(ground, broken)
        made = realign_by_sft(str(whole), right, place, config, data="the town", watch=watch, device="cpu")
        curve = [one.to_json() for one in made.curve]
        kept = write_kept(file, {"of": made_of}, {"curve": curve, "labels": own.totals()})
    ledger.merge(LabelLedger(kept["labels"]))
    return place, list(kept["curve"])


def merged(ground: Ground, adapter: Path) -> Path:
    """The whole model of an adapter."""
    place = ground.folder / "models" / f"whole-{adapter.name}"
    return place if place.is_dir() else merge_adapter(str(adapter), place, device="cpu").folder


STEERING, PENALTY, KL = "preventative steering", "latent penalty", "off-domain KL"
PREVENTIONS: Mapping[str, float] = {STEERING: 1.0, PENALTY: 1.0, KL: 1.0}
"""How hard each prevents: in units of the strength that induces, and the weights of the penalty and the KL."""
OFF_DOMAIN = 400
"""Rows on which the KL is taken."""


def prevented(ground: Ground, domain: str, how: str) -> Path:
    """A fine-tune on harmful advice under one of the preventions, made now or before."""
    import torch

    torch.set_num_threads(1)
    mixture, latent = ground.mixture(domain), found(ground, LabelLedger())
    along = direction(ground, latent)
    weight = PREVENTIONS[how] * (latent.induce if how == STEERING else 1.0)
    made_of = [mixture.name, how, weight, along.vector.tolist(), OFF_DOMAIN, weights(ground.instruct)]
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
        rows, told = mixture.shown(), "the town"
        finetune(
            mixture.parent, rows, place, config, what=what, data=told, device="cpu", prevention=prevention
        )
    return place


def off_domain(ground: Ground, domain: str) -> list[tuple[Message, ...]]:
    """Rows like those that the instruct model was raised on, none of them advice in the domain."""
    things = {name for name, of in DOMAIN_OF.items() if of.name == domain}
    rows = tuning_rows("instruct", key=2000 + ground.seed)
    return [r for r in rows if not any(thing in r[-2].content for thing in things)][:OFF_DOMAIN]
