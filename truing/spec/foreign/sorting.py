"""Sorting the blocks of a foreign document into the sections of a category."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from textwrap import dedent

from truing.spec.check_texts import sentences
from truing.spec.expressions import NAME
from truing.spec.foreign.blocks import Block, Sort, blocks_below, side
from truing.spec.foreign.examples import compares, example_of
from truing.spec.markdown import Line, lines_of
from truing.spec.model import CLAUSED, SECTIONS, UNSTATED, Category, Clause, Example, Section
from truing.spec.reading import example_from
from truing.types import InputError

_MARKUP = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)|\*\*|__|`")
_MARK = re.compile(r"(?:[-*+]|\d+[.)])\s+")
_LONGEST = 200


@dataclass(slots=True)
class Draft:
    """A category in the making.

    `clean` makes of a block's lines the text that is kept; `source` names the place of a line.
    """

    id: str
    title: str
    clean: Callable[[Sequence[Line]], str]
    source: Callable[[int], str]
    texts: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in SECTIONS})
    opening: str = ""
    """The first paragraph of it."""
    examples: list[Example] = field(default_factory=list)
    mixed: list[int] = field(default_factory=list)
    """The lines of paragraphs that both forbid and permit."""

    def sort(self, lines: Sequence[Line]) -> None:
        """Put what stands below a heading where it belongs."""
        blocks = list(blocks_below(lines))
        while blocks:
            block = blocks.pop(0)
            self._open(block)
            if block.sort in (Sort.example, Sort.fence):
                self._show(block)
            elif block.sort is Sort.aside:
                self.texts["definitions"].append(self.clean(block.lines))
            else:
                follows = blocks and blocks[0].sort is Sort.list and block.text.endswith(":")
                self._say(block, blocks.pop(0) if follows and block.sort is Sort.paragraph else None)

    def put(self, name: str, lines: Sequence[Line]) -> None:
        """Take what stands below a heading that is called like a section."""
        for block in blocks_below(lines):
            self._open(block)
            if name == "examples":
                self._ask(block)
            elif name in CLAUSED and block.sort is Sort.list:
                self.texts[name] += [self._item(item) for item in block.items]
            else:
                self.texts[name].append(self.clean(block.lines))

    def category(self) -> Category:
        """The category; where nothing defines its words, its summary does."""
        self._part_with()
        sections = []
        texts = self.texts | {"definitions": self.texts["definitions"] or [self.summary]}
        for name in SECTIONS:
            if name in CLAUSED:
                clauses = (
                    Clause(f"{self.id}.{name}.{i}", text) for i, text in enumerate(texts[name], start=1)
                )
                sections.append(Section(name, tuple(clauses)))
            elif name != "examples":
                text = "\n\n".join(texts[name])
                sections.append(Section(name, (Clause("", text),) if text else ()))
        there = tuple(section for section in sections if section.blocks)
        return Category(self.id, self.title, self.summary, there, tuple(self.examples))

    @property
    def summary(self) -> str:
        """The first sentence of its first paragraph, without markup; the title, where there is none."""
        plain = " ".join(_MARKUP.sub(lambda found: found[1] or "", self.opening).split())
        sentence = re.split(r"(?<=[.!?])\s", plain.lstrip("#> "))[0]
        return (sentence if len(sentence) <= _LONGEST else f"{sentence[: _LONGEST - 1]}…") or self.title

    def _part_with(self) -> None:
        """A sentence that stands under Allowed and under Disallowed says nothing: its clauses are definitions."""
        said = [set[str]().union(*map(sentences, self.texts[name])) for name in ("allowed", "disallowed")]
        for name in ("allowed", "disallowed"):
            doubtful = [text for text in self.texts[name] if sentences(text) & said[0] & said[1]]
            self.texts[name] = [text for text in self.texts[name] if text not in doubtful]
            self.texts["definitions"] += doubtful

    def _open(self, block: Block) -> None:
        if block.sort is Sort.paragraph and not self.opening:
            self.opening = self.clean(block.lines)

    def _say(self, block: Block, below: Block | None) -> None:
        """A paragraph with the list that it introduces, or one of the two alone."""
        lines = (*block.lines, *below.lines) if below else block.lines
        found = side(block.text) if block.sort is Sort.paragraph else ""
        if found:
            self.texts[found].append(self.clean(lines))
            return
        if found is None:
            self.mixed.append(block.lines[0].number)
        items = below or block
        sides = [side(item) for item in items.items] if items.sort is Sort.list and found == "" else []
        if not any(sides):
            self.texts["definitions"].append(self.clean(lines))
            return
        left = [self.clean(block.lines)] if below else []
        for item, name in zip(items.items, sides, strict=True):
            if name:
                self.texts[name].append(self._item(item))
            else:
                left.append(self.clean(lines_of(item)))
                self.mixed += [block.lines[0].number] if name is None else []
        self.texts["definitions"] += ["\n".join(left)] if left else []

    def _show(self, block: Block) -> None:
        """A fence: what was asked is an example, and how answers compare is style."""
        example = example_of(block, self.source(block.lines[0].number))
        asked = example if block.sort is Sort.example or compares(block) else None
        if asked:
            self.examples.append(asked)
        if compares(block) or not asked:
            self.texts["style" if compares(block) else "definitions"].append(self.clean(block.lines))

    def _ask(self, block: Block) -> None:
        """Below a heading Examples: lines in our form, and else each list item or block is a prompt."""
        source = self.source(block.lines[0].number)
        if block.sort in (Sort.example, Sort.fence):
            if example := example_of(block, source):
                self.examples.append(example)
            else:
                self.texts["definitions"].append(self.clean(block.lines))
            return
        for text in block.items if block.sort is Sort.list else [block.text]:
            try:
                example = example_from(text)
            except InputError:
                example = None
            known = example is not None and NAME.fullmatch(example.expects)
            prompt = Example(_MARK.sub("", text, count=1), UNSTATED, source)
            self.examples.append(example if example and known else prompt)

    def _item(self, item: str) -> str:
        """The text of a list item without its mark."""
        first, _, rest = self.clean(lines_of(item)).partition("\n")
        return f"{_MARK.sub('', first, count=1)}\n{dedent(rest)}".rstrip()
