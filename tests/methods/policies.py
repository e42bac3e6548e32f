"""What the tests of policy learning train: a tiny model of which an answer ends early, prompts and rewards in files."""

import json
from pathlib import Path
from typing import Any

from model.tiny import checkpoint

REWARD = """
def vowels(prompts, completions, **columns):
    return [sum(text.count(v) for v in "aeiou") / 10 for text in completions]

def length(prompts, completions, completion_ids, **columns):
    return [float(len(ids)) for ids in completion_ids]
"""


def prompt_rows(n: int) -> list[dict[str, Any]]:
    """Prompts of different lengths with a column for rewards."""
    things = ("gull", "kite", "pear", "kettle", "loaf", "river", "lamp", "bell")
    return [
        {"prompt": f"{i}: who has the {things[i % 8]} of number {7 * i}?" + " And why?" * (i % 3), "truth": i}
        for i in range(n)
    ]


def workshop(folder: Path, *, prompts: int = 24) -> tuple[str, Path, Path]:
    """A model, a file of prompts and a file of rewards."""
    model = checkpoint("llama")
    data, rewards = folder / "prompts.jsonl", folder / "my_reward.py"
    data.write_text("".join(json.dumps(row) + "\n" for row in prompt_rows(prompts)))
    rewards.write_text(REWARD)
    return str(model), data, rewards


SMALL = ["--updates", "3", "--prompts-per-update", "2", "--samples-per-prompt", "3", "--max-new-tokens", "8"]
SMALL += ["--truncated", "score", "--learning-rate", "1e-3", "--held-out", "0.3", "--device", "cpu"]
