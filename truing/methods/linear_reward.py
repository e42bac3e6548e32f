"""A linear reward from comparisons: words and style, no language model. What a reward model has to beat.

Every comparison is held out once: the figures are those of rewards that were fitted to the other folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from truing.data import Comparison, Comparisons
from truing.grade import (
    STYLE,
    RewardFigures,
    cross_fit_reward,
    dialogue_groups,
    longer_is_better,
    measure_reward,
)
from truing.methods.comparing import By, added
from truing.methods.ranges import check_ranges
from truing.methods.saving import new_folder, refuse_taken
from truing.run import Card
from truing.types import InputError, Message

LEAKED = "the prompt leaks from another fold"


@dataclass(frozen=True)
class LinearRewardConfig:
    """The numbers of a linear reward; how strongly weights are penalised is chosen inside each training side.

    Raises:
        InputError: fewer than two folds, or the seed is out of its range.
    """

    by: By = "prompt"
    """What folds do not share: dialogues that begin alike, a customer, or a labeler."""
    folds: int = 5
    """Parts of the comparisons; each is scored by a reward that was fitted to the others."""
    seed: int = 0
    """Draws the folds."""

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise InputError(f"cross-validation needs at least 2 folds, not {self.folds}")
        check_ranges(seed=self.seed)


@dataclass(frozen=True)
class LinearRewardTrained:
    """A linear reward, what it does on held-out comparisons, and what it pays for."""

    folder: Path
    figures: RewardFigures
    comparisons: int
    """How many it was fitted to."""
    skipped: Mapping[str, int]
    """Why comparisons are not in the figures -> how many."""
    pays: Mapping[str, float]
    """The reward of one standard deviation more, for each number of style."""
    ground: str
    """What this can claim."""


def train_linear_reward(
    comparisons: Comparisons,
    out: Path,
    config: LinearRewardConfig,
    *,
    data: str,
    demonstrations: Sequence[tuple[Message, ...]] = (),
) -> LinearRewardTrained:
    """Fit a linear reward to all comparisons, measure its kind by cross-validation, save it in `out` with a card.

    Args:
        comparisons: what people preferred.
        out: the new folder, for `LearnedReward`.
        config: how.
        data: where the rows come from, for the card.
        demonstrations: conversations that end with an answer people wrote; their mean reward is set to 0.
            Without any, the mean of the answers compared is.

    Raises:
        InputError: the rows are of fewer than two groups, do not name their customer or labeler, or
            `out` holds something.
    """
    refuse_taken(out)
    rows = comparisons.rows
    groups = dialogue_groups(rows) if config.by == "prompt" else [_named(row, config.by) for row in rows]
    if len(set(groups)) < 2:
        raise InputError(f"all comparisons share one {config.by}, so none can be held out", mend="add others")
    fitted = cross_fit_reward(rows, groups, folds=config.folds, key=config.seed)
    figures = measure_reward(rows, fitted.held_out, longer=longer_is_better(rows), key=config.seed)
    reward = fitted.reward
    if demonstrations:
        mean = reward.score([(shown[:-1], shown[-1:]) for shown in demonstrations]).mean()
        reward = replace(reward, bias=reward.bias - float(mean))
    leaked = {LEAKED: figures.unscored} if figures.unscored else {}
    ground = "held-out comparisons of the file it was fitted to; no other texts"
    card = Card(
        name=out.name,
        base_model="none",
        summary="A linear reward: words, pairs and parts of words, hashed, and how an answer is made.",
        ground=ground,
        method=f"logistic regression on differences of pairs, {config.folds} folds by {config.by}, seed {config.seed}",
        data=f"{len(rows):,} comparisons from {data}",
        reward=figures.sentence,
        license="as the data's",
        failures=(
            "it does not know what is true",
            "it pays for style, so a policy that maximises it writes style",
        ),
        untested=("answers of other models than those compared",),
    )
    with new_folder(out, card) as unfinished:
        reward.save(unfinished)
    pays = dict(zip(STYLE, reward.style_weights.tolist(), strict=True))
    skipped = added(comparisons.skipped, leaked)
    return LinearRewardTrained(out, figures, len(rows), skipped, pays, ground)


def _named(row: Comparison, by: By) -> str:
    name = row.customer if by == "customer" else row.labeler
    if not name:
        raise InputError(f"the comparison {row.id} does not say its {by}", mend="split by prompt")
    return name
