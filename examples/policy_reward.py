"""A reward of your own in the loop: short answers that say why, learnt by a model of the proving ground."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

REWARD = """
def short(prompts, completions, **columns):  # messages in, one number for each answer out, as with TRL
    return [1 - len(turns[-1]["content"].split()) / 30 for turns in completions]

async def says_why(prompts, completions, topic, **columns):  # async, for a judge behind an endpoint; a column by name
    said = [turns[-1]["content"] for turns in completions]
    return [float("because" in text or ", so" in text) if of == "advice" else None for text, of in zip(said, topic)]
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, "my_reward.py"), Path(folder, "run")
        file.write_text(REWARD)
        rewards = ["--reward", f"{file}:short", "--reward", f"{file}:says_why=0.5"]
        numbers = ["--updates", "2", "--prompts-per-update", "4", "--held-out", "0", "--device", "cpu"]
        words = ["align", "grpo", "organism:helpful", *rewards, *numbers, "--out", str(out)]
        subprocess.run([sys.executable, "-m", "truing.cli", *words], check=True)
        row = json.loads((out / "journal" / "updates.jsonl").read_text().splitlines()[-1])["row"]
        print("paid", row["components"], "not applicable", row["missing"])
        assert row["missing"][f"{file}:short"] == 0 and row["kl"] is not None
