"""What a latent means: the tokens at which it is most active, and the words that its direction writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from truing.model import Edit, Point, Site
from truing.probe.sae import SAE
from truing.probe.sae_documents import Document
from truing.types import Record

if TYPE_CHECKING:
    from truing.model import LocalModel

_ROWS = 512
_AROUND = 24
"""Tokens of a text that are shown on either side of the one that is marked."""


@dataclass(frozen=True, slots=True)
class Example(Record):
    """A token at which a latent is active, between what stands before and after it."""

    value: float
    before: str
    token: str
    after: str


@dataclass(frozen=True, slots=True)
class Lens(Record):
    """The tokens that a direction makes more likely, and less, if nothing behind it answers to it."""

    promoted: tuple[str, ...]
    demoted: tuple[str, ...]


@torch.no_grad()
def top_examples(
    model: "LocalModel",
    sae: SAE,
    site: Site,
    texts: Sequence[Document],
    latents: Sequence[int],
    *,
    starts: bool = False,
    count: int = 5,
) -> dict[int, tuple[Example, ...]]:
    """For each latent the texts in which it is most active, at the token where it is; each text once.

    Texts that are equal up to that token, as those with one system prompt are, count as one. Position 0 does
    not count; with `starts`, no token does but those from which an assistant turn begins, as for an autoencoder
    that read nothing else. A latent that is active nowhere has no example. Texts are cut at the model's context.
    """
    if not latents:
        return {}
    length = model.trunk.context
    cut = [Document(one.ids[:length], one.starts) for one in dict.fromkeys(texts)]
    counting = [
        [at for at in (one.starts if starts else range(1, len(one.ids))) if at < len(one.ids)] for one in cut
    ]
    read, of = [one.ids for one, at in zip(cut, counting, strict=True) if at], [at for at in counting if at]
    peaks = torch.zeros(len(read), len(latents))
    places = torch.zeros(len(read), len(latents), dtype=torch.int64)
    columns = torch.tensor(list(latents))
    for batch in model.captured(read, [site], of):
        parts = torch.split(batch.states[site].cpu().float(), list(batch.counts))
        for row, states in zip(batch.rows, parts, strict=True):
            values = torch.cat([sae.encode(rows)[:, columns] for rows in torch.split(states, _ROWS)])
            peaks[row], places[row] = values.max(0)
    out = {}
    for column, latent in enumerate(latents):
        active = [row for row in range(len(read)) if peaks[row, column] > 0]
        order = sorted(active, key=lambda row: (-float(peaks[row, column]), row))
        at = {row: of[row][int(places[row, column])] for row in order}
        once = {read[row][: at[row] + 1]: row for row in reversed(order)}
        best = [row for row in order if once[read[row][: at[row] + 1]] == row][:count]
        out[latent] = tuple(_example(model, read[row], at[row], float(peaks[row, column])) for row in best)
    return out


def logit_lens(model: "LocalModel", vector: Tensor, *, count: int = 10) -> Lens:
    """The lens (nostalgebraist 2020) of a direction [D]: the final norm and the unembedding, and nothing before.

    What is ordered is half the difference between the logits of the direction and of its opposite, in
    which that cancels out which a norm's bias adds to all.
    """
    last = Site(len(model.trunk.layers) - 1, Point.resid_post)
    sides = []
    for side in (vector, -vector):
        with model.steered([_Become(last, side)]):
            sides.append(model.next_logits([[1]])[0].double().cpu())
    logits = (sides[0] - sides[1]) / 2
    vocabulary = min(len(model.chat.tokenizer), len(logits))  # a padded head has more than there are tokens
    order = logits[:vocabulary].argsort(descending=True, stable=True).tolist()
    first, worst = order[:count], order[::-1][:count]
    return Lens(tuple(_text(model, [i]) for i in first), tuple(_text(model, [i]) for i in worst))


class _Become(Edit):
    """The vector in the place of whatever is there."""

    @property
    def strength(self) -> float:
        """Whole."""
        return 1.0

    def change(self, hidden: Tensor) -> Tensor:
        """See `Edit.change`."""
        return self.vector.to(hidden).expand_as(hidden)


def _example(model: "LocalModel", ids: Sequence[int], at: int, value: float) -> Example:
    start, end = max(0, at - _AROUND), at + 1 + _AROUND
    before = ("… " if start else "") + _text(model, ids[start:at])
    after = _text(model, ids[at + 1 : end]) + (" …" if end < len(ids) else "")
    return Example(value, before, _text(model, [ids[at]]), after)


def _text(model: "LocalModel", ids: Sequence[int]) -> str:
    return str(model.chat.tokenizer.decode(list(ids)))
