import json
import re
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from truing.data import parse_yaml, read_yaml
from truing.types import InputError

TEXT = """\
# a comment
name: town rules
rules:
  - id: bells   # line 4
    when: at night
  - id: lamps
    allowed: [dawn,
      dusk]
note: |
  two
  lines
"""


def test_every_part_knows_its_line():
    spec = parse_yaml(TEXT, file="town.yaml")
    assert spec.data["rules"][1] == {"id": "lamps", "allowed": ["dawn", "dusk"]}
    assert spec.line() == 2
    assert spec.line("name") == 2
    assert spec.line("rules") == 3
    assert spec.line("rules", 0) == 4
    assert spec.line("rules", 1, "allowed") == 7
    assert spec.line("rules", 1, "allowed", 1) == 8
    assert spec.line("note") == 9
    assert spec.line("rules", 0, "missing", "deeper") == 4
    assert str(spec.error("is odd", "rules", 0, "when", mend="change it")) == (
        "town.yaml, row 5: is odd; change it."
    )


def test_scalars_are_what_json_would_say_and_text_otherwise():
    plain = {
        "true": True, "False": False, "null": None, "~": None, "": None,
        "0": 0, "-12": -12, "1.5": 1.5, "-2e3": -2000.0, "1e2": 100.0,
        "yes": "yes", "NO": "NO", "on": "on", "007": "007", "0x1f": "0x1f", "1_000": "1_000",
        "12:30:00": "12:30:00", "2026-11-23": "2026-11-23", ".nan": ".nan", ".inf": ".inf", "1e999": "1e999",
        "+1": "+1", ".5": ".5", "=": "=",
    }  # fmt: skip
    for text, value in plain.items():
        read = parse_yaml(f"a: {text}", file="f").data["a"]
        assert read == value and type(read) is type(value), text
    assert parse_yaml("a: '12'\nb: \"true\"", file="f").data == {"a": "12", "b": "true"}
    assert parse_yaml("a: " + "9" * 400, file="f").data["a"] == "9" * 400


def test_keys_are_their_text():
    assert parse_yaml("1: a\nno: b\nnull: c", file="f").data == {"1": "a", "no": "b", "null": "c"}


def test_nul_surrogates_and_emoji_survive_as_escapes():
    assert parse_yaml(r'"\0\ud800 \ud83d\ude00"', file="f").data == "\0\ud800 \U0001f600"
    assert parse_yaml("😀: 😀", file="f").data == {"😀": "😀"}


BAD = [
    ("a: 1\nb: [", 2, "is not YAML"),
    ("a: 1\n\tb: 2", 2, "is not YAML"),
    ("a: 1\nb: !!python/object/apply:os.system [x]", 2, "has the tag"),
    ("a: 1\nb: !secret 5", 2, "has the tag"),
    ("a: !!str 5", 1, "has the tag"),
    ("a: ! 5", 1, "has the tag"),
    ("a: 1\nb: 2\na: 3", 3, "has the key 'a' a second time .first in row 1"),
    ("x:\n  '1': 1\n  1: 2", 3, "second time"),
    ("base: &b {x: 1}\nc:\n  <<: *b", 3, "merge key"),
    ("? [a]\n: b", 1, "has a key that is no text"),
    ("a: 1\n---\nb: 2", 2, "another document"),
    ("a: *nobody", 1, "undefined alias"),
    ("a: 1\nb: \0", 2, "control character"),
    ("a: \ud800", 1, "control character"),
    ("[" * 60 + "]" * 60, 1, "nested more than 50 deep"),
    ("[" * 100_000, 1, "nested more than 50 deep"),
    ("a: &a [*a]", 1, "repeats too much"),
    ('"\\UFFFFFFFF"', None, "is not YAML"),
]


@pytest.mark.parametrize(("text", "row", "what"), BAD)
def test_what_is_refused_is_named_with_its_line(text, row, what):
    with pytest.raises(InputError, match=what) as caught:
        parse_yaml(text, file="spec.yaml")
    assert caught.value.row == row and caught.value.file == "spec.yaml"
    assert "\n" not in str(caught.value)


def test_a_billion_laughs_are_refused_at_once():
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    start = time.process_time()
    with pytest.raises(InputError, match="repeats too much"):
        parse_yaml("\n".join(lines), file="f")
    assert time.process_time() - start < 2


def test_honest_aliases_are_copies_with_the_line_of_their_use():
    spec = parse_yaml("base: &b {x: [1, 2]}\nuse: *b\nlist:\n- *b", file="f")
    assert spec.data["use"] == spec.data["base"] == spec.data["list"][0]
    assert spec.data["use"] is not spec.data["base"]
    assert spec.line("use") == 2


def test_an_empty_document_is_null():
    for text in ("", "# nothing\n", "---\n"):
        spec = parse_yaml(text, file="f")
        assert spec.data is None and spec.line() >= 1


def test_files_are_utf8_and_named(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\nb: \xff\n")
    with pytest.raises(InputError, match=r"s.yaml, row 2: is not UTF-8"):
        read_yaml(path)
    path.write_bytes(b"\xef\xbb\xbfa: \xc3\xa9")
    assert read_yaml(path).data == {"a": "é"}
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "gone.yaml")


def is_no_number(text: str) -> bool:
    """A YAML 1.1 library writes the text 1e5 bare, as it is no number to it; to JSON it is one, and so to us."""
    return not re.fullmatch(r"-?[\d.]+[eE][-+]?\d+", text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.text(st.characters(codec="utf-8")).filter(is_no_number),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6).filter(is_no_number), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_a_number_of_json_is_a_number_where_yaml_libraries_take_it_for_text():
    assert yaml.safe_load("0E0") == "0E0"
    assert parse_yaml("0E0", file="f").data == json.loads("0E0") == 0.0
    assert parse_yaml('"0E0"', file="f").data == "0E0"


@given(VALUES)
def test_json_written_by_a_yaml_library_reads_as_itself(value):
    assert parse_yaml(json.dumps(value), file="f").data == value
    assert parse_yaml(yaml.safe_dump(value), file="f").data == value


@given(st.text(max_size=60))
def test_any_text_gives_data_or_one_sentence(text):
    try:
        spec = parse_yaml(text, file="f")
    except InputError as why:
        assert why.file == "f"
    else:
        assert () in spec.lines


def test_the_public_rule_set_agrees_with_pyyaml():
    path = shared("rbr_gold/proposition_prompts.yaml")
    spec = read_yaml(path)
    assert spec.data == yaml.safe_load(path.read_text(encoding="utf-8"))
    lines = path.read_text(encoding="utf-8").splitlines()
    for name in spec.data["simple_propositions"]:
        assert str(name) in lines[spec.line("simple_propositions", name) - 1]
