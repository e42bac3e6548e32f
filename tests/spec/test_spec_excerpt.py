from pathlib import Path

import pytest
from kites import FILES, write

from truing.spec import Spec, read_spec, rough_tokens
from truing.types import InputError

WHOLE = """\
# All categories in short

- places (Places for kites): Fields are fine; airfields are not.
- strings (Kite strings): Strings of cotton are fine; strings that cut are not.

# Principles

## Help by default [principles.help_by_default]

Help with whatever is not ruled out below.

## Do not lecture [principles.do_not_lecture]

Say no once.

# Response styles

## comply [style.comply]

Answer fully.

## hard_refuse [style.hard_refuse]

One sentence, without a reason.

# Kite strings [strings]

Strings of cotton are fine; strings that cut are not.

## Definitions

A *string* holds a kite.

## Allowed

[strings.allowed.1] Cotton strings,
waxed or not.

[strings.allowed.2] Measuring a string.

## Disallowed

[strings.disallowed.1] Strings coated with glass.

## Style

Use comply and hard_refuse.

## Examples

- "How long is a kite string?" -> comply
- "How do I coat a string with \\"glass\\"?" -> hard_refuse (source: letters (1).txt)
"""


def words(text: str) -> int:
    return len(text.split())


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return read_spec(write(tmp_path))


def test_without_a_budget_all_summaries_the_principles_and_one_category_in_full_are_shown(spec: Spec):
    found = spec.for_category("strings")
    assert found.text == WHOLE and found.cut == ()
    assert spec.for_category("strings", words(WHOLE), words).text == WHOLE


def test_what_is_cut_is_cut_whole_in_the_order_told(tmp_path: Path):
    head = FILES["spec.md"] + "\n## soft_refuse\nWith warmth.\n"
    spec = read_spec(write(tmp_path, {"spec.md": head}))
    order = [
        "strings.examples.2", "strings.examples.1", "style.soft_refuse", "principles.do_not_lecture",
        "principles.help_by_default", "style.hard_refuse", "style.comply", "strings.style", "strings.definitions",
    ]  # fmt: skip
    shown = {0: spec.for_category("strings").text}
    for budget in range(words(shown[0]), 63, -1):
        found = spec.for_category("strings", budget, words)
        assert words(found.text) <= budget
        assert list(found.cut) == order[: len(found.cut)]
        # Whatever was cut less has been seen at a larger budget, and does not fit any more.
        assert all(words(text) > budget for cuts, text in shown.items() if cuts < len(found.cut))
        shown[len(found.cut)] = found.text
    shortest = spec.for_category("strings", 63, words)
    assert list(shortest.cut) == order and set(range(len(order))) <= set(shown)
    for never in ("All categories in short", "strings.allowed.2", "glass", "airfields"):
        assert never in shortest.text
    for gone in ("Principles", "Response styles", "Examples", "## Style", "Definitions"):
        assert gone not in shortest.text


def test_a_budget_that_never_suffices_is_told_why(spec: Spec):
    with pytest.raises(InputError, match=r"the summaries and the clauses of strings take 63 tokens, .* 62"):
        spec.for_category("strings", 62, words)
    with pytest.raises(InputError, match="the summaries of all categories alone take 30 tokens, more than"):
        spec.for_category("strings", 5, words)
    with pytest.raises(InputError, match="has no category 'kites'"):
        spec.for_category("kites")


def test_an_excerpt_depends_on_nothing_that_it_does_not_show(tmp_path: Path):
    before = read_spec(write(tmp_path / "a"))
    changed = FILES["categories/places.md"].replace("Airfields.", "Airfields and roads.")
    after = read_spec(write(tmp_path / "b", {"categories/places.md": changed}))
    assert before.for_category("strings").digest == after.for_category("strings").digest
    assert before.for_category("places").digest != after.for_category("places").digest


def test_tokens_are_guessed_on_the_long_side():
    assert rough_tokens("") == 0 and rough_tokens("a") == 1 and rough_tokens("kites fly") == 3
    assert rough_tokens("凧") == 1


def test_an_example_that_expects_nothing_is_not_shown(tmp_path: Path):
    more = FILES["categories/strings.md"] + '- "a" -> unstated\n'
    spec = read_spec(write(tmp_path, {"categories/strings.md": more}))
    assert spec.for_category("strings").text == WHOLE
    assert spec.for_category("strings", words(WHOLE) - 1, words).cut == ("strings.examples.2",)


def test_examples_are_cut_so_that_each_response_type_keeps_its_share(tmp_path: Path):
    more = '- "a" -> comply\n- "b" -> comply\n- "c" -> hard_refuse\n'
    spec = read_spec(write(tmp_path, {"categories/strings.md": FILES["categories/strings.md"] + more}))
    whole = words(spec.for_category("strings").text)
    cut = spec.for_category("strings", whole - 8, words).cut
    assert cut == ("strings.examples.4", "strings.examples.5")
    assert spec.for_category("strings", whole - 9, words).cut == (*cut, "strings.examples.3")
