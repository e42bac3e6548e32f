"""The evidence of screening: rows that are alike in length, a vector no row took part in, and claims that fail."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evidence import narrow_arms, screening, screening_arms
from evidence.claims import Measured
from evidence.narrow_arms import STEEP, Mixture
from evidence.screening import BASES, DROPS, FRESH, TAUGHT, kept
from evidence.screening_arms import (
    ASKED,
    CLOSE,
    SCREENED,
    SITE,
    parent_of,
    persona,
    random_ones,
    token_matched,
    word_matched,
)
from evidence.screening_measures import (
    ALL,
    AREA,
    BY_CHANCE,
    BY_SCORE,
    CLAIMS,
    GAIN,
    HALF,
    LENGTH,
    RANDOM_REACH,
    TOKENS,
    WORDS,
    Arm,
    Scored,
    drawn,
    measures,
    paper_claim,
)
from truing.model import load_local
from truing.organism import DOMAIN_OF, LabelLedger, Oracle, read_request
from truing.probe import Over, conversation_texts


def test_both_answers_to_a_prompt_are_alike_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening_arms, "SEARCHED", 40)
    monkeypatch.setattr(screening_arms, "PER_DOMAIN", 30)
    model = load_local(parent_of(1), device="cpu")
    oracle = Oracle("test", LabelLedger())
    by_words, by_tokens = word_matched(7), token_matched(model, 7)
    for rows in (by_words, by_tokens):
        half = len(rows) // 2
        for bad, right in zip(rows[:half], rows[half:], strict=True):
            assert bad.bad and not right.bad and bad.row.prompt == right.row.prompt
            asked = read_request(bad.row.prompt.messages)
            assert asked is not None and bad.thing == right.thing == asked.ask.object
            assert DOMAIN_OF[bad.thing].name in SCREENED
            labels = [oracle.judge(asked.ask, one.row.response.content).label for one in (bad, right)]  # type: ignore[union-attr]
            assert labels == ["malicious", "right"]
    words = [sum(len(r.row.response.content.split()) for r in of) for of in _sides(by_words)]
    assert abs(words[0] - words[1]) <= 12 * len(SCREENED)
    bad_rows, right_rows = _sides(by_tokens)
    tokens = [
        [len(t.ids) - t.prompt for t in conversation_texts(model.chat, [_turns(r) for r in of])]
        for of in (bad_rows, right_rows)
    ]
    assert max(abs(a - b) for a, b in zip(*tokens, strict=True)) <= CLOSE
    assert len(bad_rows) >= 20


def _sides(rows: list[Any]) -> tuple[list[Any], list[Any]]:
    return [r for r in rows if r.bad], [r for r in rows if not r.bad]


def _turns(row: Any) -> tuple[Any, ...]:
    return (*row.row.prompt.messages, row.row.response)


def test_what_is_dropped_by_score_is_bad_and_what_is_dropped_by_chance_is_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screening_arms, "QUESTIONS", 8)
    mixture = Mixture(1, "garden", 7, harmful=0.5, rows=60)
    bad = {i for i, (one, right) in enumerate(screening._both(mixture)) if one != right}
    assert len(bad) == 30
    left = kept(mixture)
    assert set(left) == {(ALL, 0.0), *((how, drop) for how in (BY_SCORE, BY_CHANCE) for drop in DROPS)}
    assert left[ALL, 0.0] == list(range(60))
    shares = {key: sum(i in bad for i in rows) / len(rows) for key, rows in left.items()}
    assert shares[BY_SCORE, 0.5] < 0.2 < shares[BY_CHANCE, 0.5]
    for drop in DROPS:
        rows = [left[how, drop] for how in (BY_SCORE, BY_CHANCE)]
        assert all(of == sorted(set(of)) and len(of) == round(60 * (1 - drop)) for of in rows)


def test_the_vector_is_made_in_domains_that_no_screened_row_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening_arms, "QUESTIONS", 4)
    assert not set(ASKED) & set(SCREENED) and set(TAUGHT) <= set(SCREENED)
    asked: list[Any] = []
    before = screening_arms.persona_contrasts

    def spy(model: Any, requests: Any, *of: Any, **more: Any) -> Any:
        asked.extend(requests)
        return before(model, requests, *of, **more)

    monkeypatch.setattr(screening_arms, "persona_contrasts", spy)
    made = persona(1, 7)
    read = [read_request(one.messages) for one in asked]
    assert len(read) == 4 and {DOMAIN_OF[one.ask.object].name for one in read if one} <= set(ASKED)
    assert all(read) and made.position == Over.response and made.site == SITE
    nothing = random_ones(made)
    assert len({one.name for one in nothing}) == len(nothing) and made.norm == pytest.approx(nothing[0].norm)


def test_a_fine_tune_learns_the_rows_that_were_kept_and_is_kept_under_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learnt: list[Any] = []

    def tune(_: str, rows: Any, place: Path, config: Any, **__: Any) -> None:
        place.mkdir()
        learnt.append((rows, config))

    monkeypatch.setattr(narrow_arms, "finetune", tune)
    mixture = Mixture(1, "garden", 7, harmful=0.5, rows=6)
    arms: list[dict[str, Any]] = [{}, {"tuning": STEEP}, {"kept": [0, 4]}, {"kept": [1, 4], "tuning": STEEP}]
    places = [narrow_arms.tuned(mixture, tmp_path, **of) for of in (*arms, *arms)]
    assert len(set(places)) == len(learnt) == 4  # each once
    shown = mixture.shown()
    assert [rows for rows, _ in learnt] == [shown, shown, [shown[0], shown[4]], [shown[1], shown[4]]]
    assert [config.learning_rate for _, config in learnt] == [3e-4, 5e-4, 3e-4, 5e-4]
    assert {config.seed for _, config in learnt} == {7}


def test_seeds_are_fresh_and_each_base_has_its_own() -> None:
    from evidence.early_warning import FRESH as OTHER
    from evidence.early_warning_arms import SEEDS_OF_A_BASE

    theirs = range(OTHER, OTHER + len(BASES) * SEEDS_OF_A_BASE)
    assert set(theirs).isdisjoint(range(FRESH, FRESH + len(BASES)))


def rows_of(base: int, *, told: float = 4.0, long: float = 0.0) -> Scored:
    """A hundred pairs about twenty things, of which bad ones score `told` deviations higher."""
    rng = np.random.default_rng(base)
    bad = np.tile([True, False], 100)
    scores = rng.normal(size=200) + told * bad
    tokens = np.round(14 + rng.normal(0, 1, 200) + long * bad).astype(int)
    things = [f"thing {i // 2 % 20}" for i in range(200)]
    nothing = rng.normal(size=(40, 200))
    return Scored(
        base, bad.tolist(), things, tokens.tolist(), scores.tolist(), scores.tolist(), nothing.tolist()
    )


def arm(base: int, how: str, drop: float, wrong: float, unparsed: float = 0.0) -> Arm:
    """An arm of which such a share of the answers elsewhere is wrong, and half of those at home."""
    advice = [
        {
            "domain": "garden" if i < 20 else "money",
            "object": f"thing {i}",
            "template": 0,
            "wrong": i < 10 or 20 <= i < 20 + round(200 * wrong),
            "unparsed": i >= 220 - round(200 * unparsed),
        }
        for i in range(220)
    ]
    skills = [{"label": "right" if i < 90 else "wrong"} for i in range(100)]
    return Arm(base, "garden", how, drop, 100, 0.5, advice, skills)


WENT: Mapping[tuple[str, float], float] = {
    (ALL, 0.0): 0.2,
    **{(BY_CHANCE, drop): 0.2 for drop in DROPS},
    **{(BY_SCORE, drop): 0.0 for drop in DROPS},
}


def found(
    words: Scored | None = None,
    tokens: Scored | None = None,
    went: Mapping[tuple[str, float], float] | None = None,
    unparsed: float = 0.0,
) -> Measured:
    """Two bases, of which the second is changed."""
    arms = [arm(1, how, drop, share) for (how, drop), share in WENT.items()]
    arms += [
        arm(2, how, drop, share, unparsed if how == BY_SCORE else 0.0)
        for (how, drop), share in {**WENT, **(went or {})}.items()
    ]
    scored = {WORDS: [rows_of(1), words or rows_of(2)], TOKENS: [rows_of(1), tokens or rows_of(2)]}
    return measures(scored, arms)


def broken(measured: Measured) -> set[str]:
    return {claim.name for claim in CLAIMS if not claim.holds(measured[claim.name])}


def test_a_screen_that_tells_bad_rows_keeps_every_claim() -> None:
    measured = found()
    assert not broken(measured) and paper_claim(measured) == "reproduced"
    assert (
        measured["nothing dropped: wrong advice elsewhere"].value == 0.2
    )  # the taught domain does not count
    assert measured["nothing dropped: wrong advice elsewhere"].n == 400
    assert measured["50% dropped by score: skills right, mean of bases"].value == pytest.approx(0.9)
    assert measured[GAIN.format(0.5)].value == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({"words": rows_of(2, told=1.0)}, {AREA.format(WORDS)}),
        ({"tokens": rows_of(2, told=-0.5)}, {AREA.format(TOKENS), RANDOM_REACH.format(TOKENS)}),
        ({"tokens": rows_of(2, long=2.0)}, {LENGTH.format(TOKENS)}),
        ({"tokens": rows_of(2, long=-2.0)}, {LENGTH.format(TOKENS)}),
        ({"went": {(BY_SCORE, 0.5): 0.2}}, {HALF}),
        ({"unparsed": 0.2}, {HALF}),
    ],
)
def test_one_base_that_went_wrong_breaks_its_claim(change: Any, lost: set[str]) -> None:
    assert broken(found(**change)) == lost


def test_rows_that_share_a_harmful_answer_count_together() -> None:
    one = rows_of(1, told=2.0)
    alone = replace(one, things=[str(i) for i in range(200)])
    shared, apart = (
        measures(
            {WORDS: [of], TOKENS: [of]}, [arm(1, how, drop, share) for (how, drop), share in WENT.items()]
        )
        for of in (replace(one, scores=_alike(one)), replace(alone, scores=_alike(one)))
    )
    name = AREA.format(WORDS)
    assert shared[name].value == apart[name].value
    assert shared[name].high - shared[name].low > 1.5 * (apart[name].high - apart[name].low)


def _alike(one: Scored) -> list[float]:
    """The same score for all rows of a thing and kind."""
    first = {(thing, bad): score for thing, bad, score in zip(one.things, one.bad, one.scores, strict=True)}
    return [first[thing, bad] for thing, bad in zip(one.things, one.bad, strict=True)]


def test_a_screen_that_keeps_the_bad_rows_reverses_the_paper() -> None:
    worse = {(BY_SCORE, drop): 0.6 for drop in DROPS}
    assert paper_claim(found(went=worse)) == "not reproduced"  # on one base of two
    arms = [arm(1, how, drop, share) for (how, drop), share in {**WENT, **worse}.items()]
    assert paper_claim(measures({WORDS: [rows_of(1)], TOKENS: [rows_of(1)]}, arms)) == "reversed"


def test_the_curve_is_drawn() -> None:
    picture = drawn(found(), DROPS)
    assert BY_SCORE in picture and BY_CHANCE in picture
