"""Rollouts: which prompts an update asks, what the policy writes, and how that is laid out to learn from.

Token ids go from the sampler to the training as they are; nothing is decoded and encoded again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from truing.model import LocalModel, RolloutEngine
from truing.numerics import generator
from truing.train.distributed import Fleet
from truing.train.policy_config import PolicyConfig
from truing.train.policy_records import PromptRow
from truing.train.rows import TokenRows
from truing.types import Completion, InputError, Request, SamplingParams, Stop


@dataclass(frozen=True, eq=False)
class Rollout:
    """The completions of P prompts, K of each, N in all."""

    prompts: tuple[PromptRow, ...]
    """Of each completion [N]."""
    completions: tuple[Completion, ...]
    """Prompt by prompt [N]."""
    groups: NDArray[np.int64]
    """Those of prompt p are completions[groups[p] : groups[p + 1]]; [P + 1]."""


@dataclass(frozen=True, eq=False)
class Flat:
    """n completions of a rollout with M tokens, as rows of token ids in units of one prompt each."""

    rows: TokenRows
    """Each completion after its prompt; the mask is true at its own tokens."""
    borders: NDArray[np.int64]
    """Unit u is the rows borders[u] : borders[u + 1]; [U + 1]."""
    shared: NDArray[np.int64]
    """Tokens of each unit's prompt [U]."""
    of: NDArray[np.int64]
    """Which completion of the rollout each row is [n]."""
    counts: NDArray[np.int64]
    """Tokens of each completion [n]."""
    starts: NDArray[np.int64]
    """Completion tokens before each row [n + 1]."""

    @classmethod
    def of_rollout(cls, rollout: Rollout, chosen: Sequence[int]) -> "Flat":
        """Lay out the completions `chosen`, in ascending order; there is at least one."""
        completions = [rollout.completions[i] for i in chosen]
        prompts = [one.prompt_ids or () for one in completions]
        written = [one.token_ids or () for one in completions]
        ids = np.array([t for p, w in zip(prompts, written, strict=True) for t in (*p, *w)], np.uint32)
        lengths = np.array([[len(p), len(w)] for p, w in zip(prompts, written, strict=True)], np.int64)
        mask = np.tile([False, True], len(completions)).repeat(lengths.ravel())
        rows = TokenRows(ids, mask, np.append(0, lengths.sum(1).cumsum()))
        group = np.searchsorted(rollout.groups, chosen, side="right")
        first = np.flatnonzero(np.diff(group, prepend=-1))
        counts = lengths[:, 1].copy()
        starts = np.append(0, counts.cumsum())
        return cls(
            rows, np.append(first, len(chosen)), lengths[first, 0], np.array(chosen, np.int64), counts, starts
        )

    def tokens(self, rows: NDArray[np.int64]) -> Tensor:
        """Where in the M completion tokens those of the rows are, row by row."""
        return torch.from_numpy(np.concatenate([np.arange(self.starts[r], self.starts[r + 1]) for r in rows]))


def drawn(key: int, name: str, first: int, count: int, total: int) -> NDArray[np.int64]:
    """The draws `first` to `first + count` of an endless series of passes over `total` things.

    Each pass has an order of its own, which is a function of (key, name, pass).
    """
    at = np.arange(first, first + count)
    orders = {
        p: generator(key, name, str(p)).permutation(total) for p in dict.fromkeys((at // total).tolist())
    }
    return np.array([orders[i // total][i % total] for i in at.tolist()], np.int64)


def check_prompts(model: LocalModel, prompts: Sequence[PromptRow], config: PolicyConfig) -> list[Tensor]:
    """The shortest and the longest prompt, each with the room for a completion filled by itself [T].

    Raises:
        InputError: there are none, or one cannot be rendered or leaves no room for a completion.
    """
    if not prompts:
        raise InputError("there are no prompts")
    context, rendered = model.trunk.context, []
    for number, row in enumerate(prompts, start=1):
        try:
            ids = model.chat.prompt_ids(Request(row.id, row.messages))
        except (InputError, ValueError) as why:
            told = why.problem if isinstance(why, InputError) else str(why)
            raise InputError(f"prompt {number} ({row.id}) cannot be asked: {told}") from why
        if context is not None and len(ids) + config.max_new_tokens > context:
            raise InputError(
                f"prompt {number} ({row.id}) has {len(ids)} tokens and max_new_tokens is "
                f"{config.max_new_tokens}, the model's context is {context}",
                mend="shorten it, leave it out or lower max_new_tokens",
            )
        rendered.append(ids)
    ends = [min(rendered, key=len), max(rendered, key=len)]
    return [
        torch.tensor((ids * (1 + config.max_new_tokens))[: len(ids) + config.max_new_tokens]) for ids in ends
    ]


def roll_out(
    model: LocalModel,
    engine: RolloutEngine | None,
    prompts: Sequence[PromptRow],
    config: PolicyConfig,
    update: int,
) -> Rollout:
    """Let the policy answer the prompts of an update (from 0): a function of its weights, the key and the number.

    Raises:
        InputError: the engine does not give back what was asked.
    """
    count, each = config.prompts_per_update, config.samples_per_prompt
    chosen = [prompts[i] for i in drawn(config.key, "prompts", update * count, count, len(prompts))]
    # Numbers as ids: where two passes over the prompts meet, one may be asked twice.
    requests = [Request(str(i), row.messages) for i, row in enumerate(chosen)]
    params = SamplingParams(temperature=config.temperature, max_tokens=config.max_new_tokens, n=each)
    key = int(generator(config.key, "rollout", str(update)).integers(2**63))
    found = {(one.request_id, one.sample): one for one in _written(model, engine, requests, params, key)}
    wanted = [(request.id, sample) for request in requests for sample in range(each)]
    missing = [one for one in wanted if one not in found]
    if missing:
        request, sample = missing[0]
        problem = f"the sampler wrote no completion {sample + 1} of prompt {chosen[int(request)].id}"
        raise InputError(f"{problem}: {len(missing)} of {len(wanted)} are missing")
    print_ = replace(model.fingerprint, adapter=f"{model.fingerprint.adapter}+update:{update}")
    completions = []
    for request, sample in wanted:
        one = found[request, sample]
        _check_tokens(one, model.chat.eos_ids, config)
        completions.append(replace(one, request_id=chosen[int(request)].id, model=print_))
    return Rollout(
        tuple(row for row in chosen for _ in range(each)), tuple(completions), np.arange(count + 1) * each
    )


def _written(
    model: LocalModel,
    engine: RolloutEngine | None,
    requests: Sequence[Request],
    params: SamplingParams,
    key: int,
) -> list[Completion]:
    """What is written by all processes, each of which has its part of the requests; an engine has the first's."""
    fleet = Fleet.of(model.net)
    if engine is not None:

        def ask() -> list[Completion]:
            engine.sync(model)
            return list(engine.sample(requests, params, key=key))

        return fleet.first(ask)
    mine = list(model.sample(requests[fleet.rank :: fleet.size], params, key=key))
    return [one for each in fleet.everyones(mine) for one in each]


def _check_tokens(one: Completion, ends: frozenset[int], config: PolicyConfig) -> None:
    if one.stop is Stop.error:
        return
    if not one.prompt_ids or not one.token_ids:
        raise InputError("the sampler gives no token ids, without which nothing can be learnt from its text")
    if len(one.token_ids) > config.max_new_tokens:
        raise InputError(
            f"the sampler wrote {len(one.token_ids)} tokens where {config.max_new_tokens} were asked for"
        )
    if any(token in ends for token in one.token_ids[:-1]):
        raise InputError("the sampler went on after a token that ends an answer")
