"""Short names for models on a page: the ends of paths, as long as it takes to tell them apart."""

import re
from collections.abc import Sequence

_DIGEST = re.compile(r"(?:-[0-9a-f]{8,})+$")
_SAYS_NOTHING = frozenset({"model", "adapter", "checkpoint", "final", "output"})


def short_names(refs: Sequence[str]) -> list[str]:
    """A name for each reference: of a folder its last parts, of anything else the reference itself.

    A digest at the end of a part is left out, a last part that says nothing (`model`) brings the one before it
    along, and names that would be equal grow until they differ, or are the whole references.
    """
    parts = [_parts(ref) for ref in refs]
    depths = [_least(part) for part in parts]
    while True:
        names = ["/".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        equal = [
            i for i, name in enumerate(names) if len({refs[j] for j, n in enumerate(names) if n == name}) > 1
        ]
        grow = [i for i in equal if depths[i] < len(parts[i])]
        if not equal:
            return names
        if not grow:
            return [ref if i in equal else names[i] for i, ref in enumerate(refs)]
        for i in grow:
            depths[i] += 1


def _parts(ref: str) -> list[str]:
    if re.match(r"[a-z]\w+:", ref):  # a scheme, such as hub: or organism:, is short and says where
        return [ref]
    parts = [_DIGEST.sub("", part) for part in re.split(r"[/\\]", ref) if part not in ("", ".")]
    return parts or [ref]


def _least(parts: Sequence[str]) -> int:
    depth = 1
    while depth < len(parts) and _stem(parts[-depth]) in _SAYS_NOTHING:
        depth += 1
    return depth


def _stem(part: str) -> str:
    return re.sub(r"[-_]?\d+$", "", part)
