"""Judges for tests: one that says what a script says, and tiny real ones that lean where a test wants them to."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from model.tiny import make_config, make_tokenizer
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM

from truing.model import ChatFormat, LocalModel
from truing.types import Completion, Fingerprint, Request, SamplingParams, Shown, Stop, ask

Says = str | tuple[str, Stop] | Callable[[Request], str]


class Scripted:
    """A `Sampler` that answers request i with `script[i]`, the last entry for all further ones.

    It yields its answers last first, as samplers may, and keeps what it was asked in `seen`.
    """

    def __init__(self, *script: Says, weights: str = "scripted") -> None:
        self.script, self.fingerprint = script, Fingerprint(weights)
        self.seen: list[Request] = []
        self.params: SamplingParams | None = None

    def plan(self, requests: Sequence[Request], params: SamplingParams) -> list[list[int]]:
        return [list(range(len(requests)))]

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        self.seen += requests
        self.params = params
        for i in reversed(range(len(requests))):
            said = self.script[min(i, len(self.script) - 1)]
            said = said(requests[i]) if callable(said) else said
            text, stop = said if isinstance(said, tuple) else (said, Stop.eos)
            if stop is Stop.error:
                yield Completion.failed(requests[i].id, text, self.fingerprint)
            else:
                yield Completion(requests[i].id, 0, text, text, stop, self.fingerprint)


def shown(answer: str, *, asked: str = "Who rings the bell?", stop: Stop = Stop.eos) -> Shown:
    return Shown(ask(asked, id="q"), answer, stop)


def judge_model(
    *,
    template: str | None = None,
    marks: str | None = "llama3",
    words: Sequence[str] = (),
    family: str = "llama",
) -> LocalModel:
    """A tiny random model; `template` is its chat template's text, and each of `words` is one token."""
    tokenizer = make_tokenizer(chat_template=marks)
    tokenizer.chat_template = template
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
    config = make_config(family, tokenizer, max_position_embeddings=2048)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = AutoModelForCausalLM.from_config(config)
    chat = ChatFormat(tokenizer, eos_ids=frozenset({tokenizer.eos_token_id}))
    return LocalModel(net, chat, Fingerprint("tiny judge"))


def probabilities(model: LocalModel, ids: Sequence[int]) -> torch.Tensor:
    """The next-token distribution [V] by transformers alone."""
    with torch.no_grad():
        return model.net(input_ids=torch.tensor([list(ids)])).logits[0, -1].double().softmax(-1)


def lean(model: LocalModel, wanted: Mapping[tuple[int, ...], Mapping[int, float]]) -> None:
    """After each prefix, raise the logits of these tokens by so much, and there no others."""
    with torch.no_grad():
        states = [model.net.base_model(input_ids=torch.tensor([p])).last_hidden_state[0, -1] for p in wanted]
        solve = torch.linalg.pinv(torch.stack(states))
        for token in {token for towards in wanted.values() for token in towards}:
            more = torch.tensor([towards.get(token, 0.0) for towards in wanted.values()])
            model.net.lm_head.weight[token] += solve @ more


def ids_that(model: LocalModel, fits: Callable[[str], bool]) -> list[int]:
    """Tokens whose text fits."""
    return [id for id in range(len(model.chat.tokenizer)) if fits(model.chat.tokenizer.decode([id]))]


def saved(model: LocalModel, folder: Path) -> str:
    """The model as a folder, to be opened by reference."""
    model.net.save_pretrained(folder)
    model.chat.tokenizer.save_pretrained(folder)
    return str(folder)


def close(a: float | None, b: float) -> bool:
    return a is not None and math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5)
