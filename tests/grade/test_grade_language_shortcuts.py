"""What `coherence` takes for granted of most texts, checked for every character there is."""

import sys
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from truing.grade.language import _ORDINARY, _script, _strange_characters


def test_no_printable_character_is_one_that_no_writer_uses() -> None:
    printable = (chr(point) for point in range(sys.maxunicode + 1) if chr(point).isprintable())
    assert all(unicodedata.category(char)[0] != "C" for char in printable)
    assert "\n" in _ORDINARY


def test_every_ascii_letter_is_latin() -> None:
    letters = (chr(point) for point in range(128) if chr(point).isalpha())
    assert all(unicodedata.name(letter).startswith("LATIN ") for letter in letters)
    assert _script("Plain words, 7 of them.\n") is None and _script("Слова, а не words.") is not None


@given(st.text(st.characters() | st.sampled_from("ab �\x00\ue000\u200b\n\t"), max_size=30))
@example("a\ue000\x00b")
@example("��, ten and more words")
@example("line\nline\n\x07\x07")
def test_strange_characters_are_counted_as_if_each_were_looked_up(text: str) -> None:
    strange = sum(c == "�" or (unicodedata.category(c)[0] == "C" and c not in _ORDINARY) for c in text)
    found = _strange_characters(text) == "characters that no writer uses"
    assert found == (strange > 1 and strange > 0.02 * len(text))
