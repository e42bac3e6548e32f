"""From a matplotlib figure to SVG that takes its colours and its font from the page around it."""

import hashlib
import io
import re
import warnings
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from truing.pages.page import visible

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

WIDTH = 8.6
"""Width of every figure in inches of 72 units."""

_FONT = "DejaVu Sans"  # comes with matplotlib: text is measured alike on every machine
_RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "truing",
    "text.parse_math": False,
    "font.family": _FONT,
    "font.size": 11,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.labelsize": 11,
    "axes.axisbelow": True,
    "axes.labelpad": 8,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 7,
    "ytick.major.pad": 8,
    "hatch.linewidth": 1.2,
}


@cache
def colour(name: str) -> str:
    """The light theme's value of a colour of the style sheet, such as `accent`."""
    return _palette()[name]


def draw(height: float, paint: "Callable[[Figure], None]", *, title: str, description: str) -> "Markup":
    """The SVG of a figure `WIDTH` x `height` inches that `paint` fills, with a title and a description.

    Every colour of the style sheet becomes its CSS variable, so that one SVG serves light and dark;
    alone in a file it has the light colours. Equal figures give equal bytes, and matplotlib's
    settings, the user's own included, neither matter nor change.
    """
    import matplotlib
    from markupsafe import Markup, escape
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    out = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC | {key: colour("muted") for key in ("axes.labelcolor", "xtick.color")})
        matplotlib.rcParams.update({"text.color": colour("ink"), "ytick.color": colour("ink")})
        matplotlib.rcParams["axes.edgecolor"] = colour("line")
        figure = Figure((WIDTH, height))
        figure.patch.set_visible(False)
        figure.text(0, 1, short(title, 80), va="top", fontsize=13, fontweight="bold")
        paint(figure)
        FigureCanvasSVG(figure).print_svg(
            out, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    inner = _adapted(out.getvalue().partition("<svg")[2].partition(">")[2])
    view = f"0 0 {72 * WIDTH:g} {72 * height:g}"
    # Every text in it is escaped: by matplotlib, or here.
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" role="img" aria-label="{escape(visible(title))}">\n'
        f"<desc>{escape(visible(description))}</desc>{inner}"
    )


def add_axes(figure: "Figure", *, left: float, right: float, top: float, bottom: float) -> "Axes":
    """Axes that leave these margins, in inches."""
    height = figure.get_figheight()
    size = 1 - (left + right) / WIDTH, 1 - (top + bottom) / height
    return figure.add_axes((left / WIDTH, bottom / height, *size))


def across(axes: "Axes") -> "Transform":
    """Coordinates with x over the whole figure (0 to 1) and y in the data of the axes, for rows."""
    from matplotlib.transforms import blended_transform_factory

    figure = axes.get_figure(root=True)
    assert figure is not None
    return blended_transform_factory(figure.transFigure, axes.transData)


def short(text: str, longest: int) -> str:
    """One visible line of at most `longest` characters."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _adapted(svg: str) -> str:
    """Colours become variables; ids are kept where something refers to them, and made this figure's own."""
    prefix = hashlib.sha256(svg.encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))

    def adapt(tag: re.Match[str]) -> str:
        text = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", tag[0])
        text = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", text)
        text = text.replace("xlink:href", "href").replace(f"'{_FONT}'", "system-ui, sans-serif")
        for name, value in _palette().items():
            text = text.replace(value, f"var(--{name}, {value})")
        return text

    return re.sub(r"<[^>]+>", adapt, svg)  # tags alone: a label may look like anything


@cache
def _palette() -> dict[str, str]:
    light = files("truing.pages").joinpath("style.css").read_text(encoding="utf-8").partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
