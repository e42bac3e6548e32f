"""Numbers and texts as pages write them."""

import shlex

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


def shell(command: str, width: int = 80) -> str:
    r"""A command on lines of about `width` characters, parted before options by a backslash: it can be pasted.

    Raises:
        ValueError: a quotation is not closed.
    """
    groups: list[list[str]] = [[]]
    for word in shlex.split(command):
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(shlex.quote(word))
    lines = [" ".join(groups[0])]
    for group in groups[1:]:
        words = " ".join(group)
        if len(lines[-1]) + len(words) < width:
            lines[-1] += f" {words}"
        else:
            lines.append(f"    {words}")
    return " \\\n".join(lines)
