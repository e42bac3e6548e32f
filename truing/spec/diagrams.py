"""Decision diagrams: exact answers about boolean expressions, without going through 2^k assignments.

Reduced and ordered (Bryant 1986, doi:10.1109/TC.1986.1676819): two expressions that mean the same are
the same number, so whether one can be true is a comparison with 0.
"""

from collections.abc import Iterable, Sequence
from functools import reduce

from truing.spec.expressions import Algebra

MAX_STEPS = 100_000
"""Each makes one node at most."""
FALSE, TRUE = 0, 1


class TooEntangled(ValueError):
    """A diagram would outgrow what can be held."""


class Diagrams:
    """Diagrams over named variables in one order; a diagram is the number of its root node."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        # A node is (level of its variable, diagram where that is false, where it is true).
        self.nodes: list[tuple[int, int, int]] = [(len(names), 0, 0), (len(names), 1, 1)]
        self.numbers: dict[tuple[int, int, int], int] = {}
        self.chosen: dict[tuple[int, int, int], int] = {}
        self.algebra: Algebra[int] = Algebra(
            lambda f: self.choose(f, FALSE, TRUE),
            lambda fs: reduce(self.both, fs, TRUE),
            lambda fs: reduce(self.either, fs, FALSE),
        )

    def variables(self) -> dict[str, int]:
        """The diagram of each variable alone."""
        return {name: self._node(level, FALSE, TRUE) for level, name in enumerate(self.names)}

    def both(self, f: int, g: int) -> int:
        """Where both hold."""
        return self.choose(f, g, FALSE)

    def either(self, f: int, g: int) -> int:
        """Where at least one of the two holds."""
        return self.choose(f, TRUE, g)

    def without(self, f: int, others: Iterable[int]) -> int:
        """Where f holds and none of the others does."""
        return reduce(lambda left, other: self.choose(other, FALSE, left), others, f)

    def choose(self, f: int, g: int, h: int) -> int:
        """As g where f holds, and as h elsewhere.

        Raises:
            TooEntangled: it would take more than 100,000 steps in all.
        """
        if f in (FALSE, TRUE):
            return g if f else h
        if g == h or (g, h) == (TRUE, FALSE):
            return g if g == h else f
        key = (f, g, h)
        if key not in self.chosen:
            if len(self.chosen) >= MAX_STEPS:
                raise TooEntangled(f"more than {MAX_STEPS} steps")
            level = min(self.nodes[f][0], self.nodes[g][0], self.nodes[h][0])
            low = self.choose(*(self._branch(one, level, 1) for one in key))
            high = self.choose(*(self._branch(one, level, 2) for one in key))
            self.chosen[key] = self._node(level, low, high)
        return self.chosen[key]

    def count(self, f: int) -> int:
        """Of the 2^k assignments of all k variables, those for which f holds."""
        held = {FALSE: 0, TRUE: 1}
        for one in self._reached(f):  # each after those below it
            level, low, high = self.nodes[one]
            if one not in held:
                held[one] = sum(held[part] << self.nodes[part][0] - level - 1 for part in (low, high))
        return held[f] << self.nodes[f][0]

    def witness(self, f: int) -> dict[str, bool] | None:
        """The fewest truth values that make f hold, whatever the other variables are; None where it never does."""
        shortest: dict[int, tuple[int, dict[str, bool]]] = {TRUE: (0, {})}
        for one in self._reached(f):
            level, low, high = self.nodes[one]
            if one in (FALSE, TRUE):
                continue
            ways = [
                (shortest[part], truth) for part, truth in ((low, False), (high, True)) if part in shortest
            ]
            if ways:
                (length, values), truth = min(ways, key=lambda way: way[0][0])
                shortest[one] = length + 1, {self.names[level]: truth} | values
        return shortest[f][1] if f in shortest else None

    def _reached(self, f: int) -> list[int]:
        """The nodes of a diagram: a node is made after those below it, so their numbers are in order."""
        seen, waiting = {f}, [f]
        while waiting:
            for part in self.nodes[waiting.pop()][1:]:
                if part not in seen:
                    seen.add(part)
                    waiting.append(part)
        return sorted(seen)

    def _branch(self, f: int, level: int, side: int) -> int:
        return self.nodes[f][side] if self.nodes[f][0] == level else f

    def _node(self, level: int, low: int, high: int) -> int:
        if low == high:
            return low
        key = (level, low, high)
        if key not in self.numbers:
            self.numbers[key] = len(self.nodes)
            self.nodes.append(key)
        return self.numbers[key]
