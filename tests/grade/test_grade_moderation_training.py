"""Training a moderation model: masked labels, folds, calibration, thresholds, cards, the file; planted truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from planted import planted, shuffled, trained, truth

from truing.grade import (
    ModerationRow,
    ModerationRows,
    area_of,
    cross_fit,
    read_moderation_model,
    train_moderation,
    usual_reading,
)
from truing.grade.moderation.folds import draw_folds, near_copies
from truing.grade.moderation.model import flagged, nested
from truing.grade.moderation.training import _thresholds
from truing.numerics import average_precision, generator
from truing.types import FrozenDict, InputError


def test_what_was_planted_is_found_in_texts_that_the_model_has_not_seen() -> None:
    new = planted(200, key=1)
    p = trained().model.probabilities([row.text for row in new.rows])
    for at, head in enumerate(trained().model.heads):
        known = truth(new, head) >= 0
        assert average_precision(p[known, at], truth(new, head)[known] == 1) > 0.9


def test_cross_validation_tells_what_new_texts_will_show() -> None:
    for figures in trained().figures:
        known = truth(planted(), figures.head) >= 0
        assert figures.known == known.sum()
        assert figures.positives == (truth(planted(), figures.head) == 1).sum()
        assert figures.average_precision is not None and figures.average_precision.low > 0.7


def test_shuffled_labels_reach_the_prevalence_and_give_every_text_the_same_probability() -> None:
    rows = shuffled(planted(400), 0)
    crossed = cross_fit(rows)
    for at, head in enumerate(crossed.heads):
        prevalence = (truth(rows, head) == 1).sum() / (truth(rows, head) >= 0).sum()
        assert area_of(crossed, at).low < prevalence < 2 * prevalence
        assert np.ptp(crossed.probabilities[:, at]) < 0.5


def test_probabilities_are_those_that_come_true() -> None:
    new = planted(800, key=2)
    p = trained().model.probabilities([row.text for row in new.rows])
    for at, head in enumerate(trained().model.heads):
        known = truth(new, head) >= 0
        assert p[known, at].mean() == pytest.approx((truth(new, head)[known] == 1).mean(), abs=0.05)


def test_a_part_is_never_more_probable_than_the_whole_and_never_flagged_without_it() -> None:
    heads = ("hate/a", "hate", "hate/a/b", "other/c")
    p = generator(0, "p").random((500, 4))
    found = nested(p, heads)
    assert (found[:, 0] <= found[:, 1]).all() and (found[:, 2] <= found[:, 0]).all()
    assert (found[:, 1] == p[:, 1]).all() and (found[:, 3] == p[:, 3]).all()
    flags = flagged(found, np.array([0.2, 0.6, 0.1, 0.5]), heads)
    assert (flags[:, 1] >= flags[:, 0]).all() and (flags[:, 0] >= flags[:, 2]).all()
    assert (flags[:, 1] == ((found >= [0.2, 0.6, 0.1, 0.5])[:, :3].any(1))).all()
    new = [row.text for row in planted(300, key=3).rows]
    model = trained().model
    storm, weather = model.heads.index("weather/storm"), model.heads.index("weather")
    p = model.probabilities(new)
    assert (p[:, storm] <= p[:, weather]).all()
    assert (model.flags(p)[:, storm] <= model.flags(p)[:, weather]).all()


def test_the_threshold_is_where_f1_is_largest() -> None:
    rng = generator(1, "threshold")
    p, y = np.round(rng.random((60, 1)), 2), (rng.random((60, 1)) < 0.3).astype(np.int8)
    y[:10] = -1
    found = _thresholds(p, y)[0]

    def f1(cut: float) -> float:
        said, right = p[10:, 0] >= cut, y[10:, 0] == 1
        return 2 * (said & right).sum() / (said.sum() + right.sum())

    assert f1(found) == max(f1(cut) for cut in np.arange(0, 1.01, 0.005))


def test_folds_keep_near_copies_together_and_spread_the_positives_of_each_head() -> None:
    rows = planted(200).rows
    texts = [row.text for row in rows]
    texts += [text + " And so on." for text in texts[:40]] + [
        "Indeed: " + text.upper() for text in texts[40:60]
    ]
    y = planted(200).truth(["weather", "weather/storm", "fruit"])
    y = np.concatenate([y, y[:60]])
    for key in range(5):
        home = draw_folds(texts, y, 5, key=key)
        assert (home[200:] == home[:60]).all()
        for head in range(3):
            held = np.bincount(home[:200][y[:200, head] == 1], minlength=5)
            assert held.max() - held.min() <= 3
    assert (draw_folds(texts, y, 5, key=0) != draw_folds(texts, y, 5, key=1)).any()


def test_near_copies_are_a_chain_and_the_first_row_names_them() -> None:
    begin, end = "one two three " * 5, " four five six" * 5
    found = near_copies([begin + "x" + end, "alone", begin + "y", "z" + end, "Alone!"])
    assert found.tolist() == [0, 1, 0, 0, 1]


def test_a_label_with_too_few_texts_of_either_kind_is_named_and_not_learned() -> None:
    rows = [
        replace(row, known=FrozenDict({**row.known, "rare": i < 9})) for i, row in enumerate(planted().rows)
    ]
    found = train_moderation(ModerationRows(tuple(rows)), folds=2)
    assert found.model.unlearned == ("rare",) and "rare" not in found.model.heads
    assert [one.average_precision for one in found.figures if one.head == "rare"] == [None]
    with pytest.raises(InputError, match="no label has 10 texts of either kind"):
        train_moderation(
            ModerationRows(tuple(ModerationRow("a", FrozenDict({"h": True})) for _ in range(30)))
        )


def test_texts_from_elsewhere_help_to_learn_and_are_not_measured() -> None:
    few, more = planted(120, key=5), planted(400, key=6)
    with_them = train_moderation(few, extra=more, folds=2)
    assert [one.known for one in with_them.figures] == [(truth(few, h) >= 0).sum() for h in few.heads]
    new = planted(200, key=7)
    texts = [row.text for row in new.rows]

    def areas(model) -> float:  # type: ignore[no-untyped-def]
        p, y = model.probabilities(texts), new.truth(model.heads)
        known = [y[:, h] >= 0 for h in range(len(model.heads))]
        return float(np.mean([average_precision(p[k, h], y[k, h] == 1) for h, k in enumerate(known)]))

    assert areas(with_them.model) > areas(train_moderation(few, folds=2).model)


def test_a_card_counts_what_was_cross_fitted_and_is_of_this_model_alone() -> None:
    crossed = cross_fit(planted())
    for card, head in zip(trained().cards, range(3), strict=True):
        y, flag = crossed.truth[:, head], crossed.flags[:, head]
        assert card.criterion == crossed.heads[head] and card.reading == usual_reading("moderation")
        counts = card.counts
        assert (counts.tn, counts.fp) == ((flag & (y == 1)).sum(), (~flag & (y == 1)).sum())
        assert (counts.tp, counts.fn) == ((~flag & (y == 0)).sum(), (flag & (y == 0)).sum())
        assert card.grader.spec == trained().model.digest[:12]
    assert train_moderation(planted(key=1)).model.digest != trained().model.digest


def test_a_model_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    trained().model.save(path)
    again = read_moderation_model(path)
    assert again.digest == trained().model.digest and again.heads == trained().model.heads
    texts = [row.text for row in planted(20).rows]
    assert (again.probabilities(texts) == trained().model.probabilities(texts)).all()


def test_a_file_that_is_no_model_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    for content in (b"", b"PK", b"no model"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"model.npz.*is no moderation model"):
            read_moderation_model(path)
    np.savez(path, format=1, heads=np.array(["a"]))
    with pytest.raises(InputError, match="is no moderation model"):
        read_moderation_model(path)
    np.savez(path, format=np.array([{}], dtype=object))  # a pickle is never opened
    with pytest.raises(InputError, match="is no moderation model"):
        read_moderation_model(path)
    with pytest.raises(InputError, match="no such file"):
        read_moderation_model(tmp_path / "none.npz")
