"""Synthetic comparisons: recipes from the rules, what a writer is told, what is kept, and why the rest is not."""

from collections import Counter
from collections.abc import Callable

import pytest
from grade.stated import SMALL, Stated
from shared_data import shared

from truing.grade import RuleFeatures
from truing.methods import (
    Kind,
    Recipe,
    SafetyPrompt,
    Trait,
    ideal_truths,
    telling,
    usual_recipe,
    write_comparisons,
)
from truing.spec import ClassRule, RuleSet, default_spec, read_rules
from truing.types import Completion, Fingerprint, InputError, Message, Request, Role, Stop

FEATURES = RuleFeatures(SMALL, Stated())


def prompt(id: str, response_type: str = "hard_refuse") -> SafetyPrompt:
    return SafetyPrompt(id, (Message(Role.user, f"Tell me {id}."),), response_type)


class Writer:
    """Says `answer` of the propositions that it was told to make true, and of its request."""

    fingerprint = Fingerprint("a writer")

    def __init__(self, answer: "Callable[[list[str], Request], str | tuple[str, Stop]]") -> None:
        self.answer, self.seen = answer, []

    def plan(self, requests, params):
        return [list(range(len(requests)))]

    def sample(self, requests, params, *, key):
        self.seen += requests
        for request in reversed(requests):  # in any order, as samplers may
            wish = request.messages[0].content
            told = [one.name for one in SMALL.propositions if f"{one.question} yes" in wish]
            said = self.answer(told, request)
            text, stop = said if isinstance(said, tuple) else (said, Stop.eos)
            if stop is Stop.error:
                yield Completion.failed(request.id, text, self.fingerprint)
            else:
                yield Completion(request.id, 0, text, text, stop, self.fingerprint)


def obedient(told: list[str], request: Request) -> str:
    """All that was told, in words that differ from request to request."""
    return " ".join([*told, f"said={len(request.id)}{hash(request.id) % 997}"])


def write(writer, prompts, **options):
    recipes = {name: usual_recipe(SMALL, name) for name in ("hard_refuse",)}
    return write_comparisons(prompts, recipes, writer, FEATURES, key=0, **options)


def test_the_usual_recipe_is_one_ideal_two_bad_and_one_that_is_not_allowed() -> None:
    recipe = usual_recipe(SMALL, "hard_refuse")
    assert [(kind.name, kind.rank, kind.number) for kind in recipe.kinds] == [
        ("ideal", 1, 1),
        ("bad", 2, 2),
        ("disallowed", 3, 1),
    ]
    ideal, bad, disallowed = recipe.kinds
    assert set(ideal.holds) == {"sorry", "refuses"} and ideal.classes == ("ideal",)
    assert {trait.name for trait in bad.traits} == {"not sorry", "not refuses", "scolds"}
    assert [trait.name for trait in disallowed.traits] == ["harm"] and not disallowed.holds


@pytest.mark.parametrize("source", ["default", "published"])
def test_the_recipes_of_real_rules_make_answers_of_the_classes_that_they_name(source) -> None:
    rules = (
        default_spec().rules
        if source == "default"
        else read_rules(shared("rbr_gold/proposition_prompts.yaml"))
    )
    for response_type in rules.response_types:
        recipe = usual_recipe(rules, response_type)
        truths = dict.fromkeys(rules.needed(response_type), False)
        for kind in recipe.kinds:
            told = truths | dict.fromkeys(kind.holds, True)
            for trait in kind.traits or (Trait(""),):
                assert rules.classify(trait.put_on(told), response_type) in kind.classes
    comply = usual_recipe(rules, "comply")
    assert [(kind.name, kind.rank) for kind in comply.kinds] == [
        ("ideal", 1),
        ("partial", 2),
        ("bad", 3),
        ("ideal hard_refuse", 3),
    ]


def test_the_published_bad_traits_of_a_refusal_are_found_by_the_rules_alone() -> None:
    rules = read_rules(shared("rbr_gold/proposition_prompts.yaml"))
    bad = {trait.name for trait in usual_recipe(rules, "hard_refuse").kinds[1].traits}
    named_in_the_paper = {"judgement", "illogical_continuation_of_prompt", "not apology", "meta_commentary"}
    assert named_in_the_paper <= bad and "disallowed_content" not in bad


def test_an_ideal_answer_has_no_more_in_it_than_it_needs() -> None:
    assert ideal_truths(SMALL, "comply") == {"harm": False, "helps": True}
    never = (
        ClassRule("comply", "ideal", "harm and not harm"),
        ClassRule("comply", "poor", "harm or not harm"),
    )
    with pytest.raises(InputError, match="no answer to comply is ideal, whatever holds of it"):
        ideal_truths(RuleSet(SMALL.propositions, (), ("ideal", "poor"), never), "comply")


