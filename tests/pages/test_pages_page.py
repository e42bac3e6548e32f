import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truing.pages import (
    IntervalRow,
    OutcomeRow,
    RefusalPoint,
    outcome_bars,
    paired_interval_plot,
    refusal_plane,
    render,
    visible,
)

HOSTILE = "</p><script>alert(1)</script>\"'&<!-- \0\ud800\u202egnp.exe\u200b\U000e0041 {{ 7 * 7 }} $x$ \U0001f642\r\n"
TEMPLATE = """
{% extends "base.html.j2" %}
{% from "macros.html.j2" import verdict, badge, stats, stat, facts, table, figure, details, callout, quote %}
{% block lede %}<p class="lede">{{ text }}</p>{% endblock %}
{% block main %}
{{ verdict("regression", text) }}
{% call stats() %}{{ stat(text, text, text) }}{{ stat("a", 1) }}{% endcall %}
{% call callout(text) %}<p>{{ text }}</p>{% endcall %}
{{ table(text, [text, "b"], [[text, badge("pass")], [text, badge("inconclusive")]], numeric=[1]) }}
{% for plot in plots %}{{ figure(plot, text) }}{% endfor %}
{% call details(text, open=true) %}{{ quote(text, text) }}{% endcall %}
{{ facts([(text, text)]) }}
{% endblock %}
"""
# Renders the page of every block and plot in a process of its own.
ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_pages_page import page
sys.stdout.buffer.write(page().encode())
"""
VOID = {"meta", "br", "hr", "img", "input", "link"}


def page(text: str = HOSTILE) -> str:
    return render("every.html.j2", package="pages_for_test", title=text, text=text, plots=plots(text))


@cache
def plots(text: str) -> list[str]:
    return [
        paired_interval_plot(
            [
                IntervalRow(text, -0.1, -0.2, -0.01, "regression", 0.05),
                IntervalRow("b", None, None, None, "inconclusive", 0.05),
            ],
            title=text,
        ),
        refusal_plane([RefusalPoint(text, 0.9, 0.1, (0.8, 0.95), (0.05, 0.2))] * 2, title=text),
        outcome_bars(
            [OutcomeRow(text, text, {"decided": 9, "unparsed": 1}), OutcomeRow("b", "c", {})], title=text
        ),
    ]


@pytest.fixture(autouse=True)
def package_of_a_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    room = tmp_path / "pages_for_test"
    (room / "templates").mkdir(parents=True)
    (room / "__init__.py").touch()
    (room / "templates" / "every.html.j2").write_text(TEMPLATE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pages_for_test", raising=False)
    from truing.pages import page as module

    module._environment.cache_clear()
    return tmp_path


class Balanced(HTMLParser):
    """Collects tags and ids, and fails where an end tag does not close what is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> while {self.open[-3:]} are open"
        self.open.pop()


def parsed(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def test_a_page_of_every_block_and_hostile_text_is_balanced_and_runs_no_script() -> None:
    tags = parsed(page()).tags
    assert "script" not in tags and "iframe" not in tags
    assert tags.count("h1") == 1 and tags.count("main") == 1 and tags.count("caption") == 1
    assert tags.count("figure") == 3 == tags.count("desc")


def test_hostile_text_adds_no_tag() -> None:
    assert parsed(page()).tags == parsed(page("plain")).tags


def test_a_page_asks_nothing_of_the_network() -> None:
    html = page("plain")
    assert re.findall(r"https?://[^\s\"']*", html.replace('xmlns="http://www.w3.org/2000/svg"', "")) == []
    for name, value in parsed(html).attributes:
        assert name not in ("src", "srcset", "data", "action") and not name.startswith("on")
        assert name != "href" or value.startswith("#")
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_no_id_is_given_twice_and_every_reference_has_its_target() -> None:
    html = page("plain")
    ids = [value for name, value in parsed(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]*)\)|href=\"#([^\"]*)\"", html)) <= {(i, "") for i in ids} | {
        ("", i) for i in ids
    }


def test_a_page_is_the_same_to_the_byte_in_another_process(package_of_a_room: Path) -> None:
    env = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": f"{package_of_a_room}:{Path.cwd()}"}
    command = [sys.executable, "-c", ALONE, Path(__file__).parent]
    assert subprocess.run(command, env=env, capture_output=True, check=True).stdout == page().encode()


def test_a_lone_surrogate_and_marks_that_turn_text_around_are_shown_as_escapes() -> None:
    html = page("a\ud800b\u202ec\0d")
    html.encode("utf-8")
    assert r"a\ud800b\u202ec\u0000d" in html
    assert not re.search("[\ud800-\udfff\u202e\0]", html)


@given(st.text(st.characters()))
def test_visible_text_can_be_encoded_and_keeps_what_was_visible(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert visible(shown) == shown
    assert visible("Zoë said: ‘नमस्ते’\t\U0001f469‍\U0001f680\n") == "Zoë said: ‘नमस्ते’\t\U0001f469‍\U0001f680\n"


def test_a_name_that_the_context_lacks_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'plots' is undefined"):
        render("every.html.j2", package="pages_for_test", title="t", text="x")


def test_a_status_that_nobody_knows_is_an_error(package_of_a_room: Path) -> None:
    (package_of_a_room / "pages_for_test" / "templates" / "odd.html.j2").write_text(
        '{% from "macros.html.j2" import badge %}{{ badge("fine") }}'
    )
    with pytest.raises(jinja2.UndefinedError, match="fine"):
        render("odd.html.j2", package="pages_for_test", title="t")


def test_a_room_cannot_replace_the_base_by_accident(package_of_a_room: Path) -> None:
    (package_of_a_room / "pages_for_test" / "templates" / "base.html.j2").write_text("another base")
    assert page("plain").startswith("<!doctype html>")


def palettes() -> list[dict[str, str]]:
    css = Path("truing/pages/style.css").read_text()
    light, dark = [
        dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in css.split("prefers-color-scheme")
    ]
    return [light, light | dark]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *((text, ground) for text in ("ink", "muted", "accent") for ground in ("paper", "raised")),
        *(
            (status, ground)
            for status in ("pass", "regression", "inconclusive")
            for ground in ("paper", f"{status}-tint")
        ),
        *(("ink", f"{status}-tint") for status in ("pass", "regression", "inconclusive")),
        ("ink", "accent-soft"),
        ("paper", "accent"),
    ],
)
def test_text_stands_out_from_its_ground_as_wcag_aa_asks(
    palette: dict[str, Any], text: str, ground: str
) -> None:
    a, b = sorted((luminance(palette[text]), luminance(palette[ground])))
    assert (b + 0.05) / (a + 0.05) >= 4.5
