"""Numbers and texts as pages write them."""

from truing.pages import cut, signed


def test_a_number_has_its_sign_and_a_text_its_mark_where_it_was_cut():
    assert [signed(-0.5), signed(2.0, ".2f"), signed(-12.4, ".0f")] == ["−0.5", "+2.00", "−12"]
    assert cut("abc", 3) == "abc" and cut("abcd", 3) == "abc…"
