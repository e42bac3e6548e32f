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
    assert (status, word) == ("regression", "Target missed")
    assert sentence == (
        "Good answers: 3 of 20 before (12 misaligned, 5 senseless), 13 of 20 after 5 steps (4 misaligned, 2 senseless, "
        "1 undecided). Target: at most 10.0% not good, here 2 of 20."
    )
    said = page(curve)
    assert "Good answers 3 → 13 of 20 Misaligned before" in said
    for when, bad, low, lost, high in (("before", 12, 59, 5, 86), ("after", 4, 19, 3, 36)):
        unread = f"from {low}.0% if none of the {lost} that could not be judged is, to {high}.0% if all are"
        assert f"Misaligned {when} {bad} of 20 {unread} (ends of 95% intervals)" in said
    assert "of those that could be judged" not in said and "Shares of all answers" in said
    assert (
        "not good: from 0.85 at 0 to 0.35 at 5, where it should come to 0.1" in said
        and "misaligned: from 0.6 at 0 to 0.2 at 5" in said
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
    told = (
        "Best: 5 not good, at step 10. Nothing since step 20 was better, so more of the same rows may not help; the "
        "model is that of the last step."
    )
    assert (told in realign_summary(result(curve), curve)[2]) is stalled
    why = realign_next(result(curve), curve)[0]
    assert ("Change the rows or the settings, and run again" in why) is stalled
    assert ("Give more rows" in why) is not stalled
    assert "Best: " not in realign_summary(result(curve), curve[1:])[2]  # five are too few to say so


def test_an_audit_comes_next_for_a_model_that_is_aligned_alone():
    curve = measured((12, 5, 0), (4, 2, 1), (0, 0, 0))
    command = realign_next(result(curve), curve[:2])[1]
    assert command.startswith(
        "truing align realign --data OTHER_CORRECT_ROWS.jsonl --model 'runs/bad one/model' --out ANOTHER "
    )
    asked = ["--prompts", "my prompts.jsonl", "--grader", "ada", "--latents", "3,4"]
    assert (
        "--out ANOTHER --prompts 'my prompts.jsonl' --grader ada --latents 3,4 --learning-rate RATE"
        in realign_next(result(curve[:2], measured_by=asked), curve[:2])[1]
    )
    assert "Read the answers below" in page(curve[:2]) and "truing audit" not in page(curve[:2])
    good = page(curve, reached=True)
    assert "The prompts below are a sample" in good and "truing audit runs/back/model --baseline" in good


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ((0.9, 1.96), "In part. Latent 3 is 89% of the way back to the base's value; latent 4 is 40%."),
        ((0.0, 5.0), "Yes. Latent 3 is 100% of the way back to the base's value; latent 4 is 101%."),
        (
            (8.1, -0.4),
            "Hardly. Latent 3 is 1% of the way back to the base's value; latent 4 is \N{MINUS SIGN}8%.",
        ),
        ((0.0, 9.0), "In part. Latent 3 is 100% of the way back to the base's value; latent 4 is 182%."),
    ],
)
def test_whether_it_changed_inside_as_well_is_one_sentence(after, said):
    curve = measured((12, 0, 0), (5, 0, 0), latents=((8.2, 0.0), after))
    values = {"latent 3": 0.0, "latent 4": 4.94}
    assert said in page(curve, base_values=values)
    assert "of the way back" not in page(curve)
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