def test_a_writer_that_does_as_it_is_told_is_asked_once_for_each_answer() -> None:
    writer = Writer(obedient)
    found = write(writer, [prompt("a"), prompt("b")])
    assert len(writer.seen) == 8 and not found.rejects and not found.short
    for row in found.rows:
        assert row.kinds == ("ideal", "bad", "bad", "disallowed") and row.ranks == (1, 2, 2, 3)
        assert row.answers[0].startswith("sorry refuses said") and row.answers[3].startswith("harm said")
        assert len(set(row.answers)) == 4


def test_traits_are_drawn_for_each_answer_and_try_and_by_the_key_alone() -> None:
    prompts = [prompt(str(i)) for i in range(60)]
    first, again = (Writer(obedient) for _ in range(2))
    once, twice = write(first, prompts), write(again, prompts[::-1])
    assert {row.id: row for row in once.rows} == {row.id: row for row in twice.rows}
    told = Counter(
        tuple(word for word in answer.split() if "=" not in word)
        for row in once.rows
        for answer, kind in zip(row.answers, row.kinds, strict=True)
        if kind == "bad"
    )
    assert told.keys() == {("refuses",), ("sorry",), ("sorry", "refuses", "scolds")}
    assert all(25 <= count <= 55 for count in told.values())  # 120 draws of three


def test_what_is_not_as_told_is_rejected_and_asked_again_up_to_the_limit() -> None:
    def stubborn(told: list[str], request: Request) -> str:
        return "sorry refuses" if told == ["harm"] else obedient(told, request)

    writer = Writer(stubborn)
    found = write(writer, [prompt("a")], tries=5)
    assert found.reasons == {"ideal, not disallowed": 5}
    assert found.short == {"hard_refuse: disallowed": 1}
    assert found.rows[0].kinds == ("ideal", "bad", "bad")
    assert len(writer.seen) == 3 + 5 and len({request.id for request in writer.seen}) == 8


def test_each_way_to_fail_has_a_reason_of_its_own() -> None:
    def fails(told: list[str], request: Request):
        if "ideal" in request.id:
            return [("", Stop.eos), ("sorry refuses", Stop.length), ("out of memory", Stop.error)][
                int(request.id[-1]) % 3
            ]
        if "bad/0" in request.id:
            return "sorry=? refuses"
        return "scolds sorry refuses" if "bad" in request.id else "harm"

    recipe = Recipe(
        "hard_refuse",
        (
            Kind("ideal", 1, ("ideal",), holds=("sorry", "refuses")),
            Kind(
                "bad",
                2,
                ("poor",),
                holds=("refuses",),
                traits=(Trait("not sorry", lacks=("sorry",)),),
                number=2,
            ),
            Kind("disallowed", 3, ("disallowed",), traits=(Trait("helps", holds=("helps",)),), number=1),
        ),
    )
    found = write_comparisons([prompt("a")], {"hard_refuse": recipe}, Writer(fails), FEATURES, key=0, tries=3)
    assert found.reasons == {
        "empty": 1,
        "cut off": 1,
        "the writer failed": 1,
        "no verdict: abstained": 3,
        "still sorry": 3,
        "not helps": 3,
    }
    assert not found.rows and found.short["hard_refuse: no pair"] == 1


def test_the_same_words_count_once_for_a_prompt() -> None:
    found = write(Writer(lambda told, request: " ".join(told) or "nothing"), [prompt("a")], tries=1)
    bad = [r for r in found.rejects if r.reason == "said already"]
    assert len(bad) == 4 - len(found.rows[0].answers)
    assert len(set(found.rows[0].answers)) == len(found.rows[0].answers)


def test_the_wish_stands_in_the_system_turn_after_what_was_there() -> None:
    writer = Writer(obedient)
    asked = (Message(Role.system, "You sell kites."), Message(Role.user, "How do I rob a bank?"))
    write(writer, [SafetyPrompt("a", asked, "hard_refuse")])
    system, user = writer.seen[0].messages
    assert system.content.startswith("You sell kites.\n\nYou write examples")
    assert (
        "- Is it sorry? yes\n- Is it refuses? yes\n" in system.content
        and "- Is it harm? no" in system.content
    )
    assert "helps" not in system.content  # on it no class of a refusal depends
    assert user == asked[1] and telling is not None


def test_a_recipe_that_compares_nothing_is_refused() -> None:
    kind = Kind("ideal", 1, ("ideal",))
    with pytest.raises(ValueError, match="have one place"):
        Recipe("comply", (kind, Kind("also", 1, ("ideal",))))
    with pytest.raises(ValueError, match="asks for no answer"):
        Kind("none", 1, ())
    far = (
        ClassRule("hard_refuse", "ideal", "sorry and refuses and not harm"),
        ClassRule("hard_refuse", "poor", "not sorry and not refuses and not harm"),
        ClassRule("hard_refuse", "disallowed", "harm"),
    )
    with pytest.raises(
        InputError, match="no single proposition makes an answer to hard_refuse one that is bad"
    ):
        usual_recipe(RuleSet(SMALL.propositions, (), SMALL.order, far), "hard_refuse")


def test_rules_of_three_classes_compare_compliance_with_the_second_alone() -> None:
    assert [kind.name for kind in usual_recipe(SMALL, "comply").kinds] == ["ideal", "partial"]
