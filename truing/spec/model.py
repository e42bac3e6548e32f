"""What a specification says, without the files that it was read from: equal texts are equal values."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from truing.spec.excerpt import Excerpt, excerpt, rough_tokens
from truing.spec.rules import RuleSet
from truing.types import InputError, Record, digest

SECTIONS = {
    "definitions": "Definitions",
    "allowed": "Allowed",
    "disallowed": "Disallowed",
    "safe_completion": "Safe completion",
    "style": "Style",
    "examples": "Examples",
}
"""The sections of a category in their order: how each is cited, and its heading."""
CLAUSED = ("allowed", "disallowed", "safe_completion")
"""The sections that are made of clauses."""
UNSTATED = "unstated"
"""What an example expects of which nobody has said yet what to expect; no response type is called so."""


@dataclass(frozen=True, slots=True)
class Principle(Record):
    """What holds in all categories; cited `principles.ID`."""

    id: str
    title: str
    text: str

    @property
    def cite(self) -> str:
        """How a judge or a trace refers to it."""
        return f"principles.{self.id}"

    @property
    def digest(self) -> str:
        """SHA-256 of it."""
        return digest(self)


@dataclass(frozen=True, slots=True)
class Style(Record):
    """How to answer in one of the response types, `id`; cited `style.ID`."""

    id: str
    text: str

    @property
    def cite(self) -> str:
        """How a judge or a trace refers to it."""
        return f"style.{self.id}"

    @property
    def digest(self) -> str:
        """SHA-256 of it."""
        return digest(self)


@dataclass(frozen=True, slots=True)
class Clause(Record):
    """One rule of a category, such as `self_harm.disallowed.2`; `cite` is empty for text between clauses."""

    cite: str
    text: str


@dataclass(frozen=True, slots=True)
class Section(Record):
    """What stands in a section, in its order: clauses, and text that is none."""

    name: str
    blocks: tuple[Clause, ...] = ()

    @property
    def title(self) -> str:
        """Its heading."""
        return SECTIONS[self.name]

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """The blocks that can be cited."""
        return tuple(block for block in self.blocks if block.cite)

    @property
    def text(self) -> str:
        """All of it; clauses without their marks of list items."""
        return "\n\n".join(block.text for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Example(Record):
    """A prompt, the response type that it calls for (or `UNSTATED`), and where it was taken from."""

    prompt: str
    expects: str
    source: str = ""

    @property
    def stated(self) -> bool:
        """Whether somebody has said what to expect; other examples must not be learnt or judged by."""
        return self.expects != UNSTATED

    @property
    def as_line(self) -> str:
        """As it is written under Examples, without the mark of the list item."""
        source = f" (source: {self.source})" if self.source else ""
        return f"{json.dumps(self.prompt, ensure_ascii=False)} -> {self.expects}{source}"


@dataclass(frozen=True, slots=True)
class Category(Record):
    """The detailed policy of one kind of request."""

    id: str
    title: str
    summary: str
    sections: tuple[Section, ...]
    examples: tuple[Example, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, examples included."""
        return digest(self)

    def section(self, name: str) -> Section:
        """A section by the name under which it is cited; an empty one, where the file has none."""
        for found in self.sections:
            if found.name == name:
                return found
        return Section(name)

    @property
    def definitions(self) -> str:
        """What the words mean."""
        return self.section("definitions").text

    @property
    def allowed(self) -> tuple[Clause, ...]:
        """What may be done."""
        return self.section("allowed").clauses

    @property
    def disallowed(self) -> tuple[Clause, ...]:
        """What may not be done."""
        return self.section("disallowed").clauses

    @property
    def safe_completion(self) -> tuple[Clause, ...]:
        """What is neither done nor refused, but answered with care."""
        return self.section("safe_completion").clauses

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """Those of the three sections above, in their order."""
        return self.allowed + self.disallowed + self.safe_completion

    @property
    def style(self) -> str:
        """Which response type is used when, and how."""
        return self.section("style").text


@dataclass(frozen=True, slots=True)
class Spec(Record):
    """A whole specification; its categories are in the order of their ids."""

    id: str
    title: str
    principles: tuple[Principle, ...]
    styles: tuple[Style, ...]
    categories: tuple[Category, ...]
    rules: RuleSet | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says. What depends on a part of it should hash that part: `digests`."""
        return digest(self)

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each part that can be read alone, by how it is cited.

        `principles.ID`, `style.ID`, `category.ID`, `proposition.NAME`, and `rules.RESPONSE_TYPE` (how
        answers are sorted, without the questions). A change in one sentence moves the digest of the
        whole and of the part that it stands in, and no other.
        """
        parts = {part.cite: part.digest for part in self.principles}
        parts |= {style.cite: style.digest for style in self.styles}
        parts |= {f"category.{category.id}": category.digest for category in self.categories}
        if self.rules:
            parts |= {f"proposition.{one.name}": one.digest for one in self.rules.propositions}
            parts |= {f"rules.{name}": self.rules.rules_digest(name) for name in self.rules.response_types}
        return parts

    @property
    def response_types(self) -> tuple[str, ...]:
        """The ids of the styles."""
        return tuple(style.id for style in self.styles)

    def category(self, id: str) -> Category:
        """The category of that id.

        Raises:
            InputError: there is none.
        """
        for found in self.categories:
            if found.id == id:
                return found
        known = ", ".join(category.id for category in self.categories)
        raise InputError(f"the specification {self.id} has no category {id!r}", mend=f"choose from {known}")

    def for_category(
        self, id: str, budget: int | None = None, count_tokens: Callable[[str], int] = rough_tokens
    ) -> Excerpt:
        """The text that a model is shown where one category matters (Guan et al. 2024, section 2.3).

        The summaries of all categories, the principles, the response styles, and the one category in
        full, each piece with its citation (examples that do not say what they expect are no part of
        it). Where that is more than `budget` tokens, pieces are cut
        whole, in this order, and as few as suffice: the category's examples, each time the last of
        the response type that has most left; styles that neither its style nor its examples name,
        from the last; principles, from the last; the other styles; its style; its definitions.
        The summaries and the clauses (allowed, disallowed, safe completion) are never cut: a model
        that did not see a rule must not be judged by it.

        Raises:
            InputError: there is no such category; or what is never cut does not fit, and the sentence
                says whether that is the summaries alone.
        """
        return excerpt(self, self.category(id), budget, count_tokens)

    def text_of(self, cite: str) -> str:
        """What a citation refers to: a principle, a style, or a clause such as `self_harm.disallowed.2`.

        Raises:
            InputError: nothing is cited so.
        """
        texts = {part.cite: part.text for part in self.principles}
        texts |= {style.cite: style.text for style in self.styles}
        texts |= {clause.cite: clause.text for one in self.categories for clause in one.clauses}
        if cite in texts:
            return texts[cite]
        raise InputError(f"the specification {self.id} has nothing that is cited {cite!r}", mend="correct it")
