"""From a room's template to one self-contained page."""

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from truing.pages.words import shell

if TYPE_CHECKING:
    from jinja2 import Environment

# Control characters but tab, line feed and carriage return; lone surrogates; marks that turn the
# direction of text around (they can make a line read as what it does not say); characters without
# width, with which instructions are hidden in a text. Joiners stay: some scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    r"""The text with what cannot be seen or encoded written as an escape, such as `\u202e` or `\u0000`."""
    return _INVISIBLE.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def render(template: str, *, package: str, title: str, **context: object) -> str:
    """Render `template` from the folder `templates` of `package` (`"truing.audit"`) as a whole page.

    The template extends `base.html.j2`. Values are escaped unless they are `Markup`, and a name
    that the context lacks is an error. Whatever the context holds, the page can be encoded as
    UTF-8 and shows every character (see `visible`); equal contexts give equal bytes.

    Raises:
        jinja2.TemplateError: there is no such template, or it uses a name that is not given.
    """
    page = _environment(package).get_template(template).render(title=title, **context)
    return visible(page.strip()) + "\n"


@cache
def _environment(package: str) -> "Environment":
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    own = files("truing.pages")
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("truing.pages"), PackageLoader(package)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style"] = Markup(own.joinpath("style.css").read_text(encoding="utf-8"))
    environment.filters["shell"] = shell
    return environment
