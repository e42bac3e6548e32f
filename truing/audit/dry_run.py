"""What an audit would ask, and how much memory that takes, before anything is loaded."""

from collections import Counter
from dataclasses import dataclass

from truing.audit.plan import plan_items
from truing.audit.policy import Policy
from truing.audit.settings import Settings
from truing.model import BATCH_ROWS, BATCH_TOKENS, MemoryEstimate, estimate
from truing.types import FrozenDict, Record

_CHARACTERS = 3
"""Of English text to a token, on the safe side; the tokenizer is not loaded for an estimate."""


@dataclass(frozen=True)
class DryRun(Record):
    """Items by dimension, and the peak bytes of each local model for the longest batch."""

    items: FrozenDict
    memory: FrozenDict
    text: tuple[str, ...]

    def lines(self) -> list[str]:
        """The same for a terminal."""
        return list(self.text)


def estimate_audit(
    candidate: str, baseline: str, suites: str, settings: Settings, policy: Policy, *, dtype: str
) -> DryRun:
    """Plan an audit without running it; the models are one after the other in memory.

    Raises:
        InputError: a suite or a model's configuration cannot be read.
    """
    planned = plan_items(suites, settings, policy)
    items = planned.items
    longest = max(sum(len(turn.content) for turn in item.request.messages) for item in items)
    tokens = longest // _CHARACTERS + planned.max_tokens
    counts = Counter(item.dimension for item in items)
    lines = [f"{len(items)} items for each model:", *(f"  {name:<16}{n:>7}" for name, n in counts.items())]
    memory = {}
    for side, ref in (("baseline", baseline), ("candidate", candidate)):
        if ref.startswith("endpoint:"):
            lines.append(f"{side} {ref}: answers elsewhere, no memory here")
            continue
        peak = _peak(ref, tokens, dtype)
        memory[side] = peak.total
        lines += [f"{side} {ref}", *(f"  {line}" for line in peak.lines())]
    return DryRun(FrozenDict(counts), FrozenDict(memory), tuple(lines))


def _peak(ref: str, longest: int, dtype: str) -> MemoryEstimate:
    """The larger of two batches: as many rows as fit, and the longest prompt's."""
    full = (BATCH_ROWS, BATCH_TOKENS // BATCH_ROWS)
    long = (max(1, min(BATCH_ROWS, BATCH_TOKENS // longest)), longest)
    peaks = [
        estimate(ref, mode="sample", rows=rows, tokens=tokens, dtype=dtype) for rows, tokens in (full, long)
    ]
    return max(peaks, key=lambda peak: peak.total)
