"""The ranges of numbers that every method's configuration has."""

from truing.types import InputError


def check_ranges(*, seed: int, lora_rank: int = 0, quantize: str = "") -> None:
    """Raise InputError where the seed or the rank is out of its range, or four bits would be trained."""
    if not 0 <= seed < 2**64:
        raise InputError(f"a seed lies in [0, 2^64), not {seed}")
    if lora_rank < 0:
        raise InputError(f"lora_rank is at least 0, not {lora_rank}")
    if quantize and not lora_rank:
        raise InputError("weights in four bits cannot be trained themselves", mend="give a lora_rank above 0")
