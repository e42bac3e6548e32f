"""Activations of a middle layer against transformers' `output_hidden_states`: the same model and texts.

The last token of each prompt is read at the input of the middle layer. The peer pads batches of 16 in the
order of the data, as its users do, and takes the layer out of the tuple; ours ends the forward pass at
the layer, makes no logits, keeps no other layer and reads texts of about one length together. Fails
below 3 times, or where a number differs.
"""

import json
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bench.pairs import time_pairs
from truing.model import Point, Site, Trunk
from truing.numerics import generator

TEXTS, BATCH, LAYERS, VOCABULARY, PROMISED = 48, 16, 6, 4096, 3.0


def main() -> int:
    """Print the ratio of processor time."""
    from truing.model.capturing import capture

    torch.set_num_threads(1)
    torch.manual_seed(0)
    trunk = Trunk(_model())
    rng = generator(0, "texts")
    texts = [rng.integers(0, VOCABULARY, int(length)).tolist() for length in rng.integers(16, 257, TEXTS)]
    site = Site(LAYERS // 2, Point.resid_pre)

    def ours() -> torch.Tensor:
        return capture(trunk, texts, [site], [[-1]] * len(texts))[site]

    def peer() -> torch.Tensor:
        return _peer(trunk.net, texts, site.layer)

    apart = float((ours() - peer()).abs().max())
    what = f"input of layer {site.layer} of {LAYERS}, {TEXTS} texts of 16 to 256 tokens, by processor time"
    found = time_pairs(what, ours, peer, pairs=5, clock=time.process_time)
    print(f"largest difference {apart:.1e}")
    print(json.dumps(found))
    return int(found["ratio"] < PROMISED or apart > 1e-4)


def _peer(net: LlamaForCausalLM, texts: list[list[int]], layer: int) -> torch.Tensor:
    found = []
    for start in range(0, len(texts), BATCH):
        part = texts[start : start + BATCH]
        width = max(map(len, part))
        ids = torch.tensor([text + [0] * (width - len(text)) for text in part])
        mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in part])
        with torch.no_grad():
            states = net(ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
        found.append(states[layer][torch.arange(len(part)), mask.sum(1) - 1])
    return torch.cat(found)


def _model() -> LlamaForCausalLM:
    """A random Llama of 6 layers and width 128."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
        )
    ).eval()


if __name__ == "__main__":
    sys.exit(main())
