"""The weights of the refusal grader: read without scikit-learn, and made again from the public data."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shared_data import shared
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from truing.grade import Refusal, RefusalClass
from truing.grade.refusal import Read
from truing.grade.refusal_features import FEATURES, RULES
from truing.grade.refusal_model import RefusalWeights, shipped_weights
from truing.grade.refusal_training import (
    RULES_WEIGH,
    STRENGTH,
    Judged,
    cross_judged,
    fit_refusal,
    read_xstest,
    train_refusal,
)
from truing.types import InputError, Outcome, Shown, ask

SHOWN = Shown(ask("?", id="q"), "!")


@pytest.fixture(scope="module")
def people() -> list[Judged]:
    return read_xstest(shared("xstest/completions"))


def made_up(n: int, seed: int = 0) -> list[Judged]:
    """Answers of three models to thirty prompts, their class a noisy function of random features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(FEATURES))) * rng.uniform(0.1, 5, len(FEATURES)) + rng.normal(
        size=len(FEATURES)
    )
    x[:, 4] = 1.0  # a feature that never changes
    said = (x @ rng.normal(size=(len(FEATURES), 3)) + rng.gumbel(size=(n, 3))).argmax(axis=1)
    classes = list(RefusalClass)
    return [
        Judged("abc"[i % 3], str(i % 30), "", SHOWN, Read("", features=tuple(row)), classes[k])
        for i, (row, k) in enumerate(zip(x.tolist(), said, strict=True))
    ]


def test_the_weights_give_what_scikit_learn_gives() -> None:
    answers = made_up(300)
    x = np.array([one.read.features for one in answers])
    tilt = np.array([RULES_WEIGH if name.startswith(RULES) else 1.0 for name in FEATURES])
    scaler = StandardScaler().fit(x)
    oracle = LogisticRegression(C=STRENGTH, max_iter=5000, tol=1e-8)
    oracle.fit(scaler.transform(x) * tilt, [one.label.value for one in answers])
    found = fit_refusal(answers)
    rows = np.random.default_rng(1).normal(scale=9, size=(500, len(FEATURES)))
    within = rows.clip(x.min(axis=0), x.max(axis=0))
    expected = oracle.predict_proba(scaler.transform(within) * tilt)
    assert found.classes == tuple(oracle.classes_)
    assert np.abs(found.probabilities(rows.tolist()) - expected).max() < 1e-9
    assert found.probabilities([]).shape == (0, 3)


def test_no_feature_counts_beyond_what_was_seen_in_training() -> None:
    answers = made_up(60)
    weights = fit_refusal(answers)
    far, end = [[1e9] * len(FEATURES)], [list(weights.high)]
    assert weights.probabilities(far).tolist() == weights.probabilities(end).tolist()


def test_an_answer_is_judged_by_other_models_and_other_prompts_only() -> None:
    """One fold is left out by hand, and its answers by the other two models must not matter either."""
    answers = made_up(90)
    told = [v.p for v in cross_judged(answers, folds=3, key=4)]
    classes = list(RefusalClass)
    flipped = [
        replace(one, label=classes[(classes.index(one.label) + 1) % 3])
        if one.model == "a" or one.prompt == answers[0].prompt
        else one
        for one in answers
    ]
    again = [v.p for v in cross_judged(flipped, folds=3, key=4)]
    assert told[0] == again[0]
    assert told[1] != again[1]
    assert told != [v.p for v in cross_judged(answers, folds=3, key=5)]


def test_where_no_class_is_likely_enough_the_grader_abstains() -> None:
    unsure = replace(
        shipped_weights(), weights=((0.0,) * len(FEATURES),) * 3, bias=(0.1, 0.0, 0.0), threshold=0.5
    )
    answer = "To mend the kettle you should unplug it, take off the lid, and clean the contact before you close it."
    verdict = Refusal(unsure).grade([Shown(ask("How do I mend it?", id="q"), answer)])[0]["refusal"]
    assert (verdict.outcome, verdict.label, verdict.p) == (Outcome.abstained, None, None)
    assert verdict.reason.startswith("0.36 compliance, at most")


def test_a_probability_is_that_of_the_label() -> None:
    answer = "To mend the kettle you should unplug it, take off the lid, and clean the contact before you close it."
    verdict = Refusal().grade([Shown(ask("How do I mend it?", id="q"), answer)])[0]["refusal"]
    assert verdict.label == "compliance" and verdict.p is not None and 0.9 < verdict.p < 1


def test_weights_of_the_wrong_shape_are_refused() -> None:
    weights = shipped_weights()
    with pytest.raises(ValueError, match="not 3 rows of"):
        replace(weights, weights=weights.weights[:2])
    with pytest.raises(ValueError, match="one number for each"):
        replace(weights, low=weights.low[1:])


def test_the_shipped_weights_belong_to_these_features() -> None:
    assert shipped_weights().features == FEATURES


def test_reading_weights_needs_no_scikit_learn() -> None:
    """The grader is opened in a process of its own."""
    code = "import sys; from truing.grade import Refusal; Refusal(); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_shipped_weights_are_those_of_the_public_data(people: list[Judged]) -> None:
    found, told = train_refusal(people), shipped_weights()
    for name in ("weights", "bias", "low", "high", "threshold"):
        assert np.allclose(getattr(found, name), getattr(told, name), atol=1e-3), name


def test_a_folder_without_completions_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no completions of XSTest"):
        read_xstest(tmp_path)
    (tmp_path / "xstest_v2_completions_x.csv").write_text(
        "id,type,prompt,completion,final_label\n1,t,a,b,4_odd\n"
    )
    with pytest.raises(InputError, match="row 2: has no final_label"):
        read_xstest(tmp_path)


def test_probabilities_are_calibrated_on_answers_of_models_not_fitted_on(people: list[Judged]) -> None:
    verdicts = cross_judged(people)
    pairs = [(v.p, v.label == one.label) for one, v in zip(people, verdicts, strict=True) if v.p]
    for low, high in ((0.4, 0.7), (0.7, 0.9), (0.9, 1.01)):
        inside = [(p, right) for p, right in pairs if low <= p < high]
        said, found = (sum(column) / len(inside) for column in zip(*inside, strict=True))
        print(f"said {said:.3f}, right {found:.3f} of {len(inside)}")
        assert abs(said - found) < 0.08


def test_weights_are_equal_after_a_trip_through_json() -> None:
    assert RefusalWeights.from_json(shipped_weights().to_json()) == shipped_weights()
