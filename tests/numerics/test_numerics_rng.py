import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing.numerics import generator, uniforms
from truing.numerics.rng import _hash128, _philox, _stream

GOLDEN = [[0.2793081993134058, 0.25700330000284677], [0.7835214550327256, 0.12894005384867202]]
GOLDEN_GENERATOR = 0.5505024350688638
WORDS = st.integers(0, 2**64 - 1)


@given(st.tuples(WORDS, WORDS, WORDS, WORDS), st.integers(0, 2**128 - 1))
def test_philox_equals_numpys_bit_for_bit(counter, key):
    # numpy adds one to its counter before the first block.
    before = (sum(word << 64 * i for i, word in enumerate(counter)) - 1) % 2**256
    expected = np.random.Philox(counter=before, key=key).random_raw()
    ours = _philox([np.array([word], dtype=np.uint64) for word in counter], key)
    assert int(ours[0]) == int(expected)


def test_a_uniform_is_what_numpys_generator_makes_of_the_same_word():
    item, sample, step = "item-1", 3, 17
    counter = step + (sample << 64) + (_hash128(item, b"item") << 128)
    oracle = np.random.Generator(np.random.Philox(counter=counter - 1, key=_stream(5, b"uniforms")))
    assert float(uniforms(5, item, sample, step)) == oracle.random()


def test_golden_values_do_not_move():
    assert uniforms(0, ["a", "b"], 0, [[0], [1]]).tolist() == GOLDEN
    assert generator(0, "a").random() == GOLDEN_GENERATOR


def test_a_draw_does_not_depend_on_the_batch():
    items = [f"item {i}" for i in range(7)]
    table = uniforms(9, items, np.arange(7), np.arange(5)[:, None])
    assert table.shape == (5, 7)
    for t in range(5):
        for i, item in enumerate(items):
            assert table[t, i] == uniforms(9, item, i, t)


def test_key_item_sample_and_step_each_change_the_draw():
    draws = {
        float(uniforms(k, i, s, t))
        for k in (0, 1, 2**64 - 1)
        for i in ("", "a", "\0", "\ud800", "a\0")
        for s in (0, 1, 2**40)
        for t in (0, 1, 2**63)
    }
    assert len(draws) == 3 * 5 * 3 * 3


def test_draws_are_uniform_and_uncorrelated():
    u = uniforms(1, [f"i{n}" for n in range(100)], 0, np.arange(1000)[:, None])
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    assert ((counts - 5000) ** 2 / 5000).sum() < 50  # chi-squared with 19 degrees of freedom: p = 1.3e-4
    assert abs(np.corrcoef(u[:-1].ravel(), u[1:].ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(u[:, :-1].ravel(), u[:, 1:].ravel())[0, 1]) < 0.015
    assert u.min() >= 0 and u.max() < 1


def test_streams_of_different_names_differ_and_repeat():
    names = [(), ("a",), ("a", "b"), ("ab",), ("", "ab"), ("ab", ""), ("b", "a")]
    first = [generator(3, *name).random() for name in names]
    assert len(set(first)) == len(names)
    assert first == [generator(3, *name).random() for name in names]


def test_no_items_give_no_draws():
    assert uniforms(0, [], [], 3).shape == (0,)
    assert uniforms(0, [], 0, np.arange(4)[:, None]).shape == (4, 0)


@pytest.mark.parametrize("key", [-1, 2**64])
def test_a_key_outside_64_bits_is_refused(key):
    with pytest.raises(ValueError, match="random key"):
        uniforms(key, "a", 0, 0)
    with pytest.raises(ValueError, match="random key"):
        generator(key)


@pytest.mark.parametrize("bad", [-1, [0, -1], 0.5, [1.0], True])
def test_samples_and_steps_are_whole_numbers(bad):
    with pytest.raises(ValueError, match="sample is a whole number"):
        uniforms(0, "a", bad, 0)
    with pytest.raises(ValueError, match="step is a whole number"):
        uniforms(0, "a", 0, bad)
