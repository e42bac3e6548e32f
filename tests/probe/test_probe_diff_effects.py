"""The pure parts of model diffing: the search for a strength, shifts with an interval, the ranking, the split."""

import itertools
import math

import numpy as np
import pytest
import torch
from probe.persona import asked

from truing.numerics import clustered_paired_interval
from truing.probe import (
    Judged,
    Judgement,
    RequestSplit,
    Shift,
    behaved,
    ranked_changes,
    shift,
    split_requests,
    strongest_within,
)
from truing.probe.diff_effects import judgement
from truing.types import InputError, ask

BAD, GOOD, UNSAID, NONSENSE = Judged(True, True), Judged(False, True), Judged(None, True), Judged(None, False)


@pytest.mark.parametrize("limit", [0.01, 0.1, 0.25, 0.26, 0.7, 1.0, 1.9, 3.99, 4.0, 9.0])
def test_the_strength_is_what_brute_force_finds_up_to_the_last_bisection(limit):
    def incoherence(strength: float) -> float:
        return 0.1 * strength / limit

    found = strongest_within(incoherence, 0.1, first=0.25, most=4.0, bisections=6)
    grid = [s for s in np.linspace(0.001, 4, 4000) if incoherence(s) <= 0.1]
    brute = max(grid)
    last = max(0.25, brute) / 2**6
    assert found.value is not None and brute - last <= found.value <= brute + 1e-3
    assert found.tried[0].strength == 0.25 and len(found.tried) <= 5 + 6
    assert found.value == max(t.strength for t in found.tried if t.incoherence <= 0.1)


def test_no_strength_is_within_the_budget_where_nothing_makes_sense_or_nothing_is_answered():
    for share in (0.5, None):
        found = strongest_within(lambda _, share=share: share, 0.1, bisections=3)
        assert found.value is None and len(found.tried) == 4


@pytest.mark.parametrize("numbers", [{"first": 0.0}, {"most": -1.0}, {"bisections": -1}])
def test_a_search_out_of_its_range_raises(numbers):
    with pytest.raises(ValueError, match="strengths lie above 0"):
        strongest_within(lambda _: 0.0, 0.1, **numbers)


def test_counts_by_hand():
    found = behaved([BAD, GOOD, GOOD, UNSAID, NONSENSE, Judged(True, False)])
    assert (found.misaligned, found.judged, found.undecided, found.incoherent) == (1, 3, 1, 2)
    assert found.share == pytest.approx(1 / 3) and found.incoherence == pytest.approx(1 / 3)
    assert behaved([]).share is None and behaved([UNSAID]).share is None and behaved([]).incoherence is None


def test_the_ends_are_those_of_the_worst_and_the_best_of_all_that_unjudged_answers_may_have_been():
    more = [BAD, BAD, UNSAID, BAD, NONSENSE, GOOD, BAD, BAD]
    less = [GOOD, UNSAID, GOOD, GOOD, GOOD, GOOD, NONSENSE, BAD]
    requests = ["a", "a", "b", "b", "c", "c", "d", "d"]
    found = shift(more, less, requests, 0.9)
    assert found.pairs == 4 and found.estimate == pytest.approx(2 / 4)

    def filled(answers, values):
        rest = iter(values)
        return [a.misaligned if a.coherent and a.misaligned is not None else next(rest) for a in answers]

    differences = []
    for values in itertools.product([True, False], repeat=4):
        a, b = filled(more, values[:2]), filled(less, values[2:])
        differences.append([int(x) - int(y) for x, y in zip(a, b, strict=True)])
    differences.sort(key=sum)
    assert found.low == clustered_paired_interval(differences[0], requests, 0.9).low
    assert found.high == clustered_paired_interval(differences[-1], requests, 0.9).high


def test_fully_judged_answers_have_the_interval_of_their_differences():
    more, less = [BAD, BAD, GOOD, BAD], [GOOD, BAD, GOOD, GOOD]
    found = shift(more, less, [1, 2, 3, 4], 0.95)
    inner = clustered_paired_interval([1, 0, 0, 1], [1, 2, 3, 4], 0.95)
    assert (found.estimate, found.low, found.high) == (0.5, inner.low, inner.high)


def test_a_label_that_means_nothing_is_an_effect_about_as_rarely_as_the_level_says():
    drawn = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        a, b = ([Judged(bool(x), True) for x in drawn.random(24) < 0.4] for _ in range(2))
        hits += shift(a, b, list(range(24)), 0.95).low > 0
    assert hits / 400 <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / 400)


UP, NONE, WIDE = Shift(0.6, 0.3, 0.8, 40), Shift(0.0, -0.1, 0.1, 40), Shift(0.1, -0.4, 0.6, 8)


@pytest.mark.parametrize(
    ("induce", "suppress", "gap", "wanted"),
    [
        ((UP, UP), (UP, UP), 0.6, Judgement.cause),
        ((UP, UP), (UP, NONE), 0.6, Judgement.induces),  # a random push does it as well
        ((NONE, NONE), (UP, UP), 0.6, Judgement.suppresses),
        ((NONE, NONE), (UP, NONE), 0.6, Judgement.decoy),
        ((NONE, NONE), (WIDE, WIDE), 0.6, Judgement.open),
        ((NONE, NONE), (None, None), 0.6, Judgement.open),
        ((NONE, NONE), (NONE, NONE), 0.0, Judgement.open),  # nothing to explain
        ((NONE, NONE), (NONE, NONE), None, Judgement.open),
    ],
)
def test_what_follows_from_both_sides(induce, suppress, gap, wanted):
    assert judgement(induce, suppress, gap) is wanted


def test_latents_are_ranked_by_the_mean_change_of_either_sign_and_rounding_is_no_change():
    base = torch.tensor([1.0, 2.0, 0.0, 5.0, 3.0])
    tuned = [torch.tensor([1.0, 0.0, 3.0, 5.0000001, 4.0]), torch.tensor([1.0, 1.0, -1.0, 5.0, 4.0])]
    found = ranked_changes(base, tuned)
    assert [(one.latent, one.change) for one in found] == [(1, -1.5), (2, 1.0), (4, 1.0)]
    assert found[0].tuned == (0.0, 1.0)


def test_a_split_shares_no_question_and_depends_on_the_key_alone():
    requests = [*asked(20), ask("what does  gull 3 want?", id="again")]
    split = split_requests(requests, key=1)
    said = [{r.messages[-1].content.casefold() for r in side} for side in (split.select, split.test)]
    assert len(split.select) == len(split.test) == 10 and not said[0] & said[1]
    assert split_requests(requests, key=1) == split != split_requests(requests, key=2)


def test_a_request_that_would_select_and_test_is_refused():
    with pytest.raises(InputError, match="1 requests would both select latents and test them"):
        RequestSplit(tuple(asked(3)), (*asked(2, start=7), ask("What does  gull 1 WANT?", id="other")))
    with pytest.raises(InputError, match="the same id"):
        RequestSplit(tuple(asked(3)), (ask("Something else?", id="r1"),))
    with pytest.raises(InputError, match="3 different requests cannot be split"):
        split_requests(asked(3), key=0)
