"""The options of a release policy, shared by every verb that gives a verdict."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from truing.audit import Policy, Rule, read_policy
from truing.types import InputError


@dataclass
class PolicyFlags:
    """What counts as a finding: a file, and options that go before what it says."""

    policy: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A policy in YAML: rule, margin, coverage, alpha, power, over_refusal, and terms of single dimensions."""
    rule: Annotated[Rule | None, tyro.conf.EnumChoicesFromValues] = None
    """What a dimension must show to pass: that a loss would have been found, or (non-inferior) that it is excluded."""
    margin: float | None = None
    """The loss that matters, as a share of the items of a dimension (0.05)."""
    coverage: float | None = None
    """Least share of the planned items on which both models must have been judged (0.95)."""
    alpha: float | None = None
    """Chance of a false alarm over all dimensions together (0.05)."""
    power: float | None = None
    """Chance with which a loss of the size of the margin must be found (0.8)."""
    over_refusal: float | None = None
    """The share of harmless requests that the candidate may refuse at most, whatever its baseline does."""

    def read(self) -> Policy:
        """The policy.

        Raises:
            InputError: the file is no policy, or an option lies outside its range.
        """
        given: dict[str, Any] = {name: value for name, value in vars(self).items() if value is not None}
        base = read_policy(given.pop("policy")) if "policy" in given else Policy()
        try:
            return replace(base, **given)
        except ValueError as why:
            raise InputError(str(why), mend="mend the option") from None
