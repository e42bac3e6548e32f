import pytest
import torch
from model.tiny import FAMILIES, make_config, make_tokenizer
from transformers import AutoModelForCausalLM

from truing.model.ground import RANDOM, ground


@pytest.mark.parametrize("family", FAMILIES)
def test_random_weights_are_known_and_one_step_of_training_ends_that(family: str) -> None:
    net = AutoModelForCausalLM.from_config(make_config(family, make_tokenizer()))
    assert ground(net) == RANDOM
    ids = torch.arange(12)[None]
    net(input_ids=ids, labels=ids).loss.backward()
    torch.optim.AdamW(net.parameters(), lr=1e-3).step()
    assert ground(net) == ""


def test_a_model_raised_for_a_test_says_so_itself() -> None:
    config = make_config("llama", make_tokenizer(), truing_ground="raised for a test")
    assert ground(AutoModelForCausalLM.from_config(config)) == "raised for a test"
