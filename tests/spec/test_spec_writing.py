"""What is written is read as the same."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kites import write

from truing.spec import Category, Clause, Example, Principle, Section, Spec, Style, read_spec
from truing.spec.model import CLAUSED
from truing.spec.writing import write_texts
from truing.types import InputError

words = st.sampled_from(["Kites", "fly.", "- no item", "1. first", "#tag", "(a) b", "é", '"q"', "---", "\\n"])
line = st.lists(words, min_size=1, max_size=3).map(" ".join)
other = st.sampled_from(
    ["    # far", "  - nested", "\tfar", "", "~~~\n# code\n\n- code\n~~~", "  ```\n  open\n  ```"]
)
texts = (
    st.lists(st.one_of(line, other), min_size=1, max_size=4)
    .map(lambda lines: "\n".join(lines).strip("\n"))
    .filter(lambda text: bool(text) and not text[0].isspace())
)
examples = st.builds(Example, texts, st.just("comply"), st.sampled_from(("", "a (b).md, row 3")))


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    sections = [Section("definitions", (Clause("", draw(texts)),))]
    for name in CLAUSED:
        found = draw(st.lists(texts, max_size=3))
        if found:
            clauses = (Clause(f"one.{name}.{i}", text) for i, text in enumerate(found, start=1))
            sections.append(Section(name, tuple(clauses)))
    sections.append(Section("style", (Clause("", draw(texts)),)))
    asked = tuple(draw(st.lists(examples, max_size=2)))
    category = Category("one", draw(line), draw(line), tuple(sections), asked)
    principles, styles = (Principle("kites", "Kites", draw(texts)),), (Style("comply", draw(texts)),)
    return Spec("any", draw(line), principles, styles, (category,))


@settings(max_examples=30, deadline=None)
@given(specs())
def test_texts_survive_being_written_and_read(spec):
    with tempfile.TemporaryDirectory() as folder:
        write_texts(spec, Path(folder, "out"))
        assert read_spec(Path(folder, "out")) == spec


def test_a_specification_keeps_its_texts(tmp_path: Path):
    spec = read_spec(write(tmp_path / "a", {"rules.yaml": None}))
    write_texts(spec, tmp_path / "b")
    assert read_spec(tmp_path / "b") == spec


def test_a_fence_that_a_text_leaves_open_is_closed(tmp_path: Path):
    sections = (
        Section("definitions", (Clause("", "Open:\n~~~~sh\nls\n~~~"),)),
        Section("style", (Clause("", "Kind."),)),
    )
    write_texts(Spec("any", "Any", (), (), (Category("one", "One", "One.", sections),)), tmp_path / "out")
    category = read_spec(tmp_path / "out").category("one")
    assert category.definitions == "Open:\n~~~~sh\nls\n~~~\n~~~~" and category.style == "Kind."


def test_nothing_is_written_over(tmp_path: Path):
    spec = read_spec(write(tmp_path / "a"))
    before = (tmp_path / "a" / "spec.md").read_bytes()
    for folder in (tmp_path / "a", tmp_path / "a" / "spec.md"):
        with pytest.raises(InputError, match="is there already; name a new folder"):
            write_texts(spec, folder)
    assert (tmp_path / "a" / "spec.md").read_bytes() == before
