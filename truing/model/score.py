"""Log-probabilities of given tokens: forward passes without a cache."""

from collections.abc import Sequence

import torch
from torch import Tensor

from truing.model.batching import first_fit, halving, length_buckets, packed, right_padded
from truing.model.trunk import Trunk
from truing.numerics import chunked_logprobs

Ids = Sequence[int]

_TOKENS, _ROWS = 4096, 256
_WORTH_PACKING = 0.9


def score(
    trunk: Trunk, prompts: Sequence[Ids], completions: Sequence[Ids], *, temperature: float = 1.0
) -> list[list[float]]:
    """Log-probability (nats) of each completion token after its prompt: [N][T_n].

    An empty completion has an empty list. NaN where the model's output is not a number.

    Raises:
        ValueError: a prompt is empty, a sequence is longer than the model's context, or there are not
            as many prompts as completions.
    """
    if len(prompts) != len(completions):
        raise ValueError(f"there are {len(prompts)} prompts and {len(completions)} completions")
    check_prefixes(trunk, prompts, [max(len(c) - 1, 0) for c in completions])

    def run(rows: Sequence[int]) -> list[list[float]]:
        ours, theirs = [prompts[i] for i in rows], [completions[i] for i in rows]
        pack = trunk.packs and _worth_packing([len(p) + len(c) for p, c in zip(ours, theirs, strict=True)])
        flat = completion_logprobs(trunk, ours, theirs, temperature=temperature, pack=pack)
        if pack and bool(flat.isnan().any()):
            # NaN times an attention weight of zero is NaN: one sequence spoils its row.
            flat = completion_logprobs(trunk, ours, theirs, temperature=temperature)
        return [part.tolist() for part in torch.split(flat, [len(c) for c in theirs])]

    scores: list[list[float]] = [[] for _ in prompts]
    filled = [i for i, completion in enumerate(completions) if completion]
    for bucket in _buckets([len(prompts[i]) + len(completions[i]) for i in filled]):
        chosen = [filled[k] for k in bucket]
        for i, values in zip(chosen, halving(run, chosen), strict=True):
            scores[i] = values
    return scores


def completion_logprobs(
    trunk: Trunk,
    prompts: Sequence[Ids],
    completions: Sequence[Ids],
    *,
    temperature: float = 1.0,
    pack: bool = False,
) -> Tensor:
    """Log-probability (nats, float32) of each completion token after its prompt, in one forward pass.

    The result is flat: the completions one after another, [sum of T_n]. Gradients flow, and full
    logits exist for a few positions at a time only. With `pack` several sequences share a row, which
    is exact where `trunk.packs` is true.
    """
    # The last token is predicted and never read.
    sequences = [[*p, *c[:-1]] for p, c in zip(prompts, completions, strict=True)]
    lengths = [len(prompt) for prompt in prompts]
    if pack:
        rows = first_fit([len(s) for s in sequences], max(map(len, sequences)))
        batch = packed(sequences, lengths, rows, trunk.device)
    else:
        rows = [[i] for i in range(len(sequences))]
        batch = right_padded(sequences, lengths, trunk.device)
    hidden = trunk.hidden(batch)
    chosen = hidden.flatten(0, 1)[_predicting(rows, sequences, lengths, hidden.shape[1]).to(hidden.device)]
    targets = torch.tensor([token for completion in completions for token in completion])
    return chunked_logprobs(chosen, trunk.logits, targets.to(hidden.device), temperature=temperature)


def _predicting(
    rows: Sequence[Sequence[int]], sequences: Sequence[Ids], prompts: Sequence[int], width: int
) -> Tensor:
    """Where, in the flattened [B * T], the hidden state before each completion token is."""
    where: dict[int, range] = {}
    for row, members in enumerate(rows):
        start = row * width
        for i in members:
            where[i] = range(start + prompts[i] - 1, start + len(sequences[i]))
            start += len(sequences[i])
    return torch.tensor([at for i in range(len(sequences)) for at in where[i]])


def _buckets(lengths: Sequence[int]) -> list[list[int]]:
    return length_buckets(lengths, tokens=_TOKENS, rows=_ROWS)


def _worth_packing(lengths: Sequence[int]) -> bool:
    """Whether packing saves enough rows to pay for the attention mask that it needs."""
    return len(first_fit(lengths, max(lengths))) <= _WORTH_PACKING * len(lengths)


def check_prefixes(trunk: Trunk, prefixes: Sequence[Ids], more: Sequence[int]) -> None:
    """Raise ValueError where a prefix is empty, or with so many `more` tokens longer than the context."""
    for row, (prefix, extra) in enumerate(zip(prefixes, more, strict=True)):
        if not prefix:
            raise ValueError(
                f"sequence {row} has an empty prompt: nothing predicts its first token; start with BOS"
            )
        if trunk.context is not None and len(prefix) + extra > trunk.context:
            raise ValueError(
                f"sequence {row} has {len(prefix) + extra} tokens, the model's context is {trunk.context}"
            )
