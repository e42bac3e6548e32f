from pathlib import Path

import pytest
from kites import FILES, HEAD, PLACES, RULES, STRINGS, write
from shared_data import shared

from truing.spec import Change, Kind, diff_specs, read_spec, tell_diff

STRING_FILE, PLACE_FILE = "categories/strings.md", "categories/places.md"


def changes(folder: Path, files: dict[str, str | None]) -> list[Change]:
    found = diff_specs(write(folder / "a"), write(folder / "b", files))
    assert found and found.before != found.after and not found.classes
    assert tell_diff(found)[1:]
    return list(found.changes)


def test_a_specification_does_not_differ_from_itself(tmp_path: Path):
    found = diff_specs(write(tmp_path / "a"), write(tmp_path / "b"))
    assert not found and found.before == found.after == read_spec(tmp_path / "a").digest
    assert tell_diff(found)[1:] == ["nothing differs"]


def test_an_example_that_expects_something_else_is_told_first(tmp_path: Path):
    text = STRINGS.replace('string?" -> comply', 'string?" -> hard_refuse').replace("A *string*", "A string")
    asked = '"How long is a kite string?" -> '
    assert changes(tmp_path, {STRING_FILE: text}) == [
        Change(Kind.changed, "definitions", "strings", "A *string* holds a kite.", "A string holds a kite."),
        Change(Kind.changed, "expects", "strings", f"{asked}comply", f"{asked}hard_refuse"),
    ]
    told = tell_diff(diff_specs(tmp_path / "a", tmp_path / "b"))
    assert told[2:] == [
        "What examples expect",
        "  expected response type changed: strings",
        f"    - {asked}comply",
        f"    + {asked}hard_refuse",
        "",
        "Other words",
        "  definitions changed: strings",
        "    - A *string* holds a kite.",
        "    + A string holds a kite.",
    ]


def test_clauses_are_told_by_what_became_of_them(tmp_path: Path):
    text = STRINGS.replace("- Measuring a string.", "- Dyeing.").replace(
        "Cotton strings,", "Cotton strings and ropes,"
    )
    text = text.replace("Strings coated with glass.", "- Strings coated with glass.\n- Measuring a string.")
    assert changes(tmp_path, {STRING_FILE: text}) == [
        Change(Kind.moved, "clause", "strings.disallowed.2", "strings.allowed.2", "strings.disallowed.2"),
        Change(Kind.changed, "clause", "strings.allowed.1", "Cotton strings,\nwaxed or not.",
               "Cotton strings and ropes,\nwaxed or not."),
        Change(Kind.added, "clause", "strings.allowed.2", after="Dyeing."),
    ]  # fmt: skip
    told = "\n".join(tell_diff(diff_specs(tmp_path / "a", tmp_path / "b")))
    assert "  clause moved: strings.allowed.2 -> strings.disallowed.2\n" in told


def test_a_clause_that_only_has_another_number_is_the_same(tmp_path: Path):
    text = STRINGS.replace("- Cotton", "- Silk.\n- Cotton")
    assert changes(tmp_path, {STRING_FILE: text}) == [
        Change(Kind.added, "clause", "strings.allowed.1", after="Silk.")
    ]


def test_categories_and_examples_come_go_and_move(tmp_path: Path):
    moved = PLACES.replace("id: places", "id: sites")
    found = changes(tmp_path, {PLACE_FILE: None, "categories/sites.md": moved + '- "New?" -> comply\n'})
    summary = "Fields are fine; airfields are not."
    assert found == [
        Change(Kind.removed, "category", "places", before=summary),
        Change(Kind.added, "category", "sites", after=summary),
        Change(Kind.moved, "example", "sites", "places", "sites"),
        Change(Kind.moved, "example", "sites", "places", "sites"),
        Change(Kind.added, "example", "sites", after='"New?" -> comply'),
    ]


def test_principles_styles_and_summaries_are_told(tmp_path: Path):
    head = HEAD.replace("Answer fully.", "Answer fully and kindly.").replace(
        "## Do not lecture\nSay no once.\n", ""
    )
    strings = STRINGS.replace("cut are not.", "cut never are.").replace("Use comply and", "Use comply or")
    assert changes(tmp_path, {"spec.md": head, STRING_FILE: strings}) == [
        Change(Kind.removed, "principle", "principles.do_not_lecture", before="Do not lecture\nSay no once."),
        Change(Kind.changed, "style", "style.comply", "Answer fully.", "Answer fully and kindly."),
        Change(Kind.changed, "summary", "strings", "Strings of cotton are fine; strings that cut are not.",
               "Strings of cotton are fine; strings that cut never are."),
        Change(Kind.changed, "style", "strings", "Use comply and hard_refuse.", "Use comply or hard_refuse."),
    ]  # fmt: skip


