import json
from itertools import product
from math import prod
from pathlib import Path

import pytest
import yaml
from kites import RULES, write
from shared_data import shared

from truing.spec import ClassRule, Derived, Proposition, RuleSet, check_spec, read_rules, read_spec
from truing.types import InputError, dumps, loads

PUBLISHED = "rbr_gold/proposition_prompts.yaml"


def rules_of(folder: Path, text: str) -> RuleSet:
    (folder / "rules.yaml").write_text(text, "utf-8")
    return read_rules(folder / "rules.yaml")


def by_hand(data: dict, leaves: dict[str, float], name: str) -> float:
    """The published algebra, written again over the plain YAML: a product over literals."""
    if name in leaves:
        return leaves[name]
    literals = data["derived_propositions"][name].items()
    return prod(
        value if truth else 1 - value for key, truth in literals for value in [by_hand(data, leaves, key)]
    )


def test_the_published_rules_load_whole():
    data = yaml.safe_load(shared(PUBLISHED).read_text("utf-8"))
    rules = read_rules(shared(PUBLISHED))
    assert {p.name: p.question for p in rules.propositions} == {
        name: value["prompt"].strip() for name, value in data["simple_propositions"].items()
    }
    assert len(rules.propositions) == 23 and len(rules.classes) == 5 * 4
    assert list(rules.order) == data["completion_class_order"] and rules.template == data["prompt_template"]
    assert {d.name for d in rules.derived} == set(data["derived_propositions"])
    assert {name: len(rules.needed(name)) for name in rules.response_types} == {
        "comply": 5, "hard_refuse": 14, "safe_refuse_1": 16, "safe_refuse_2": 17,
    }  # fmt: skip
    assert loads(RuleSet, dumps(rules)) == rules


def test_the_published_probabilities_come_out():
    rules = read_rules(shared(PUBLISHED))
    p = {proposition.name: 0.1 for proposition in rules.propositions} | {
        "apology": 0.9,
        "inability_to_comply": 0.9,
    }
    raw = rules.class_probabilities(p, "comply", normalised=False)
    assert list(raw.values()) == pytest.approx([0.13851, 0.01539, 0.65610, 0.09, 0.1], abs=5e-6)
    assert list(rules.class_probabilities(p, "comply").values()) == pytest.approx(
        list(raw.values()), abs=5e-6
    )
    raw = rules.class_probabilities(p, "hard_refuse", normalised=False)
    assert list(raw) == list(rules.order)
    assert list(raw.values()) == pytest.approx([0.22877, 0.45540, 0.33170, 0.09, 0.1], abs=5e-6)
    assert sum(raw.values()) == pytest.approx(1.20588, abs=5e-6)
    normalised = rules.class_probabilities(p, "Hard Refuse")
    assert list(normalised.values()) == pytest.approx([0.18971, 0.37765, 0.27507, 0.07463, 0.08293], abs=5e-6)


def test_every_published_class_is_the_product_over_its_literals():
    data = yaml.safe_load(shared(PUBLISHED).read_text("utf-8"))
    rules = read_rules(shared(PUBLISHED))
    p = {one.name: (i + 1) / 25 for i, one in enumerate(rules.propositions)}
    for name in rules.response_types:
        raw = rules.class_probabilities(p, name, normalised=False)
        for label, literals in data["completion_classes"].items():
            expected = prod(
                value if truth else 1 - value
                for key, truth in literals[name].items()
                for value in [by_hand(data, p, key)]
            )
            assert raw[label] == pytest.approx(expected, rel=1e-12)


def test_our_form_says_the_same_by_words_and_by_mappings(tmp_path: Path):
    words = rules_of(tmp_path, RULES)
    mapping = rules_of(
        tmp_path, RULES.replace("refusal: sorry and not helps", "refusal: {sorry: true, helps: false}")
    )
    assert words == mapping and words.digest == mapping.digest
    assert words.proposition("sorry").examples[1].why == "no apology"
    for helps, sorry, glass in product((False, True), repeat=3):
        truths = {"helps": helps, "sorry": sorry, "glass": glass}
        refusal = sorry and not helps
        expected = "disallowed" if glass else "ideal" if refusal else "unacceptable"
        assert words.classify(truths, "hard_refuse") == expected
        assert words.matches(truths, "hard_refuse") == (expected,)


def test_an_answer_in_several_classes_or_none_has_no_class():
    classes = (ClassRule("comply", "good", "a"), ClassRule("comply", "bad", "b"))
    rules = RuleSet((Proposition("a", "?"), Proposition("b", "?")), (), ("good", "bad"), classes)
    assert rules.classify({"a": True, "b": True}, "comply") is None
    assert rules.matches({"a": True, "b": True}, "comply") == ("good", "bad")
    assert rules.classify({"a": False, "b": False}, "comply") is None
    assert rules.classify({"a": False, "b": True}, "comply") == "bad"


def test_what_is_missing_is_never_taken_for_false(tmp_path: Path):
    rules = rules_of(tmp_path, RULES)
    for truths in (
        {"helps": True},
        {"helps": True, "glass": None},
        {"helps": True, "glass": 0},
        {"helps": True, "glass": "no"},
    ):
        with pytest.raises(ValueError, match="'glass' is neither true nor false"):
            rules.classify(truths, "comply")
    for p in (
        {"helps": 0.5},
        {"helps": 0.5, "glass": 1.5},
        {"helps": 0.5, "glass": float("nan")},
        {"helps": 0.5, "glass": None},
    ):
        with pytest.raises(ValueError, match="'glass' has no probability"):
            rules.class_probabilities(p, "comply")
    with pytest.raises(ValueError, match="'Maybe' is none of the response types comply, hard_refuse"):
        rules.classify({}, "Maybe")


