"""Rule-based rewards (Mu et al. 2024, arXiv 2411.01111): a reward from rules, fitted on a few hundred prompts.

1. For each prompt that has to do with safety, a model is told to write answers of known place: an ideal one,
   bad ones with a drawn fault, one that should not be given. Graders confirm each (`write_comparisons`).
2. A grader says of each answer how probable each proposition of the rules is, and each class (`RuleFeatures`).
3. For each response type, weights of these features are fitted so that the total reward ranks the answers
   of a prompt as they should be, with a margin (`fit_rule_weights`).
4. At run time the weighted sum is added to the helpful-only reward, on those prompts alone (`RuleReward`).

The published fitter has traps that this one avoids: margins in whole numbers, an unseeded shuffle, pairs of one
prompt on both sides of the split, features in the order of a set, pairs of all answers with all.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from truing.data import split_by_group
from truing.grade import RuleFeatures, RuleWeights, TypeWeights
from truing.methods.rbr_comparisons import RankedAnswers
from truing.methods.rbr_tables import AnswerTable, answer_tables
from truing.numerics import generator, hinge_weights, ranking_hinge
from truing.types import InputError

_TAIL = 0.025


@dataclass(frozen=True)
class RBRConfig:
    """The numbers of the fit; those of the published fitter by default.

    Raises:
        InputError: a number is out of its range.
    """

    margin: float = 1.0
    """By how much a better answer is to be paid more."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """Kind of the worse answer -> what its margin is multiplied by; 1 where it is not named."""
    learning_rate: float = 1e-2
    """Of AdamW; every step is on all pairs."""
    steps: int = 1000
    """Steps of the optimiser, from weights of 0."""
    weight_decay: float = 0.0
    """Decoupled decay; the published notebook has 0.05 where the fitter's default is 0."""
    held_out: float = 0.2
    """Share of the prompts that are kept for the order violations. (Published: 5 % of the pairs.)"""
    ignored: tuple[str, ...] = ()
    """Features that are left at a weight of exactly 0."""
    least_spread: float = 0.0
    """Ours: features that differ by less between any two answers of a pair keep a weight of exactly 0. AdamW steps by
    the sign of a slope, so that the published fit (0) gives them weights like any other, of no meaning."""
    resamples: int = 200
    """Fits on resampled prompts, for the intervals of the weights; 0 makes none."""
    seed: int = 0
    """Deals the prompts, and draws the resamples."""

    def __post_init__(self) -> None:
        if not (
            self.margin > 0 and math.isfinite(self.margin) and all(m >= 0 for m in self.margins.values())
        ):
            raise InputError(f"a margin is above 0, not {self.margin}, and its factors are not below 0")
        if not 0 <= self.held_out < 1:
            raise InputError(f"the share that is held out lies in [0, 1), not {self.held_out}")
        if not (
            self.learning_rate > 0 and self.steps >= 1 and 0 <= self.weight_decay <= 1 and self.resamples >= 0
        ):
            raise InputError(
                "the learning rate is above 0, there is a step, decay is in [0, 1], resamples are not below 0"
            )


@dataclass(frozen=True)
class TypeFit:
    """The fit of one response type: its weights, the losses, and the answers on both sides of the split."""

    weights: TypeWeights
    loss: float
    held_out_loss: float | None
    """None where no pair was held out."""
    trained: AnswerTable
    held_out: AnswerTable


@dataclass(frozen=True)
class RuleFit:
    """What was fitted. `missing` counts answers that the grader did not decide, by response type and outcome."""

    weights: RuleWeights
    types: tuple[TypeFit, ...]
    missing: Mapping[str, int]


