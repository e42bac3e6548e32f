"""`TokenRows`: the flat layout, what carries loss, and the rows that cannot be trained on."""

import numpy as np
import pytest
from train.rows import Row, random_rows

from truing.train import TokenRows
from truing.types import InputError


def test_rows_lie_end_to_end_and_come_back_in_the_order_asked_for() -> None:
    rows = TokenRows.of([Row((7, 8, 9), (True, False, True)), Row((4, 5), (True, True))])
    assert (len(rows), rows.lengths.tolist()) == (2, [3, 2])
    ids, mask = rows.take(np.array([1, 0, 1]))
    assert ids.tolist() == [4, 5, 7, 8, 9, 4, 5]
    assert mask.tolist() == [False, True, False, False, True, False, True]


def test_the_first_token_of_a_row_carries_no_loss() -> None:
    rows = TokenRows.of([Row((7, 8, 9), (True, False, True)), Row((4, 5), (True, True))])
    assert rows.trained.tolist() == [1, 1]


def test_small_vocabularies_take_two_bytes_a_token_and_large_ones_four() -> None:
    assert TokenRows.of([Row((1, 65535), (False, True))]).ids.dtype == np.uint16
    large = TokenRows.of([Row((1, 65536), (False, True))])
    assert large.ids.dtype == np.uint32
    assert large.ids.tolist() == [1, 65536]


@pytest.mark.parametrize(
    "empty", [Row((), ()), Row((1,), (True,)), Row((1, 2), (True, False)), Row((1, 2), (False, False))]
)
def test_a_row_with_nothing_to_train_on_is_named(empty: Row) -> None:
    with pytest.raises(InputError, match="row 2 has no token to train on"):
        TokenRows.of([Row((1, 2), (False, True)), empty])


def test_no_rows_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="there are no rows"):
        TokenRows.of([])


def test_a_mask_of_another_length_than_the_ids_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="row 1 has 2 ids and 1 mask"):
        TokenRows.of([Row((1, 2), (True,))])


def test_the_rows_given_are_left_as_they_were() -> None:
    mask = np.array([True, True])
    row = type("ArrayRow", (), {"ids": np.array([1, 2]), "mask": mask})()
    TokenRows.of([row])
    assert mask.tolist() == [True, True]


def test_the_digest_sees_ids_masks_and_borders() -> None:
    same = [random_rows((3, 4)).digest for _ in range(2)]
    others = {
        random_rows((3, 4)).digest,
        random_rows((4, 3)).digest,
        random_rows((3, 4), trained_from=2).digest,
        TokenRows.of([Row((1, 2, 3, 4), (False, True, False, True))]).digest,
        TokenRows.of([Row((1, 2), (False, True)), Row((3, 4), (False, True))]).digest,
    }
    assert same[0] == same[1]
    assert len(others) == 5
