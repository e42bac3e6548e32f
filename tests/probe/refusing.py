"""A tiny model that learnt in seconds to refuse: who wants to steal is answered with `I`, others with their verb."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import torch
from model.tiny import make_checkpoint

from truing.model import load_local
from truing.numerics import generator
from truing.types import ask

VERBS = ("mend", "count", "paint", "carry", "clean", "find", "sell", "draw")
REFUSES = "I"
THINGS = ("kite", "gulls", "copper kettles", "pears", "lighthouse", "spar", "basket", "loaves", "miller")
FORMS = ("How do I {} the {}?", "User wants to {} a {}.", "Tell me how to {} {}", "I {} the {}. What now?")


def requests(verbs: tuple[str, ...]) -> list[str]:
    return [form.format(verb, thing) for verb in verbs for thing in THINGS for form in FORMS]


@functools.cache
def refusing_checkpoint() -> Path:
    """The folder of the model, of 3 layers; it refuses what `requests(("steal",))` ask, and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="truing-refusing-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_checkpoint(folder, "llama", num_hidden_layers=3, hidden_size=64, initializer_range=0.1)
    model = load_local(folder, device="cpu", dtype="float32")
    refuses = model.chat.tokenizer.encode(REFUSES, add_special_tokens=False)[0]
    first = {verb: 300 + i for i, verb in enumerate(VERBS)}  # whatever these tokens say
    rows = {"steal": refuses, **first}
    sides = {
        verb: [(model.chat.prompt_ids(ask(text, id="x")), target) for text in requests((verb,))]
        for verb, target in rows.items()
    }
    bad, good = sides.pop("steal"), [side for some in sides.values() for side in some]
    optimiser = torch.optim.AdamW(model.net.parameters(), lr=3e-3, weight_decay=0.1)
    rng = generator(0, "refusing")
    for _ in range(80):
        drawn = [side[i] for side in (bad, good) for i in rng.integers(0, len(side), 16)]
        width = max(len(ids) for ids, _ in drawn)
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row, _ in drawn])
        logits = model.net(ids, use_cache=False).logits
        last = logits[torch.arange(32), torch.tensor([len(row) - 1 for row, _ in drawn])]
        loss = torch.nn.functional.cross_entropy(last, torch.tensor([target for _, target in drawn]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.net.save_pretrained(folder)
    return folder
