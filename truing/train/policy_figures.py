"""What an update and its completions came to, as rows to write down."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from truing.numerics import k1, kl_estimate
from truing.train.policy_batch import Floats, PolicyBatch, Rewards, row_sums
from truing.train.policy_records import Sample, Update
from truing.train.policy_step import Steps
from truing.train.rollout import Rollout
from truing.types import FrozenDict

_GRAM = 4


def divergences(
    rollout: Rollout, batch: PolicyBatch | None, steps: Steps | None
) -> tuple[Floats, float | None]:
    """Nats of each completion to the reference, the sum of k1 [N], NaN where unknown; and the mean of k3."""
    nats = np.full(len(rollout.completions), np.nan)
    if batch is None or steps is None or batch.ref is None:
        return nats, None
    nats[batch.flat.of] = row_sums(k1(steps.logp, batch.ref), batch.flat.counts).cpu().numpy()
    return nats, float(kl_estimate(steps.logp, batch.ref, "k3").mean())


def samples(
    rollout: Rollout, paid: Sequence[int], rewards: Rewards, settled: Floats, nats: Floats, update: int
) -> list[Sample]:
    """Every completion of the update (from 0), with what it was paid and what it cost."""
    place = {i: k for k, i in enumerate(paid)}
    rows = []
    for i, (prompt, one) in enumerate(zip(rollout.prompts, rollout.completions, strict=True)):
        at = place.get(i)
        parts = {} if at is None else {name: of[at] for name, of in rewards.components.items()}
        rows.append(
            Sample(
                update=update + 1,
                prompt_id=prompt.id,
                sample=one.sample,
                messages=prompt.messages,
                text=one.text,
                reward=None if np.isnan(settled[i]) else float(settled[i]),
                components=FrozenDict({name: x for name, x in parts.items() if x is not None}),
                kl=None if np.isnan(nats[i]) else float(nats[i]),
                length=len(one.token_ids or ()),
                stop=one.stop,
            )
        )
    return rows


def update_row(  # noqa: PLR0913  each is a part of its own
    rollout: Rollout,
    rewards: Rewards,
    settled: Floats,
    batch: PolicyBatch | None,
    steps: Steps | None,
    *,
    nats: Floats,
    spent: float | None,
    kl_coef: float,
    held_out: FrozenDict,
    update: int,
) -> Update:
    """The figures of an update (from 0)."""
    known = settled[~np.isnan(settled)]
    lengths = np.array([len(one.token_ids or ()) for one in rollout.completions], np.float64)
    of = {name: [x for x in row if x is not None] for name, row in rewards.components.items()}
    stops: dict[str, int] = {}
    for one in rollout.completions:
        stops[one.stop.value] = stops.get(one.stop.value, 0) + 1
    logp = None if steps is None else steps.logp[~steps.logp.isnan()]
    return Update(
        update=update + 1,
        reward=_mean(known),
        reward_std=float(known.std()) if len(known) else None,
        components=FrozenDict({name: float(np.mean(row)) for name, row in of.items() if row}),
        missing=FrozenDict({name: len(rewards.components[name]) - len(row) for name, row in of.items()}),
        kl=_mean(nats[~np.isnan(nats)]),
        kl_spent=spent,
        kl_coef=kl_coef,
        entropy=None if logp is None or not len(logp) else float(-logp.mean()),
        length=float(lengths.mean()),
        length_std=float(lengths.std()),
        stops=FrozenDict(dict(sorted(stops.items()))),
        groups=len(rollout.groups) - 1,
        zero_variance_groups=_alike(settled, rollout.groups),
        clip_share=steps.clipped / steps.seen if steps is not None and steps.seen else 0.0,
        ratio_max=float(np.exp(steps.furthest)) if steps is not None else 1.0,
        grad_norm=max(steps.norms, default=0.0) if steps is not None else 0.0,
        loss=_mean(steps.losses if steps is not None else []) or 0.0,
        duplicate_ngrams=_duplicates(rollout),
        tokens=int(lengths.sum()),
        advantage_std=0.0 if batch is None else float(batch.advantages.std(correction=0)),
        value_loss=None if steps is None else _mean(steps.value_losses),
        ptx_loss=None if steps is None else _mean(steps.ptx_losses),
        sampler_gap=None if batch is None or steps is None else _sampler_gap(rollout, batch, steps.logp),
        held_out=held_out,
    )


def _mean(numbers: Sequence[float] | Floats) -> float | None:
    return float(np.mean(numbers)) if len(numbers) else None


def _alike(settled: Floats, groups: NDArray[np.int64]) -> int:
    """Groups of several completions without two different rewards."""
    each = [settled[a:b] for a, b in pairwise(groups) if b - a > 1]
    return sum(len(np.unique(rewards[~np.isnan(rewards)])) < 2 for rewards in each)


def _duplicates(rollout: Rollout) -> float:
    """The share of 4-grams of tokens that stood earlier in the same completion."""
    grams = seen = 0
    for one in rollout.completions:
        ids = one.token_ids or ()
        count = max(0, len(ids) - _GRAM + 1)
        grams += count
        seen += count - len({ids[k : k + _GRAM] for k in range(count)})
    return seen / grams if grams else 0.0


def _sampler_gap(rollout: Rollout, batch: PolicyBatch, logp: Tensor) -> float | None:
    told = [rollout.completions[i].logprobs for i in batch.flat.of]
    if any(row is None for row in told):
        return None
    flat = np.array([x for row in told for x in row or ()])
    gaps = np.abs(logp.cpu().numpy() - flat)
    return _mean(gaps[~np.isnan(gaps)])
