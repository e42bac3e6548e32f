"""Graders compiled from a written specification: its propositions, the classes of its rules, its policies.

Each grader's id has in `spec` the digest of what was compiled into it and of nothing else: a sentence that
it does not read moves neither its id nor the keys of its cached verdicts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from truing.grade.guards.base import Judge, Verdicts
from truing.grade.yesno import YesNo
from truing.spec import Category, RuleSet, Spec, is_rules, read_rules, read_spec
from truing.types import InputError, Outcome, Sampler, Shown, Verdict

_REFERENCE = re.compile(r"(.+?\.(?:ya?ml|json)|[^@]+)@(.+)", re.DOTALL)
_READ = ("definitions", "allowed", "disallowed", "safe_completion", "style")
"""The sections of a category that a judge of its policy reads; its examples are for people and for training."""


def yes_no(
    rules: RuleSet,
    ref: str | None = None,
    *,
    model: Sampler | None = None,
    template: str = "",
    names: Sequence[str] = (),
    shots: bool = True,
) -> YesNo:
    """A judge of the propositions of a rule set, each a criterion; of `names` alone where some are given.

    The template is that of the rules if they have one, as the published rules do, and else `shared`. Without
    `shots` the examples of the propositions are not shown, as a judge needs it that was raised on bare questions.

    Raises:
        InputError: there is no such proposition, or the template has no place for a question.
    """
    known = {one.name: one for one in rules.propositions}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"there is no proposition {unknown[0]!r}", mend=f"choose from {', '.join(known)}")
    asked = {name: known[name] if shots else replace(known[name], examples=()) for name in (names or known)}
    return YesNo(asked, ref, model=model, template=template or rules.template or "shared")


class RuleClasses(Judge):
    """Which class of a rule set an answer falls in, from P(yes) of each proposition (Mu et al. 2024, section 3).

    Every response type is a criterion: its verdict is what an answer to a request would be that calls
    for it. The label is the most probable class, `p` its probability (of classes equally probable, the worst);
    the score is the expected place among the classes, 1 for the best and 0 for the worst. Only the
    propositions are asked on which the classes depend. Where one of them was not decided, neither is the class.
    """

    name = "rule-classes"
    whole_only = True

    def __init__(
        self,
        rules: RuleSet,
        ref: str | None = None,
        *,
        model: Sampler | None = None,
        template: str = "",
        response_types: Sequence[str] = (),
    ) -> None:
        """Judge by the classes of some response types, or of all.

        Raises:
            InputError: there is no such response type, or the template has no place for a question.
        """
        super().__init__(ref, model)
        try:
            self.criteria = tuple(rules.response_type(one) for one in response_types) or rules.response_types
        except ValueError as why:
            raise InputError(str(why)) from None
        self._rules, self._template = rules, template
        self._needed = {one: rules.needed(one) for one in self.criteria}
        needed = {name for of in self._needed.values() for name in of}
        names = [one.name for one in rules.propositions if one.name in needed]
        self._asker = yes_no(rules, ref, model=model, template=template, names=names)

    @cached_property
    def model(self) -> Sampler:
        """The model that is asked about the propositions."""
        return self._asker.model

    def only(self, criterion: str) -> "RuleClasses":
        """The same judge for one of its response types, which asks what that needs.

        Raises:
            InputError: it has no such response type.
        """
        return RuleClasses(
            self._rules, self._ref, model=self._given, template=self._template, response_types=[criterion]
        )

    def told(self) -> Any:
        """The questions, and how their answers make a class."""
        rules = {one: self._rules.rules_digest(one) for one in self.criteria}
        return [self._asker.told(), rules]

    def ask(self, shown: Sequence[Shown]) -> list[Verdicts]:
        """Judge answers that are there: see `Judge.ask`."""
        return [
            {criterion: self._class(criterion, found) for criterion in self.criteria}
            for found in self._asker.ask(shown)
        ]

    def _class(self, criterion: str, found: Mapping[str, Verdict]) -> Verdict:
        p: dict[str, float] = {}
        for name in self._needed[criterion]:
            value = found[name].p
            if value is None:
                return self.lacking(criterion, found[name].outcome, f"{name}: {found[name].reason}")
            p[name] = value
        try:
            classes = self._rules.class_probabilities(p, criterion)
        except ValueError as why:
            return self.lacking(criterion, Outcome.abstained, str(why))
        label = max(reversed(classes), key=classes.__getitem__)
        places = {name: 1 - i / max(1, len(classes) - 1) for i, name in enumerate(classes)}
        score = sum(places[name] * value for name, value in classes.items())
        return Verdict(
            criterion,
            Outcome.decided,
            self.id,
            label=label,
            p=min(1.0, classes[label]),
            score=min(1.0, score),
            reason=", ".join(f"{name} {value:.2f}" for name, value in classes.items()),
        )


def follows(
    spec: Spec,
    ref: str | None = None,
    *,
    model: Sampler | None = None,
    template: str = "shared",
    categories: Sequence[str] = (),
) -> YesNo:
    """A judge that asks whether an answer is as the policy of each category wants it; of some, or of all.

    It reads what is allowed and disallowed, the definitions, what to complete safely, and the style.

    Raises:
        InputError: there is no such category, or the template has no place for a question.
    """
    asked = [spec.category(id) for id in categories] or spec.categories
    return YesNo({one.id: _question(one) for one in asked}, ref, model=model, template=template)


def open_yes_no(ref: str | None) -> YesNo:
    """The judge `yesno:RULES@MODEL`; `RULES` is a YAML file, or a specification by name or folder.

    Raises:
        InputError: the reference has another form, or there are no such rules.
    """
    rules, model = _rules_and_model(ref, "yesno")
    return yes_no(rules, model)


def open_rule_classes(ref: str | None) -> RuleClasses:
    """The judge `rule-classes:RULES@MODEL`, with the same references.

    Raises:
        InputError: the reference has another form, or there are no such rules, or no classes in them.
    """
    rules, model = _rules_and_model(ref, "rule-classes")
    if not rules.response_types:
        raise InputError("the rules have no classes", file=str(ref).partition("@")[0], mend="use yesno")
    return RuleClasses(rules, model)


def open_follows(ref: str | None) -> YesNo:
    """The judge `follows:SPEC@MODEL`; `SPEC` is a specification by name or folder.

    Raises:
        InputError: the reference has another form, or there is no such specification.
    """
    source, model = _parts(ref, "follows", "SPEC")
    return follows(read_spec(source), model)


def _rules_and_model(ref: str | None, name: str) -> tuple[RuleSet, str]:
    source, model = _parts(ref, name, "RULES.yaml")
    rules = read_rules(source) if is_rules(source) else read_spec(source).rules
    if rules is None:
        raise InputError(f"the specification {source} has no rules", mend=f"write {name}:RULES.yaml@MODEL")
    return rules, model


def _parts(ref: str | None, name: str, source: str) -> tuple[str, str]:
    """What is compiled, and the model's reference: the first `@` after the file's ending parts the two."""
    match = _REFERENCE.fullmatch(ref or "")
    if match is None:
        raise InputError(
            f"{name} needs something to compile and a model to ask", mend=f"write {name}:{source}@MODEL"
        )
    return match[1], match[2]


def _question(category: Category) -> str:
    sections = [category.section(name) for name in _READ]
    parts = [f"## {one.title}\n{one.text}" for one in sections if one.text]
    return "\n\n".join(
        [f"Is the answer as the following policy wants it?\n\n# {category.title}", *parts, "Is it?"]
    )
