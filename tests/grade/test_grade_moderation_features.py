"""The hashed features against a plain implementation, and the linear model against scikit-learn's."""

from collections import Counter
from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truing.grade.moderation.features import HALF, PARTS, counts, inverse_frequency, weighed, words
from truing.grade.moderation.fitting import Texts, fit
from truing.grade.moderation.model import STEP, WINDOW, windows

TEXTS = st.lists(st.text(st.sampled_from("abcä'’ .1Z\ud800漢\n_-"), max_size=30), max_size=5)


def _mixed(value: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ (value >> 33)) * factor % 2**64
    return value ^ (value >> 33)


def plain_counts(split: list[str]) -> Counter[int]:
    """Feature by feature, in whole numbers of any size."""
    base, bits = 0x9E3779B97F4A7C15, HALF.bit_length() - 1
    whole = [_mixed(sum(ord(c) * base ** (i + 1) for i, c in enumerate(f" {w} ")) % 2**64) for w in split]
    found = Counter(hash >> (64 - bits) for hash in whole)
    found.update(_mixed((a * base + b) % 2**64) >> (64 - bits) for a, b in pairwise(whole))
    for word in split:
        padded = f" {word} "
        for n in PARTS:
            for at in range(len(padded) - n + 1):
                hash = n
                for c in padded[at : at + n]:
                    hash = (hash * base + ord(c)) % 2**64
                found[HALF + (_mixed(hash) >> (64 - bits))] += 1
    return found


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_a_plain_implementation(texts: list[str]) -> None:
    split = [words(text) for text in texts]
    table = counts(split).toarray()
    assert table.shape == (len(texts), 2 * HALF)
    for row, one in zip(table, split, strict=True):
        assert {int(at): int(row[at]) for at in np.flatnonzero(row)} == plain_counts(one)


def test_a_text_has_the_same_buckets_in_any_company_and_process() -> None:
    alone = counts([words("A kite, a Kite's string")])
    among = counts([words("other words"), words("A kite, a Kite's string"), []])[[1]]
    assert (alone != among).nnz == 0
    assert alone.indices[:3].tolist() == [
        3298,
        7367,
        8026,
    ]  # a constant: models outlive the process that made them


@given(TEXTS.filter(bool))
@settings(max_examples=40, deadline=None)
def test_weights_are_log_counts_times_inverse_frequency_each_half_of_length_one(texts: list[str]) -> None:
    split = [words(text) for text in texts]
    table = counts(split)
    found, frequency = weighed(table, inverse_frequency(table)).toarray(), inverse_frequency(table)
    plain = [plain_counts(one) for one in split]
    for row, one in zip(found, plain, strict=True):
        value = {}
        for at, times in one.items():
            texts_with = sum(at in other for other in plain)
            assert frequency[at] == pytest.approx(log((1 + len(texts)) / (1 + texts_with)) + 1)
            value[at] = (1 + log(times)) * frequency[at]
        for half in (0, 1):
            length = sqrt(sum(v * v for at, v in value.items() if at // HALF == half))
            for at, v in value.items():
                if at // HALF == half:
                    assert row[at] == pytest.approx(v / length)
        assert np.count_nonzero(row) == len(one)


def test_a_head_learns_from_the_texts_alone_of_which_it_is_known() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    texts = [
        f"{'red' if i % 3 else 'blue'} kite {i} over the {'sea' if i % 2 else 'hill'}" for i in range(40)
    ]
    truth = np.array([[i % 3 > 0, i % 2 if i < 30 else -1] for i in range(40)], dtype=np.int8)
    data = Texts.of(texts, truth)
    found = fit(data)
    table = weighed(data.whole, found.frequency)
    for head, known in ((0, 40), (1, 30)):
        model = linear.LogisticRegression(C=10, class_weight="balanced", solver="liblinear")
        model.fit(table[:known], truth[:known, head])
        ours = found.margins(data)[:, head]
        assert ours == pytest.approx(model.decision_function(table), abs=1e-3)
    changed = Texts.of(texts, np.where(np.arange(40)[:, None] < 30, truth, [[1, -1]]).astype(np.int8))
    assert fit(changed).weights[1] == pytest.approx(found.weights[1])


def test_windows_cover_a_long_text_and_leave_a_short_one_alone() -> None:
    for length in (0, 1, WINDOW, WINDOW + 1, 2 * WINDOW, 5 * WINDOW + 7):
        text = [str(i) for i in range(length)]
        split, owner = windows([["first"], text, ["last"]])
        inside = [one for one, of in zip(split, owner, strict=True) if of == 1]
        assert all(len(one) <= WINDOW for one in inside)
        assert sorted({int(word) for one in inside for word in one}) == list(range(length))
        assert inside == [text] or [one[0] for one in inside] == text[::STEP][: len(inside)]
        assert owner.tolist() == [0] + [1] * len(inside) + [2]
