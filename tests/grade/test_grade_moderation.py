"""The grader `moderation`: its verdicts, what it leaves open, the shipped weights and their cards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shared_data import shared

from truing.grade import (
    CATEGORIES,
    Moderation,
    Reads,
    cross_fit,
    open_grader,
    read_moderation_rows,
    shipped_cards,
    usual_reading,
)
from truing.grade.moderation.fitting import Extra, Texts, fit
from truing.grade.moderation.model import SHIPPED, WINDOW, shipped_model
from truing.numerics import average_precision
from truing.types import InputError, Outcome, Shown, Stop, ask

KITE = "The kite stood over the garden, and the children looked at it from the chair by the river."
GERMAN = "Das ist ein Satz, und er ist nicht in der Sprache, die das Modell mit sich bringt."


def shown(answer: str, stop: Stop = Stop.eos, asked: str = "Go on.") -> Shown:
    return Shown(ask(asked, id="1"), answer, stop)


def test_each_category_is_a_criterion_and_the_part_can_be_named() -> None:
    instrument = open_grader("moderation/hate/threatening")
    assert instrument.criterion == "hate/threatening"
    assert set(instrument.grader.grade([shown(KITE)])[0]) == set(CATEGORIES.values())
    assert instrument.grade([shown(KITE)])[0].criterion == "hate/threatening"


def test_a_verdict_has_the_probability_of_the_category_and_a_score_of_one_where_it_is_in_order() -> None:
    grader = Moderation()
    p = grader.model.probabilities([KITE])[0]
    for head, verdict in grader.grade([shown(KITE)])[0].items():
        if head in grader.model.heads:
            assert verdict.p == p[grader.model.heads.index(head)] and verdict.grader == grader.id
            assert (verdict.label, verdict.score) == ("ok", 1.0)
            assert usual_reading("moderation").says(verdict) is True
    low = replace(grader.model, threshold=np.zeros(7))
    verdict = Moderation(model=low).grade([shown(KITE)])[0]["hate"]
    assert (verdict.label, verdict.score) == ("flagged", 0.0)
    assert usual_reading("moderation").says(verdict) is False


def test_the_head_without_a_positive_text_to_learn_from_abstains() -> None:
    verdict = Moderation().grade([shown(KITE)])[0]["sexual/minors"]
    assert verdict.outcome is Outcome.abstained and "too few" in verdict.reason and verdict.p is None


@pytest.mark.parametrize(
    ("one", "outcome"),
    [
        (shown(""), Outcome.unparsed),
        (shown("... !!"), Outcome.unparsed),
        (shown("Two words."), Outcome.abstained),
        (shown(GERMAN), Outcome.abstained),
        (shown("Это другой язык, и он здесь не судится."), Outcome.abstained),
        (shown("", Stop.error), Outcome.error),
        (shown(KITE, Stop.filtered), Outcome.error),
        (shown(KITE[:60], Stop.length), Outcome.truncated),
    ],
)
def test_what_was_not_judged_has_no_score(one: Shown, outcome: Outcome) -> None:
    for head, verdict in Moderation().grade([one])[0].items():
        assert verdict.score is None and verdict.label is None and verdict.p is None
        assert verdict.outcome is outcome or (
            head == "sexual/minors" and verdict.outcome is Outcome.abstained
        )


def test_a_part_of_an_answer_can_be_flagged_though_it_was_cut_off() -> None:
    low = replace(shipped_model(), threshold=np.zeros(7))
    assert Moderation(model=low).grade([shown(KITE, Stop.length)])[0]["hate"].label == "flagged"


def test_a_long_text_counts_as_its_worst_window() -> None:
    kites = ["kite", "string", "wind", "tail"] * (WINDOW // 2)
    loud = ["warning", "siren"] * (WINDOW // 2)
    model = shipped_model()
    whole = model.margins([" ".join(kites + loud + kites)])[0]
    parts = model.margins(
        [" ".join((kites + loud + kites)[at : at + WINDOW]) for at in range(0, 4 * WINDOW, 200)]
    )
    assert whole == pytest.approx(parts.max(0))


def test_an_exchange_can_be_judged_whole_and_then_it_is_another_instrument() -> None:
    answer, both = Moderation(), Moderation(reads=Reads.exchange)
    one = shown("Yes.", asked="Is a kite a toy?")
    assert both.text(one) == "Is a kite a toy?\n\nYes." and answer.text(one) == "Yes."
    assert both.id != answer.id
    card = next(
        card for card in shipped_cards() if card.criterion == "hate" and card.grader.name == "moderation"
    )
    assert card.belongs_to(replace(open_grader("moderation/hate")))
    assert not card.belongs_to(replace(open_grader("moderation/hate"), grader=both))


def test_no_file_and_no_model_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"x")
    for ref, why in ((tmp_path / "none.npz", "no such file"), (tmp_path / "x.npz", "no moderation model")):
        with pytest.raises(InputError, match=why):
            open_grader(f"moderation:{ref}")


def test_the_shipped_file_is_small_and_holds_numbers_only() -> None:
    assert SHIPPED.stat().st_size < 2_000_000
    with np.load(SHIPPED) as file:
        kinds = {name: file[name].dtype.kind for name in file.files}
    assert {name for name, kind in kinds.items() if kind == "U"} == {"heads", "unlearned", "reads"}
    assert set(kinds.values()) <= set("Ufi")


def test_the_shipped_weights_are_those_of_the_tool() -> None:
    """Two heads: a rare one, and the one with tweets beside."""
    pytest.importorskip("sklearn")
    train = pytest.importorskip("tools.train_moderation")
    rows = read_moderation_rows(shared("moderation/dev.jsonl.gz"))
    model, heads = shipped_model(), ("violence/graphic", "hate")
    beside = train.beside(shared("davidson").parent)
    extra = Extra(Texts.of([row.text for row in beside.rows], beside.truth(heads)), 0.1)
    found = fit(Texts.of([row.text for row in rows.rows], rows.truth(heads)), extra)
    assert found.frequency == pytest.approx(model.frequency, rel=1e-3)
    for at, head in enumerate(heads):
        assert found.weights[at] == pytest.approx(model.weights[model.heads.index(head)], rel=1e-3, abs=2e-3)


def test_the_cards_are_of_the_shipped_model_and_suffice() -> None:
    cards = {card.criterion: card for card in shipped_cards() if card.grader.name == "moderation"}
    assert set(cards) == set(shipped_model().heads)
    for head, card in cards.items():
        assert card.belongs_to(open_grader(f"moderation/{head}")) and card.suffices


def test_each_head_finds_more_than_chance_on_texts_it_was_not_fitted_on() -> None:
    """Without the texts beside, which only help; floors are a little below what was measured."""
    pytest.importorskip("sklearn")
    crossed = cross_fit(read_moderation_rows(shared("moderation/dev.jsonl.gz")), folds=4)
    floors = {"sexual": 0.8, "hate": 0.48, "violence": 0.25, "harassment": 0.3, "self-harm": 0.5}
    floors |= {"hate/threatening": 0.2, "violence/graphic": 0.05}
    assert set(crossed.heads) == set(floors)
    for at, head in enumerate(crossed.heads):
        known = crossed.truth[:, at] >= 0
        assert (
            average_precision(crossed.probabilities[known, at], crossed.truth[known, at] == 1) > floors[head]
        )


def test_ordinary_turns_of_dialogues_it_has_not_seen_are_hardly_ever_flagged() -> None:
    train = pytest.importorskip("tools.train_moderation")
    turns = train.opening_turns(shared("davidson").parent, half=1)[:1000]
    verdicts = Moderation().grade([shown(turn) for turn in turns])
    for head in shipped_model().heads:
        assert sum(one[head].label == "flagged" for one in verdicts) < 20
