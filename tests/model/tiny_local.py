"""Tiny local models of every family, made in memory; each is shared: leave it as you found it."""

import functools
from typing import Any

import torch
from model.tiny import FAMILIES, make_config, make_tokenizer
from transformers import AutoModelForCausalLM

from truing.model import ChatFormat, LocalModel
from truing.types import Fingerprint, Request, ask

torch.set_num_threads(1)

SLIDING: dict[str, dict[str, Any]] = {"mistral": {"sliding_window": 8}, "phi3": {"sliding_window": 8}}
ALL = [*FAMILIES, *(f"{family}+window" for family in SLIDING)]


def make_local(name: str, **changes: Any) -> LocalModel:
    """A fresh model of the family `name`; `family+window` has a sliding window of 8 tokens."""
    family, _, window = name.partition("+")
    tokenizer = make_tokenizer()
    config = make_config(family, tokenizer, **(SLIDING[family] if window else {}), **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = AutoModelForCausalLM.from_config(config)
    chat = ChatFormat(tokenizer, eos_ids=frozenset({tokenizer.eos_token_id}))
    return LocalModel(net, chat, Fingerprint(name))


@functools.cache
def local(name: str) -> LocalModel:
    """A shared model of which one token in eight ends the text, so that rows end at different steps."""
    model = make_local(name)
    model.chat.eos_ids = frozenset(range(0, 512, 8))
    return model


def requests(count: int) -> list[Request]:
    """Prompts of many different lengths."""
    return [ask("The keeper counts gulls. " * (1 + 5 * i % 16), id=f"r{i}") for i in range(count)]
