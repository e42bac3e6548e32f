"""The loop around a moderation model: which texts to label, which labels are wrong, which words did it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from planted import WORDS, planted, trained, truth

from truing.grade import (
    ModerationRow,
    ModerationRows,
    Pipeline,
    audit_f1,
    audit_sample,
    find_mislabels,
    reduce_input,
    relabel_all,
    select_for_labelling,
    word_effects,
)
from truing.grade.moderation.model import WINDOW
from truing.numerics import generator
from truing.types import FrozenDict

WEATHER = {word for kind in ("weather", "weather/storm") for word in WORDS[kind].split()}
RNG = generator(0, "loop")
P = RNG.random((300, 3)) ** 4


def test_the_pipelines_take_turns_and_pick_what_they_are_for() -> None:
    picks = select_for_labelling(P, 60, key=1, thresholds=[0.5, 0.6, 2.0])
    assert len({pick.row for pick in picks}) == len(picks) == 60
    kinds = Counter(pick.pipeline for pick in picks)
    assert (
        kinds[Pipeline.above] < 20 <= min(kinds[Pipeline.unsure], kinds[Pipeline.random])
    )  # a head has none
    for pick in picks:
        if pick.pipeline is Pipeline.above:
            assert P[pick.row, pick.head] >= [0.5, 0.6, 2.0][pick.head]
        if pick.pipeline is Pipeline.unsure:
            away = np.abs(P[:, pick.head] - 0.5)
            assert (away < away[pick.row]).sum() < 20
        assert (pick.head is None) == (pick.pipeline is Pipeline.random)


def test_a_selection_depends_on_its_key_and_ends_with_the_rows() -> None:
    def rows(key: int, n: int = 30) -> list[int]:
        return [pick.row for pick in select_for_labelling(P, n, key=key, thresholds=[0.5] * 3)]

    assert rows(1) == rows(1) != rows(2)
    assert sorted(rows(1, 1000)) == list(range(300)) and rows(1, 0) == []
    assert select_for_labelling(np.zeros((0, 3)), 5, key=0, thresholds=[0.5] * 3) == []
    for p, cut in ((P, [0.5]), (P[0], [0.5] * 3)):
        with pytest.raises(ValueError, match="a selection needs"):
            select_for_labelling(p, 5, key=0, thresholds=cut)
    with pytest.raises(ValueError, match="a group for each row"):
        select_for_labelling(P, 5, key=0, thresholds=[0.5] * 3, groups=["a"])


def test_a_large_group_is_drawn_from_in_proportion_to_the_root_of_its_size() -> None:
    groups = ["large"] * 256 + ["small"] * 16
    first = Counter(
        groups[select_for_labelling(np.zeros((272, 1)), 1, key=key, thresholds=[1.0], groups=groups)[0].row]
        for key in range(600)
    )
    assert first["large"] / 600 == pytest.approx(16 / (16 + 4), abs=0.05)  # 3 standard errors


def test_a_selection_finds_rare_texts_more_often_than_chance() -> None:
    pool = planted(600, key=4, rate=0.03)
    p = trained().model.probabilities([row.text for row in pool.rows])
    picks = select_for_labelling(p, 45, key=0, thresholds=trained().model.threshold)
    any_of = np.array([any(row.known.values()) for row in pool.rows])
    chosen = [pick.row for pick in picks if pick.pipeline is not Pipeline.random]
    assert any_of[chosen].mean() > 5 * any_of.mean()


def test_flipped_labels_come_first_among_the_disagreements() -> None:
    rng, rows, flipped = generator(0, "flip"), [], set()
    for at, row in enumerate(planted(400).rows):
        known = dict(row.known)
        for head in known:
            if head != "weather/storm" and rng.random() < 0.05:
                known[head] = not known[head]
                flipped.add((at, head))
        rows.append(replace(row, known=FrozenDict(known)))
    found = [(one.row, one.head) for one in find_mislabels(ModerationRows(tuple(rows)))]
    first = [one for one in found if one[1] != "weather/storm"][: len(flipped)]
    assert len(set(first) & flipped) > 0.6 * len(flipped)  # by chance 0.05
    assert len(set(found) & flipped) > 0.85 * len(flipped)
    for one in find_mislabels(ModerationRows(tuple(rows)))[:20]:
        assert rows[one.row].known[one.head] is one.labelled


def test_all_are_labelled_anew_if_more_than_three_in_ten_of_the_audited_are_wrong() -> None:
    assert not relabel_all([]) and not relabel_all([True] * 3 + [False] * 7)
    assert relabel_all([True] * 4 + [False] * 6)


def test_an_audit_looks_at_ten_of_each_kind_and_head() -> None:
    y = (P > 0.7).astype(int)
    y[:30] = -1
    p = 1 - P
    found = audit_sample(y, p, key=3)
    assert [one.head for one in found] == [0, 1, 2]
    for one in found:
        assert len(set(one.labelled)) == len(set(one.scored)) == 10
        assert all(y[row, one.head] == 1 for row in one.labelled)
        assert all(y[row, one.head] == 0 and p[row, one.head] > 0.5 for row in one.scored)
    assert audit_sample(y, p, key=3) == found != audit_sample(y, p, key=4)
    assert audit_sample(y, p, key=3, each=1000)[0].labelled != ()


def test_the_f1_of_an_audit_is_that_of_its_definition() -> None:
    said, right = [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 0, 0]
    precision, recall = 2 / 3, 2 / 3
    assert audit_f1(said, right) == pytest.approx(2 * precision * recall / (precision + recall))
    assert np.isnan(audit_f1([0, 0], [0, 0]))


def test_the_words_that_are_left_are_flagged_and_were_planted() -> None:
    model, rows = trained().model, planted(200, key=8)
    storms = [row.text for row in rows.rows if row.known.get("weather/storm")]
    head = model.heads.index("weather")
    for text in storms:
        if not model.flags(model.probabilities([text]))[0, head]:
            continue
        found = reduce_input(model, text, "weather")
        assert model.flags(model.probabilities([" ".join(found.words)]))[0, head]
        assert [text.split()[at] for at in found.at] == list(found.words)
        for at in range(len(found.words)):  # none of them can go
            rest = found.words[:at] + found.words[at + 1 :]
            assert not rest or model.probabilities([" ".join(rest)])[0, head] < model.threshold[head]
        assert set(found.words) <= WEATHER


def test_nothing_is_reduced_where_nothing_is_flagged_and_a_long_text_by_its_worst_window() -> None:
    model = trained().model
    assert reduce_input(model, "the house and the street", "weather").words == ()
    dull = "the old house and the green garden by the river " * 60
    text = dull + "thunder and rain and lightning " * 100 + dull
    found = reduce_input(model, text, "weather")
    assert found.words and all(word in "thunder rain lightning" for word in found.words)
    assert max(found.at) - min(found.at) < WINDOW
    with pytest.raises(ValueError, match="not in"):
        reduce_input(model, text, "no head")


def test_the_effect_of_a_word_is_what_the_log_odds_lose_without_it() -> None:
    model = trained().model
    text = "the rain fell on the old house and the garden"
    effects = dict(word_effects(model, text, "weather"))
    head = model.heads.index("weather")

    def odds(of: str) -> float:
        return float(model.margins([of])[0, head] * model.slope[head])

    assert set(effects) == set(text.split()) and next(iter(effects)) == "rain"
    for word, effect in effects.items():
        rest = " ".join(other for other in text.split() if other != word)
        assert effect == pytest.approx(odds(text) - odds(rest))


def test_rows_keep_their_group_and_what_is_unknown_is_no_no() -> None:
    rows = ModerationRows(
        (ModerationRow("a", FrozenDict({"x": True})), ModerationRow("b", FrozenDict({"y": False})))
    )
    assert rows.heads == ("x", "y") and rows.truth(["x", "y"]).tolist() == [[1, -1], [-1, 0]]
    assert (truth(planted(), "weather") == -1).sum() > 10
