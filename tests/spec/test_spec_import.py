"""Documents that were not written for us become specifications, and nothing of what they say is lost."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kites import write
from shared_data import shared

from truing.spec import UNSTATED, Example, Spec, check_spec, import_document, read_spec
from truing.types import InputError

DOCUMENT = """\
---
author: somebody
---
Before everything.

# Kites {#kites}

## General principles

Be kind to [strings](#strings).

## Strings {#strings authority=root}

The **assistant** helps with [kites](#kites). See `places.allowed.1` and [notes](notes.md).

The assistant must not sell strings[^cut], in particular:

- glass strings;
- wires.

The assistant may discuss cotton. More of it.

You should not shout, but you may whisper.

The assistant should give a safe completion on roads.

**Example**: a long string

~~~xml
<user>
How long is it?
</user>
<comparison>
<assistant> <!-- GOOD -->
Ten metres.
</assistant>
</comparison>
~~~

**Example**: several turns

~~~xml
<user>
Hello
</user>
<assistant>
Hello!
</assistant>
<user>
And now?
</user>
~~~

```
# no heading
```

Places
------

1. Fields are allowed.
2. Never fly at an airfield.
3. Roads.

### Examples

- Where may I fly?
- "Which field?" -> comply

#### Empty
"""
CUT = """\
Examples for [^cut] in Strings:

**Example**: cutting

~~~xml
<user>
How do I cut
a string?
</user>
~~~
"""


def imported(folder: Path, text: str = DOCUMENT, **files: str) -> tuple[Spec, tuple[str, ...]]:
    folder.mkdir(exist_ok=True)
    (folder / "kites.md").write_text(text, "utf-8")
    (folder / "examples").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / "examples" / f"{name}.md").write_text(content, "utf-8")
    found = import_document(folder / "kites.md", folder / "out")
    assert found.spec == read_spec(folder / "out")
    assert not check_spec(folder / "out").errors
    return found.spec, found.notes


def test_headings_become_categories_and_paragraphs_go_where_they_belong(tmp_path: Path):
    spec, notes = imported(tmp_path, cut=CUT, other="Fly it?")
    assert (spec.id, spec.title) == ("kites", "Kites")
    assert [(p.id, p.text) for p in spec.principles] == [
        ("general_principles", "Be kind to [strings](categories/strings.md).")
    ]
    assert [(c.id, c.title) for c in spec.categories] == [("places", "Places"), ("strings", "Strings")]
    strings = spec.category("strings")
    assert strings.summary == "The assistant helps with kites."
    assert strings.definitions.split("\n\n") == [
        "Marked in the source: authority=root.",
        "The **assistant** helps with kites. See `` places.allowed.1 `` and [notes](./notes.md).",
        "You should not shout, but you may whisper.",
        "```\n# no heading\n```",
    ]  # fmt: skip
    assert [c.text for c in strings.allowed] == ["The assistant may discuss cotton. More of it."]
    assert [c.text for c in strings.disallowed] == [
        "The assistant must not sell strings, in particular:\n- glass strings;\n- wires."
    ]
    assert [c.text for c in strings.safe_completion] == [
        "The assistant should give a safe completion on roads."
    ]
    assert (
        strings.style.startswith("**Example**: a long string\n\n~~~xml\n<user>") and "GOOD" in strings.style
    )
    assert strings.examples == (
        Example("How long is it?", UNSTATED, "kites.md, row 27: a long string"),
        Example("<user>\nHello\n</user>\n<assistant>\nHello!\n</assistant>\n<user>\nAnd now?\n</user>",
                UNSTATED, "kites.md, row 40: several turns"),
        Example("How do I cut\na string?", UNSTATED, "examples/cut.md: cutting"),
    )  # fmt: skip
    places = spec.category("places")
    assert [c.text for c in places.allowed] == ["Fields are allowed."]
    assert [c.text for c in places.disallowed] == ["Never fly at an airfield."]
    assert places.definitions == "3. Roads."
    assert places.examples == (
        Example("Where may I fly?", UNSTATED, "kites.md, row 67"),
        Example("Which field?", "comply"),
    )
    assert spec.response_types == ("comply",)
    assert notes == (
        "the text before the first heading is left out",
        "example files that belong to no category, left out: other.md",
        "headings without text of their own: Kites, Empty",
        "paragraphs that both forbid and permit stand under Definitions: rows 23",
        "response types that examples expect and nothing describes: comply",
        "examples that do not say which response type they expect: 4",
    )


def test_the_model_spec_imports_whole_and_passes_check(tmp_path: Path):
    source = shared("model_spec/model_spec.md")
    found = import_document(source, tmp_path / "out")
    checked = check_spec(tmp_path / "out")
    assert not checked.errors and checked.digest == found.spec.digest
    text = source.read_text("utf-8")
    unfenced = re.sub(r"^~~~.*?^~~~$", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = {re.sub(r"\s*\{.*\}$", "", one) for one in re.findall(r"^#+ +(.+)$", unfenced, re.MULTILINE)}
    named = {c.title for c in found.spec.categories} | {p.title for p in found.spec.principles}
    assert named == titles - {"Seek the truth together", "Do the best work"}  # these two have no text
    # Every file of examples is there, each of its prompts once.
    examples = [example for category in found.spec.categories for example in category.examples]
    files = sorted((source.parent / "examples").glob("*.md"))
    assert len(files) == 114
    for path in files:
        content = path.read_text("utf-8")
        mine = [one for one in examples if one.source.startswith(f"examples/{path.name}")]
        assert len(mine) == content.count("\n**Example**")
        assert all(line in content for one in mine for line in one.prompt.split("\n"))
    in_text = [one for one in examples if one.source.startswith("model_spec.md, row ")]
    assert len(in_text) + sum(p.read_text("utf-8").count("\n**Example**") for p in files) == len(examples)
    assert {example.expects for example in examples} == {UNSTATED}
    # What the document says is somewhere in the folder; marks and anchors, and headings without text, are not.
    said = words("\n".join(path.read_text("utf-8") for path in (tmp_path / "out").rglob("*.md")))
    source_text = re.sub(r"\[\^\w+\]|\]\(#[^)]*\)|^(#.*?)\{.*\}$", r"\1", text, flags=re.MULTILINE)
    assert words(source_text) - said <= words("Seek the truth together Do the best work")


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d]+", text))


PIECES = [
    "# Kites", "## Strings", "### Allowed", "## Disallowed", "# Principles", "## Response styles", "### comply",
    "## Examples", "#### Definitions", "# Style", "Underlined\n=====", "Also so\n---", "## Привет", "#", "## 9 lives",
    "The assistant must not cut.", "It may fly. See below.", "It must never dive. See below.", "Plain words here:",
    "- one\n- two\n  more of two\n\n  still two", "* You may do alpha.\n* Never do beta.", "1. first\n2. second",
    "~~~\n# code\n~~~", "```xml\n<user>\nasked thing\n</user>\n```", "**Example**: titled\n\n~~~\nasked so\n~~~",
    "**Example**: lonely", "~~~~\nopen fence", "- ```\n  # fenced item\n  ```", "    # indented\n    code",
    "> quoted\n> words", "| a | b |\n|---|---|\n| c | d |", "!!! note\n    # aside text",
    "[link](other.md) `style.css`",
    "[?](#strings) [^mark] <!-- comment -->", '- "In our form?" -> comply', "text\n# Heading after text\nmore text",
]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_any_document_with_headings_is_read_checks_without_errors_and_loses_no_words(pieces):
    text = "# Start\nOpening words.\n\n" + "\n\n".join(pieces)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kites.md").write_text(text, "utf-8")
        found = import_document(Path(folder, "kites.md"), Path(folder, "out"))
        checked = check_spec(Path(folder, "out"))
        assert not checked.errors, checked.errors
        written = "\n".join(path.read_text("utf-8") for path in Path(folder, "out").rglob("*.md"))
        written = written.replace("\\n", " ")  # a line break in a prompt
    told = " ".join(found.notes)
    assert words(text) - words(written + told) <= {"xml", "user", "strings", "Example"}


def test_our_own_form_comes_back(tmp_path: Path):
    """A category of ours, its front matter aside, is a document with headings like any other."""
    before = read_spec(write(tmp_path / "a"))
    body = (tmp_path / "a/categories/strings.md").read_text("utf-8").partition("---\n## Definitions")[2]
    after, _ = imported(tmp_path / "b", f"# Kite strings\n\n## Definitions{body}")
    old, new = before.category("strings"), after.category("kite_strings")
    assert new.examples == old.examples and new.definitions == old.definitions and new.style == old.style
    for name in ("allowed", "disallowed"):
        assert [c.text for c in new.section(name).clauses] == [c.text for c in old.section(name).clauses]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("No heading at all.", "has no headings with text below them"),
        ("# Only\n## Headings\n", "has no headings with text below them"),
        ("", "has no headings with text below them"),
        ("# A\n\x07 bell", "holds a control character"),
    ],
)  # fmt: skip
def test_a_document_without_headings_is_told_so(tmp_path: Path, text, says):
    (tmp_path / "a.md").write_text(text, "utf-8")
    with pytest.raises(InputError, match=says):
        import_document(tmp_path / "a.md", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_hostile_documents_are_one_sentence(tmp_path: Path):
    (tmp_path / "a.md").write_text("# A\ntext", "utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(InputError, match="is there already"):
        import_document(tmp_path / "a.md", tmp_path / "out")
    with pytest.raises(InputError, match="there is no such folder"):
        import_document(tmp_path / "a.md", tmp_path / "b", tmp_path / "none")
    (tmp_path / "big.md").write_bytes(b"# A\n" + b"x" * 10_000_000)
    with pytest.raises(InputError, match="is larger than 1000 kB"):
        import_document(tmp_path / "big.md", tmp_path / "b")
    (tmp_path / "latin.md").write_bytes(b"# A\n\nna\xefve")
    with pytest.raises(InputError, match="row 3: is not UTF-8"):
        import_document(tmp_path / "latin.md", tmp_path / "b")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "a.md").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="is a link that leads out"):
        import_document(tmp_path / "a.md", tmp_path / "b")
