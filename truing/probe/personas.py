"""Where a model tells two personas apart: the same requests under two kinds of system prompts, read at every site."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from truing.model import Point, Site
from truing.probe.collecting import Over, Text, collect, completion_texts, prompt_texts
from truing.probe.directions import Direction
from truing.types import FrozenDict, InputError, Message, Request, Role, SamplingParams, digest

if TYPE_CHECKING:
    from truing.model import LocalModel

_POINTS = (Point.attention, Point.mlp, Point.resid_post)
_NOISE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """How two personas differ at a site."""

    direction: Direction
    """The mean activation under the persona minus that under its opposite."""
    relative: float
    """Its length, as a share of the mean length of the activations that it is made of: between 0 and 2."""


def persona_contrasts(
    model: "LocalModel",
    requests: Sequence[Request],
    persona: Sequence[str],
    opposite: Sequence[str],
    *,
    name: str,
    over: Over = Over.last,
    sites: Sequence[Site] = (),
    params: SamplingParams | None = None,
    key: int = 0,
) -> list[Contrast]:
    """The persona's vector at each site, the most pronounced first (Chen et al. 2025, sections 2.1 and 2.2).

    The paper takes the mean over responses and picks the layer by steering. Here the last token of the prompt
    may be read as well, which takes no sampling, and sites are ranked by `Contrast.relative`: what a sublayer
    adds to the residual stream is small beside the stream, and stands out there where the persona is decided.

    Args:
        model: what is read, and what answers.
        requests: what is asked, each under every system prompt of both sides.
        persona: system prompts that ask for it, one at least.
        opposite: system prompts that ask for its opposite.
        name: what the directions are called.
        over: `last`, or `response` for what the model itself then answers.
        sites: where to read; without any, what attention and MLP of each layer add, and what the layer puts out.
        params: how answers are sampled, for `response` alone: by default 64 tokens at temperature 1.
        key: decides what is sampled.

    Raises:
        InputError: there is no request or no prompt of a side, one has a system turn already, the model cannot
            render one, answers nothing at all, or does not tell the two apart anywhere.
        ValueError: another part of the text is to be read.
    """
    if over not in (Over.last, Over.response):
        raise ValueError("a persona is read at the last token of the prompt, or over the response")
    read = sites or [Site(layer, point) for layer in range(len(model.trunk.layers)) for point in _POINTS]
    told = params or SamplingParams(temperature=1.0, max_tokens=64)
    sides = [
        _means(model, _texts(model, requests, prompts, over, told, key), read, over)
        for prompts in (persona, opposite)
    ]
    which, found = digest(model.fingerprint), []
    made_of = FrozenDict({"requests": str(len(requests)), "personas": f"{len(persona)} and {len(opposite)}"})
    for site in read:
        (plus, long), (minus, other) = (side[site] for side in sides)
        difference, mean = plus - minus, (long + other) / 2
        relative = float(difference.norm()) / mean if mean else 0.0
        if relative > _NOISE:
            direction = Direction(name, difference, site, over, which, made_of)
            found.append(Contrast(direction, relative))
    if not found:
        raise InputError("the model does not tell the persona from its opposite", mend="word them otherwise")
    return sorted(found, key=lambda one: -one.relative)


def under_system(request: Request, prompt: str, *, id: str) -> Request:
    """The request under a system prompt.

    Raises:
        InputError: it has one already.
    """
    if any(turn.role is Role.system for turn in request.messages):
        raise InputError(f"the request {request.id} has a system turn of its own", mend="leave it out")
    return Request(id, (Message(Role.system, prompt), *request.messages), request.tools)


def _texts(
    model: "LocalModel",
    requests: Sequence[Request],
    prompts: Sequence[str],
    over: Over,
    params: SamplingParams,
    key: int,
) -> list[Text]:
    asked = _under(requests, prompts)
    if over is Over.last:
        return prompt_texts(model.chat, asked)
    done = sorted(model.sample(asked, params, key=key), key=lambda one: int(one.request_id))
    said = [one for one in done if one.answer.strip()]
    if not said:
        raise InputError(f"the model answers nothing when told {prompts[0]!r}", mend="give more tokens")
    return completion_texts(model.chat, said)


def _under(requests: Sequence[Request], prompts: Sequence[str]) -> list[Request]:
    """Each request under each system prompt, numbered."""
    if not requests or not prompts:
        raise InputError("a persona takes requests, and system prompts of both sides")
    every = [(request, prompt) for request in requests for prompt in prompts]
    return [under_system(request, prompt, id=str(i)) for i, (request, prompt) in enumerate(every)]


def _means(
    model: "LocalModel", texts: Sequence[Text], sites: Sequence[Site], over: Over
) -> dict[Site, tuple[Tensor, float]]:
    """At each site the mean activation, float64 [D], and the mean length of one."""
    sums = {site: torch.zeros(model.trunk.width, dtype=torch.float64) for site in sites}
    lengths = dict.fromkeys(sites, 0.0)
    for batch in collect(model, texts, sites, over):
        for site, states in batch.states.items():
            wide = states.cpu().double()
            sums[site] += wide.sum(0)
            lengths[site] += float(wide.norm(dim=-1).sum())
    return {site: (sums[site] / len(texts), lengths[site] / len(texts)) for site in sites}
