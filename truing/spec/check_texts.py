"""Checking the texts: do they name what exists, do clauses contradict, do examples cover what they say?"""

import re
from collections import defaultdict
from collections.abc import Iterator
from difflib import get_close_matches

from truing.spec.findings import Finding, Severity
from truing.spec.model import CLAUSED, UNSTATED, Category, Spec
from truing.spec.reading import SpecFolder

LINK = re.compile(r"\]\((?:categories/)?([A-Za-z0-9_-]+)\.md(?:#[^)]*)?\)")
"""A link from one category to another."""
CITE = re.compile(
    r"`((?:principles|style)\.[a-z0-9_]+|[a-z][a-z0-9_]*\.(?:" + "|".join(CLAUSED) + r")\.[0-9]+)`"
)
"""A citation of a principle, a style or a clause."""
_QUOTED = re.compile(r"`([a-z][a-z0-9_]*)`")
_HIDDEN = re.compile("[\u200b\u202a-\u202e\u2066-\u2069\ufeff]")
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n\s*\n|\n(?=\s*[-*+] )")


def check_texts(found: SpecFolder, spec: Spec) -> Iterator[Finding]:
    """What is wrong with the texts of a specification that could be read."""
    yield from _outline(found, spec)
    yield from _references(found, spec)
    for category in spec.categories:
        yield from _category(found, spec, category)
    yield from _sentences(found, spec)
    yield from _prompts(found, spec)
    yield from _coverage(found, spec)


def _outline(found: SpecFolder, spec: Spec) -> Iterator[Finding]:
    for path in found.ignored:
        yield Finding(
            Severity.warning, "is not read, for it is no category", str(path), 1, "name it ID.md, or move it"
        )
    head = found.places[""]
    for what, parts in (("principles", spec.principles), ("response styles", spec.styles)):
        if not parts:
            yield Finding(Severity.warning, f"has no {what}", str(head[0]), head[1], "write at least one")
    if found.rules is None or not spec.styles:
        return
    for name in found.rules.rules.response_types:
        if name not in spec.response_types:
            problem = f"the rules have the response type {name!r}, which has no style"
            mend = f"describe it in spec.md, or choose from {', '.join(spec.response_types)}"
            yield Finding.of(Severity.error, found.rules.error(problem, found.rules.rules.of(name)[0], mend))
    for style in spec.styles:
        if style.id not in found.rules.rules.response_types:
            problem = f"the rules have no classes for the response type {style.id!r}"
            yield _finding(found, Severity.warning, problem, style.cite, "add them to rules.yaml")


def _references(found: SpecFolder, spec: Spec) -> Iterator[Finding]:
    """Links and citations that lead nowhere, and characters that hide what a text says."""
    ids = {category.id for category in spec.categories}
    cites = {one.cite for one in spec.principles} | {one.cite for one in spec.styles}
    cites |= {clause.cite for category in spec.categories for clause in category.clauses}
    prompts = {place for cite, place in found.places.items() if ".examples." in cite}
    for path, lines in found.lines.items():
        for line in lines:
            if (path, line.number) in prompts:  # what people write refers to nothing here
                continue
            told = [(f"links to the category {one!r}", one in ids) for one in LINK.findall(line.text)]
            told += [(f"cites {one!r}", one in cites) for one in CITE.findall(line.text)]
            for problem, known in told:
                if not known and not line.fenced:
                    problem = f"{problem}, which is not there"
                    yield Finding(
                        Severity.error, problem, str(path), line.number, "correct it, or write what is meant"
                    )
            if hidden := _HIDDEN.search(line.text):
                problem = f"holds the invisible character U+{ord(hidden[0]):04X}"
                yield Finding(
                    Severity.warning, problem, str(path), line.number, "remove it: it can hide what is said"
                )


