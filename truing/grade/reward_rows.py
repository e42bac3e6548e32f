"""The rows that TRL hands to a reward function, as the answers that a grader is shown."""

from collections.abc import Collection, Sequence
from typing import Any

from truing.data import to_messages
from truing.types import InputError, Message, Request, Role, Shown, Stop


def rewarded(
    prompts: Sequence[Any],
    completions: Sequence[Any],
    completion_ids: Sequence[Sequence[int]] | None = None,
    *,
    ends: Collection[int] = (),
) -> list[Shown]:
    """Row i of TRL as what a grader sees: the prompt (text, or chat messages) and the answer to it.

    A completion of several turns is judged by its last one, with the others as part of the prompt. With
    `ends`, the ids of the tokens that end an answer, one whose last id is none of them was cut off.

    Raises:
        InputError: as many completions as prompts are not there, or a row is neither text nor messages.
    """
    if len(prompts) != len(completions):
        raise InputError(f"there are {len(prompts)} prompts and {len(completions)} completions")
    ids: Sequence[Sequence[int] | None] = completion_ids or [None] * len(prompts)
    rows = zip(prompts, completions, ids, strict=True)
    return [_row(i, *row, ends=ends) for i, row in enumerate(rows)]


def _row(i: int, prompt: Any, completion: Any, ids: Sequence[int] | None, *, ends: Collection[int]) -> Shown:
    try:
        said = (
            (Message(Role.assistant, completion),) if isinstance(completion, str) else to_messages(completion)
        )
        asked = (Message(Role.user, prompt),) if isinstance(prompt, str) else to_messages(prompt)
        if said[-1].role is not Role.assistant:
            raise InputError(f"the completion ends with the {said[-1].role}'s turn")
        request = Request(str(i), (*asked, *said[:-1]))
    except (InputError, ValueError) as why:
        problem = why.problem if isinstance(why, InputError) else str(why)
        raise InputError(f"row {i} of the batch cannot be judged: {problem}") from None
    cut = bool(ends) and ids is not None and (not len(ids) or ids[-1] not in ends)
    return Shown(request, said[-1].content, Stop.length if cut else Stop.eos)
