"""The arithmetic of a training's memory, by hand for eight billion parameters and measured on small models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model.test_model_memory import LLAMA_8B, Peak
from model.tiny import make_checkpoint
from train.rows import random_rows

from truing.methods.adapters import lora
from truing.model import TrainingSetup, load_local, training_memory
from truing.train import SupervisedConfig, supervised
from truing.types import InputError

ENDS = 2 * 128256 * 4096 + 4096
INSIDE = 8_030_261_248 - ENDS
GIB = 2**30


def test_all_weights_take_sixteen_bytes_each_and_two_for_their_narrow_copies() -> None:
    found = training_memory(LLAMA_8B, TrainingSetup())
    n = ENDS + INSIDE
    assert (found.parameters, found.trained) == (n, n)
    assert (found.weights, found.gradients, found.optimizer) == (4 * n, 4 * n, 8 * n)
    assert found.narrow == 2 * (INSIDE + 128256 * 4096)
    assert 140 < found.total / GIB < 155 and not found.fits(80)


def test_sharding_divides_the_layers_and_leaves_the_ends_whole() -> None:
    found = training_memory(LLAMA_8B, TrainingSetup(devices=8, sharded=True, recompute=True))
    mine = INSIDE // 8 + ENDS
    assert (found.weights, found.gradients, found.optimizer) == (4 * mine, 4 * mine, 8 * mine)
    assert found.gathered == pytest.approx(
        INSIDE / 32 * (2 * 2 + 2 + 4), rel=1e-6
    )  # two layers, one layer's gradient
    assert found.fits(80) and not found.fits(24)


def test_lora_trains_its_matrices_alone() -> None:
    config = replace_dtype("bfloat16")
    found = training_memory(config, TrainingSetup(trains="lora", rank=16))
    per_layer = 16 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14336))
    assert found.trained == 32 * per_layer
    assert found.weights == 2 * (INSIDE + ENDS) + 4 * found.trained
    assert found.optimizer == 8 * found.trained and found.narrow == 0


def test_four_bits_bring_eight_billion_parameters_onto_a_card_of_24() -> None:
    setup = TrainingSetup(trains="qlora", recompute=True)
    found = training_memory(replace_dtype("bfloat16"), setup)
    assert found.weights == pytest.approx(0.5625 * INSIDE + 2 * ENDS + 4 * found.trained, rel=1e-6)
    assert found.fits(24)
    with pytest.raises(InputError, match="not sharded"):
        replace(setup, devices=2, sharded=True)


def test_a_rollout_beside_training_counts_only_beyond_what_training_takes() -> None:
    setup = TrainingSetup(trains="lora")
    few, many = (replace(setup, rollout_rows=n, rollout_tokens=2048) for n in (1, 256))
    none = training_memory(LLAMA_8B, setup)
    assert training_memory(LLAMA_8B, few).total == none.total
    cache = 256 * 2048 * 33 * 2 * 8 * 128 * 2 + 256 * 128256 * 16
    found = training_memory(LLAMA_8B, many)
    assert found.total == none.total - none.activations - none.logits + cache


def replace_dtype(name: str) -> object:
    config = LLAMA_8B.__class__(**LLAMA_8B.to_dict())
    config.dtype = getattr(torch, name)
    return config


@pytest.fixture(scope="module", params=["llama", "qwen3", "gpt_neox"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("measured")
    changes = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 4}
    return make_checkpoint(made, request.param, chat_template=None, **changes)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("trains", ["all", "lora"])
def test_the_loops_peak_where_it_was_estimated(folder: Path, trains: str, recompute: bool) -> None:
    """Within 40 % beside the weights, which exist already: float32, rows of 256 tokens, 2,048 at once."""
    model = load_local(folder, device="cpu", dtype="float32")
    if trains == "lora":
        lora(model.net, str(folder), rank=4, key=0, task="CAUSAL_LM")
    rows = random_rows((256,) * 8, trained_from=200)
    config = SupervisedConfig(1e-3, tokens_per_step=2048, recompute=recompute)
    with Peak() as run:
        supervised(model.net, rows, config, what="test")
    setup = TrainingSetup(
        trains=trains,
        rank=4,
        recompute=recompute,
        tokens=2048,
        logit_rows=448,
        compute="float32",  # type: ignore[arg-type]
    )
    found = training_memory(model.net.config, setup)
    ratio = run.peak / (found.total - found.weights)
    assert 0.6 < ratio < 1.4, f"{ratio:.2f}: {found.lines()}"
    assert np.isfinite(ratio)
