"""The plan of a training: every row once a pass, steps of equal size, an order that the key decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truing.train.plan import micro_batches, plan

LENGTHS = np.random.default_rng(0).integers(2, 250, 500)


def test_every_row_is_trained_on_once_a_pass() -> None:
    found = plan(LENGTHS, tokens_per_step=1000, passes=3, key=1)
    passes = found.order.reshape(3, -1)
    assert all(sorted(rows) == list(range(500)) for rows in passes.tolist())
    assert len({tuple(rows) for rows in passes.tolist()}) == 3
    assert np.concatenate([found.step(s) for s in range(len(found))]).tolist() == found.order.tolist()


def test_a_part_of_a_pass_is_the_beginning_of_the_whole_one() -> None:
    whole = plan(LENGTHS, tokens_per_step=1000, passes=2, key=1)
    part = plan(LENGTHS, tokens_per_step=1000, passes=1.5, key=1)
    assert part.order.tolist() == whole.order[:750].tolist()


def test_another_key_is_another_order_and_the_same_key_the_same() -> None:
    first, again, other = (plan(LENGTHS, tokens_per_step=1000, passes=1, key=k).order for k in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(2, 300), min_size=1, max_size=60),
    st.integers(1, 2000),
    st.floats(0.01, 3),
)
def test_steps_are_of_equal_size_up_to_a_row_and_never_empty(
    lengths: list[int], tokens_per_step: int, passes: float
) -> None:
    array = np.array(lengths)
    found = plan(array, tokens_per_step=tokens_per_step, passes=passes, key=0)
    sizes = [int(array[found.step(s)].sum()) for s in range(len(found))]
    total = int(array[found.order].sum())
    goal = total / max(1, round(total / tokens_per_step))
    assert sum(sizes) == total
    assert all(size > 0 for size in sizes)
    assert all(size <= goal + max(lengths) for size in sizes)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(2, 300), min_size=1, max_size=60), st.integers(1, 2000))
def test_micro_batches_hold_every_row_once_longest_first(lengths: list[int], tokens: int) -> None:
    array = np.array(lengths)
    batches = micro_batches(array, tokens)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))
    flat = [lengths[i] for batch in batches for i in batch.tolist()]
    assert flat == sorted(lengths, reverse=True)
    assert all(array[batch].sum() <= tokens + max(lengths) for batch in batches)


@pytest.mark.parametrize("share", [0.001, 0.0001])
def test_a_tiny_part_of_a_pass_is_at_least_one_row(share: float) -> None:
    assert len(plan(LENGTHS, tokens_per_step=1000, passes=share, key=0).order) == 1
