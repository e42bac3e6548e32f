"""The audit in this process against inspect-ai with its Hugging Face provider: same models, prompts, decoding.

What is set for the peer is what is fastest for it here: all questions in one batch (of 32, 64, 128 and
all at once), no display, no log for live viewing, models that are loaded beforehand.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.town import MODELS, NEW, QUESTIONS, compare_audits
from truing.model import find_folder
from truing.types import Item

import torch  # isort: skip


def main() -> int:
    """Print the ratio of wall time for one audit of two models."""
    from bench.inspect_peer import evaluate, opened

    torch.set_num_threads(1)
    options = {"device": "cpu", "dtype": torch.float32, "do_sample": False}
    models = {
        side: opened(f"hf/{find_folder(ref)}", batch=QUESTIONS, max_tokens=NEW, **options)
        for side, ref in MODELS.items()
    }

    def peer(items: Sequence[Item], logs: Path) -> dict[str, dict[str, str]]:
        done = {side: evaluate(model, items, logs) for side, model in models.items()}
        return {
            side: {str(s.id): s.output.completion for s in log.samples or ()} for side, log in done.items()
        }

    return compare_audits("inspect-ai", peer, pairs=4)


if __name__ == "__main__":
    sys.exit(main())