def _category(found: SpecFolder, spec: Spec, category: Category) -> Iterator[Finding]:
    for count, example in enumerate(category.examples, start=1):
        if example.expects not in (*spec.response_types, UNSTATED):
            problem = f"expects {example.expects!r}, which is no response type of this specification"
            mend = f"choose from {', '.join(spec.response_types)}"
            yield _finding(found, Severity.error, problem, f"{category.id}.examples.{count}", mend)
    if not category.definitions:
        yield _finding(found, Severity.warning, "has no definitions", category.id, "say what its words mean")
    if not category.allowed and not category.disallowed:
        problem = "says neither what is allowed nor what is disallowed"
        yield _finding(found, Severity.warning, problem, category.id, "add ## Allowed or ## Disallowed")
    if not category.examples:
        yield _finding(found, Severity.warning, "has no examples", category.id, "add some under ## Examples")
        return
    shown = {example.expects for example in category.examples}
    named = [one for one in spec.response_types if re.search(rf"\b{one}\b", category.style)]
    if missing := [one for one in named if one not in shown]:
        problem = f"has no example of {', '.join(missing)}, which its style names"
        yield _finding(found, Severity.warning, problem, f"{category.id}.style", "add one under ## Examples")
    for word in dict.fromkeys(_QUOTED.findall(category.style)):
        close = get_close_matches(word, spec.response_types, n=1, cutoff=0.75)
        if close and word not in spec.response_types:
            problem = f"names `{word}`, which is no response type"
            yield _finding(found, Severity.warning, problem, f"{category.id}.style", f"write `{close[0]}`")


def _sentences(found: SpecFolder, spec: Spec) -> Iterator[Finding]:
    """The same sentence on both sides: an error in one category, and across two a warning."""
    allowed: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for category in spec.categories:
        for clause in category.allowed:
            for sentence in sentences(clause.text):
                allowed[sentence].append((category.id, clause.cite))
    for category in spec.categories:
        for clause in category.disallowed:
            hits = {hit for sentence in sentences(clause.text) for hit in allowed[sentence]}
            for other, cite in sorted(hits):
                severity = Severity.error if other == category.id else Severity.warning
                problem = f"disallows in {clause.cite} the same sentence that {cite} allows"
                yield _finding(
                    found, severity, problem, clause.cite, "remove one, or say what tells them apart"
                )


def _prompts(found: SpecFolder, spec: Spec) -> Iterator[Finding]:
    """The same prompt twice: an error if another answer is expected, and else a warning."""
    first: dict[str, tuple[str, str]] = {}
    for category in spec.categories:
        for count, example in enumerate(category.examples, start=1):
            cite, key = f"{category.id}.examples.{count}", " ".join(example.prompt.casefold().split())
            if key not in first:
                first[key] = cite, example.expects
                continue
            before, expected = first[key]
            same = expected == example.expects
            problem = f"has the prompt of {before} again" + ("" if same else f", which expects {expected!r}")
            severity = Severity.warning if same else Severity.error
            yield _finding(found, severity, problem, cite, "remove one" if same else "decide which is right")


def _coverage(found: SpecFolder, spec: Spec) -> Iterator[Finding]:
    """What no example shows, and how many examples say nothing."""
    cites = [
        (f"{category.id}.examples.{count}", example.expects)
        for category in spec.categories
        for count, example in enumerate(category.examples, start=1)
    ]
    shown = {expects for _, expects in cites}
    for style in spec.styles:
        if style.id not in shown:
            problem = f"no example in any category expects {style.id!r}"
            yield _finding(found, Severity.warning, problem, style.cite, "add one")
    if silent := [cite for cite, expects in cites if expects == UNSTATED]:
        problem = f"examples that do not say which response type they expect: {len(silent)}, the first here"
        yield _finding(found, Severity.warning, problem, silent[0], f"write it in place of {UNSTATED}")


def sentences(text: str) -> set[str]:
    """The sentences of a clause as what they say: case, spacing, marks and final points do not count."""
    plain = (re.sub(r"[^\w\s]", "", one).casefold().split() for one in _SENTENCE.split(text))
    return {" ".join(words) for words in plain if words}


def _finding(found: SpecFolder, severity: Severity, problem: str, cite: str, mend: str) -> Finding:
    return Finding.of(severity, found.error(problem, cite, mend))