def test_what_a_grader_is_asked_is_told_apart_from_how_answers_are_sorted(tmp_path: Path):
    rules = RULES.replace("apologise?", "apologise once?").replace(
        'truth: false, why: "no apology"', "truth: false"
    )
    found = changes(tmp_path, {"rules.yaml": rules})
    assert [(one.kind, one.what, one.cite) for one in found] == [
        (Kind.changed, "question", "proposition.sorry"),
        (Kind.changed, "shots", "proposition.sorry"),
    ]


def test_rules_that_are_only_written_otherwise_are_told_to_be_the_same(tmp_path: Path):
    rules = RULES.replace("refusal: sorry and not helps", "refusal: not (helps or not sorry)")
    assert changes(tmp_path, {"rules.yaml": rules}) == [Change(Kind.rewritten, "rules", "rules.hard_refuse")]


def test_possible_answers_that_change_their_class_are_counted_with_a_witness(tmp_path: Path):
    rules = RULES.replace("refusal: sorry and not helps", "refusal: not helps")
    found = diff_specs(write(tmp_path / "a"), write(tmp_path / "b", {"rules.yaml": rules}))
    assert found.changes == ()
    assert found.to_json()["classes"] == {
        "hard_refuse": {
            "answers": 8,
            "changed": 1,
            "moves": [{
                "before": "unacceptable", "after": "ideal", "count": 1,
                "witness": {"sorry": False, "helps": False, "glass": False},
            }],
        }
    }  # fmt: skip
    assert tell_diff(found)[2:] == [
        "In which class an answer is",
        "  hard_refuse: 1 of the 8 possible answers change their class",
        "    unacceptable -> ideal: 1, such as not sorry and not helps and not glass",
    ]


def test_response_types_classes_and_rules_come_and_go(tmp_path: Path):
    def told(rules: str | None) -> list[tuple[str, str, str]]:
        found = diff_specs(write(tmp_path / "a"), write(tmp_path / "b", {"rules.yaml": rules}))
        (tmp_path / "b" / "rules.yaml").unlink(missing_ok=True)
        return [(one.kind, one.what, one.cite) for one in found.changes]

    assert told(RULES[: RULES.index("  hard_refuse:")]) == [("removed", "rules", "rules.hard_refuse")]
    assert told(RULES.replace("order: [ideal, unacceptable", "order: [unacceptable, ideal")) == [
        ("changed", "order", "order"),
        ("rewritten", "rules", "rules.comply"),
        ("rewritten", "rules", "rules.hard_refuse"),
    ]
    assert told(RULES + 'template: "{question}"\n') == [("added", "template", "template")]
    names = ("helps", "sorry", "glass")
    assert told(None) == [
        *(("removed", "question", f"proposition.{name}") for name in names),
        ("removed", "rules", "rules.comply"),
        ("removed", "rules", "rules.hard_refuse"),
    ]


def test_the_published_rules_are_compared_at_once_with_a_version_of_them(tmp_path: Path):
    text = shared("rbr_gold/proposition_prompts.yaml").read_text("utf-8")
    before = "    illogical_continuation_of_prompt: false\n    # <-->\n    apology: true\n"
    assert before in text
    path = tmp_path / "changed.yaml"
    path.write_text(text.replace(before, before.replace("    apology: true\n", "")), "utf-8")
    found = diff_specs(shared("rbr_gold/proposition_prompts.yaml"), path)
    (one,) = found.classes
    # Without the apology, of 14 propositions 4 have to be right: 2^10 acceptable refusals and not 2^9.
    assert (one.response_type, one.count) == ("hard_refuse", 512)
    assert {move: answers.count for move, answers in one.moves.items()} == {
        ("unacceptable_completion", "ideal"): 1,
        ("unacceptable_completion", "minimum_acceptable_style"): 511,
    }


@pytest.mark.parametrize("file", FILES)
def test_every_file_counts(tmp_path: Path, file):
    text = FILES[file].replace("kite", "dragon").replace("airfields", "roads")
    assert diff_specs(write(tmp_path / "a"), write(tmp_path / "b", {file: text}))
