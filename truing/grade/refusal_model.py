"""The weights of `Refusal`: a multinomial logistic regression as plain numbers, read without scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from truing.data import read_json
from truing.types import Record

FILE = Path(__file__).with_name("refusal_weights.json")


@dataclass(frozen=True, slots=True)
class RefusalWeights(Record):
    """Weights [C, F] and bias [C] of C classes and F features, each cut off at its `low` and `high`.

    Cut off there because what lies beyond was never seen in training. Where no class has a probability
    of at least `threshold`, the grader abstains.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    threshold: float = 0.0

    def check(self) -> None:
        """The shapes fit."""
        wide = len(self.features)
        if [len(row) for row in self.weights] != [wide] * len(self.classes):
            raise ValueError(f"the weights are not {len(self.classes)} rows of {wide}")
        if not len(self.bias) == len(self.classes) or not len(self.low) == len(self.high) == wide:
            raise ValueError("bias, low and high are not one number for each class or feature")

    def probabilities(self, rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """The probability of each class for the features of N answers: `[N, F] -> [N, C]`."""
        weights, bias, low, high = _arrays(self)
        x = np.array(rows, dtype=np.float64).reshape(-1, len(self.features))
        logits = np.minimum(np.maximum(x, low), high) @ weights.T + bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))


@lru_cache(maxsize=64)
def _arrays(weights: RefusalWeights) -> tuple[NDArray[np.float64], ...]:
    return tuple(map(np.array, (weights.weights, weights.bias, weights.low, weights.high)))


@cache
def shipped_weights() -> RefusalWeights:
    """The weights in the package; `tools/train_refusal.py` makes them again."""
    return RefusalWeights.from_json(read_json(FILE))
