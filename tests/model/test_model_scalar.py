"""`ScalarModel`: an ordinary folder of transformers, read at the last token, with a bias of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from model.tiny import checkpoint, make_checkpoint

from truing.model import ScalarModel
from truing.numerics import generator
from truing.types import InputError, Message, Role

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox", "gpt2")
ROWS = [[7, 8, 9], [300, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30], [5], [9, 8, 7, 6]]


def scalar(family: str = "llama", key: int = 1) -> ScalarModel:
    return ScalarModel.from_base(checkpoint(family), key)


def plain(folder: Path, rows: list[list[int]], side: str = "right") -> list[float]:
    """What transformers alone makes of the folder, with the tokenizer's own padding."""
    net = hf.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(folder, padding_side=side)
    with torch.no_grad():
        padded = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        return net(**padded).logits.squeeze(-1).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_folder_gives_plain_transformers_the_same_numbers(family: str, tmp_path: Path) -> None:
    model = scalar(family)
    wanted = model.score(ROWS)
    model.save(tmp_path)
    assert plain(tmp_path, ROWS) == pytest.approx(wanted.tolist(), abs=1e-5)
    loaded = ScalarModel.load(tmp_path)
    np.testing.assert_allclose(loaded.score(ROWS), wanted, atol=2e-6)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [type(model.net).__name__]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_number_is_read_at_the_last_token(family: str) -> None:
    """Every token counts, and the head sees the state of the last one, not of its neighbour."""
    model = scalar(family)
    row = list(range(10, 20))
    with torch.no_grad():
        states = model.net.base_model(input_ids=torch.tensor([row])).last_hidden_state[0]
        wanted = model.net.score(states).squeeze(-1)
    assert model.score([row, row[:-1], [*row[:-1], 99]])[:2].tolist() == pytest.approx(
        [float(wanted[-1]), float(wanted[-2])], abs=1e-5
    )
    assert abs(model.score([[*row[:-1], 99]])[0] - float(wanted[-1])) > 1e-3


def test_a_smaller_head_gives_smaller_numbers_in_the_same_order() -> None:
    whole, tenth = scalar(), ScalarModel.from_base(checkpoint("llama"), 1, head_scale=0.1)
    np.testing.assert_allclose(tenth.score(ROWS), 0.1 * whole.score(ROWS), rtol=1e-4)
    assert tenth.fingerprint != whole.fingerprint


def test_numbers_do_not_depend_on_what_else_is_scored() -> None:
    model = scalar()
    together = model.score(ROWS)
    np.testing.assert_allclose([model.score([row])[0] for row in ROWS], together, atol=1e-6)
    assert model.score([]).shape == (0,)


def test_padding_is_no_end_of_a_turn(tmp_path: Path) -> None:
    """Where padding is also the end of a turn, transformers would read one token too early."""
    folder = make_checkpoint(tmp_path / "base", "llama")
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    model = ScalarModel.from_base(folder, 1)
    turns = [Message(Role.user, "Is the kettle mended?"), Message(Role.assistant, "It is.")]
    longer = [*turns[:1], Message(Role.assistant, "It is not, and I will tell you why at length.")]
    rows = [list(model.chat.training_example(talk).ids) for talk in (turns, longer)]
    ended = [row[: len(row) - row[::-1].index(tokenizer.eos_token_id)] for row in rows]
    assert ended[0][-1] == tokenizer.eos_token_id
    wanted = model.score(ended)
    model.save(tmp_path / "saved")
    assert plain(tmp_path / "saved", ended) == pytest.approx(wanted.tolist(), abs=1e-5)
    assert plain(tmp_path / "saved", ended, side="left") == pytest.approx(wanted.tolist(), abs=1e-5)


def test_the_bias_is_in_the_folder_and_plain_transformers_does_without(tmp_path: Path) -> None:
    model = scalar()
    raw = model.score(ROWS)
    model.bias -= float(raw.mean())
    assert float(model.score(ROWS).mean()) == pytest.approx(0, abs=1e-6)
    model.save(tmp_path)
    loaded = ScalarModel.load(tmp_path)
    assert loaded.bias == model.bias
    assert float(loaded.score(ROWS).mean()) == pytest.approx(0, abs=1e-5)
    assert plain(tmp_path, ROWS) == pytest.approx(raw.tolist(), abs=1e-5)


def test_the_head_is_a_function_of_the_key_with_the_reference_variance() -> None:
    head = scalar(key=3).net.score.weight.detach()
    wanted = generator(3, "scalar head").standard_normal((1, 32)) / np.sqrt(33)
    np.testing.assert_allclose(head.numpy(), wanted, rtol=1e-6)
    assert torch.equal(head, scalar(key=3).net.score.weight)
    assert not torch.equal(head, scalar(key=4).net.score.weight)
    wide = generator(0, "scalar head").standard_normal((1, 4096)) / np.sqrt(4097)
    assert wide.std() == pytest.approx(1 / np.sqrt(4097), rel=0.05)


def test_the_global_generators_are_left_as_they_were() -> None:
    state = torch.random.get_rng_state()
    scalar()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_model_that_makes_nan_scores_nan_and_its_neighbours_do_not() -> None:
    model = scalar()
    with torch.no_grad():
        model.net.get_input_embeddings().weight[300] = torch.nan
    assert np.isnan(model.score(ROWS)).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [([], "row 1 is empty"), ([7] * 513, "row 1 has 513 tokens"), ([9999], "row 1 has a token outside")],
    ids=["empty", "long", "strange"],
)
def test_a_row_that_cannot_be_scored_is_named(row: list[int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        scalar().score([[7], row])


def test_a_model_without_a_number_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a LlamaForCausalLM has no single number out"):
        ScalarModel.load(checkpoint("llama"))
    two = hf.AutoModelForSequenceClassification.from_pretrained(checkpoint("llama"), num_labels=2)
    two.save_pretrained(tmp_path)
    hf.AutoTokenizer.from_pretrained(checkpoint("llama")).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a LlamaForSequenceClassification has no single number out"):
        ScalarModel.load(tmp_path)


def test_a_kind_of_model_that_transformers_has_no_scalar_form_of_is_refused(tmp_path: Path) -> None:
    config = hf.GraniteConfig(
        vocab_size=512, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    hf.AutoTokenizer.from_pretrained(checkpoint("llama")).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no form of GraniteForCausalLM with a scalar head"):
        ScalarModel.from_base(tmp_path, 1)
