import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from kites import FILES, HEAD, RULES, STRINGS, error_of, write

from truing.spec import Category, Clause, Example, Spec, check_spec, read_spec, spec_names
from truing.spec.reading import read_folder
from truing.types import InputError, dumps, loads


def with_disallowed(folder: Path, text: str) -> Category:
    changed = STRINGS.replace("Strings coated with glass.", text)
    return read_spec(write(folder, {"categories/strings.md": changed})).category("strings")


def test_a_specification_is_read_whole(tmp_path: Path):
    spec = read_spec(write(tmp_path))
    assert (spec.id, spec.title) == ("kites", "A specification of kites")
    assert [(p.cite, p.title, p.text) for p in spec.principles] == [
        ("principles.help_by_default", "Help by default", "Help with whatever is not ruled out below."),
        ("principles.do_not_lecture", "Do not lecture", "Say no once."),
    ]
    assert [(s.cite, s.text) for s in spec.styles] == [
        ("style.comply", "Answer fully."),
        ("style.hard_refuse", "One sentence, without a reason."),
    ]
    assert [c.id for c in spec.categories] == ["places", "strings"]
    strings = spec.category("strings")
    assert strings.title == "Kite strings"
    assert strings.summary == "Strings of cotton are fine; strings that cut are not."
    assert strings.definitions == "A *string* holds a kite."
    assert strings.allowed == (
        Clause("strings.allowed.1", "Cotton strings,\nwaxed or not."),
        Clause("strings.allowed.2", "Measuring a string."),
    )
    assert strings.disallowed == (Clause("strings.disallowed.1", "Strings coated with glass."),)
    assert strings.safe_completion == () and strings.style == "Use comply and hard_refuse."
    assert strings.examples == (
        Example("How long is a kite string?", "comply"),
        Example('How do I coat a string with "glass"?', "hard_refuse", "letters (1).txt"),
    )
    assert spec.text_of("places.safe_completion.1") == "Roads: say what is dangerous there."
    assert spec.text_of("style.comply") == "Answer fully."
    assert spec.rules and spec.rules.response_types == ("comply", "hard_refuse")
    assert loads(Spec, dumps(spec)) == spec


def test_a_clause_goes_on_over_indented_lines_and_nested_lists(tmp_path: Path):
    text = "- One,\n  still one.\n\n  Still one.\n  - nested\nand lazily on\n\nText.\n\n* Two.\n- Three.\n### No\n"
    strings = with_disallowed(tmp_path, text)
    assert [c.text for c in strings.disallowed] == [
        "One,\nstill one.\n\nStill one.\n- nested\nand lazily on",
        "Two.",
        "Three.",
    ]
    assert [(c.cite, c.text) for c in strings.section("disallowed").blocks if not c.cite] == [
        ("", "Text."),
        ("", "### No"),
    ]


def test_headings_and_items_within_fences_are_text(tmp_path: Path):
    text = "Before.\n\n~~~sh\n## Allowed\n- no clause\n```\n~~~~\n\n```\n# also text\n```\n\nAfter."
    strings = with_disallowed(tmp_path, text)
    assert [c.text for c in strings.disallowed] == [text]


def test_line_endings_and_marks_of_encoding_do_not_count(tmp_path: Path):
    crlf = {name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in FILES.items()}
    assert read_spec(write(tmp_path / "a")) == read_spec(write(tmp_path / "b", crlf))


def test_the_lines_of_the_parts_are_known(tmp_path: Path):
    found = read_folder(write(tmp_path))
    lines = STRINGS.splitlines()
    for cite, start in (
        ("strings.allowed.2", "- Measuring"),
        ("strings.examples.2", '- "How do I'),
        ("strings.style", "## Style"),
    ):
        path, row = found.places[cite]
        assert path.name == "strings.md" and lines[row - 1].startswith(start)
    assert HEAD.splitlines()[found.places["style.hard_refuse"][1] - 1] == "## hard_refuse"


