"""What a rule set makes of an answer, as numbers: the probabilities that a rule-based reward weighs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truing.spec import RuleSet
from truing.types import Grader, GraderId, InputError, Outcome, Shown, Verdict

_CLASS = "class."
"""Before the name of a class among the features; no proposition has a dot in its name."""


def feature_names(rules: RuleSet, response_type: str, *, also: Sequence[str] = ()) -> tuple[str, ...]:
    """The features of answers to requests that call for `response_type`, sorted.

    They are the propositions on which its classes depend, those of `also`, and `class.NAME` for each of its
    classes. (The paper has a few propositions more than its rules need; which ones was not published.)

    Raises:
        InputError: no such response type, or no such proposition.
    """
    try:
        needed = rules.needed(response_type)
        asked = [rules.proposition(name).name for name in also]
        classes = [_CLASS + rule.name for rule in rules.of(response_type)]
    except ValueError as why:
        raise InputError(str(why)) from None
    return tuple(sorted({*needed, *asked, *classes}))


@dataclass(frozen=True)
class Features:
    """The features of one answer: a value in [0, 1] for each name, or None and why there is none."""

    names: tuple[str, ...]
    values: tuple[float, ...] | None
    outcome: Outcome = Outcome.decided
    why: str = ""


class RuleFeatures:
    """The features phi of answers (Mu et al. 2024, arXiv 2411.01111, section 4).

    A feature is the probability that a proposition holds, or that the answer falls in a class: the
    product over what the class asserts and denies, normalised over the classes of its response type.
    `grader` has a criterion for each proposition and gives `p`, as `yes_no(rules, MODEL)` does, whose
    `p` is P(yes) against P(no). Where it decided nothing on one that is needed, the answer has no features.
    """

    def __init__(
        self, rules: RuleSet, grader: Grader, *, names: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Give `names` of features by response type where they are others than `feature_names`.

        Raises:
            InputError: there is no such response type, proposition or class.
        """
        self.rules, self.grader = rules, grader
        chosen = {one: feature_names(rules, one) for one in rules.response_types}
        for response_type, wanted in (names or {}).items():
            asked = [name for name in wanted if not name.startswith(_CLASS)]
            known = feature_names(rules, response_type, also=asked)
            if unknown := sorted(set(wanted) - set(known)):
                raise InputError(
                    f"{response_type} has no feature {unknown[0]!r}", mend=f"choose from {', '.join(known)}"
                )
            chosen[rules.response_type(response_type)] = tuple(sorted(set(wanted)))
        self._names = chosen

    @property
    def id(self) -> GraderId:
        """The grader that is asked."""
        return self.grader.id

    def names(self, response_type: str) -> tuple[str, ...]:
        """The features of a response type, sorted.

        Raises:
            InputError: there is no such response type.
        """
        try:
            return self._names[self.rules.response_type(response_type)]
        except ValueError as why:
            raise InputError(str(why)) from None

    def of(self, shown: Sequence[Shown], response_types: Sequence[str]) -> list[Features]:
        """The features of each answer, given what its request calls for: a list of length `len(shown)`.

        Raises:
            InputError: there is no such response type.
        """
        names = [self.names(one) for one in response_types]
        if len(names) != len(shown):
            raise ValueError(f"{len(shown)} answers need as many response types, not {len(names)}")
        verdicts = self.grader.grade(shown) if shown else []
        return [
            self._one(found, of, self.rules.response_type(response_type))
            for found, of, response_type in zip(verdicts, names, response_types, strict=True)
        ]

    def _one(self, found: Mapping[str, Verdict], names: tuple[str, ...], response_type: str) -> Features:
        p: dict[str, float] = {}
        asked = [name for name in names if not name.startswith(_CLASS)]
        for name in dict.fromkeys([*self.rules.needed(response_type), *asked]):
            verdict = found.get(name)
            if verdict is None:
                mend = "let it judge all propositions of the rules"
                raise InputError(f"the grader {self.id.name} has no criterion {name!r}", mend=mend)
            if verdict.p is None:
                decided = verdict.outcome is Outcome.decided
                why = "the grader gives no probability" if decided else verdict.reason
                outcome = Outcome.abstained if decided else verdict.outcome
                return Features(names, None, outcome, f"{name}: {why}")
            p[name] = verdict.p
        try:
            classes = self.rules.class_probabilities(p, response_type)
        except ValueError as why:
            return Features(names, None, Outcome.abstained, str(why))
        every = p | {_CLASS + name: min(1.0, value) for name, value in classes.items()}
        return Features(names, tuple(every[name] for name in names))