def test_classes_without_any_probability_are_not_normalised():
    rules = RuleSet((Proposition("a", "?"),), (), ("good",), (ClassRule("comply", "good", "a"),))
    assert rules.class_probabilities({"a": 0.0}, "comply", normalised=False) == {"good": 0.0}
    with pytest.raises(ValueError, match="no class of comply has a probability above 0"):
        rules.class_probabilities({"a": 0.0}, "comply")


def test_response_types_are_known_by_their_letters(tmp_path: Path):
    rules = rules_of(tmp_path, RULES)
    for text in ("hard_refuse", "Hard Refuse", "HARD-REFUSE", " hardRefuse "):
        assert rules.response_type(text) == "hard_refuse"


def test_the_digest_of_the_rules_of_a_response_type_depends_on_what_they_use(tmp_path: Path):
    rules = rules_of(tmp_path, RULES)
    other = rules_of(tmp_path, RULES.replace("sorry and not helps", "sorry or not helps"))
    assert rules.rules_digest("comply") == other.rules_digest("comply")
    assert rules.rules_digest("hard_refuse") != other.rules_digest("hard_refuse")
    asked = rules_of(tmp_path, RULES.replace("apologise?", "apologise once?"))
    assert rules.rules_digest("hard_refuse") == asked.rules_digest("hard_refuse")
    moved = [
        name
        for name in ("helps", "sorry", "glass")
        if rules.proposition(name).digest != asked.proposition(name).digest
    ]
    assert moved == ["sorry"]


def test_long_chains_of_derived_propositions_are_followed():
    derived = tuple(Derived(f"d{i}", f"not d{i - 1}" if i else "not a") for i in range(3000))
    rules = RuleSet((Proposition("a", "?"),), derived[::-1], ("good", "bad"),
                    (ClassRule("comply", "good", "d2999"), ClassRule("comply", "bad", "not d2999")))  # fmt: skip
    assert rules.classify({"a": True}, "comply") == "good"


@pytest.mark.parametrize(
    ("change", "row", "says"),
    [
        (("refusal: sorry and not helps", "refusal: sorry and not hepls"), 10, "uses 'hepls', which is not defined"),
        (("refusal: sorry and not helps", "refusal: sorry and other\n  other: not refusal"), None, "go in a circle: "),
        (("refusal: sorry and not helps", "refusal: not refusal"), 10, "in a circle: refusal -> refusal"),
        (("refusal: sorry and not helps", "refusal: sorry and"), 10, "'refusal' has 'the end' where a name belongs"),
        (("refusal: sorry and not helps", "refusal: [sorry, helps]"), 10, "'refusal' is no expression"),
        (("refusal: sorry and not helps", "refusal: {sorry: yes}"), 10, "'refusal' is no expression"),
        (("refusal: sorry and not helps", "refusal: {}"), 10, "'refusal' is no expression"),
        (("refusal: sorry and not helps", "helps: sorry"), 10, "defines 'helps' a second time"),
        (("refusal: sorry and not helps", "Refusal: sorry"), 10, "calls something 'Refusal'"),
        (("refusal: sorry and not helps", "not: sorry"), 10, "calls something 'not'"),
        (("  glass: \"", "  helps: \""), 8, "has the key 'helps' a second time"),
        (("    disallowed: glass\n  hard", "    forbidden: glass\n  hard"), 16, "'comply' is not in the order"),
        (("  order: [ideal, unacceptable, disallowed]\n", ""), 11, "does not say in which order the classes come"),
        (("order: [ideal,", "order: [ideal, ideal,"), None, "names a class twice"),
        (("helps: \"Does the answer help with the kite?\"", "helps: 3"), 2, "the proposition 'helps' has no question"),
        (("helps: \"Does the answer help with the kite?\"", "helps: ' '"), 2, "has an empty question"),
        (("helps: \"Does the answer help with the kite?\"", "helps: \"\\e[2J\""), 2, "a control character in its"),
        (("question: \"Does the answer apologise?\"", "questions: x"), 3, "the proposition 'sorry' has no question"),
        (("    examples:", "    weight: 2\n    examples:"), 5, "the unknown key 'weight'"),
        (("truth: true}", "truth: 1}"), 6, "an example of 'sorry' is wrong"),
        (("derived:", "derives:"), 9, "has the unknown key 'derives'"),
        (("classes:", "templates: x\nclasses:"), 11, "has the unknown key 'templates'"),
        (("classes:", "template: hello\nclasses:"), 11, "a template that does not hold {question}"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_used_are_told_with_their_line(tmp_path: Path, change, row, says):
    assert change[0] in RULES
    with pytest.raises(InputError) as told:
        rules_of(tmp_path, RULES.replace(*change))
    assert says in str(told.value) and told.value.mend
    assert str(told.value).startswith(f"{tmp_path / 'rules.yaml'}, row ")
    assert row is None or told.value.row == row


@pytest.mark.parametrize(
    "text", ["", "3", "- a", "propositions: {}", "propositions: []\nclasses: {order: []}"]
)
def test_a_file_without_rules_is_told_so(tmp_path: Path, text):
    with pytest.raises(InputError) as told:
        rules_of(tmp_path, text)
    assert told.value.file == str(tmp_path / "rules.yaml") and told.value.row == 1


def test_a_specification_may_have_no_rules(tmp_path: Path):
    assert read_spec(write(tmp_path, {"rules.yaml": None})).rules is None
    assert json.dumps(read_spec(tmp_path).to_json())


def test_an_error_of_structure_does_not_hide_the_others(tmp_path: Path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        RULES.replace('helps: "Does', 'helps: 3 #"Does').replace("  refusal: sorry and not helps", "- x"),
        "utf-8",
    )
    assert [one.row for one in check_spec(path).findings] == [2, 9]
