"""Memory estimates against arithmetic done by hand and against measured peaks."""

import weakref
from pathlib import Path

import pytest
import torch
import transformers
from model.tiny import FAMILIES, checkpoint, make_checkpoint
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from truing.model import estimate, load
from truing.types import InputError, SamplingParams, ask

LLAMA_8B = transformers.LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
)


def test_a_llama_of_8_billion_parameters_is_counted_as_by_hand():
    layer = 4096 * 4096 * 2 + 4096 * 1024 * 2 + 3 * 4096 * 14336 + 2 * 4096
    parameters = 2 * 128256 * 4096 + 32 * layer + 4096
    found = estimate(LLAMA_8B, mode="sample", rows=4, tokens=8192)
    assert found.parameters == parameters == 8_030_261_248
    assert found.weights == 2 * parameters
    assert found.cache == 4 * 8192 * (32 + 1) * 2 * 8 * 128 * 2
    assert found.gradients == found.optimizer == 0


def test_training_adds_gradients_and_two_moments_and_shards_them():
    one = estimate(LLAMA_8B, mode="train", rows=1, tokens=1024, dtype="float32")
    assert one.gradients == 4 * one.parameters and one.optimizer == 8 * one.parameters
    four = estimate(LLAMA_8B, mode="train", rows=1, tokens=1024, dtype="float32", devices=4)
    assert four.optimizer == one.optimizer / 4
    assert one.weights / 4 < four.weights < one.weights / 3
    assert four.activations == one.activations


def test_logits_are_counted_by_the_chunk_and_not_by_the_batch():
    qwen = transformers.Qwen3Config(vocab_size=151_936, num_hidden_layers=2, hidden_size=512)
    found = estimate(qwen, mode="score", rows=8, tokens=1024)
    assert found.logits < 0.1 * 8 * 1024 * 151_936 * 4


def test_four_bits_shrink_all_but_the_embeddings():
    full = estimate(LLAMA_8B, mode="score", rows=1, tokens=16)
    small = estimate(LLAMA_8B, mode="score", rows=1, tokens=16, quantize="4bit")
    embeddings = 2 * 128256 * 4096
    assert small.weights == pytest.approx(2 * embeddings + 0.5625 * (full.parameters - embeddings), abs=1)


def test_a_sliding_window_bounds_the_cache_of_its_layers():
    config = transformers.AutoConfig.from_pretrained(checkpoint("gemma3"))
    short, long = (estimate(config, mode="sample", rows=1, tokens=n).cache for n in (8, 800))
    assert long == short * (800 + 8 + 800) / (8 + 8 + 8)


def test_the_table_names_what_there_is():
    lines = estimate(LLAMA_8B, mode="score", rows=2, tokens=512).lines()
    assert "8.03 billion parameters" in lines[0] and "2 x 512 tokens" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ["weights", "activations", "logits", "total"]
    assert lines[1].endswith("14.96 GiB")


def test_a_reference_needs_no_weights(tmp_path):
    (tmp_path / "config.json").write_text((checkpoint("llama") / "config.json").read_text())
    found = estimate(tmp_path, mode="score", rows=1, tokens=8)
    assert found.parameters == sum(p.numel() for p in load(checkpoint("llama")).net.parameters())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"dtype": "int8"}, "no dtype"),
        ({"rows": 0}, "at least 1"),
        ({"mode": "train", "quantize": "4bit"}, "cannot be trained"),
    ],
)
def test_an_impossible_setting_is_one_sentence(options, problem):
    with pytest.raises(InputError, match=problem):
        estimate(LLAMA_8B, **{"mode": "score", "rows": 1, "tokens": 8, **options})


class Peak(TorchDispatchMode):
    """Bytes of all tensors made inside, at their highest."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.seen = weakref.WeakKeyDictionary()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage() not in self.seen:
                storage = tensor.untyped_storage()
                self.seen[storage] = storage.nbytes()
                self.live += storage.nbytes()
                self.peak = max(self.peak, self.live)
                weakref.finalize(storage, self._free, storage.nbytes())
        return out

    def _free(self, size: int) -> None:
        self.live -= size


ROWS, TOKENS = 8, 256
MODELS = [*((f, "float32") for f in FAMILIES), ("llama", "bfloat16"), ("gemma3", "bfloat16")]


@pytest.fixture(scope="module", params=MODELS, ids="-".join)
def measured(request, tmp_path_factory):
    """A model with a context long enough that activations outweigh what is constant."""
    family, dtype = request.param
    folder = Path(tmp_path_factory.mktemp(family))
    wider = {} if family == "gpt2" else {"hidden_size": 64, "intermediate_size": 176}
    model = load(make_checkpoint(folder, family, chat_template=None, **wider), dtype=dtype)
    return model, dtype


def close(peak: int, found) -> bool:
    """Within 35 % of what is estimated beside the weights, which exist already."""
    return 0.65 < peak / (found.total - found.weights) < 1.35


def test_scoring_peaks_where_it_was_estimated(measured):
    model, dtype = measured
    ids = [[5 + (i * 7 + j * 3) % 200 for j in range(TOKENS)] for i in range(ROWS)]
    with Peak() as run:
        model.score([row[:1] for row in ids], [row[1:] for row in ids])
    assert close(run.peak, estimate(model.net.config, mode="score", rows=ROWS, tokens=TOKENS, dtype=dtype))


def test_sampling_peaks_where_it_was_estimated(measured):
    model, dtype = measured
    requests = [ask(f"{i} " + "gull " * 45, id=str(i)) for i in range(ROWS)]
    length = len(model.chat.prompt_ids(requests[0]))
    with Peak() as run:
        list(model.sample(requests, SamplingParams(max_tokens=16), key=1))
    found = estimate(model.net.config, mode="sample", rows=ROWS, tokens=length + 16, dtype=dtype)
    assert close(run.peak, found)


def test_training_peaks_where_it_was_estimated(measured):
    model, dtype = measured
    ids = torch.arange(ROWS * TOKENS).reshape(ROWS, TOKENS) % 200 + 5
    optimizer = torch.optim.AdamW(model.net.parameters(), foreach=False)
    with Peak() as run:
        hidden = model.net.base_model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.net.get_output_embeddings()(hidden.flatten(0, 1)[:256]).float()
        loss = torch.nn.functional.cross_entropy(logits, ids.flatten()[:256]) + 0 * hidden.sum()
        loss.backward()
        optimizer.step()
    model.net.zero_grad()
    assert close(run.peak, estimate(model.net.config, mode="train", rows=ROWS, tokens=TOKENS, dtype=dtype))
