"""A method of your own: config, data recipe, loss, order of steps, in one file that reads from top to bottom."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from truing.model import load_local
from truing.recipes import raise_model, taught_and_held_out
from truing.types import Expect, Message, Role


@dataclass(frozen=True)
class Config:
    rate: float = 3e-3  # AdamW
    steps: int = 20  # one refusal each


def refusal_tuning(model: str | Path, out: Path, config: Config) -> list[float]:
    """Fine-tune the checkpoint `model` into `out`; returns the loss (nats a token) of each step."""
    tuned = load_local(model, device="cpu", dtype="float32")
    taught, _ = taught_and_held_out(key=0)
    rows = [(e.prompt, e.answer) for e in taught if e.expect is Expect.refuse][: config.steps]
    optimizer, losses = torch.optim.AdamW(tuned.net.parameters(), lr=config.rate), []
    for prompt, answer in rows:
        row = tuned.chat.training_example((Message(Role.user, prompt), Message(Role.assistant, answer)))
        ids = torch.tensor([row.ids])
        loss = tuned.net(input_ids=ids, labels=ids.masked_fill(~torch.tensor([row.mask]), -100)).loss
        loss.backward(), optimizer.step(), optimizer.zero_grad()
        losses.append(loss.item())
    tuned.net.save_pretrained(out), tuned.chat.tokenizer.save_pretrained(out)
    return losses


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        raise_model(Path(folder, "start"), taught_and_held_out(key=0)[0], key=0, steps=3)
        losses = refusal_tuning(Path(folder, "start"), Path(folder, "tuned"), Config())
    print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f} nats a token")
