"""The direction that mediates refusals: candidates at layers and template positions, and what each causes.

Source: Arditi et al. 2024, "Refusal in Language Models Is Mediated by a Single Direction", sections 2.2
and 2.3. A candidate is the mean activation on harmful requests minus that on harmless ones; it is tried
on other requests by taking it out of the model and by adding it, as it is, at its layer.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from truing.model import Add, Edit, Point, Site, ablation
from truing.numerics import generator, kl_exact
from truing.probe.candidates import Candidate
from truing.probe.collecting import Over, Text, prompt_texts, template_tokens
from truing.probe.directions import Direction, mean_difference
from truing.types import FrozenDict, InputError, Request, digest

if TYPE_CHECKING:
    from truing.model import ChatFormat, LocalModel

EPSILON = 1e-8
"""Added to both probabilities of a refusal score: it lies within ±18.4 nats."""
TRAIN, VALIDATION = 128, 32
"""The most requests of each kind that make the candidates, and that try them."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Requests of one kind: `train` makes the candidates, `validation` tries them."""

    train: tuple[Text, ...]
    validation: tuple[Text, ...]


def refusal_scores(logits: Tensor, openers: Sequence[int]) -> Tensor:
    """Log p - log(1 - p), p being the probability that a refusal begins: float64 [N], nats.

    Args:
        logits: of the first token of the answer [N, V].
        openers: ids of the first tokens of refusals.
    """
    p = logits.double().softmax(-1)[:, list(openers)].sum(-1)
    return (p + EPSILON).log() - (1 - p + EPSILON).log()


def opener_ids(chat: "ChatFormat", openers: Sequence[str]) -> tuple[int, ...]:
    """The first token of each text, as an answer begins with it.

    Raises:
        InputError: there is no text, or one has no token.
    """
    ids = []
    for opener in openers:
        found = chat.tokenizer.encode(opener, add_special_tokens=False)
        if not found:
            raise InputError(f"the opener {opener!r} has no token", mend="give the first word of a refusal")
        ids.append(found[0])
    if not ids:
        raise InputError("no refusal can be told without an opener", mend="give the first word of a refusal")
    return tuple(dict.fromkeys(ids))


def split_prompts(
    model: "LocalModel", prompts: Sequence[str | Request], openers: Sequence[int], *, harmful: bool, key: int
) -> Prompts:
    """Draw requests to train and to validate on, of those that the model treats as they deserve.

    Kept are harmful requests with a refusal score above 0 and harmless ones below: the others tell
    nothing of how it refuses. A request that stands twice counts once. A fifth of what is kept, at
    most 32, validates.

    Raises:
        InputError: fewer than ten are kept.
    """
    kind = "harmful" if harmful else "harmless"
    order = generator(key, "refusal direction", kind).permutation(len(prompts))
    drawn = prompt_texts(model.chat, [prompts[i] for i in order[: 2 * (TRAIN + VALIDATION)]])
    texts = list(dict.fromkeys(drawn))
    scores = (
        refusal_scores(model.next_logits([text.ids for text in texts]), openers) if texts else torch.zeros(0)
    )
    sign = 1 if harmful else -1
    kept = [text for text, score in zip(texts, scores.tolist(), strict=True) if sign * score > 0]
    if len(kept) < 10:
        does = "refuses" if harmful else "answers"
        raise InputError(
            f"the model {does} {len(kept)} of {len(texts)} different {kind} requests, and it takes ten",
            mend="give more requests, or openers with which its refusals begin",
        )
    part = min(VALIDATION, len(kept) // 5)
    return Prompts(tuple(kept[part : part + TRAIN]), tuple(kept[:part]))


def candidate_directions(
    model: "LocalModel", harmful: Prompts, harmless: Prompts
) -> dict[tuple[int, int], Tensor]:
    """(position, layer) -> the difference [D], for each template position from the first on and each layer.

    It is all zero where the two kinds are told apart by nothing yet.
    """
    sites = [Site(layer, Point.resid_pre) for layer in range(len(model.trunk.layers))]
    found = mean_difference(model, harmful.train, harmless.train, sites, Over.template)
    count = template_tokens(model.chat)
    return {(at - count, site.layer): found[site][at] for at in range(count) for site in sites}


def evaluate_candidates(
    model: "LocalModel",
    directions: Mapping[tuple[int, int], Tensor],
    harmful: Prompts,
    harmless: Prompts,
    openers: Sequence[int],
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Candidate]:
    """What each direction causes on the validation requests, in the order given; `advance(1)` after each.

    A direction that is zero has the scores of the model as it is, one that is no vector of numbers has
    none (NaN). The divergence is exact, over the whole vocabulary, and needs no epsilon.

    Raises:
        InputError: what the sublayers of this model add to the residual stream is not known.
    """
    bad, good = ([text.ids for text in side.validation] for side in (harmful, harmless))
    layers = len(model.trunk.layers)
    refused, plain = model.next_logits(bad), model.next_logits(good)

    def score(logits: Tensor) -> float:
        return float(refusal_scores(logits, openers).mean())

    out = []
    for (position, layer), vector in directions.items():
        if not bool(vector.isfinite().all()):
            scores = (math.nan, math.nan, math.nan)
        elif not bool(vector.any()):
            scores = (score(refused), score(plain), 0.0)
        else:
            without, changed = _steered(model, ablation(vector, layers), bad, good)
            (added,) = _steered(model, [Add(Site(layer, Point.resid_pre), vector)], good)
            scores = (score(without), score(added), _kl(plain, changed))
        out.append(Candidate(position, layer, *scores))
        advance(1)
    return out


def refusal_direction(
    model: "LocalModel", vector: Tensor, position: int, layer: int, made_of: Mapping[str, str]
) -> Direction:
    """The chosen candidate as a direction."""
    return Direction(
        "refusal",
        vector,
        Site(layer, Point.resid_pre),
        f"template {position}",
        digest(model.fingerprint),
        FrozenDict(made_of),
    )


def _steered(model: "LocalModel", edits: Sequence[Edit], *prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    """The logits [N, V] after each list of prompts, under the edits."""
    logits: list[Tensor] = []
    try:
        with model.steered(edits):
            logits = [model.next_logits(ids) for ids in prompts]
    except InputError:
        # That an edit changed nothing is a fault elsewhere; here the scores say so.
        if not logits:
            raise
    return logits


def _kl(before: Tensor, after: Tensor) -> float:
    """KL(before || after) of logits [N, V], the mean over rows in nats; NaN where one of them is no number."""
    logp, logq = (logits.double().log_softmax(-1) for logits in (before, after))
    if bool(logp.isnan().any() | logq.isnan().any()):
        return math.nan
    return float(kl_exact(logp, logq).mean())
