"""Numbers and texts as pages write them."""

from truing.pages.svg import MINUS


def signed(value: float, form: str = ".3g") -> str:
    """A number with its sign, the typographic one, in a format of Python's without the sign."""
    return f"{value:+{form}}".replace("-", MINUS)


def cut(text: str, longest: int) -> str:
    """So many characters of a text at most, and a mark where there were more."""
    return text if len(text) <= longest else f"{text[:longest]}…"
