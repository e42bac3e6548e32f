"""The release policy: what counts as a finding in each dimension, written down in a file that can be reviewed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from truing.data import Yaml, read_yaml
from truing.types import FrozenDict, Record

R = TypeVar("R", bound=Record)


class Rule(StrEnum):
    """What a dimension must show to pass."""

    regression = "regression"
    """No significant loss, where a loss of the margin would have been found."""
    non_inferior = "non-inferior"
    """The interval of the difference excludes a loss of the margin."""


class Tier(StrEnum):
    """How much a dimension weighs in the verdict."""

    critical = "critical"
    """A regression fails, missing evidence is inconclusive."""
    supporting = "supporting"
    """A regression fails; missing evidence is reported and does not stand in the way."""
    advisory = "advisory"
    """Reported, and nothing more."""


@dataclass(frozen=True)
class Terms(Record):
    """What a policy asks of one dimension; None takes the policy's own."""

    tier: Tier = Tier.critical
    margin: float | None = None
    coverage: float | None = None

    def check(self) -> None:
        """Shares lie in their range."""
        _check_shares(self, ("margin", "coverage"))


@dataclass(frozen=True)
class Policy(Record):
    """What counts as a finding. A dimension that `dimensions` names (name -> `Terms`) must be measured.

    `margin` is the loss, as a share of the items of a dimension, that matters; `alpha` the chance of
    a false alarm over all dimensions together; `power` the chance with which a loss of the size of
    the margin must be found; `coverage` the least share of the planned items that were judged for
    both models. `over_refusal` bounds the share of harmless requests that the candidate may refuse,
    whatever its baseline does.
    """

    rule: Rule = Rule.regression
    margin: float = 0.05
    coverage: float = 0.95
    alpha: float = 0.05
    power: float = 0.8
    over_refusal: float | None = None
    dimensions: FrozenDict = field(default_factory=FrozenDict)

    def check(self) -> None:
        """Shares lie in their range, and the terms are terms."""
        _check_shares(self, ("margin", "alpha", "power", "coverage", "over_refusal"))
        for name in self.dimensions:
            self.terms(name)

    @property
    def level(self) -> float:
        """Of the intervals, which are two-sided: a true loss of the margin lies below one with chance alpha / 2."""
        return 1 - self.alpha

    def terms(self, dimension: str, *, margin: float | None = None) -> Terms:
        """What is asked of one dimension, with nothing left open.

        `margin` is what its suite can show at best, where that is more than the policy's; a margin
        that the policy gives to this dimension goes before it.
        """
        own = Terms.from_json(dict(self.dimensions.get(dimension, {})))
        return replace(
            own,
            margin=max(self.margin, margin or 0.0) if own.margin is None else own.margin,
            coverage=self.coverage if own.coverage is None else own.coverage,
        )


def read_policy(path: str | Path) -> Policy:
    """Read a policy from YAML or JSON: the fields of `Policy`, and under `dimensions` those of `Terms`.

    Raises:
        InputError: no such file, an unknown field, or a value outside its range; names the line.
    """
    told = read_yaml(path)
    if not isinstance(told.data, dict):
        raise told.error("is no policy", mend="give fields such as margin: 0.05")
    _refuse_unknown(told, told.data, Policy)
    terms = told.data.get("dimensions", {})
    if not isinstance(terms, dict):
        raise told.error(
            "dimensions is no mapping of names", "dimensions", mend="write safety: {tier: critical}"
        )
    for name, of in terms.items():
        if not isinstance(of, dict):
            mend = "write {tier: critical, margin: 0.05}"
            raise told.error(f"the terms of {name} are no mapping", "dimensions", name, mend=mend)
        _refuse_unknown(told, of, Terms, "dimensions", name)
        _read(told, Terms, of, "dimensions", name)
    return _read(told, Policy, told.data)


def _read(told: Yaml, kind: type[R], data: Mapping[str, Any], *path: str) -> R:
    """A record from a part of the file; what is wrong with it is said with the line of its field."""
    try:
        return kind.from_json(_as_floats(data))
    except ValueError as why:
        problem = str(why).removeprefix(f"{kind.__name__}.")
        field = problem.partition(" ")[0].rstrip(":")
        raise told.error(problem, *path, field, mend="mend the value") from None


def _as_floats(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in data.items()
    }


def _refuse_unknown(told: Yaml, data: Mapping[str, Any], kind: Any, *path: str) -> None:
    known = [f.name for f in fields(kind)]
    for name in data:
        if name not in known:
            raise told.error(f"there is no field {name!r}", *path, name, mend=f"known are {', '.join(known)}")


def _check_shares(record: object, names: tuple[str, ...]) -> None:
    for name in names:
        share = getattr(record, name)
        inclusive = name in ("coverage", "over_refusal")
        if share is not None and not (0 < share < 1 or (inclusive and share in (0, 1))):
            raise ValueError(f"{name} lies between 0 and 1, not {share}")