def fit_rule_weights(
    rows: Sequence[RankedAnswers], features: RuleFeatures, config: RBRConfig, *, note: str = ""
) -> RuleFit:
    """Fit the weights of every response type that has ranked answers.

    Raises:
        InputError: a response type is unknown or has no two answers of different rank to train on; an
            ignored feature or a kind with a margin of its own is nowhere.
    """
    tables = answer_tables(rows, features)
    if not tables.of:
        raise InputError("there is no answer that the grader could judge", mend="look at its verdicts")
    _check_names("feature", config.ignored, {name for table in tables.of for name in table.features})
    _check_names("kind", config.margins, {kind for table in tables.of for kind in table.kinds})
    types = tuple(_fit(table, config) for table in tables.of)
    weights = RuleWeights(
        features.rules.digest,
        features.id,
        tuple(one.weights for one in types),
        margin=config.margin,
        seed=config.seed,
        note=note,
    )
    return RuleFit(weights, types, tables.missing)


def _fit(table: AnswerTable, config: RBRConfig) -> TypeFit:
    shares = {"train": 1 - config.held_out, "held out": config.held_out}
    dealt = split_by_group(table.prompts, shares, key=config.seed)
    trained, held_out = (table.only({table.prompts[i] for i in dealt[part]}) for part in shares)
    pairs = trained.pairs
    if not len(pairs):
        problem = f"{table.response_type} has no two answers of different rank to train on"
        raise InputError(problem, mend="give more prompts, or hold out fewer")
    margins = _margins(trained, config)
    spread = np.abs(trained.phi[pairs[:, 0]] - trained.phi[pairs[:, 1]]).max(axis=0)
    learnt = [
        f
        for f, name in enumerate(table.features)
        if name not in config.ignored and spread[f] >= config.least_spread
    ]

    def fit(draws: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        found = hinge_weights(
            trained.phi[:, learnt],
            pairs,
            margins,
            base=trained.rm,
            draws=draws,
            learning_rate=config.learning_rate,
            steps=config.steps,
            weight_decay=config.weight_decay,
        )
        out = np.zeros((*found.shape[:-1], len(table.features)))
        out[..., learnt] = found
        return out

    weights = fit()
    low = high = np.empty(0)
    if config.resamples:
        low, high = np.quantile(fit(_draws(trained, config)), (_TAIL, 1 - _TAIL), axis=0)
    held_pairs = held_out.pairs
    return TypeFit(
        TypeWeights(
            table.response_type,
            table.features,
            tuple(weights.tolist()),
            tuple(low.tolist()),
            tuple(high.tolist()),
            prompts=len(set(trained.prompts)),
        ),
        loss=ranking_hinge(trained.rm + trained.phi @ weights, pairs, margins)[0],
        held_out_loss=ranking_hinge(
            held_out.rm + held_out.phi @ weights, held_pairs, _margins(held_out, config)
        )[0]
        if len(held_pairs)
        else None,
        trained=trained,
        held_out=held_out,
    )


def _margins(table: AnswerTable, config: RBRConfig) -> NDArray[np.float64]:
    """The margin of each pair [P]: a real number, whatever type the ranks have."""
    return np.array([config.margin * config.margins.get(table.kinds[i], 1.0) for i in table.pairs[:, 1]])


def _draws(table: AnswerTable, config: RBRConfig) -> NDArray[np.int64]:
    """How often each pair counts in each resample [R, P]: as often as its prompt was drawn."""
    prompts = {prompt: i for i, prompt in enumerate(sorted(set(table.prompts)))}
    rng = generator(config.seed, "bootstrap of rule weights", table.response_type)
    n = len(prompts)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=config.resamples)
    of = [prompts[table.prompts[i]] for i in table.pairs[:, 0]]
    counts: NDArray[np.int64] = drawn[:, of]
    lost = counts.sum(axis=1) == 0  # prompts without a pair alone were drawn: such a resample says nothing
    return np.where(lost[:, None], 1, counts)


def _check_names(what: str, named: "Sequence[str] | Mapping[str, float]", known: set[str]) -> None:
    for name in named:
        if name not in known:
            raise InputError(f"there is no {what} {name!r}", mend=f"choose from {', '.join(sorted(known))}")
