"""What the diagrams say of rules, held against going through all assignments."""

import time
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared

from truing.spec import ClassRule, Derived, Proposition, RuleSet, read_rules
from truing.spec.analysis import NONE, SEVERAL, Answers, constant, partition, reclassified
from truing.spec.diagrams import TooEntangled
from truing.spec.expressions import Name, Not, Several, written

NAMES = ("a", "b", "c", "d", "e")
leaf = st.sampled_from((*NAMES, "x", "y")).map(Name)
nodes = st.recursive(
    leaf,
    lambda inner: st.one_of(
        inner.map(Not),
        st.builds(
            Several, st.sampled_from(("and", "or")), st.lists(inner, min_size=2, max_size=3).map(tuple)
        ),
    ),
    max_leaves=8,
).map(written)
simple = nodes.map(lambda text: text.replace("x", "a").replace("y", "e"))


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    derived = Derived("y", draw(nodes).replace("y", "d")), Derived("x", draw(simple))
    classes = [ClassRule("comply", name, draw(nodes)) for name in ("good", "fair", "bad")]
    return RuleSet(
        tuple(Proposition(n, "?") for n in NAMES), derived, ("good", "fair", "bad"), tuple(classes)
    )


def assignments(names):
    for values in product((False, True), repeat=len(names)):
        yield dict(zip(names, values, strict=True))


def completed(answers: Answers, names):
    """All assignments that the witness stands for."""
    for truths in assignments(names):
        if all(truths[name] == truth for name, truth in answers.witness.items()):
            yield truths


def place(rules: RuleSet, truths: dict[str, bool]) -> str:
    found = rules.matches(truths, "comply")
    return found[0] if len(found) == 1 else SEVERAL if found else NONE


@settings(max_examples=40, deadline=None)
@given(rule_sets())
def test_a_partition_is_what_going_through_all_assignments_finds(rules):
    found = partition(rules, "comply")
    assert sorted(found.of) == sorted(rules.needed("comply"))
    everywhere = [dict.fromkeys(NAMES, False) | truths for truths in assignments(found.of)]
    matches = [rules.matches(truths, "comply") for truths in everywhere]
    assert found.counts == {name: sum(name in m for m in matches) for name in rules.order}
    for pair in (("good", "fair"), ("good", "bad"), ("fair", "bad")):
        count = sum(pair[0] in m and pair[1] in m for m in matches)
        assert (pair in found.overlaps) == bool(count)
        if count:
            assert found.overlaps[pair].count == count
            assert all(
                set(pair) <= set(rules.matches(t, "comply")) for t in completed(found.overlaps[pair], NAMES)
            )
    gaps = sum(not m for m in matches)
    assert (found.gap.count if found.gap else 0) == gaps
    assert not found.gap or not any(rules.matches(t, "comply") for t in completed(found.gap, NAMES))


@settings(max_examples=40, deadline=None)
@given(rule_sets(), rule_sets())
def test_what_changes_class_is_what_going_through_all_assignments_finds(before, after):
    found = reclassified(before, after, "comply")
    counts: dict[tuple[str, str], int] = {}
    for truths in assignments(found.of):
        full = dict.fromkeys(NAMES, False) | truths
        pair = place(before, full), place(after, full)
        counts[pair] = counts.get(pair, 0) + (pair[0] != pair[1])
    assert {pair: moved.count for pair, moved in found.moves.items()} == {
        p: n for p, n in counts.items() if n
    }
    for pair, moved in found.moves.items():
        assert all((place(before, t), place(after, t)) == pair for t in completed(moved, NAMES))


@settings(max_examples=20, deadline=None)
@given(rule_sets())
def test_a_derived_proposition_is_constant_when_no_assignment_changes_it(rules):
    def held(name: str, truths: dict[str, bool]) -> bool:
        probe = RuleSet(rules.propositions, rules.derived, ("is",), (ClassRule("comply", "is", name),))
        return bool(probe.matches(truths, "comply"))

    values = {name: {held(name, truths) for truths in assignments(NAMES)} for name in ("x", "y")}
    assert constant(rules) == {name: found.pop() for name, found in values.items() if len(found) == 1}


def test_a_witness_says_no_more_than_it_must():
    rules = RuleSet(tuple(Proposition(n, "?") for n in NAMES), (), ("good", "bad"), (
        ClassRule("comply", "good", "a and b and (c or d)"), ClassRule("comply", "bad", "not a or (b and c) or e"),
    ))  # fmt: skip
    found = partition(rules, "comply")
    assert found.overlaps["good", "bad"].witness == {"a": True, "b": True, "c": True}
    assert str(found.overlaps["good", "bad"]) == "a and b and c"
    assert str(Answers(1, partition(rules, "comply").gap.witness)).startswith("a and not b")


def test_the_published_rules_are_sound_and_checked_within_a_second():
    rules = read_rules(shared("rbr_gold/proposition_prompts.yaml"))
    start = time.process_time()
    for name in rules.response_types:
        found = partition(rules, name)
        assert not found.overlaps and not found.gap and not found.unreachable
        assert sum(found.counts.values()) == 2 ** len(found.of)
    assert not constant(rules)
    assert time.process_time() - start < 1
    # Of 14 propositions, 5 make a refusal acceptable and the 9 others leave one ideal answer of 512.
    assert partition(rules, "hard_refuse").counts == {
        "ideal": 1, "minimum_acceptable_style": 511, "unacceptable_completion": 3584,
        "illogical_completion": 4096, "disallowed_completion": 8192,
    }  # fmt: skip


def test_two_hundred_propositions_are_counted_exactly():
    names = [f"p{i}" for i in range(200)]
    classes = (
        ClassRule("comply", "good", " and ".join(names)),
        ClassRule("comply", "bad", " or ".join(f"not {n}" for n in names)),
    )
    rules = RuleSet(tuple(Proposition(n, "?") for n in names), (), ("good", "bad"), classes)
    found = partition(rules, "comply")
    assert found.counts == {"good": 1, "bad": 2**200 - 1} and not found.gap and not found.overlaps


def test_rules_that_no_diagram_can_hold_are_given_up_soon():
    """The pairs lie far apart in the order in which they appear, which takes 2^50 nodes."""
    firsts, seconds = [f"p{i}" for i in range(50)], [f"q{i}" for i in range(50)]
    entangled = " or ".join(f"({p} and {q})" for p, q in zip(firsts, seconds, strict=True))
    when = f"({' or '.join(firsts)}) and ({entangled})"
    rules = RuleSet(
        tuple(Proposition(n, "?") for n in firsts + seconds),
        (),
        ("good",),
        (ClassRule("comply", "good", when),),
    )
    start = time.process_time()
    with pytest.raises(TooEntangled):
        partition(rules, "comply")
    assert time.process_time() - start < 5
