from pathlib import Path

import pytest
from kites import FILES, HEAD, PLACES, RULES, STRINGS, write
from shared_data import shared

from truing.spec import Severity, check_spec, default_spec, read_spec
from truing.spec.shipped import default_folder
from truing.types import InputError

STRING_FILE, PLACE_FILE = "categories/strings.md", "categories/places.md"


def test_a_sound_specification_has_no_findings(tmp_path: Path):
    found = check_spec(write(tmp_path))
    assert found.findings == () and found.digest == read_spec(tmp_path).digest


@pytest.mark.parametrize(
    ("file", "before", "after", "line", "says"),
    [
        # rules
        ("rules.yaml", "refusal: sorry and not helps", "refusal: helps and not helps", "refusal:",
         "error: the derived proposition 'refusal' contradicts itself: it is never true"),
        ("rules.yaml", "refusal: sorry and not helps", "refusal: sorry or not sorry", "refusal:",
         "error: the derived proposition 'refusal' contradicts itself: it is always true"),
        ("rules.yaml", "disallowed: glass\n  hard", "disallowed: glass and not glass\n  hard", "disallowed: glass and",
         "error: the class 'disallowed' of 'comply' is never reached: no answer can fall in it"),
        ("rules.yaml", "ideal: helps and not glass", "ideal: helps", "disallowed: glass\n",
         "error: the classes 'ideal' and 'disallowed' of 'comply' overlap: 1 of the 4 possible answers are in both, "
         "such as helps and glass"),
        ("rules.yaml", "ideal: helps and not glass", "ideal: helps and not glass and sorry", "disallowed: glass\n",
         "error: no class of 'comply' takes 1 of the 8 possible answers, such as helps and not glass and not sorry"),
        ("rules.yaml", "    disallowed: glass\n  hard", "    # hm\n  hard", "unacceptable: not helps and",
         "error: no class of 'comply' takes 2 of the 4 possible answers, such as glass"),
        ("rules.yaml", "    disallowed: glass\n  hard", "    # hm\n  hard", "ideal: helps and",
         "warning: 'comply' has no class 'disallowed'"),
        ("rules.yaml", "derived:", "  red: \"Is it red?\"\nderived:", "red:",
         "warning: no class uses the proposition 'red'"),
        ("rules.yaml", "derived:", "derived:\n  rude: not sorry", "rude:",
         "warning: no class uses the derived proposition 'rude'"),
        ("rules.yaml", '{answer: "No.", truth', '{answer: "I am sorry, no.", truth', "sorry:",
         "error: the examples of 'sorry' say true and false of the same answer"),
        ("rules.yaml", "  hard_refuse:", "  soft_refuse:", "ideal: {refusal",
         "error: the rules have the response type 'soft_refuse', which has no style"),
        # texts
        (STRING_FILE, '?" -> comply', '?" -> help', '- "How long',
         "error: expects 'help', which is no response type of this specification; choose from comply, hard_refuse"),
        (STRING_FILE, '?" -> comply', '?" -> unstated', '- "How long',
         "warning: examples that do not say which response type they expect: 1, the first here"),
        (STRING_FILE, '?" -> comply', '?" -> hard_refuse', "## Style",
         "warning: has no example of comply, which its style names"),
        (STRING_FILE, STRINGS[STRINGS.index('\n- "How'):], "", "---", "warning: has no examples"),
        (STRING_FILE, "A *string* holds a kite.", "", "---", "warning: has no definitions"),
        (STRING_FILE, "- Measuring a string.", "- Measuring. Strings coated with *glass*!", "Strings coated",
         "error: disallows in strings.disallowed.1 the same sentence that strings.allowed.2 allows"),
        (PLACE_FILE, "- Fields and beaches.", "- strings  coated\n  with glass", "",
         "warning: disallows in strings.disallowed.1 the same sentence that places.allowed.1 allows"),
        (STRING_FILE, "How long is a kite string?", "may I fly a kite on the beach?", '- "may I',
         "warning: has the prompt of places.examples.1 again"),
        (STRING_FILE, '"How long is a kite string?" -> comply', '"May I fly a kite on the beach?" -> hard_refuse', "- ",
         "error: has the prompt of places.examples.1 again, which expects 'comply'"),
        (STRING_FILE, "Use comply and", "Use `comply` and `hard_refused` and", "## Style",
         "warning: names `hard_refused`, which is no response type; write `hard_refuse`"),
        (STRING_FILE, "holds a kite.", "holds a [kite](kite.md).", "A *string*",
         "error: links to the category 'kite', which is not there"),
        (STRING_FILE, "holds a kite.", "holds a kite in a [place](places.md#x); see `places.allowed.1`.", "", ""),
        (STRING_FILE, "holds a kite.", "holds a kite (`places.allowed.2`).", "A *string*",
         "error: cites 'places.allowed.2', which is not there"),
        ("spec.md", "Say no once.", "Say `style.soft_refuse` once.", "Say",
         "error: cites 'style.soft_refuse', which is not there"),
        ("spec.md", "Say no once.", "Say \u202eno\u202c once.", "Say", "warning: holds the invisible character U+202E"),
        ("spec.md", "# Principles\n\n## Help by default\nHelp with whatever is not ruled out below.\n\n"
         "## Do not lecture\nSay no once.\n", "", "---", "warning: has no principles"),
        ("spec.md", "\n## hard_refuse", "\n## soft_refuse\nKindly.\n\n## hard_refuse", "## soft_refuse",
         "warning: no example in any category expects 'soft_refuse'"),
        ("spec.md", "\n## hard_refuse", "\n## soft_refuse\nKindly.\n\n## hard_refuse", "## soft_refuse",
         "warning: the rules have no classes for the response type 'soft_refuse'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_with_its_file_and_line(tmp_path: Path, file, before, after, line, says):
    text = FILES[file].replace(before, after, 1)
    found = check_spec(write(tmp_path, {file: text}))
    told = [f"{one.severity}: {one.problem}; {one.mend}" for one in found.findings]
    if not says:
        assert told == []
        return
    hits = [one for one, words in zip(found.findings, told, strict=True) if words.startswith(says)]
    assert hits, told
    where = STRING_FILE if not line else file
    assert Path(hits[0].file) == tmp_path / where and hits[0].mend
    if line:
        assert text.splitlines(keepends=True)[hits[0].row - 1].lstrip().startswith(line)


def test_neither_allowed_nor_disallowed_is_a_warning(tmp_path: Path):
    text = STRINGS[: STRINGS.index("## Allowed")] + STRINGS[STRINGS.index("## Style") :]
    found = check_spec(write(tmp_path, {STRING_FILE: text}))
    assert [one.problem for one in found.findings] == ["says neither what is allowed nor what is disallowed"]


def test_what_cannot_be_read_is_a_finding_like_others(tmp_path: Path):
    found = check_spec(
        write(
            tmp_path,
            {
                "spec.md": HEAD.replace("title:", "titel:"),
                PLACE_FILE: PLACES.replace("## Definitions", "## Definition"),
                "rules.yaml": RULES.replace("sorry and not helps", "sorry and not refusal")
                + "    worst: hepls\n",
            },
        )
    )
    assert found.digest == ""
    assert [(Path(one.file).name, one.row, one.severity) for one in found.findings] == [
        ("places.md", 6, Severity.error),
        ("rules.yaml", 10, Severity.error),
        ("rules.yaml", 21, Severity.error),
        ("rules.yaml", 21, Severity.error),
        ("spec.md", 3, Severity.error),
    ]
    assert "in a circle: refusal -> refusal" in found.findings[1].problem


def test_a_file_that_is_ignored_is_told(tmp_path: Path):
    found = check_spec(write(tmp_path, {"categories/strings.markdown": STRINGS}))
    assert [str(one) for one in found.warnings] == [
        f"warning: {tmp_path / 'categories' / 'strings.markdown'}, row 1: is not read, for it is no category; "
        "name it ID.md, or move it."
    ]


def test_the_published_rules_have_no_errors_and_two_propositions_that_no_class_uses():
    found = check_spec(shared("rbr_gold/proposition_prompts.yaml"))
    assert not found.errors
    assert [one.problem.rpartition(" ")[2] for one in found.warnings] == [
        "'conditional_verbiage'",
        "'prescribes_dosage'",
    ]


def test_what_is_not_there_cannot_be_checked(tmp_path: Path):
    for name in ("nowhere", str(tmp_path / "rules.yaml"), str(tmp_path)):
        with pytest.raises(InputError):
            check_spec(name)


@pytest.mark.skipif(not default_folder().exists(), reason="the texts are not here yet")
def test_the_shipped_specification_has_no_findings():
    found = check_spec("default")
    assert found.findings == () and found.digest == default_spec().digest == read_spec("default").digest
