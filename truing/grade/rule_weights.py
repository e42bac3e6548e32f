"""The weights of a rule-based reward, and the small JSON file that holds them."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from truing.data import read_json
from truing.run import replace_file
from truing.types import GraderId, InputError, Record


@dataclass(frozen=True, slots=True)
class TypeWeights(Record):
    """The weights of one response type, in the order of its features' names, which are sorted.

    `low` and `high` are the ends of a bootstrap interval for each; both are empty where none was made.
    """

    response_type: str
    features: tuple[str, ...]
    weights: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    prompts: int = 0
    """Prompts that they were fitted on."""

    def check(self) -> None:
        """One finite weight for each feature, in the one order there is."""
        if list(self.features) != sorted(set(self.features)):
            raise ValueError("the features are not sorted, or one stands twice")
        for name, values in (("weights", self.weights), ("low", self.low), ("high", self.high)):
            if len(values) != len(self.features) and (values or name == "weights"):
                raise ValueError(f"{len(values)} {name} for {len(self.features)} features")
            if not all(map(math.isfinite, values)):
                raise ValueError(f"one of {name} is not finite")

    def score(self, values: tuple[float, ...]) -> float:
        """R_rbr: the sum over features of weight times value."""
        return math.fsum(w * phi for w, phi in zip(self.weights, values, strict=True))


@dataclass(frozen=True, slots=True)
class RuleWeights(Record):
    """What was fitted: weights for each response type, and all that has to be the same when they are used.

    `rules` is the digest of the rule set, `grader` the instrument whose probabilities were weighed.
    """

    rules: str
    grader: GraderId
    types: tuple[TypeWeights, ...]
    margin: float = 1.0
    seed: int = 0
    note: str = ""
    """Where the comparisons came from, and on which ground they stand."""

    def check(self) -> None:
        """Each response type stands once."""
        names = [one.response_type for one in self.types]
        if len(set(names)) < len(names):
            raise ValueError("a response type stands twice")

    def of(self, response_type: str) -> TypeWeights:
        """The weights of a response type.

        Raises:
            InputError: none were fitted.
        """
        for one in self.types:
            if one.response_type == response_type:
                return one
        known = ", ".join(one.response_type for one in self.types)
        raise InputError(f"no weights were fitted for the response type {response_type!r}, only for {known}")


def write_rule_weights(path: str | Path, weights: RuleWeights) -> None:
    """Write weights as JSON; the file is whole or as before.

    Raises:
        StorageError: the disk refuses.
    """
    replace_file(Path(path), (json.dumps(weights.to_json(), indent=1) + "\n").encode("ascii"))


def read_rule_weights(path: str | Path) -> RuleWeights:
    """Read the weights that `write_rule_weights` wrote.

    Raises:
        InputError: no such file, or no such weights.
    """
    data = read_json(path)
    try:
        return RuleWeights.from_json(data)
    except ValueError as why:
        mend = "make them with truing align rbr-fit"
        raise InputError(f"holds no weights of a rule-based reward ({why})", file=path, mend=mend) from None
