"""Reading a specification from its folder: `spec.md`, `categories/ID.md`, `rules.yaml`."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from truing.data import Yaml, place
from truing.spec.expressions import NAME
from truing.spec.files import inside, read_text
from truing.spec.markdown import Line, Part, blocks_of, front_matter, lines_of, parts_of, slug
from truing.spec.model import (
    CLAUSED,
    SECTIONS,
    UNSTATED,
    Category,
    Clause,
    Example,
    Principle,
    Section,
    Spec,
    Style,
)
from truing.spec.rules_reading import RulesFile, read_rules_file
from truing.types import InputError

MAX_CATEGORIES = 1000
RESERVED = ("principles", "style", "category", "proposition", "rules")
"""What citations and digests begin with; no category is called so."""
_SPEC_ID = re.compile(r"[a-z][a-z0-9_-]*")
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_EXPECTS = re.compile(r"->\s*([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(slots=True)
class SpecFolder:
    """What was read from a folder: the specification, and the file and line of each of its parts.

    `spec` is None where something in the folder could not be read. Parts are named as they are cited;
    `ID` is a category, `ID.examples.N` its Nth example, and the empty name is the whole.
    """

    folder: Path
    spec: Spec | None = None
    rules: RulesFile | None = None
    places: dict[str, tuple[Path, int]] = field(default_factory=dict)
    lines: dict[Path, list[Line]] = field(default_factory=dict)
    ignored: list[Path] = field(default_factory=list)

    def error(self, problem: str, cite: str, mend: str = "") -> InputError:
        """An error about a part, naming its file and line."""
        file, row = self.places[cite]
        return InputError(problem, file=file, row=row, mend=mend)


def read_folder(folder: Path, *, on_error: Callable[[InputError], None] | None = None) -> SpecFolder:
    """Read a specification. With `on_error`, each error is handed to it and the reading goes on.

    Raises:
        InputError: the folder is not there or holds no spec.md; without `on_error` also whatever is
            wrong in a file. Names the file and the line.
    """
    if not folder.is_dir():
        why = "is a file, not the folder of a specification" if folder.exists() else "there is no such folder"
        raise InputError(why, file=folder, mend="name the folder that holds spec.md")
    if not (folder / "spec.md").exists():
        raise InputError("has no spec.md", file=folder, mend="name the folder that holds spec.md")
    found = SpecFolder(folder)
    whole = _Errors(on_error)
    head, categories = Spec("", "", (), (), ()), list[Category]()
    with whole:
        head = _read_head(inside(folder / "spec.md", folder), found)
    with whole:
        for path in _category_files(found):
            with whole:
                categories.append(_read_category(inside(path, folder), found))
    if (folder / "rules.yaml").exists() or (folder / "rules.yaml").is_symlink():
        with whole:
            found.rules = read_rules_file(
                inside(folder / "rules.yaml", folder), on_error=whole.tell if on_error else None
            )
    if not whole.any:
        rules = found.rules.rules if found.rules else None
        found.spec = Spec(head.id, head.title, head.principles, head.styles, tuple(categories), rules)
    return found


class _Errors:
    """Hands errors to the one who asked for them, each once; raises where nobody did."""

    def __init__(self, on_error: Callable[[InputError], None] | None) -> None:
        self.on_error = on_error
        self.told: list[InputError] = []

    @property
    def any(self) -> bool:
        return bool(self.told)

    def tell(self, why: InputError) -> None:
        self.told.append(why)
        assert self.on_error
        self.on_error(why)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, why: BaseException | None, trace: object) -> bool:
        if self.on_error is None or not isinstance(why, InputError):
            return False
        if why not in self.told:
            self.tell(why)
        return True


def _category_files(found: SpecFolder) -> list[Path]:
    folder = inside(found.folder / "categories", found.folder)
    if not folder.is_dir():
        raise InputError(
            "there is no such folder", file=folder, mend="put a file ID.md for each category there"
        )
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as why:
        raise InputError(f"cannot be read ({why.strerror})", file=folder) from None
    files = [path for path in paths if path.suffix == ".md"]
    found.ignored = [path for path in paths if path.suffix != ".md"]
    if not files:
        raise InputError("holds no category", file=folder, mend="put a file ID.md for each category there")
    if len(files) > MAX_CATEGORIES:
        raise InputError(
            f"holds more than {MAX_CATEGORIES} categories", file=folder, mend="split the specification"
        )
    return files


def _read_head(path: Path, found: SpecFolder) -> Spec:
    text = read_text(path)
    yaml, first = front_matter(text, path)
    found.lines[path] = lines_of(text, first)
    found.places[""] = path, 1
    told = _fields(yaml, "id", "title")
    if not _SPEC_ID.fullmatch(told["id"]):
        raise yaml.error(f"has the id {told['id']!r}", "id", mend="use lower case letters, digits, - and _")
    part, principles, styles = "", list[Principle](), list[Style]()
    chapters = ["Principles", "Response styles"]
    for one in parts_of(found.lines[path], deepest=2):
        with place(path, one.line):
            if one.level == 1:
                if one.title not in chapters:
                    raise InputError(
                        f"has the chapter {one.title!r}",
                        mend="use # Principles, then # Response styles, each once",
                    )
                part, chapters = one.title, chapters[chapters.index(one.title) + 1 :]
            if one.level < 2:
                if one.text:
                    raise InputError(
                        "has text outside of a principle or style", mend="put it under a heading ##"
                    )
                continue
            cite = ""
            if part == "Principles":
                principles.append(_principle(one))
                cite = principles[-1].cite
            elif part:
                styles.append(_style(one))
                cite = styles[-1].cite
            else:
                raise InputError(f"has {one.title!r} outside of the chapters", mend="begin with # Principles")
            if cite in found.places:
                raise InputError(f"has {one.title!r} a second time", mend="give one of them another heading")
            found.places[cite] = path, one.line
    return Spec(told["id"], told["title"], tuple(principles), tuple(styles), ())


def _principle(part: Part) -> Principle:
    if not slug(part.title):
        raise InputError("has a principle without a name", mend="name it in letters of the Latin alphabet")
    if not part.text:
        raise InputError(
            f"has nothing under {part.title!r}", mend="write the principle, or remove its heading"
        )
    return Principle(slug(part.title), part.title, part.text)


def _style(part: Part) -> Style:
    if not NAME.fullmatch(part.title) or part.title == UNSTATED:
        mend = f"use lower case letters, digits and underscores, and not {UNSTATED}"
        raise InputError(f"has the response type {part.title!r}", mend=mend)
    if not part.text:
        raise InputError(f"has nothing under {part.title!r}", mend="say how to answer so")
    return Style(part.title, part.text)


def _read_category(path: Path, found: SpecFolder) -> Category:
    text = read_text(path)
    yaml, first = front_matter(text, path)
    found.lines[path] = lines_of(text, first)
    told = _fields(yaml, "id", "title", "summary")
    if told["id"] != path.stem:
        raise yaml.error(
            f"has the id {told['id']!r}",
            "id",
            mend=f"the name of the file says {path.stem!r}: make them agree",
        )
    if not NAME.fullmatch(told["id"]) or told["id"] in RESERVED:
        mend = f"use lower case letters, digits and underscores, and none of {', '.join(RESERVED)}"
        raise yaml.error(f"has the id {told['id']!r}", "id", mend=mend)
    found.places[told["id"]] = path, 1
    headings = {title: name for name, title in SECTIONS.items()}
    due, sections, examples = list(headings), list[Section](), tuple[Example, ...]()
    for one in parts_of(found.lines[path], deepest=2):
        with place(path, one.line):
            if one.level == 0:
                if one.text:
                    raise InputError("has text before its first section", mend="begin with ## Definitions")
                continue
            if one.level == 1 or one.title not in due:
                mend = f"use, in this order and each once, ## {', ## '.join(headings)}"
                raise InputError(f"has the section {one.title!r} there", mend=mend)
        due = due[due.index(one.title) + 1 :]
        name = headings[one.title]
        found.places[f"{told['id']}.{name}"] = path, one.line
        if name == "examples":
            examples = tuple(_examples(told["id"], one, path, found))
        else:
            sections.append(_section(told["id"], name, one, path, found))
    return Category(told["id"], told["title"], told["summary"], tuple(sections), examples)


def _section(category: str, name: str, part: Part, path: Path, found: SpecFolder) -> Section:
    if name not in CLAUSED:
        return Section(name, (Clause("", part.text),) if part.text else ())
    blocks, clauses, count = blocks_of(part.lines), list[Clause](), 0
    if not any(item for _, item, _ in blocks):  # a section without list items is one clause
        blocks = [(line, True, part.text) for line, _, _ in blocks[:1]]
    for line, item, text in blocks:
        count += item
        clauses.append(Clause(f"{category}.{name}.{count}" if item else "", text))
        if item:
            found.places[clauses[-1].cite] = path, line
    return Section(name, tuple(clauses))


def _examples(category: str, part: Part, path: Path, found: SpecFolder) -> Iterator[Example]:
    count = 0
    for line in part.lines:
        if not line.text:
            continue
        count += 1
        found.places[f"{category}.examples.{count}"] = path, line.number
        with place(path, line.number):
            yield example_from(line.text)


def example_from(text: str) -> Example:
    """Read a line of the section Examples; the error names no file."""
    mend = 'write - "PROMPT" -> RESPONSE_TYPE (source: WHERE) on one line, the source if you like'
    try:
        if not text.startswith('- "'):
            raise ValueError("no list item")
        prompt, end = json.JSONDecoder().raw_decode(text, 2)
        prompt.encode()  # no half of a surrogate pair
    except ValueError:
        raise InputError("is no example", mend=mend) from None
    after = text[end:].strip()
    expects = _EXPECTS.match(after)
    rest = after[expects.end() :].strip() if expects else ""
    source = rest[len("(source:") : -1].strip() if rest.startswith("(source:") and rest.endswith(")") else ""
    if not prompt.strip() or not expects or bool(rest) != bool(source):
        raise InputError("is no example", mend=mend)
    return Example(prompt, expects[1], source)


def _fields(yaml: Yaml, *names: str) -> dict[str, str]:
    """The fields of front matter: all of them, no others, each a line of text."""
    for name in yaml.data:
        if name not in names:
            raise yaml.error(f"has the unknown field {name!r}", name, mend=f"use {', '.join(names)}")
    for name in names:
        value = yaml.data.get(name)
        if not isinstance(value, str) or not value.strip() or _BREAKS.search(value.strip()):
            problem = f"has no {name}" if value is None else f"has a {name} that is no line of text"
            raise yaml.error(
                problem, name, mend=f"write {name}: and a line of text, quoted if it has a colon"
            )
    return {name: yaml.data[name].strip() for name in names}
