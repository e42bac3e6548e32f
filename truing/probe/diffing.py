"""What a fine-tune moved: the mean activation of each latent of an autoencoder, before and after.

Source: Wang et al. 2025, "Persona Features Control Emergent Misalignment" (arXiv 2506.19823), section 3.
There the same prompts choose the latents and test them; here they are kept apart. What is chosen has
only moved along; whether it causes anything is for `diff_causes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from truing.numerics import generator
from truing.probe.collecting import Over, Text, collect, completion_texts, prompt_texts
from truing.probe.sae import SAE
from truing.types import InputError, Record, Request, SamplingParams

if TYPE_CHECKING:
    from truing.model import LocalModel, Site
    from truing.probe.sae_files import SavedSAE

_ROWS = 512
_NOISE = 1e-6


@dataclass(frozen=True, slots=True)
class LatentChange(Record):
    """The mean activation of one latent, in the units of the residual stream."""

    latent: int
    base: float
    tuned: tuple[float, ...]
    """Of each fine-tune."""

    @property
    def change(self) -> float:
        """The mean over the fine-tunes of what each has more than the base."""
        return sum(self.tuned) / len(self.tuned) - self.base


@dataclass(frozen=True)
class RequestSplit:
    """Requests that choose latents and strengths, and others that test them: a test on what chose proves nothing.

    Raises:
        InputError: one side asks what the other asks, or two requests have one id.
    """

    select: tuple[Request, ...]
    test: tuple[Request, ...]

    def __post_init__(self) -> None:
        common = {_asked(request) for request in self.select} & {_asked(request) for request in self.test}
        if common:
            raise InputError(
                f"{len(common)} requests would both select latents and test them",
                mend="leave them out of one",
            )
        ids = [request.id for request in (*self.select, *self.test)]
        if len(set(ids)) < len(ids):
            raise InputError("two requests have the same id", mend="number them")


def split_requests(requests: Sequence[Request], *, key: int, select: float = 0.5) -> RequestSplit:
    """Draw which requests select and which test; those that ask the same in the same words count once.

    Raises:
        InputError: a side is left with fewer than two.
    """
    once = list({_asked(request): request for request in reversed(requests)}.values())[::-1]
    order = generator(key, "diff requests").permutation(len(once))
    count = round(select * len(once))
    if min(count, len(once) - count) < 2:
        raise InputError(
            f"{len(once)} different requests cannot be split into some that select and some that test",
            mend="give at least four, better forty",
        )
    picked = {int(at) for at in order[:count]}
    sides = (tuple(r for at, r in enumerate(once) if (at in picked) is chosen) for chosen in (True, False))
    return RequestSplit(*sides)


def ranked_changes(base: Tensor, tuned: Sequence[Tensor]) -> list[LatentChange]:
    """The change of every latent that moved, from means [W]: the greatest first, whichever its sign, ties by number.

    A change that is nothing but rounding is none.
    """
    table = torch.stack([one.double() for one in tuned])
    size = (table.mean(0) - base.double()).abs()
    noise = _NOISE * torch.maximum(base.double().abs(), table.abs().amax(0)).max()
    order = sorted((j for j in range(len(base)) if size[j] > noise), key=lambda j: (-float(size[j]), j))
    return [LatentChange(j, float(base[j]), tuple(table[:, j].tolist())) for j in order]


def texts_to_read(
    model: "LocalModel", requests: Sequence[Request], over: Over, params: SamplingParams, *, key: int
) -> list[Text]:
    """The texts of which a model's latents are read: what was asked, and for `response` and `each` its own answers.

    An answer that failed or is empty is left out.

    Raises:
        InputError: a request cannot be rendered; or answers are to be read and there is none.
    """
    if over not in (Over.response, Over.each):
        return prompt_texts(model.chat, requests)
    ends = model.chat.eos_ids
    done = [c for c in model.sample(requests, params, key=key) if set(c.token_ids or ()) - ends]
    if not done:
        raise InputError("the model answered nothing", mend="give it other requests, or more tokens")
    return completion_texts(model.chat, sorted(done, key=lambda c: (c.request_id, c.sample)))


def sae_site(model: "LocalModel", saved: "SavedSAE") -> "Site":
    """Where in the model the autoencoder reads.

    Raises:
        InputError: it names no layer, or the model has none such, or activations of another width.
    """
    if saved.site is None:
        raise InputError("the autoencoder names no layer", mend="write the hook_name into its cfg.json")
    if model.trunk.width != saved.sae.dim or saved.site.layer >= len(model.trunk.layers):
        raise InputError(
            f"the autoencoder is of layer {saved.site.layer} of a model of width {saved.sae.dim}, "
            f"and {model.ref or 'the model'} has {len(model.trunk.layers)} layers of width {model.trunk.width}"
        )
    return saved.site


@torch.no_grad()
def mean_latents(model: "LocalModel", sae: SAE, site: "Site", texts: Sequence[Text], over: Over) -> Tensor:
    """The mean activation of each latent [W], float64: over the tokens that `over` names, then over the texts.

    Every token is encoded by itself, also where `over` is `prompt` or `response`: latents of a mean are
    not the mean of latents. Position 0 is left out of a prompt, as most models park attention there.

    Raises:
        InputError: see `collect`.
        ValueError: there is no text.
    """
    if not texts:
        raise ValueError("there is no text to read")
    if over is Over.prompt:
        texts = [Text(text.ids[: text.prompt], min(1, text.prompt - 1)) for text in texts]
    each = over if over in (Over.last, Over.template) else Over.each
    total = torch.zeros(sae.width, dtype=torch.float64)
    for batch in collect(model, texts, [site], each):
        counts = torch.tensor(batch.counts)
        weights = (1 / counts.double()).repeat_interleave(counts)
        states = batch.states[site].cpu().float()
        for rows, weight in zip(torch.split(states, _ROWS), torch.split(weights, _ROWS), strict=True):
            codes = sae.codes(rows)
            values = codes.values.double() * weight[codes.pattern.rows]
            total.index_add_(0, codes.pattern.latents, values)
    return total / len(texts)


def mean_norm(model: "LocalModel", site: "Site", texts: Sequence[Text]) -> float:
    """The mean length of the activations at a site over the tokens of prompts, the first left out."""
    total, count = 0.0, 0
    inner = [Text(text.ids[: text.prompt], min(1, text.prompt - 1)) for text in texts]
    for batch in collect(model, inner, [site], Over.each):
        norms = batch.states[site].double().norm(dim=-1)
        total, count = total + float(norms.sum()), count + len(norms)
    return total / count


def _asked(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple((str(m.role), " ".join(m.content.casefold().split())) for m in request.messages)
