"""A softmax policy of three tokens, all of whose texts can be listed: expectations without sampling."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

LONGEST = 3
STOP = 2
TEXTS = [
    *[(*head, STOP) for n in range(LONGEST) for head in itertools.product((0, 1), repeat=n)],
    *itertools.product((0, 1), repeat=LONGEST),
]
PREFIXES = sorted({text[:t] for text in TEXTS for t in range(len(text))})
COUNTS = torch.tensor([len(text) for text in TEXTS])
TOKENS = torch.tensor([token for text in TEXTS for token in text])
AT = torch.tensor([PREFIXES.index(text[:t]) for text in TEXTS for t in range(len(text))])
"""The prefix that each token of each text stands after [M]."""
ROW = torch.repeat_interleave(torch.arange(len(TEXTS)), COUNTS)


def table(seed: int) -> Tensor:
    """The logits of a policy after each prefix [P, 3], float64, with gradient."""
    make = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(PREFIXES), 3, generator=make, dtype=torch.float64)
    return logits.requires_grad_()


def token_logprobs(logits: Tensor) -> Tensor:
    """Of every token of every text, end to end [M]."""
    return logits.log_softmax(-1)[AT, TOKENS]


def row_sums(x: Tensor) -> Tensor:
    """Over the tokens of each text [texts]."""
    return x.new_zeros(len(TEXTS)).index_add(0, ROW, x)


def chances(logits: Tensor) -> Tensor:
    """The probability of each text [texts]; their sum is 1."""
    return row_sums(token_logprobs(logits)).exp()


def gradient(value: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """Of a number that depends on the logits [P, 3]."""
    (found,) = torch.autograd.grad(value(logits), logits)
    return found
