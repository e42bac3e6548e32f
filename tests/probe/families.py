"""A base and a fine-tune of each family as folders: random weights, and the same with noise in every weight.

Import as `from probe.families import ...` (tests/ is on the path).
"""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from model.tiny import make_checkpoint
from transformers import AutoModelForCausalLM

from truing.model import LocalModel, load_local
from truing.numerics import generator
from truing.probe import prompt_texts
from truing.types import GraderId, Outcome, Shown, Verdict

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox", "gpt2")
_NOISE = 0.02


@functools.cache
def folder(family: str, seed: int) -> Path:
    """For the seed 0 the base of a family, for others fine-tunes of it; shared: read it only."""
    root = Path(tempfile.mkdtemp(prefix="truing-family-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    layers = "n_layer" if family == "gpt2" else "num_hidden_layers"
    more = {"layer_types": ["sliding_attention"] * 2 + ["full_attention"]} if family == "gemma3" else {}
    make_checkpoint(root, family, **{layers: 3}, **more)
    if seed:
        net = AutoModelForCausalLM.from_pretrained(root, dtype=torch.float32)
        rng = generator(seed, "fine-tune")
        with torch.no_grad():
            for weight in net.parameters():
                weight += _NOISE * torch.tensor(rng.standard_normal(tuple(weight.shape)), dtype=weight.dtype)
        net.save_pretrained(root)
    return root


@functools.cache
def opened(family: str, seed: int) -> LocalModel:
    """The folder's model; shared: leave it as you found it."""
    return load_local(folder(family, seed), device="cpu", dtype="float32")


@torch.no_grad()
def states_by_hand(model: LocalModel, ids: Sequence[int], layer: int) -> torch.Tensor:
    """What transformers says that the block `layer` puts out [T, D]; not for the last, whose norm is in it."""
    wanted: list[torch.Tensor] = []

    def keep(_: object, __: object, output: object) -> None:
        wanted.append((output[0] if isinstance(output, tuple) else output)[0])

    blocks = getattr(model.net.base_model, "layers", None) or model.net.base_model.h
    handle = blocks[layer].register_forward_hook(keep)
    model.net(torch.tensor([list(ids)]), use_cache=False)
    handle.remove()
    return wanted[0]


def refused(model: LocalModel, texts: Sequence[str]) -> tuple[list[str], dict[bool, list[str]]]:
    """Openers with which a random model refuses about half of the texts, and which these are."""
    encode, decode = model.chat.tokenizer.encode, model.chat.tokenizer.decode
    words = [decode([i]) for i in range(len(model.chat.tokenizer))]
    ids = [i for i, w in enumerate(words) if w.isprintable() and w[:1] != "-" and encode(w) == [i]]
    prompts = [one.ids for one in prompt_texts(model.chat, texts)]
    p = model.next_logits(prompts).double().softmax(-1)[:, ids]
    order = p.mean(0).argsort(descending=True)
    reached = p[:, order].cumsum(-1)
    count = 1 + int((reached.median(0).values > 0.5).nonzero()[0])
    over = (reached[:, count - 1] > 0.5).tolist()
    sides = {
        kind: [t for t, above in zip(texts, over, strict=True) if above is kind] for kind in (True, False)
    }
    return [words[ids[i]] for i in order[:count].tolist()], sides


class VowelGrader:
    """A grader for random words: bad is an answer with an even number of vowels; entry points call it."""

    id = GraderId("vowels", "1", exact=True)
    criteria = ("odd",)

    def __init__(self, _: str | None = None) -> None:
        pass

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        """Score 0 or 1, whatever stands there."""
        return [{"odd": self._verdict(one.answer)} for one in shown]

    def _verdict(self, answer: str) -> Verdict:
        score = float(sum(letter in "aeiou" for letter in answer) % 2)
        return Verdict("odd", Outcome.decided, self.id, label="counted", score=score)
