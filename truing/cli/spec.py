"""The written specification: check it, show it, compare two, import one, sort labelled answers by its rules."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from truing.cli.app import Exit

if TYPE_CHECKING:
    from truing.spec import Classification, RuleSet


@dataclass
class Classify:
    """Sort labelled answers into classes; exit 1 if one falls in none or in several."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.jsonl")]
    """One object a line: response_type, and propositions with true or false for each."""
    rules: Annotated[str, tyro.conf.arg(metavar="RULES.yaml")] = "default"
    """A file of rules, or the folder or name of a specification that has some."""
    json: bool = False
    """Print the counts, and the records in none or several, as one JSON object on the last line."""

    def run(self) -> int:
        """Sort and count them."""
        from truing.spec import classify_file

        found = classify_file(self.file, _rules(self.rules))
        print("\n".join(_counted(found)))
        if self.json:
            print(
                json.dumps(
                    {
                        "file": str(self.file),
                        "rules": found.rules.digest,
                        "records": len(found.placed),
                        "counts": found.counts,
                        "in_none": [one.to_json() for one in found.in_none],
                        "in_several": [one.to_json() for one in found.in_several],
                    }
                )
            )
        return Exit.regression if found.in_none or found.in_several else Exit.passed


@dataclass
class Check:
    """Is it consistent? Names file and line of every fault; exit 1 if one must be mended."""

    spec: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|PATH")] = "default"
    """The folder or the name of a specification, or a file of rules."""
    json: bool = False
    """Print the findings as one JSON object on the last line."""

    def run(self) -> int:
        """Check it and print what was found."""
        from truing.spec import check_spec

        found = check_spec(self.spec)
        for one in found.findings:
            print(one)
        what = f" ({found.digest[:12]})" if found.digest else ""
        print(f"{found.name}{what}: errors {len(found.errors)}, warnings {len(found.warnings)}")
        if self.json:
            counts = {"errors": len(found.errors), "warnings": len(found.warnings)}
            print(json.dumps({**found.to_json(), **counts}))
        return Exit.regression if found.errors else Exit.passed


@dataclass
class Show:
    """Print what a specification says: in outline, or as a model is shown it for one category."""

    spec: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|PATH")] = "default"
    """The folder or the name of a specification."""
    category: str = ""
    """The category to print in full, with the summaries of the others, the principles and the styles."""
    budget: int = 0
    """Cut that to about so many tokens (one for three bytes); 0 is no limit."""
    json: bool = False
    """Print the specification, or the text for the category, as one JSON object on the last line."""

    def run(self) -> int:
        """Read and print it."""
        from truing.spec import outline, read_spec, rough_tokens

        spec = read_spec(self.spec)
        if not self.category:
            print("\n".join(outline(spec)))
            if self.json:
                print(json.dumps({"digest": spec.digest, "digests": spec.digests, "spec": spec.to_json()}))
            return Exit.passed
        found = spec.for_category(self.category, self.budget or None)
        print(found.text)
        print(f"about {rough_tokens(found.text)} tokens; left out: {', '.join(found.cut) or 'nothing'}")
        if self.json:
            print(json.dumps({"digest": found.digest, **found.to_json()}))
        return Exit.passed


@dataclass
class Diff:
    """Tell what a new version changes: classes of answers, examples, clauses, and words."""

    before: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
    """The folder or name of a specification, or a file of rules."""
    after: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="B")]
    """Another."""
    json: bool = False
    """Print the differences as one JSON object on the last line."""

    def run(self) -> int:
        """Compare and print them."""
        from truing.spec import diff_specs, tell_diff

        found = diff_specs(self.before, self.after)
        print("\n".join(tell_diff(found)))
        if self.json:
            print(json.dumps(found.to_json()))
        return Exit.passed


@dataclass
class Import:
    """Make a specification of a Markdown document: headings become categories. A first draft, for a person."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE.md")]
    """The document."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """The folder to write, which must not be there yet."""
    examples: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """A folder of Markdown files with examples; by default the folder `examples` beside the document."""
    json: bool = False
    """Print counts and notes as one JSON object on the last line."""

    def run(self) -> int:
        """Write it, and tell what could not be placed."""
        from truing.spec import import_document

        found = import_document(self.source, self.out, self.examples)
        spec = found.spec
        counts = {
            "categories": len(spec.categories),
            "principles": len(spec.principles),
            "response_types": len(spec.styles),
            "clauses": sum(len(one.clauses) for one in spec.categories),
            "examples": sum(len(one.examples) for one in spec.categories),
        }
        print(
            f"{self.out} ({spec.digest[:12]}): "
            + ", ".join(f"{what.replace('_', ' ')} {n}" for what, n in counts.items())
        )
        if found.notes:
            print("\n".join(["", "for a person to look at:", *(f"- {note}" for note in found.notes)]))
        print(f"\nnext: truing spec check {self.out}")
        if self.json:
            print(json.dumps({"out": str(self.out), "digest": spec.digest, **counts, "notes": found.notes}))
        return Exit.passed


@dataclass
class Command:
    """The actions of `truing spec`."""

    action: Annotated[
        Annotated[Check, tyro.conf.subcommand("check")]
        | Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[Diff, tyro.conf.subcommand("diff")]
        | Annotated[Import, tyro.conf.subcommand("import")]
        | Annotated[Classify, tyro.conf.subcommand("classify")],
        tyro.conf.OmitSubcommandPrefixes,
    ]

    def run(self) -> int:
        """Do it."""
        return self.action.run()


def _rules(text: str) -> "RuleSet":
    """The rules of a file, or of a specification."""
    from truing.spec import is_rules, read_rules, read_spec
    from truing.types import InputError

    if is_rules(text):
        return read_rules(text)
    spec = read_spec(text)
    if spec.rules is None:
        raise InputError(
            f"the specification {spec.id} has no rules", mend="name a file of rules with --rules"
        )
    return spec.rules


def _counted(found: "Classification") -> list[str]:
    lines = [f"{len(found.placed)} records; rules {found.rules.digest[:12]}", ""]
    width = max(len(name) for name in found.rules.order)
    for response_type, counts in found.counts.items():
        lines += [response_type, *(f"  {name:<{width}}{count:>7}" for name, count in counts.items())]
    for what, some in (("no class", found.in_none), ("several classes", found.in_several)):
        lines += ["", f"in {what}: {len(some)}" + (", rows" if some else "")] if some else []
        lines += [f"  {one.row} ({one.response_type}) {', '.join(one.classes)}".rstrip() for one in some[:20]]
        lines += [f"  and {len(some) - 20} more"] if len(some) > 20 else []
    return (
        lines if found.in_none or found.in_several else [*lines, "", "every record is in exactly one class"]
    )
