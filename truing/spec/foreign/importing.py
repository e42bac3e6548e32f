"""Making a specification of a document in Markdown: headings become categories.

What the document says is kept; how it is sorted is a first draft for a person, and what could not be
placed is told. Nothing is guessed of what an example expects.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from truing.spec.check_texts import CITE, LINK
from truing.spec.files import read_text
from truing.spec.foreign.blocks import with_hash_headings
from truing.spec.foreign.examples import ExampleFile, example_files
from truing.spec.foreign.headings import Heading, Role, headings_of
from truing.spec.foreign.sorting import Draft
from truing.spec.markdown import Line, lines_of, parts_of, slug, text_of
from truing.spec.model import UNSTATED, Category, Principle, Spec, Style
from truing.spec.reading import MAX_CATEGORIES
from truing.spec.shipped import read_spec
from truing.spec.writing import write_texts
from truing.types import InputError

_REFERENCE = re.compile(r"\[([^\[\]]*)\]\(#([^()\s]+)\)")

_MARK = re.compile(r"\[\^([^\[\]\s]+)\]")


@dataclass(frozen=True, slots=True)
class Imported:
    """The specification that was written, and what a person has to look at, a sentence each."""

    spec: Spec
    notes: tuple[str, ...]


def import_document(source: str | Path, out: str | Path, examples: str | Path | None = None) -> Imported:
    """Write a specification into the new folder `out` from the Markdown document `source`.

    Paragraphs and list items that only forbid become clauses under Disallowed, those that only permit
    under Allowed; all else goes to Definitions. Fences that compare answers go to Style, and what was
    asked in them to Examples. `examples` is a folder of further examples, by default `examples` beside
    the document: a file belongs to the first heading whose text has the mark `[^NAME]`, or to the one
    that its first line names. What an example expects is `UNSTATED`, unless it says so in our form.

    Raises:
        InputError: the document cannot be read or has no headings, or `out` is not new.
        StorageError: the disk refuses.
    """
    source, out = Path(source), Path(out)
    text = read_text(source)
    before, *parts = parts_of(with_hash_headings(lines_of(text, _first_line(text))))
    if not any(part.text for part in parts):
        raise InputError("has no headings with text below them", file=source, mend="give it headings (#)")
    if len(parts) > MAX_CATEGORIES:
        problem = f"has {len(parts)} headings, more than {MAX_CATEGORIES}"
        raise InputError(problem, file=source, mend="split the document")
    importer = _Importer(source, headings_of(parts), _files(source, examples))
    spec = importer.spec()
    if before.text:
        importer.notes.insert(0, "the text before the first heading is left out")
    write_texts(spec, out)
    return Imported(read_spec(out), tuple(importer.notes))


def _first_line(text: str) -> int:
    """The line after front matter, which says nothing that a specification has a place for."""
    lines = text.split("\n")
    ends = [at for at, line in enumerate(lines) if at and line.rstrip() == "---"]
    return ends[0] + 2 if lines[0].rstrip() == "---" and ends else 1


def _files(source: Path, examples: str | Path | None) -> list[ExampleFile]:
    folder = source.parent / "examples" if examples is None else Path(examples)
    if examples is not None and not folder.is_dir():
        raise InputError("there is no such folder", file=folder, mend="name the folder of the example files")
    return list(example_files(folder)) if folder.is_dir() else []


class _Importer:
    """Turns headings into the parts of a specification, and collects what has to be told."""

    def __init__(self, source: Path, headings: list[Heading], files: list[ExampleFile]) -> None:
        self.source, self.headings = source, headings
        self.files = {file.mark: file for file in files}
        self.marks = frozenset(self.files)
        self.anchors = {heading.anchor: heading for heading in reversed(headings)}
        self.notes: list[str] = []

    def spec(self) -> Spec:
        drafts = {id(heading): self._draft(heading) for heading in self._of(Role.category)}
        self._place_files(drafts)
        principles = self._principles()
        styles = [Style(one.id, self._clean(one.part.lines, "categories/")) for one in self._of(Role.style)]
        groups = [heading.title for heading in self._of(Role.group)]
        if groups:
            self.notes.append(f"headings without text of their own: {_some(groups)}")
        if mixed := sorted({row for draft in drafts.values() for row in draft.mixed}):
            rows = _some([str(row) for row in mixed])
            self.notes.append(f"paragraphs that both forbid and permit stand under Definitions: rows {rows}")
        categories = sorted((draft.category() for draft in drafts.values()), key=lambda one: one.id)
        styles += self._missing(categories, {style.id for style in styles})
        silent = sum(example.expects == UNSTATED for one in categories for example in one.examples)
        if silent:
            self.notes.append(f"examples that do not say which response type they expect: {silent}")
        if not styles:
            self.notes.append("the document names no response types: describe them in spec.md")
        top = [heading.title for heading in self.headings if heading.part.level == 1]
        title = top[0] if len(top) == 1 and top[0] else self.source.stem.replace("_", " ")
        return Spec(
            slug(self.source.stem) or "imported", title, tuple(principles), tuple(styles), tuple(categories)
        )

    def _principles(self) -> list[Principle]:
        """Their ids follow from their titles, so that two of one title are numbered."""
        found: dict[str, Principle] = {}
        for heading in self._of(Role.principle):
            title, count = heading.title, 1
            while slug(title) in found:
                count += 1
                title = f"{heading.title} {count}"
            text = self._clean(heading.part.lines, "categories/") or title
            found[slug(title)] = Principle(slug(title), title, text)
        return list(found.values())

    def _missing(self, categories: Sequence[Category], styles: set[str]) -> list[Style]:
        """Styles for the response types that examples expect and the document does not describe."""
        expected = {example.expects for category in categories for example in category.examples}
        missing = sorted(expected - styles - {UNSTATED})
        if missing:
            self.notes.append(f"response types that examples expect and nothing describes: {_some(missing)}")
        return [Style(name, "The source does not describe this response type.") for name in missing]

    def _of(self, role: Role) -> list[Heading]:
        return [heading for heading in self.headings if heading.role is role]

    def _draft(self, heading: Heading) -> Draft:
        draft = Draft(
            heading.id, heading.title or heading.id, self._clean, lambda row: f"{self.source.name}, row {row}"
        )
        if heading.attributes:
            draft.texts["definitions"].append(f"Marked in the source: {heading.attributes}.")
        draft.sort(heading.part.lines)
        for child in heading.children:
            if child.role is Role.section:
                draft.put(child.section, child.part.lines)
        return draft

    def _place_files(self, drafts: dict[int, Draft]) -> None:
        """Give the files of examples to the categories that mark them, or that they name."""
        seen: set[str] = set()
        for heading in self.headings:
            owner = heading if heading.role is not Role.section or not heading.parent else heading.parent
            told = _MARK.findall(text_of([line for line in heading.part.lines if not line.fenced]))
            seen.update(told)
            for mark in told if id(owner) in drafts else ():
                if file := self.files.pop(mark, None):
                    drafts[id(owner)].examples += file.examples
        for mark, file in list(self.files.items()):
            for heading in self._of(Role.category):
                if file.heading and heading.title.casefold().startswith(file.heading.casefold()):
                    drafts[id(heading)].examples += file.examples
                    del self.files[mark]
                    break
        if self.marks and (unknown := sorted(seen - self.marks)):
            self.notes.append(f"marks in the text that belong to no example file: {_some(unknown)}")
        left = [file.path.name for file in self.files.values()]
        if left:
            self.notes.append(f"example files that belong to no category, left out: {_some(left)}")

    def _clean(self, lines: Sequence[Line], to_category: str = "") -> str:
        """The text of some lines: marks of example files go, and references lead to the new files."""

        def referred(found: re.Match[str]) -> str:
            heading = self.anchors.get(slug(found[2]))
            if heading is None:
                return found[0]
            owner = heading.parent if heading.role is Role.section and heading.parent else heading
            words = heading.title if found[1] in ("", "?") else found[1]
            return f"[{words}]({to_category}{owner.id}.md)" if owner.role is Role.category else words

        def cleaned(line: Line) -> str:
            if line.fenced:
                return line.text
            text = _MARK.sub(lambda m: "" if m[1] in self.marks else m[0], line.text)
            text = LINK.sub(lambda m: f"](./{m[0][2:]}", text)  # a link of the document's own is none of ours
            text = CITE.sub(lambda m: f"`` {m[1]} ``", text)
            return _REFERENCE.sub(referred, text)

        return "\n".join(cleaned(line) for line in lines).strip("\n")


def _some(words: Sequence[str]) -> str:
    """The first ten of them."""
    more = f" and {len(words) - 10} more" if len(words) > 10 else ""
    return ", ".join(words[:10]) + more
