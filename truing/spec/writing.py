"""Writing the texts of a specification into a folder, as `read_spec` reads them."""

import json
from pathlib import Path

from truing.spec.markdown import fence_left_open
from truing.spec.model import CLAUSED, Category, Section, Spec
from truing.types import InputError, StorageError


def write_texts(spec: Spec, folder: Path) -> None:
    """Write spec.md and the categories; spec.md comes last, so that half a folder is no specification.

    Raises:
        InputError: the folder is there and not empty.
        StorageError: the disk refuses.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError("is there already", file=folder, mend="name a new folder")
    try:
        (folder / "categories").mkdir(parents=True, exist_ok=True)
        for category in spec.categories:
            text = category_text(category)
            (folder / "categories" / f"{category.id}.md").write_text(text, "utf-8", newline="\n")
        (folder / "spec.md").write_text(head_text(spec), "utf-8", newline="\n")
    except OSError as why:
        raise StorageError(f"{folder} cannot be written ({why.strerror}).") from why


def head_text(spec: Spec) -> str:
    """The text of spec.md."""
    parts = [_front(id=spec.id, title=spec.title), "# Principles"]
    parts += [f"## {one.title}\n\n{_closed(one.text)}" for one in spec.principles]
    parts += ["# Response styles", *(f"## {one.id}\n\n{_closed(one.text)}" for one in spec.styles)]
    return "\n\n".join(parts) + "\n"


def category_text(category: Category) -> str:
    """The text of a category's file."""
    parts = [_front(id=category.id, title=category.title, summary=category.summary)]
    parts += [f"## {section.title}\n\n{_body(section)}" for section in category.sections]
    examples = "\n".join(f"- {example.as_line}" for example in category.examples)
    return "\n\n".join([*parts, f"## Examples\n\n{examples}"]).rstrip() + "\n"


def _front(**fields: str) -> str:
    lines = [
        f"{name}: {value if name == 'id' else json.dumps(value, ensure_ascii=False)}"
        for name, value in fields.items()
    ]
    return "\n".join(["---", *lines, "---"])


def _body(section: Section) -> str:
    if section.name not in CLAUSED:
        return _closed(section.text)
    blocks = []
    for block in section.blocks:
        lines = _closed(block.text).split("\n")
        indented = [lines[0], *(f"  {line}".rstrip() for line in lines[1:])]
        blocks.append("- " + "\n".join(indented) if block.cite else "\n".join(lines))
    return "\n\n".join(blocks)


def _closed(text: str) -> str:
    """The text, with a fence that it leaves open closed: it would swallow what follows."""
    fence = fence_left_open(text)
    return f"{text}\n{fence}" if fence else text
