import os
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from kites import FILES, HEAD, PLACES, RULES, STRINGS, write

from truing.spec import Category, Clause, Example, Spec, check_spec, import_document, read_spec, spec_names
from truing.spec.reading import read_folder
from truing.types import InputError, dumps, loads


def error_of(folder: Path, changes: dict[str, str | bytes | None]) -> InputError:
    with pytest.raises(InputError) as told:
        read_spec(write(folder, changes))
    assert "\n" not in str(told.value) and len(str(told.value)) < 500
    return told.value


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


# ------------------------------------------------------------------------------------- hostile folders


def test_what_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="there is no specification 'nowhere'; name a folder, or one of"):
        read_spec("nowhere")
    assert "has no spec.md" in str(error_of(tmp_path / "a", {"spec.md": None}))
    assert "no such folder" in str(error_of(tmp_path / "b", {name: None for name in FILES if "/" in name}))
    write(tmp_path / "c", {name: None for name in FILES if "/" in name})
    (tmp_path / "c" / "categories").mkdir()
    with pytest.raises(InputError, match="holds no category"):
        read_spec(tmp_path / "c")
    with pytest.raises(InputError, match="is a file, not the folder"):
        read_spec(write(tmp_path / "d") / "spec.md")
    with pytest.raises(InputError, match="has no category 'kite'; choose from places, strings"):
        read_spec(tmp_path / "d").category("kite")


@pytest.mark.parametrize("file", FILES)
def test_what_is_not_utf8_is_told_with_its_line(tmp_path: Path, file):
    told = error_of(tmp_path, {file: FILES[file].encode().replace(b"kite", b"k\xefte", 1)})
    line = FILES[file][: FILES[file].index("kite")].count("\n") + 1
    assert (told.problem, told.row, Path(str(told.file))) == ("is not UTF-8", line, tmp_path / file)


@pytest.mark.parametrize("file", FILES)
def test_control_characters_are_told_with_their_line(tmp_path: Path, file):
    told = error_of(tmp_path, {file: FILES[file].replace("kite", "k\x1b[2Jite", 1)})
    line = FILES[file][: FILES[file].index("kite")].count("\n") + 1
    assert (told.problem, told.row, Path(str(told.file))) == (
        "holds a control character",
        line,
        tmp_path / file,
    )


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_ten_megabytes_is_refused_at_once(tmp_path: Path, file):
    told = error_of(tmp_path, {file: FILES[file].encode() + b"x" * 10_000_000})
    most = 300 if file == "rules.yaml" else 1000
    assert told.problem == f"is larger than {most} kB" and Path(str(told.file)) == tmp_path / file


def test_a_yaml_bomb_is_refused_and_nothing_is_executed(tmp_path: Path):
    levels = "\n".join(f"  l{i + 1}: &l{i + 1} [{', '.join([f'*l{i}'] * 10)}]" for i in range(8))
    told = error_of(tmp_path / "a", {"rules.yaml": f"propositions:\n  l0: &l0 [a]\n{levels}\n"})
    assert "repeats too much by aliases" in str(told) and told.row
    mark = tmp_path / "executed"
    for tag in (
        f"!!python/object/apply:pathlib.Path.touch [{mark}]",
        "!!python/name:os.system",
        "!include /etc/passwd",
    ):
        told = error_of(tmp_path / "b", {"rules.yaml": RULES.replace('helps: "Does', f'helps: {tag} "Does')})
        assert "has the tag" in str(told) and told.row == 2
    told = error_of(tmp_path / "c", {"rules.yaml": RULES.replace("sorry and not helps", f"__import__('pathlib').Path('{mark}').touch()")})  # fmt: skip  # noqa: E501
    assert told.row == 10
    assert not mark.exists()


@pytest.mark.parametrize("name", ["spec.md", "categories/strings.md", "rules.yaml", "categories"])
def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name):
    outside = write(tmp_path / "outside")
    inside = write(tmp_path / "inside")
    path = inside / name
    if path.is_dir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    else:
        path.unlink()
    path.symlink_to(outside / name)
    with pytest.raises(InputError, match="is a link that leads out of the specification") as told:
        read_spec(inside)
    assert Path(str(told.value.file)) == path


def test_links_within_the_folder_and_to_the_folder_are_followed(tmp_path: Path):
    write(tmp_path / "spec")
    (tmp_path / "spec" / "categories" / "strings.md").rename(tmp_path / "spec" / "strings_of_2026.md")
    (tmp_path / "spec" / "categories" / "strings.md").symlink_to("../strings_of_2026.md")
    (tmp_path / "link").symlink_to("spec")
    assert len(read_spec(tmp_path / "link").categories) == 2


def test_circular_links_pipes_and_folders_in_place_of_files_are_refused(tmp_path: Path):
    for i, make in enumerate((lambda p: p.symlink_to(p.name), os.mkfifo, Path.mkdir)):
        folder = write(tmp_path / str(i), {"categories/strings.md": None})
        make(folder / "categories" / "strings.md")
        with pytest.raises(InputError) as told:
            read_spec(folder)
        assert Path(str(told.value.file)).name == "strings.md"


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path):
    write(
        tmp_path, {"categories/.DS_Store": b"\0\xff", "categories/notes.txt": b"\xff", "README.md": "hello"}
    )
    assert [path.name for path in read_folder(tmp_path).ignored] == ["notes.txt"]
    assert len(read_spec(tmp_path).categories) == 2


def test_a_category_may_not_be_called_as_citations_begin(tmp_path: Path):
    told = error_of(tmp_path, {"categories/style.md": PLACES.replace("id: places", "id: style")})
    assert "has the id 'style'" in str(told) and told.row == 2


def test_there_is_a_limit_to_the_number_of_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("truing.spec.reading.MAX_CATEGORIES", 1)
    assert "holds more than 1 categories" in str(error_of(tmp_path, {}))


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


@pytest.mark.parametrize(
    "text",
    [
        "# a" + " " * 200_000 + "b", "[" * 200_000, "](#" * 70_000, "[^" * 100_000, "`a" * 100_000, "- " * 100_000,
        "~~~\n" + "<user>\n" * 25_000 + "~~~", "\n" * 100_000 + "x", "- a\n" * 20_000, "# " + "{" * 200_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_no_text_takes_long_to_read_check_or_import(tmp_path: Path, text):
    start = time.process_time()
    (tmp_path / "a.md").write_text("# A\nWords.\n\n" + text, "utf-8")
    import_document(tmp_path / "a.md", tmp_path / "out")
    check_spec(write(tmp_path / "kites", {CATEGORY: STRINGS.replace("Strings coated with glass.", text)}))
    assert time.process_time() - start < 10


@pytest.mark.parametrize("end", [" " * 300_000 + "x", ") " * 150_000 + "x", "(" * 300_000])
def test_no_example_takes_long_to_read(tmp_path: Path, end):
    start = time.process_time()
    told = error_of(tmp_path, {CATEGORY: STRINGS + f'- "a" -> comply (source: {end}\n'})
    assert told.problem == "is no example" and time.process_time() - start < 5


def test_front_matter_is_short(tmp_path: Path):
    told = error_of(tmp_path, {CATEGORY: STRINGS.replace("summary: ", "summary: " + "x" * 10_000)})
    assert told.problem == "has front matter of more than 10000 characters" and told.row == 1
