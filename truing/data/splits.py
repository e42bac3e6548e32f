"""Splitting rows so that what belongs together stays together."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import isclose

import numpy as np

from truing.numerics import uniforms


def split_by_group(
    groups: Sequence[str], fractions: Mapping[str, float], *, key: int
) -> dict[str, list[int]]:
    """Split rows by their group's name: part -> indices of its rows, in order.

    Where a group goes depends on (key, its name, fractions) alone: rows added later move no other
    row. The fractions are therefore expected shares of the groups, not exact shares of the rows.

    Raises:
        ValueError: a fraction is negative, or they do not add up to 1.
    """
    if any(not share >= 0 for share in fractions.values()) or not isclose(sum(fractions.values()), 1):
        raise ValueError(f"fractions are at least 0 and add up to 1, not {dict(fractions)}")
    parts, names = list(fractions), sorted(set(groups))
    ends = np.array(list(accumulate(fractions.values())))
    ends[ends >= ends[-1]] = 1.0  # rounding must not leave a gap below 1
    chosen = np.searchsorted(ends, uniforms(key, names, 0, 0), side="right")
    home = {name: parts[part] for name, part in zip(names, chosen, strict=True)}
    split: dict[str, list[int]] = {part: [] for part in parts}
    for row, group in enumerate(groups):
        split[home[group]].append(row)
    return split


def prefix_groups(texts: Sequence[str], min_prefix: int) -> list[str]:
    """Name a group for each text, so that texts with a long common prefix are in one group.

    Two texts are together if and only if they are equal or agree in their first `min_prefix`
    characters, so that prefix is the name, and `split_by_group` keeps paraphrases of one template
    on one side. This is the deduplication of prompts in InstructGPT (Ouyang et al. 2022, appendix A).

    Raises:
        ValueError: `min_prefix` is below 1, where everything would be one group.
    """
    if min_prefix < 1:
        raise ValueError(f"a common prefix has at least 1 character, not {min_prefix}")
    return [text[:min_prefix] for text in texts]
