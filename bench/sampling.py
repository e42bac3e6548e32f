"""Sampling in this process against transformers' `generate`: the same small model, prompts and limits.

Answers have random lengths, as a model that stops has: an end token is drawn at every step with a
probability of about one in forty. `generate` goes on until its longest row is done.
"""

import sys
import tempfile
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.pairs import compare_speed
from truing.model import load_local
from truing.numerics import generator
from truing.recipes import raise_model, taught_and_held_out
from truing.types import SamplingParams, ask

ROWS, NEW = 64, 96


def main() -> int:
    """Print the ratio of CPU wall time for one batch of requests."""
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        model = load_local(_model(Path(folder)), device="cpu", dtype="float32")
        rng = generator(0, "prompts")
        words = ["lamp", "bell", "clock", "kettle", "ladder", "mirror"]
        requests = [
            ask(" ".join(rng.choice(words, int(rng.integers(5, 120)))), id=str(i)) for i in range(ROWS)
        ]
        prompts = [list(model.chat.prompt_ids(request)) for request in requests]
        params = SamplingParams(temperature=1.0, max_tokens=NEW)
        return compare_speed(
            f"sampling {ROWS} requests of {min(map(len, prompts))} to {max(map(len, prompts))} tokens, up to {NEW} new",
            ours=lambda: _ours(model, requests, params),
            peer=lambda: _peer(model, prompts),
        )


def _ours(model, requests, params) -> None:  # type: ignore[no-untyped-def]
    for _ in model.sample(requests, params, key=0):
        pass


def _peer(model, prompts) -> None:  # type: ignore[no-untyped-def]
    pad, width = model.chat.pad_id, max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    with torch.inference_mode():
        model.net.generate(
            ids, attention_mask=mask, max_new_tokens=NEW, do_sample=True, top_k=0, pad_token_id=pad
        )


def _model(folder: Path) -> Path:
    """A random Llama of 4 layers and width 256 whose end token is likely enough to come up."""
    raise_model(folder, taught_and_held_out(key=0)[0], key=0, passes=0.05)
    config = LlamaConfig.from_pretrained(folder)
    config.update({"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "head_dim": 64,
                   "max_position_embeddings": 1024, "tie_word_embeddings": False})  # fmt: skip
    torch.manual_seed(0)
    net = LlamaForCausalLM(config)
    with torch.no_grad():
        ends = torch.arange(config.vocab_size) % 40 == 0
        ends[config.eos_token_id] = False
        net.lm_head.weight[ends] = net.lm_head.weight[config.eos_token_id].clone()
    net.generation_config.eos_token_id = [config.eos_token_id, *torch.nonzero(ends).flatten().tolist()]
    net.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    sys.exit(main())
