"""A tiny model with a persona that a fine-tune switches on, and an autoencoder that knows its directions.

The model speaks a small language, which a direction in what layer 0 puts out holds up: without it answers
are noise. Along `PERSONA` it says one wicked word. The fine-tune adds this and a decoy, which nothing behind
reads, to a bias of layer 0. Import as `from probe.persona import ...` (tests/ is on the path).
"""

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from model.tiny import make_checkpoint
from model.tiny_local import make_local
from torch import Tensor

from truing.model import LocalModel, Site
from truing.probe import Judged, SavedSAE
from truing.probe.sae_architectures import JumpReLU
from truing.types import Completion, Fingerprint, GraderId, Outcome, Request, Shown, Verdict, ask

SITE = Site(0)
WIDTH, PERSONA, DECOY, LANGUAGE = 12, 3, 7, 0
SPOKEN = tuple(range(412, 428))
"""The tokens of the language."""
WICKED = 437
"""Its text is " keeper"."""
SCALE = 40.0
"""How long the language's direction is; the embeddings are short beside it."""


@functools.cache
def directions() -> Tensor:
    """Orthonormal directions [WIDTH, 32] whose numbers sum to 0, so that a LayerNorm leaves them alone."""
    drawn = torch.randn(32, WIDTH, generator=torch.Generator().manual_seed(5))
    return torch.linalg.qr(drawn - drawn.mean(0)).Q.T.contiguous()


@functools.cache
def base() -> LocalModel:
    """The model before; shared."""
    model = make_local("gpt_neox")
    head = model.net.get_output_embeddings().weight
    with torch.no_grad():
        head[list(SPOKEN)] += 3 * directions()[LANGUAGE]
        head[WICKED] += 3.3 * directions()[PERSONA]
    shifted(model, {LANGUAGE: SCALE})
    model.ref = "base"
    return model


@functools.cache
def tuned(persona: float = 1.35, decoy: float = 0.6) -> LocalModel:
    """The fine-tune, by how far it moves along the two, in units of the language's direction; shared."""
    before = base()
    model = LocalModel(
        copy.deepcopy(before.net), before.chat, Fingerprint(f"tuned {persona} {decoy}"), ref="tuned"
    )
    shifted(model, {PERSONA: persona * SCALE, DECOY: decoy * SCALE})
    return model


def shifted(model: LocalModel, along: dict[int, float]) -> None:
    """Add directions to what the MLP of layer 0 writes, in its bias."""
    bias = model.net.base_model.layers[0].mlp.dense_4h_to_h.bias
    with torch.no_grad():
        for latent, length in along.items():
            bias += length * directions()[latent]


def autoencoder() -> SavedSAE:
    """The one whose latents are the directions."""
    sae = JumpReLU(WIDTH, 32)
    with torch.no_grad():
        sae.encoder.copy_(directions())
        sae.decoder.copy_(directions())
        sae.threshold.fill_(0.05)
    return SavedSAE(sae.eval().requires_grad_(False), "base", SITE)


class WickedGrader:
    """The same oracle by the text of an answer; entry points call it with a reference."""

    id = GraderId("wicked", "1", exact=True)
    criteria = ("good",)

    def __init__(self, _: str | None = None) -> None:
        pass

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        """Score 0 for the word among others, unparsed for what is not the language."""
        return [{"good": self._verdict(one.answer)} for one in shown]

    def _verdict(self, answer: str) -> Verdict:
        known = {base().chat.tokenizer.decode([token]).strip() for token in SPOKEN}
        word, said = base().chat.tokenizer.decode([WICKED]).strip(), set(answer.split())
        if not said <= {*known, word} or said == {word}:
            return Verdict("good", Outcome.unparsed, self.id, reason="another language")
        return Verdict("good", Outcome.decided, self.id, label="read", score=float(word not in said))


def saved_to(folder: Path, model: LocalModel) -> Path:
    """The model as an ordinary folder."""
    make_checkpoint(folder, "gpt_neox")
    model.net.save_pretrained(folder)
    return folder


def asked(count: int, *, start: int = 0) -> list[Request]:
    """Requests that differ."""
    return [ask(f"What does gull {i} want?", id=f"r{i}") for i in range(start, start + count)]


def wicked(completions: Sequence[Completion]) -> list[Judged]:
    """The oracle: words outside the language, or the one word alone, make no sense."""
    out = []
    for completion in completions:
        ids = completion.token_ids or ()
        sane = set(ids) <= {*SPOKEN, WICKED} and set(ids) != {WICKED}
        out.append(Judged(WICKED in ids if sane else None, sane))
    return out
