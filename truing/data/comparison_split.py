"""Splitting comparisons so that the held-out side measures what was not trained on."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from truing.data.comparisons import Comparison, Comparisons
from truing.data.overlap import leaks
from truing.data.splits import prefix_groups, split_by_group
from truing.types import InputError, Role

MIN_PREFIX = 200
"""Characters that two prompts have in common before they count as one. Ouyang et al. name no number."""
_TWIN, _MANY, _LEAK = (
    "the prompt begins like an earlier one",
    "the customer has more prompts than the cap",
    "the prompt leaks from the training side",
)


def split_comparisons(
    rows: Sequence[Comparison],
    *,
    by: Literal["prompt", "customer", "labeler"],
    held_out: float,
    key: int,
    per_customer: int | None = None,
    min_prefix: int = MIN_PREFIX,
) -> tuple[Comparisons, Comparisons]:
    """The training side and the held-out side, which share no prompt, customer or labeler.

    Where a row goes depends on (key, its group's name, `held_out`) alone. As in InstructGPT (Ouyang et
    al. 2022, appendix A), of different prompts with a long common beginning only the first is kept.
    What the two sides still have in common is taken from the held-out side: prompts that the
    training side has too (as when one prompt is put to several labelers), or mostly contains (`leaks`). Each
    side's `skipped` counts what was left out of it. System turns are not compared: they may be the same for all.

    Args:
        rows: the comparisons.
        by: what the sides must not share: a prompt (and all that begin alike), a customer or a labeler.
        held_out: the expected share of groups that are held out.
        key: decides which.
        per_customer: the most prompts of one customer that are kept, the first ones (200 in InstructGPT).
        min_prefix: characters after which two prompts begin alike.

    Raises:
        InputError: a row does not say its customer or labeler; a side would be empty.
        ValueError: `held_out` is no share, or `min_prefix` is below 1.
    """
    texts = [_asked(row) for row in rows]
    begins = prefix_groups(texts, min_prefix)
    groups = begins if by == "prompt" else [_name(row, by) for row in rows]
    kept, left_out = _kept(rows, texts, begins, per_customer)
    sides = split_by_group(groups, {"train": 1 - held_out, "held out": held_out}, key=key)
    train = [i for i in sides["train"] if i in kept]
    found = leaks([texts[i] for i in train], [texts[i] for i in sides["held out"]])
    leaked = {sides["held out"][leak.heldout] for leak in found} & kept
    left_out |= dict.fromkeys(leaked, _LEAK)
    out = []
    for side, members in sides.items():
        of = tuple(rows[i] for i in members if i not in left_out)
        why = Counter(left_out[i] for i in members if i in left_out)
        if not of:
            told = ", ".join(f"{n} rows: {reason}" for reason, n in why.items()) or "no group falls on it"
            mend = "change held_out, the key, or what is split by"
            raise InputError(f"splitting by {by} leaves the side {side!r} empty ({told})", mend=mend)
        out.append(Comparisons(of, dict(why)))
    return out[0], out[1]


def _kept(
    rows: Sequence[Comparison], texts: Sequence[str], begins: Sequence[str], per_customer: int | None
) -> tuple[set[int], dict[int, str]]:
    """The rows that are kept, and why others are not."""
    first: dict[str, str] = {}
    prompts: dict[str, set[str]] = {}
    left_out: dict[int, str] = {}
    for i, (row, text, begin) in enumerate(zip(rows, texts, begins, strict=True)):
        if first.setdefault(begin, text) != text:
            left_out[i] = _TWIN
            continue
        of_customer = prompts.setdefault(row.customer, set())
        if per_customer is not None and row.customer and len(of_customer | {text}) > per_customer:
            left_out[i] = _MANY
        else:
            of_customer.add(text)
    return set(range(len(rows))) - left_out.keys(), left_out


def _asked(row: Comparison) -> str:
    """The prompt as one text, without its system turns."""
    return "\n".join(turn.content for turn in row.prompt if turn.role is not Role.system)


def _name(row: Comparison, by: Literal["customer", "labeler"]) -> str:
    name = row.customer if by == "customer" else row.labeler
    if not name:
        raise InputError(f"the comparison {row.id} does not say its {by}", mend="split by prompt")
    return name
