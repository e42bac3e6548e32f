"""Answers that nobody can read, in an audit whose truth is known."""

import numpy as np
import pytest

from truing.audit import Comparison, Pair, compare
from truing.types import Expect, GraderId, Item, Outcome, Verdict, ask

JUDGE = GraderId("test", "1", exact=True)
SAID = {
    **{score: Verdict("c", Outcome.decided, JUDGE, label=str(score), score=score) for score in (0.0, 1.0)},
    None: Verdict("c", Outcome.unparsed, JUDGE),
}


def audit(before: list[float | None], after: list[float | None], *, each: int = 1) -> Comparison:
    """`each` items in a row share a source; None is an answer that cannot be read."""
    pairs = []
    for i, (b, c) in enumerate(zip(before, after, strict=True)):
        item = Item(
            f"{i}", ask(f"q{i}", id=f"{i}"), "s", "capability", Expect.text, "x", cluster=f"{i // each}"
        )
        pairs.append(Pair(item, SAID[b], SAID[c], same_text=False))
    return compare("capability", pairs, alpha=0.05, power=0.8, key=0)


def answers(rng: np.random.Generator, n: int, good: float, unreadable: float) -> list[float | None]:
    """Sampled once."""
    readable, right = rng.random(n) >= unreadable, rng.random(n) < good
    return [float(r) if ok else None for ok, r in zip(readable.tolist(), right.tolist(), strict=True)]


@pytest.mark.parametrize("each", [1, 2])
def test_a_model_that_babbles_now_and_then_is_not_worse_than_itself(each: int) -> None:
    rng, alarms, covered, differences = np.random.default_rng(0), 0, 0, []
    for _ in range(trials := 60):
        found = audit(answers(rng, 300, 0.97, 0.02), answers(rng, 300, 0.97, 0.02), each=each)
        assert found.p is not None and found.low is not None and found.high is not None
        alarms += found.p <= 0.05
        covered += found.low <= 0 <= found.high
        differences.append(found.difference or 0.0)
    assert alarms <= 8  # 5 % are more than that once in 200 times
    assert covered >= 0.85 * trials
    assert abs(np.mean(differences)) < 0.007  # leaving out the baseline's alone makes it 0.02


def test_a_model_that_babbles_more_has_lost() -> None:
    rng = np.random.default_rng(1)
    found = audit(answers(rng, 600, 0.97, 0.0), answers(rng, 600, 0.97, 0.05))
    assert found.p is not None and found.p < 1e-3
    assert found.difference == pytest.approx(-0.05, abs=0.03)


def test_losses_are_found_where_the_baseline_babbled_as_often() -> None:
    # Thirty that can be read again do not make up for thirty that were lost.
    found = audit([None] * 30 + [1.0] * 570, [1.0] * 30 + [0.0] * 30 + [1.0] * 540)
    assert found.pairs == 570 and found.difference == pytest.approx(-30 / 570)
    assert found.p is not None and found.p < 1e-4


def test_what_neither_wrote_readably_is_left_out() -> None:
    found = audit([None] * 10 + [1.0] * 90, [None] * 10 + [1.0] * 90)
    assert (found.items, found.pairs, found.coverage) == (100, 90, pytest.approx(0.9))
