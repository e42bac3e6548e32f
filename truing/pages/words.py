"""Numbers and texts as pages write them."""

_MINUS = "\N{MINUS SIGN}"


def minus(text: str) -> str:
    """A number that Python wrote, with the typographic sign."""
    return text.replace("-", _MINUS)


def signed(value: float, form: str = ".3g") -> str:
    """A number with its sign, in a format of Python's without the sign."""
    return minus(f"{value:+{form}}")


def points(share: float) -> str:
    """A difference of shares in percentage points."""
    return signed(100 * share, ".1f")


def cut(text: str, longest: int) -> str:
    """So many characters of a text at most, and a mark where there were more."""
    return text if len(text) <= longest else f"{text[:longest]}…"