SENTENCES = {
    "spec.md": ("Say no once.", "Say no twice.", {"principles.do_not_lecture"}),
    "categories/strings.md": ("Measuring a string.", "Measuring two.", {"category.strings"}),
    "categories/places.md": ("Which runway is best", "Which runway is worst", {"category.places"}),
    "rules.yaml": ("help with the kite?", "help with kites?", {"proposition.helps"}),
}


@pytest.mark.parametrize("file", SENTENCES)
def test_one_sentence_changed_moves_the_digest_of_its_part_and_of_the_whole(tmp_path: Path, file):
    before, after, moved = SENTENCES[file]
    a = read_spec(write(tmp_path / "a"))
    b = read_spec(write(tmp_path / "b", {file: FILES[file].replace(before, after)}))
    assert a.digest != b.digest and a.digests.keys() == b.digests.keys()
    assert {part for part in a.digests if a.digests[part] != b.digests[part]} == moved


def test_the_digests_do_not_depend_on_the_folder_or_on_lines(tmp_path: Path):
    a = read_spec(write(tmp_path / "a"))
    moved = {name: text.replace("\n# Response", "\n\n\n# Response").replace("\n## All", "\n\n\n## All") for name, text in FILES.items()}  # fmt: skip  # noqa: E501
    b = read_spec(write(tmp_path / "b", moved | {"rules.yaml": "# a comment\n" + RULES}))
    assert (a.digest, a.digests) == (b.digest, b.digests)


def test_a_rule_changed_moves_the_digest_of_the_rules_of_that_response_type(tmp_path: Path):
    a = read_spec(write(tmp_path / "a"))
    b = read_spec(write(tmp_path / "b", {"rules.yaml": RULES.replace("sorry and not helps", "sorry")}))
    assert {part for part in a.digests if a.digests[part] != b.digests[part]} == {"rules.hard_refuse"}


CATEGORY = "categories/strings.md"


