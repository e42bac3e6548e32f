"""The audit in this process against lm-eval's `hf` model on a task that generates: same models, prompts, decoding.

What is set for the peer is what is fastest for it here: models that are loaded beforehand, batches as
large as our own, no bootstrap of its metric, and neither its index of tasks nor its record of the
environment, which cost it seconds.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.town import MODELS, NEW, compare_audits

import torch  # isort: skip
from datasets import Dataset
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

from truing.data import from_messages
from truing.model import BATCH_ROWS, load_local
from truing.types import Item


def main() -> int:
    """Print the ratio of wall time for one audit of two models."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    loaded = {side: load_local(ref) for side, ref in MODELS.items()}
    models = {
        side: HFLM(pretrained=model.net, tokenizer=model.chat.tokenizer, batch_size=BATCH_ROWS)
        for side, model in loaded.items()
    }

    def peer(items: Sequence[Item], _: Path) -> dict[str, dict[str, str]]:
        return {side: _evaluated(model, items) for side, model in models.items()}

    return compare_audits("lm-eval", peer, pairs=4)


def _evaluated(model: HFLM, items: Sequence[Item]) -> dict[str, str]:
    template = model.tokenizer.apply_chat_template
    docs = [
        {
            "prompt": template(
                from_messages(item.request.messages), tokenize=False, add_generation_prompt=True
            ),
            "target": item.target,
        }
        for item in items
    ]
    task = {
        "task": "audit",
        "custom_dataset": lambda **_: {"test": Dataset.from_list(docs)},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": lambda doc: doc["prompt"],
        "doc_to_target": lambda doc: doc["target"],
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": NEW},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }
    told = evaluate(model, {"audit": ConfigurableTask(config=task)}, bootstrap_iters=0)
    assert told is not None
    return {items[row["doc_id"]].id: row["resps"][0][0] for row in told["samples"]["audit"]}


if __name__ == "__main__":
    sys.exit(main())
