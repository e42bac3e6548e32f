from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing.spec.expressions import CHANCE, TRUTH, Name, Node, Not, Several, fold, names_in, parse, written

NAMES = ("a", "b", "c", "d")
literal = st.sampled_from(NAMES).map(Name)
nodes = st.recursive(
    literal,
    lambda inner: st.one_of(
        inner.map(Not),
        st.builds(Several, st.sampled_from(("and", "or")), st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=12,
)  # fmt: skip


def python(node: Node, truths: dict[str, bool]) -> bool:
    """What Python itself makes of the same words."""
    return bool(eval(written(node), {"__builtins__": {}}, truths))


@given(nodes)
def test_an_expression_means_what_the_same_words_mean_in_python(node):
    read = parse(written(node))
    for values in product((False, True), repeat=4):
        truths = dict(zip(NAMES, values, strict=True))
        assert (
            fold(read, truths.__getitem__, TRUTH)
            == fold(node, truths.__getitem__, TRUTH)
            == python(node, truths)
        )


@given(nodes)
def test_what_is_written_is_read_as_the_same_and_written_alike(node):
    text = written(parse(written(node)))
    assert written(parse(text)) == text
    assert names_in(parse(text)) == list(
        dict.fromkeys(w for w in text.replace("(", " ").replace(")", " ").split() if w in NAMES)
    )


@given(nodes)
def test_on_certain_propositions_chance_is_truth(node):
    for values in product((False, True), repeat=4):
        truths = dict(zip(NAMES, values, strict=True))
        chance = fold(node, {k: float(v) for k, v in truths.items()}.__getitem__, CHANCE)
        assert chance == fold(node, truths.__getitem__, TRUTH)


def test_chance_takes_the_parts_as_independent():
    p = {"a": 0.5, "b": 0.2, "c": 0.1}.__getitem__
    assert fold(parse("a and not b"), p, CHANCE) == pytest.approx(0.5 * 0.8)
    assert fold(parse("a or b or c"), p, CHANCE) == pytest.approx(1 - 0.5 * 0.8 * 0.9)
    assert fold(parse("not (a or b)"), p, CHANCE) == pytest.approx(0.5 * 0.8)
    assert fold(parse("a and a"), p, CHANCE) == pytest.approx(0.25)  # a part that is repeated counts twice


def test_not_binds_closest_and_and_closer_than_or():
    assert parse("not a and b or c") == Several(
        "or", (Several("and", (Not(Name("a")), Name("b"))), Name("c"))
    )
    assert written(parse("((a)) and ((b and c))")) == "a and b and c"
    assert written(parse("not not not a")) == "not a"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is an empty expression"),
        ("  ", "is an empty expression"),
        ("a and", "has 'the end' where a name belongs"),
        ("a b", "has 'b' where and, or or the end belongs"),
        ("(a or b", "has 'the end' where a closing parenthesis belongs"),
        ("a)", r"has '\)' where and"),
        ("and a", "has 'and' where a name belongs"),
        ("a == b", "has '=' where a name"),
        ("__import__('os')", "has \"'\" where"),
        ("A", "has 'A' where a name belongs"),
        ("__import__", "has '__import__' where a name belongs"),
        ("a.b", r"has '\.' where"),
        ("(" * 51 + "a" + ")" * 51, "more than 50 deep"),
        ("(" * 100_000, "more than 50 deep"),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_told_why(text, says):
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_long_expressions_are_read_without_deep_recursion():
    assert parse("not " * 100_001 + "a") == Not(Name("a"))
    assert len(parse(" or ".join(["a"] * 10_000)).parts) == 10_000
