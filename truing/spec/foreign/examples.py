"""Examples in foreign documents: conversations in fences, and files that hold some."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from truing.spec.files import inside, read_text
from truing.spec.foreign.blocks import Block, Sort, blocks_below
from truing.spec.markdown import lines_of
from truing.spec.model import UNSTATED, Example

_OPENS = re.compile(r"^<(system|developer|user|assistant|tool)\b[^<>]*>", re.MULTILINE)
_COMPARED = re.compile(r"^<comparison>", re.MULTILINE)
_BELONGS = re.compile(r"Examples? for (?:\[\^[^\]]+\] )?in (.+?):?")


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """A file of examples: its mark (the name without ending), the heading it says it belongs to, its examples."""

    path: Path
    mark: str
    heading: str
    examples: tuple[Example, ...]


def example_of(block: Block, source: str) -> Example | None:
    """The example that a fence shows: what comes before the answers that are compared.

    One message of the user is its text; several messages stay as they are written, with who says
    what. What is expected is `UNSTATED`: a document that shows a good answer does not name its type.
    None where nobody asks anything.
    """
    fence = [line.text for line in block.lines if line.fenced][1:]
    text = "\n".join(fence[:-1] if fence and set(fence[-1].strip()) <= {"~", "`"} else fence)
    before = _COMPARED.split(text)[0].strip()
    messages, outside = _messages(before)
    if messages and all(role in ("assistant", "tool") for role, _ in messages):
        return None
    source = f"{source}: {block.title}" if block.title else source
    alone = len(messages) == 1 and messages[0][0] == "user" and not outside
    prompt = messages[0][1].strip() if alone else before
    return Example(prompt, UNSTATED, source) if prompt else None


def _messages(text: str) -> tuple[list[tuple[str, str]], str]:
    """The messages `<role>...</role>` of a conversation, who says what, and what stands outside of them."""
    found, outside, at = list[tuple[str, str]](), "", 0
    last = {role: text.rfind(f"</{role}>") for role in ("system", "developer", "user", "assistant", "tool")}
    for opens in _OPENS.finditer(text):
        role = opens[1]
        if opens.start() < at or last[role] < opens.end():
            continue
        ends = text.index(f"</{role}>", opens.end())
        found.append((role, text[opens.end() : ends].strip("\n")))
        outside += text[at : opens.start()]
        at = ends + len(f"</{role}>")
    return found, (outside + text[at:]).strip()


def compares(block: Block) -> bool:
    """Whether a fence shows answers, good and bad."""
    return bool(_COMPARED.search(block.text))


def example_files(folder: Path) -> Iterator[ExampleFile]:
    """The Markdown files of a folder; one without any fence is one example, its whole text.

    Raises:
        InputError: a file cannot be read, or is a link that leads out of the folder.
    """
    for path in sorted(folder.glob("*.md")):
        text = read_text(inside(path, folder))
        source = f"{folder.name}/{path.name}"
        blocks = list(blocks_below(lines_of(text)))
        shown = [block for block in blocks if block.sort in (Sort.example, Sort.fence)]
        first = next((line for line in text.split("\n") if line.strip()), "")
        belongs = _BELONGS.fullmatch(first.strip())
        if shown:
            examples = [example for block in shown if (example := example_of(block, source))]
        else:
            whole = text.strip().removeprefix(first.strip() if belongs else "").strip()
            examples = [Example(whole, UNSTATED, source)] if whole else []
        yield ExampleFile(path, path.stem, belongs[1] if belongs else "", tuple(examples))
