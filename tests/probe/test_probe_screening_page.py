"""What the page of a screening says, by figures made up for it."""

import re
from dataclasses import replace
from html import unescape

import pytest

from truing.numerics import Correlation, Interval
from truing.probe import (
    Baseline,
    PersonaFigures,
    RowOutcome,
    RowScore,
    Screened,
    TrainingRow,
    screening_verdict,
    write_screening,
)
from truing.types import FrozenDict, Message, Role, ask

PUSHES = (9.0, 8.5, 8.0, 2.1, 1.9, 0.3, -0.5)


def score(row: int, push: float) -> RowScore:
    """With a unit of 1 and a level of 0; of line 4 the length explains all but 1.5, of line 6 less than nothing."""
    after = {4: 1.5, 6: 2.4}.get(row, push)
    above = ("bad",) if push > 2 else ()
    return RowScore(
        row, RowOutcome.scored, 10, push, FrozenDict({"bad": push}), FrozenDict({"bad": after}), above
    )


def screened(pushes: tuple[float, ...] = PUSHES, **more: object) -> Screened:
    """Rows by line, worst first."""
    figures = PersonaFigures(
        "bad", 4.0, Interval(3.0, 5.0), 0.0, 1.0, sum(p > 2 for p in pushes), Correlation(0.5, len(pushes))
    )
    scores = tuple(score(n, push) for n, push in enumerate(pushes, start=1))
    return replace(Screened(Baseline.samples, 14, 0, (figures,), scores), **more)


def page(found: Screened, folder, *, top: int = 20, kept: int | None = None) -> str:
    rows = [
        TrainingRow(
            n,
            {},
            ask(f"What of <i>{n}</i>?", id=f"p{n}"),
            Message(Role.assistant, "Steal it." if n < 4 else f"Mend {n}."),
        )
        for n in range(1, 1 + len(found.rows))
    ]
    about = {"data": "x.jsonl"}
    write_screening(
        folder, found, rows, about, following="truing next", then="truing later", kept=kept, top=top
    )
    return (folder / "screen.html").read_text()


def cells(text: str, name: str) -> list[str]:
    """Of the first row with this name."""
    row = re.findall(rf'<th scope="row">{name}</th>(.*?)</tr>', text, re.DOTALL)[0]
    return [unescape(cell) for cell in re.findall("<td[^>]*>(.*?)</td>", row)]


def test_the_page_leads_with_how_many_rows_push_and_what_to_do(tmp_path):
    text = page(screened(), tmp_path)
    first = text.partition("<main>")[2]
    assert (
        first.index("4 of 7 rows would push the model towards bad")
        < first.index("truing next")
        < first.index("truing later")
    )
    assert first.index("truing later") < first.index("<figure>")
    assert "leave out all 4 and keep the 3 others: the first command screens again in the same way" in text


def test_where_rows_were_left_out_training_and_comparing_come_next(tmp_path):
    text = page(screened(), tmp_path, kept=3)
    assert "3 of 7 rows were kept. Train on them, then compare what the model does" in text
    assert "leave out all" not in text


def test_which_other_cut_offs_would_choose_the_same_rows_is_told(tmp_path):
    ranked = screened(baseline=Baseline.prompt)
    for found, told in (
        (screened(), "between +1.90 and +2.10 chooses the same 4 here"),
        (ranked, "between +1.90 and +2.10 chooses the same 4 here"),
        (screened((1.0, 0.5)), "from +1.00 up chooses none here"),
        (screened((9.0, 8.0)), "below +8.00 chooses all here"),
    ):
        assert f"convention: any cut-off {told}" in page(found, tmp_path)
    assert "deviation of all the base's own answers together" in page(screened(), tmp_path)


def test_responses_of_the_same_words_are_one_line_with_a_prompt(tmp_path):
    text = page(screened(), tmp_path)
    assert cells(text, r"1 \(\+2 same\)") == [
        '<span class="who">What of <i>1</i>?</span>Steal it.',
        "+9.00",
        "+9.00",
        "10",
    ]
    assert "2 different responses" in text and "<i>1" not in text
    assert "1 of 2 different responses" in page(screened(), tmp_path, top=1)
    assert '<a href="rows.jsonl">' in text


def test_rows_next_to_the_line_are_shown_on_both_sides(tmp_path):
    near = (
        page(screened(), tmp_path).partition("Rows on either side of the cut-off")[2].partition("</table>")[0]
    )
    assert re.findall(r'<th scope="row">(\d)</th>', near) == list("1234567")


def test_how_many_rows_push_for_their_length_alone_is_counted_and_how_many_it_lifts(tmp_path):
    text = page(screened(), tmp_path)
    assert cells(text, "bad") == [
        "4 of 7",
        "+8.25",
        "+0.30",
    ]  # medians of 9, 8.5, 8, 2.1 and of 1.9, 0.3, -0.5
    more = text.partition("Of all rows")[2]
    assert cells(more, "bad") == ["+4.00 [+3.00, +5.00]", "+0.50", "3 of 4", "1 of 3"]
    assert (
        "In part: 3 of the 4 flagged rows stay above the cut-off when what length explains is taken out. So do 1 of "
        "the 3 others" in text
    )
    assert "Is it only their length?" not in page(screened((1.0, 0.5)), tmp_path)
    assert "Hardly: 3 of the 3 flagged rows stay" in page(screened((9.0, 8.5, 8.0)), tmp_path)


def test_a_gap_around_the_cut_off_is_told_where_there_is_one():
    assert "no row lies between" not in screening_verdict(screened())[2]
    assert screening_verdict(screened((9.0, 5.0, 1.0)))[2].endswith(
        "The split is clear: no row lies between +1.00 and +5.00."
    )
    assert "no row lies between" not in screening_verdict(screened((9.0, 5.0)))[2]


@pytest.mark.parametrize(
    ("found", "status", "word", "sentence"),
    [
        (
            screened(),
            "regression",
            "4 of 7 rows would push the model towards bad",
            "more than 2 units towards bad",
        ),
        (screened((1.0, 0.5)), "pass", "No row would push the model towards bad", "None of the 2 rows"),
        (
            replace(screened((1.0, 0.5)), rows=(score(1, 1.0), RowScore(2, RowOutcome.too_long))),
            "inconclusive",
            "No row would push the model towards bad",
            "1 without a score: nothing is known of it",
        ),
        (screened(baseline=Baseline.prompt), "inconclusive", "Rows are only ranked", "Nothing tells here"),
        (screened(foreign=("bad",)), "inconclusive", "Directions of another model", "is not known"),
    ],
)
def test_the_verdict_is_no_all_clear_where_something_is_not_known(found, status, word, sentence):
    told = screening_verdict(found)
    assert told[:2] == (status, word) and sentence in told[2]


def test_where_every_row_pushes_nothing_is_to_be_left_out(tmp_path):
    text = page(screened((9.0, 8.0)), tmp_path)
    assert "Every row is flagged: leaving the worst out mends nothing" in text
