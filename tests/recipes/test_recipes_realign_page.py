"""What the page of a re-alignment says, of measurements made up for it."""

import re
from html import unescape
from pathlib import Path

import pytest

from truing.methods import Measurement
from truing.numerics import Interval
from truing.probe import Behaved
from truing.recipes import realign_next, realign_summary
from truing.recipes.realign_page import realign_page
from truing.types import FrozenDict

TARGET = 0.1


def measured(*counts: tuple[int, int, int], latents: tuple[tuple[float, ...], ...] = ()) -> list[Measurement]:
    """Every five steps; of 20 answers so many misaligned, senseless and undecided; latents 3 and 4."""
    return [
        Measurement(
            5 * at,
            20 * at,
            behaved=Behaved(bad, 20 - senseless - undecided, undecided, senseless),
            interval=Interval(bad / 20 - 0.01 if bad else 0.0, (bad + senseless + undecided) / 20 + 0.01),
            latents=FrozenDict(dict(zip("34", latents[at], strict=False))) if latents else FrozenDict(),
            directions=FrozenDict({"latent 3": 1.0, "kind": 2.0}),
        )
        for at, (bad, senseless, undecided) in enumerate(counts)
    ]


def result(curve: list[Measurement], *, reached: bool = False, **more: object) -> dict[str, object]:
    made = {"base": "runs/bad one/model", "model": "runs/back/model", "judge": "ada", "target": TARGET}
    told = {"steps": curve[-1].step, "learnt": 60, "conversations": 60, "loss": 0.1, "curve": [(1, 0.2)]}
    return {**made, **told, "reached": reached, "expected": {}, "base_values": {}, **more}


def page(curve: list[Measurement], **more: object) -> str:
    """What a reader sees, one space between words."""
    made = realign_page(
        result(curve, **more),
        curve=curve,
        ground="",
        settings={},
        data=Path("right.jsonl"),
        rows=[],
        prompts=["a"],
    )
    return " ".join(unescape(re.sub("<[^>]*>", " ", made.partition("<main>")[2])).split())


def test_a_missed_target_and_what_was_reached_are_shares_of_all_answers():
    curve = measured((12, 5, 0), (4, 2, 1))
    status, word, sentence = realign_summary(result(curve), curve)
    assert (status, word) == ("regression", "Not aligned")
    assert sentence == (
        "Answers not aligned: 17 of 20 before (12 misaligned, 5 senseless), 7 of 20 after 5 steps (4 misaligned, "
        "2 senseless, 1 undecided). Target: at most 2 (10.0%)."
    )
    said = page(curve)
    assert "misaligned before 12 of 20 5 could not be judged; 95% between 59.0% and 86.0% of all" in said
    assert "misaligned after 4 of 20 3 could not be judged; 95% between 19.0% and 36.0% of all" in said
    assert "of those that could be judged" not in said and "Shares of all answers" in said
    assert (
        "not aligned: from 0.85 at 0 to 0.35 at 5" in said and "misaligned: from 0.6 at 0 to 0.2 at 5" in said
    )


@pytest.mark.parametrize(
    ("last", "stalled"),
    [
        ([(6, 0, 0), (7, 0, 0)], True),
        ([(5, 0, 0), (9, 0, 0)], True),  # as good as the best before is no better
        ([(9, 0, 0), (4, 0, 0)], False),
        ([(2, 3, 0), (2, 3, 0)], True),  # fewer misaligned, as many not aligned
    ],
)
def test_where_the_last_third_brought_nothing_more_of_the_same_rows_is_not_advised(last, stalled):
    curve = measured((12, 0, 0), (9, 0, 0), (5, 0, 0), (8, 0, 0), *last)
    told = "The last third of the measurements, from step 20 on, has none below the best before (5): more of the same"
    assert (told in realign_summary(result(curve), curve)[2]) is stalled
    why = realign_next(result(curve), curve)[0]
    assert ("Change the rows or the settings, and run again" in why) is stalled
    assert ("Give more rows" in why) is not stalled
    assert "last third" not in realign_summary(result(curve), curve[1:])[2]  # five are too few to say so


def test_an_audit_comes_next_for_a_model_that_is_aligned_alone():
    curve = measured((12, 5, 0), (4, 2, 1), (0, 0, 0))
    command = realign_next(result(curve), curve[:2])[1]
    assert command.startswith(
        "truing align realign --data OTHER_RIGHT_ROWS.jsonl --model 'runs/bad one/model' --out "
    )
    assert "Read the answers below" in page(curve[:2]) and "truing audit" not in page(curve[:2])
    good = page(curve, reached=True)
    assert "The prompts below are a sample" in good and "truing audit runs/back/model --baseline" in good


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ((0.9, 1.96), "In part. Of the way back to the base's value latent 3 has gone 89%, latent 4 40%."),
        ((0.0, 5.0), "Yes. Of the way back to the base's value latent 3 has gone 100%, latent 4 101%."),
        (
            (8.1, -0.4),
            "Hardly. Of the way back to the base's value latent 3 has gone 1%, latent 4 \N{MINUS SIGN}8%.",
        ),
        ((0.0, 9.0), "In part. Of the way back to the base's value latent 3 has gone 100%, latent 4 182%."),
    ],
)
def test_whether_it_changed_inside_as_well_is_one_sentence(after, said):
    curve = measured((12, 0, 0), (5, 0, 0), latents=((8.2, 0.0), after))
    values = {"latent 3": 0.0, "latent 4": 4.94}
    assert said in page(curve, base_values=values)
    assert "Of the way back" not in page(curve)
    assert (
        "latent 4" not in page(curve, base_values={**values, "latent 4": 0.0}).partition("way back")[2][:60]
    )


def test_a_projection_on_a_latent_that_is_watched_itself_is_left_out():
    curve = measured((12, 0, 0), (5, 0, 0), latents=((8.2, 0.0), (1.0, 2.0)))
    expected = {"latent 3": "down, towards 0", "direction latent 3": "down"}
    said = page(curve, expected=expected)
    assert "direction kind to the base's value" in said and "projection on what training pushed" not in said
    alone = measured((12, 0, 0), (5, 0, 0))
    assert "projection on what training pushed (latent 3) down" in page(alone, expected=expected)
