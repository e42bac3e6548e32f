"""A method of your own: config, data recipe, order of steps, in one file that reads from top to bottom."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from truing.model import load_local
from truing.recipes import raise_model, taught_and_held_out
from truing.train import SupervisedConfig, TokenRows, supervised
from truing.types import Expect, Message, Role


@dataclass(frozen=True)
class Config:
    learning_rate: float = 3e-3  # the peak of a cosine
    passes: float = 1.0  # over the refusals


def refusal_tuning(model: str | Path, out: Path, config: Config) -> tuple[float, float]:
    """Fine-tune the checkpoint `model` into `out`; returns the first and the last loss (nats a token)."""
    tuned = load_local(model, device="cpu", dtype="float32")
    taught, _ = taught_and_held_out(key=0)
    refused = [e for e in taught if e.expect is Expect.refuse]
    turns = [(Message(Role.user, e.prompt), Message(Role.assistant, e.answer)) for e in refused]
    rows = TokenRows.of(map(tuned.chat.training_example, turns))
    numbers = SupervisedConfig(config.learning_rate, tokens_per_step=512, passes=config.passes)
    trained = supervised(tuned.net, rows, numbers, what="refusal tuning")
    tuned.net.save_pretrained(out), tuned.chat.tokenizer.save_pretrained(out)
    return trained.curve[0][1], trained.loss


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        raise_model(Path(folder, "start"), taught_and_held_out(key=0)[0], key=0, passes=0.2)
        first, last = refusal_tuning(Path(folder, "start"), Path(folder, "tuned"), Config())
    print(f"loss {first:.2f} -> {last:.2f} nats a token")
