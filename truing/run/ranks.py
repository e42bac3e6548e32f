"""Which of the processes of one job this is, from the variables that `accelerate launch` and torchrun set."""

import os

from truing.types import InputError


def rank() -> int:
    """This process's number among all of the job; 0 writes, and is the only one where nothing launched several.

    Raises:
        InputError: a variable of the launcher is no number.
    """
    return _number("RANK", 0) if world_size() > 1 else 0


def local_rank() -> int:
    """This process's number on its machine, which is that of its GPU.

    Raises:
        InputError: as `rank`.
    """
    return _number("LOCAL_RANK", 0) if world_size() > 1 else 0


def world_size() -> int:
    """How many processes the job has.

    Raises:
        InputError: as `rank`.
    """
    return _number("WORLD_SIZE", 1)


def _number(name: str, usual: int) -> int:
    value = os.environ.get(name, "") or str(usual)
    if not value.isdecimal():
        raise InputError(f"the variable {name} is {value!r} and no number", mend="unset it, or launch again")
    return int(value)
