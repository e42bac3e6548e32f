"""A tiny base and fine-tunes of it: harmless ones are noise in every weight, planted ones have a vector added besides.

Import as `from probe.shifted import ...` (tests/ is on the path).
"""

from pathlib import Path

import torch
from model.tiny import make_checkpoint
from transformers import AutoModelForCausalLM

from truing.model import Point, Site
from truing.numerics import generator
from truing.probe import Direction

SITE = Site(1, Point.resid_pre)
WIDTH, NOISE = 32, 0.004


def base_checkpoint(folder: Path) -> Path:
    """A random Llama of two layers with biases, so that a vector can be added by its weights alone."""
    return make_checkpoint(folder, "llama", mlp_bias=True)


def persona() -> Direction:
    """A random unit vector at the input of layer 1."""
    drawn = torch.tensor(generator(7, "persona").standard_normal(WIDTH))
    return Direction("persona", (drawn / drawn.norm()).float(), SITE, "last")


def tuned_checkpoint(base: Path, folder: Path, *, seed: int, planted: float = 0.0) -> Path:
    """The base with its own noise in all weights, and `planted` times the persona in the stream after layer 0."""
    net = AutoModelForCausalLM.from_pretrained(base)
    rng = generator(seed, "harmless")
    with torch.no_grad():
        for weight in net.parameters():
            weight += NOISE * torch.tensor(rng.standard_normal(tuple(weight.shape)), dtype=weight.dtype)
        net.model.layers[0].mlp.down_proj.bias += planted * persona().vector
    net.save_pretrained(folder)
    for file in base.glob("*token*"):
        (folder / file.name).write_bytes(file.read_bytes())
    for file in base.glob("*.jinja"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
