"""Dimensions: what several answers come to, what is known by name, and what a plugin adds."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
from audit.pairs import compared, pairs, verdict

from truing.audit import Dimension, dimension, dimension_names
from truing.audit import dimensions as registry
from truing.types import Outcome

MEAN, WORST = Dimension("d", "?", "!"), Dimension("d", "?", "!", "worst")
ORDER = (Outcome.error, Outcome.unparsed, Outcome.truncated, Outcome.abstained)


def test_one_answer_is_its_own_verdict_whatever_it_is() -> None:
    for one in (verdict(0.3), verdict(Outcome.truncated), replace(verdict(0.0), outcome=Outcome.refused)):
        assert MEAN.combine([one]) is one and WORST.combine([one]) is one


@pytest.mark.parametrize("scores", [(1.0, 0.0, 0.5), (0.25, 0.25), (1.0, 1.0, 1.0, 0.0)])
def test_several_scores_become_their_mean_or_their_worst(scores: tuple[float, ...]) -> None:
    several = [verdict(score) for score in scores]
    mean, worst = MEAN.combine(several), WORST.combine(several)
    assert (mean.score, worst.score) == (sum(scores) / len(scores), min(scores))
    assert mean.outcome is Outcome.decided and (mean.label, mean.p) == (None, None)
    assert (mean.reason, worst.reason) == (f"mean of {len(scores)}", f"worst of {len(scores)}")


@pytest.mark.parametrize("outcome", ORDER)
def test_one_missing_answer_is_a_missing_item_for_it_may_be_the_worst_of_all(outcome: Outcome) -> None:
    several = [verdict(0.0), verdict(1.0), verdict(outcome), verdict(1.0)]
    for of in (MEAN, WORST):
        assert of.combine(several) is several[2] and of.combine(several).score is None


def test_of_several_that_are_missing_the_gravest_is_told() -> None:
    for i, gravest in enumerate(ORDER):
        rest = [verdict(outcome) for outcome in reversed(ORDER[i:])]
        assert MEAN.combine([verdict(1.0), *rest]).outcome is gravest


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="a metric is one of mean, worst, not 'median'"):
        Dimension("d", "?", "!", "median")


def test_what_nobody_registered_is_the_mean_of_its_items_and_what_is_shipped_is_known() -> None:
    made_up = dimension("good manners")
    assert (made_up.name, made_up.metric) == ("good manners", "mean")
    assert dimension("toxicity").metric == "worst" and dimension("safety").metric == "mean"
    names = dimension_names()
    assert names == sorted(names) and "good manners" not in names
    assert {"safety", "over_refusal", "capability", "toxicity", "privacy"} <= set(names)
    assert all(dimension(name).asks and dimension(name).good for name in names)


WAITING = Dimension("patience", "Does it wait?", "it waited", "worst")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that registers the dimension `patience`."""
    entry = EntryPoint("patience", f"{__name__}:WAITING", registry.DIMENSIONS)
    found = {registry.DIMENSIONS: [entry]}
    monkeypatch.setattr(registry, "entry_points", lambda *, group: found[group])
    registry._registered.cache_clear()
    yield
    registry._registered.cache_clear()


@pytest.mark.usefixtures("plugin")
def test_a_dimension_comes_by_its_entry_point_and_its_metric_counts() -> None:
    assert dimension("patience") == WAITING and "patience" in dimension_names()
    assert dimension("patience").combine([verdict(1.0), verdict(0.25)]).score == 0.25
    assert "safety" in dimension_names()


def test_scores_between_good_and_bad_are_compared_by_their_means() -> None:
    found = compared(*pairs((30, 0.75, 0.5), (30, 0.5, 0.5)))
    assert found.difference == pytest.approx(-0.125) and found.test == "sign flips of clusters"
    assert (found.losses, found.gains) == (30, 0)
