"""Cells of tables that are more than text."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup


def bar(share: float, text: str) -> "Markup":
    """A text with a bar beside it, whose full length stands for a share of 1.

    Raises:
        ValueError: the share lies outside [0, 1].
    """
    from markupsafe import Markup

    if not 0 <= share <= 1:
        raise ValueError(f"a bar is of a share, not of {share}")
    return Markup('<span class="bar">{}<i style="--share: {:.4g}"></i></span>').format(text, share)
