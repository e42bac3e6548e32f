"""`ComparedRows`: the answers of a prompt side by side, what they share, and what cannot be compared."""

import pytest
from train.compared import random_comparisons
from train.rows import Row

from truing.train import ComparedRows
from truing.types import InputError


def row(*ids: int, prompt: int = 1) -> Row:
    return Row(ids, tuple(i >= prompt for i in range(len(ids))))


def test_the_answers_of_a_prompt_lie_side_by_side() -> None:
    data = ComparedRows.of(
        [([row(5, 6, 7), row(5, 8)], [2, 1]), ([row(9, 7), row(9, 6), row(9, 5)], [1, 1, 3])]
    )
    assert len(data) == 2
    assert data.groups.tolist() == [0, 2, 5]
    assert data.ranks.tolist() == [2, 1, 1, 1, 3]
    assert data.rows.lengths.tolist() == [3, 2, 2, 2, 2]


def test_what_all_answers_begin_with_carries_no_loss() -> None:
    """Earlier turns of the assistant, and words that every answer begins with."""
    data = ComparedRows.of([([row(5, 6, 7, 8), row(5, 6, 9, 8, 8)], [1, 2])])
    assert data.shared.tolist() == [2]
    assert data.rows.mask.tolist() == [False, False, True, True, False, False, True, True, True]


def test_an_answer_that_is_the_beginning_of_another_keeps_its_last_token() -> None:
    data = ComparedRows.of([([row(5, 6, 7), row(5, 6, 7, 8)], [1, 2])])
    assert data.shared.tolist() == [2]
    assert data.rows.trained.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([], "there are no comparisons to train on"),
        ([([row(5, 6), row(5, 7)], [1, 2]), ([row(5, 6), row(5, 7)], [1, 1])], "prompt 2 has no two answers"),
        ([([row(5, 6)], [1])], "prompt 1 has no two answers of different rank; leave it out"),
        ([([row(5, 6), row(5, 6)], [1, 2])], "the answers of prompt 1 are all alike; leave it out"),
        ([([row(5, 6), row(5, 7, prompt=2)], [1, 2])], "row 2 has no token to train on"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_compared_is_named(groups: list, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ComparedRows.of(groups)


def test_answers_and_ranks_are_as_many() -> None:
    with pytest.raises(ValueError, match="prompt 1 has 2 answers and 3 ranks"):
        ComparedRows.of([([row(5, 6), row(5, 7)], [1, 2, 3])])


def test_the_digest_knows_ranks_and_borders() -> None:
    one = random_comparisons([(1, 2), (1, 2)])
    assert one.digest == random_comparisons([(1, 2), (1, 2)]).digest
    assert one.digest != random_comparisons([(1, 2), (2, 1)]).digest
    pairs = [row(5, 6), row(5, 7), row(5, 8), row(5, 9)]
    halves = ComparedRows.of([(pairs[:2], [1, 2]), (pairs[2:], [1, 2])])
    whole = ComparedRows.of([(pairs, [1, 2, 1, 2])])
    assert halves.rows.digest == whole.rows.digest
    assert halves.digest != whole.digest