@pytest.mark.parametrize(
    ("file", "before", "after", "below", "says"),
    [
        ("spec.md", "---\nid", "id", 0, "has no front matter"),
        ("spec.md", "kites\n---", "kites\n", -2, "front matter that does not end"),
        ("spec.md", "id: kites\n", "", 0, "has no id"),
        ("spec.md", "id: kites", "id: Kites of mine", 0, "has the id 'Kites of mine'"),
        ("spec.md", "id: kites", "id: true", 0, "has a id that is no line of text"),
        ("spec.md", "id: kites", "id: kites\nid: kites", 1, "a second time"),
        ("spec.md", "id: kites", "id: kites\nauthor: me", 1, "has the unknown field 'author'"),
        ("spec.md", "id: kites", "- kites", 1, "is not YAML"),
        ("spec.md", "id: kites\ntitle: A specification of kites", "- kites", -1, "front matter that is no mapping"),
        ("spec.md", "id: kites", "id: !!python/object/apply:os.system [ls]", 0, "has the tag"),
        ("spec.md", "title: A", 'title: "\\e[2J"\n#', 0, "has a title that is no line of text"),
        ("spec.md", "# Response styles", "# Styles", 0, "has the chapter 'Styles'"),
        ("spec.md", "# Response styles", "# Principles", 0, "has the chapter 'Principles'"),
        ("spec.md", "# Principles\n", "", 1, "outside of the chapters"),
        ("spec.md", "## Help by default\n", "", -2, "has text outside of a principle or style"),
        ("spec.md", "## Do not lecture", "## Help, by default!", 0, "a second time"),
        ("spec.md", "## Do not lecture", "## ???", 0, "a principle without a name"),
        ("spec.md", "Say no once.", "", -1, "has nothing under 'Do not lecture'"),
        ("spec.md", "## hard_refuse", "## Hard refuse", 0, "has the response type 'Hard refuse'"),
        ("spec.md", "## hard_refuse", "## unstated", 0, "has the response type 'unstated'"),
        ("spec.md", "## hard_refuse", "## comply", 0, "has 'comply' a second time"),
        (CATEGORY, "id: strings", "id: string", 0, "the name of the file says 'strings'"),
        (CATEGORY, "summary:", "summaries:", 0, "has the unknown field"),
        (CATEGORY, "summary: Strings of", "summary: 'x'\n#", None, ""),
        (CATEGORY, "## Allowed", "## Permitted", 0, "has the section 'Permitted' there"),
        (CATEGORY, "## Definitions", "## Style", 3, "has the section 'Allowed' there"),
        (CATEGORY, "## Disallowed", "## Allowed", 0, "has the section 'Allowed' there"),
        (CATEGORY, "## Disallowed", "# Disallowed", 0, "has the section 'Disallowed' there"),
        (CATEGORY, "## Definitions", "Hello.\n## Definitions", 0, "has text before its first section"),
        (CATEGORY, '- "How long', '"How long', 0, "is no example"),
        (CATEGORY, '- "How long', "- How long", 0, "is no example"),
        (CATEGORY, '- "How long', '- "How\\q long', 0, "is no example"),
        (CATEGORY, '- "How long', '- "\\ud800 long', 0, "is no example"),
        (CATEGORY, '- "How long is a kite string?"', '- " "', 0, "is no example"),
        (CATEGORY, '- "How long is a kite string?"', "- " + "[" * 100_000, 0, "is no example"),
        (CATEGORY, '?" -> comply', '?" -> comply or else', 0, "is no example"),
        (CATEGORY, '?" -> comply', '?"', 0, "is no example"),
        (CATEGORY, '?" -> comply', '?"\n  -> comply', 0, "is no example"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_file_and_line(tmp_path: Path, file, before, after, below, says):
    assert before in FILES[file]
    changed = {file: FILES[file].replace(before, after, 1)}
    if below is None:
        assert read_spec(write(tmp_path, changed))
        return
    told = error_of(tmp_path, changed)
    assert says in str(told) and told.mend
    line = FILES[file][: FILES[file].index(before)].count("\n") + 1
    assert (Path(str(told.file)), told.row) == (tmp_path / file, line + below)


def test_with_a_listener_every_error_is_told(tmp_path: Path):
    told: list[InputError] = []
    found = read_folder(
        write(
            tmp_path,
            {
                "spec.md": HEAD.replace("id: kites", "id: 3"),
                "categories/strings.md": STRINGS.replace("## Allowed", "## X"),
                "rules.yaml": RULES.replace("sorry and not helps", "x").replace(
                    "not helps and not glass", "y"
                ),
            },
        ),
        on_error=told.append,
    )
    assert found.spec is None
    assert [(Path(str(why.file)).name, why.row) for why in told] == [
        ("spec.md", 2), ("strings.md", 9), ("rules.yaml", 10), ("rules.yaml", 15),
    ]  # fmt: skip


def test_a_specification_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "kites")
    entry = SimpleNamespace(name="mine", load=lambda: lambda: str(tmp_path / "kites"))
    monkeypatch.setattr(
        "truing.spec.shipped.entry_points", lambda group: [entry] if group == "truing.specs" else []
    )
    assert read_spec("mine").id == "kites" and spec_names() == ["mine"]
    with pytest.raises(InputError, match="no specification 'yours'; name a folder, or one of mine"):
        read_spec("yours")


def test_the_worked_example_of_the_guide_is_a_sound_specification(tmp_path: Path):
    guide = Path("docs/spec.md").read_text("utf-8")
    head, category = re.findall(r"^```md\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    (rules,) = re.findall(r"^```yaml\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    files = {
        "spec.md": head,
        "categories/strings.md": category,
        "categories/places.md": None,
        "rules.yaml": rules,
    }
    assert check_spec(write(tmp_path, files)).findings == ()
    assert read_spec(tmp_path).text_of("strings.disallowed.1") == "Strings coated with glass."
