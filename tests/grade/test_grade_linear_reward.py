"""The linear reward: what was planted is found, what is held out was not seen, the file gives the same numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from methods.small import write
from shared_data import shared

from truing.data import Comparison, Comparisons, read_comparisons, split_comparisons
from truing.grade import (
    STYLE,
    LearnedReward,
    answer_style,
    cross_fit_reward,
    dialogue_groups,
    longer_is_better,
    measure_reward,
    read_linear_reward,
)
from truing.methods import LinearRewardConfig, train_linear_reward
from truing.types import InputError, Message, Role

THINGS = ("gull", "kite", "pear", "kettle", "loaf", "river", "lamp", "bell", "anchor", "barrel")


def turn(text: str) -> tuple[Message, ...]:
    return (Message(Role.assistant, text),)


def planted(n: int, *, noise: float, key: int = 0) -> list[Comparison]:
    """People who want a thank-you, whatever the length; with `noise` they choose at random."""
    rng, rows = np.random.default_rng(key), []
    for i in range(n):
        filler = [" ".join(rng.choice(THINGS, int(rng.integers(3, 25)))) for _ in range(2)]
        thanked = int(rng.integers(2))
        answers = [
            f"{text}, thank you kindly." if j == thanked else f"{text}." for j, text in enumerate(filler)
        ]
        better = int(rng.integers(2)) if rng.uniform() < noise else thanked
        asked = Message(Role.user, f"{rng.choice(THINGS)} {i} {key}: tell me of the {rng.choice(THINGS)}")
        rows.append(
            Comparison(
                str(i), (asked,), tuple(map(turn, answers)), tuple(1 if j == better else 2 for j in (0, 1))
            )
        )
    return rows


def test_what_was_planted_is_found_on_answers_that_were_held_out() -> None:
    rows = planted(120, noise=0.2)
    fitted = cross_fit_reward(rows, dialogue_groups(rows), folds=3, key=0)
    found = measure_reward(rows, fitted.held_out, longer=longer_is_better(rows))
    assert found.accuracy.value > 0.8 and found.over_length.low > 0.1  # the ceiling is 0.9
    new = planted(200, noise=0.0, key=1)
    scored = fitted.reward.score([(row.prompt, answer) for row in new for answer in row.answers])
    assert measure_reward(new, scored.reshape(-1, 2).tolist(), longer=True).accuracy.value > 0.95


def test_where_there_is_nothing_to_learn_held_out_accuracy_is_that_of_a_coin() -> None:
    """Labels at random: a leak between folds would show as accuracy."""
    rows = planted(150, noise=1.0)
    twice = [replace(row, id=f"{row.id}b") for row in rows]
    every = [*rows, *twice]  # every dialogue stands there twice, and must be in one fold
    found = cross_fit_reward(every, dialogue_groups(every), folds=3, key=1).held_out
    own = measure_reward(every, found, longer=True).accuracy
    assert own.low < 0.5 < own.high


def test_a_prompt_that_other_folds_hold_is_not_scored() -> None:
    rows = planted(40, noise=0.0)
    asked = (
        rows[0].prompt[0].content + " and what the keeper of the light said of all of it yesterday evening"
    )
    for i, row in enumerate(rows):
        text = asked if i < 2 else f"{i} {row.prompt[0].content}"
        rows[i] = replace(row, prompt=(Message(Role.user, text),))
    groups = [str(i) for i in range(len(rows))]  # two equal prompts, called two groups
    for key in range(8):
        found = cross_fit_reward(rows, groups, folds=2, key=key).held_out
        unscored = [i for i, one in enumerate(found) if one is None]
        if unscored:
            break
    assert unscored == [0, 1]


def test_the_saved_reward_gives_the_same_numbers_and_opens_as_a_learned_reward(tmp_path: Path) -> None:
    rows = planted(60, noise=0.1)
    data = read_comparisons_of(tmp_path, rows)
    shown = [(rows[0].prompt[0], rows[0].answers[0][0]), (rows[1].prompt[0], rows[1].answers[1][0])]
    made = train_linear_reward(
        data, tmp_path / "m", LinearRewardConfig(folds=3), data="d", demonstrations=shown
    )
    reward = LearnedReward(made.folder)
    got = reward([user.content for user, _ in shown], [said.content for _, said in shown])
    assert reward.__name__ == "learned_reward" and reward.why == ["", ""]
    assert np.mean(got) == pytest.approx(0.0, abs=1e-6) and got[0] != got[1]
    again = read_linear_reward(made.folder).score([((user,), (said,)) for user, said in shown])
    assert again.tolist() == got
    assert (made.folder / "README.md").read_text().count("held-out pairs") == 1
    assert set(made.pays) == set(STYLE)
    (made.folder / "linear_reward.npz").write_bytes(b"x")
    with pytest.raises(InputError, match="is no linear reward"):
        read_linear_reward(made.folder)


def read_comparisons_of(folder: Path, rows: list[Comparison]) -> Comparisons:
    lines = [
        {
            "prompt": row.prompt[0].content,
            "answers": [answer[0].content for answer in row.answers],
            "ranks": list(row.ranks),
        }
        for row in rows
    ]
    return read_comparisons(write(folder / "c.jsonl", lines))


def test_rankings_count_each_prompt_once(tmp_path: Path) -> None:
    """Ten answers of one prompt make 45 pairs: were each to count, that prompt would decide alone."""
    rows = planted(60, noise=0.0)
    odd = [f"{THINGS[k % 10]} {'thank you kindly ' * (k % 2)}{k}." for k in range(10)]
    ranks = tuple(1 + (k % 2) for k in range(10))  # this person wants no thanks
    rows.append(
        Comparison("odd", (Message(Role.user, "another thing altogether"),), tuple(map(turn, odd)), ranks)
    )
    reward = cross_fit_reward(rows, dialogue_groups(rows), folds=2, key=0).reward
    new = planted(60, noise=0.0, key=5)
    scored = reward.score([(row.prompt, answer) for row in new for answer in row.answers]).reshape(-1, 2)
    assert measure_reward(new, scored.tolist(), longer=True).accuracy.value > 0.9


def test_the_numbers_of_style_say_what_they_are_called() -> None:
    asked = (Message(Role.user, "How do I repair the violin of my aunt?"),)

    def style(text: str) -> dict[str, float]:
        return dict(zip(STYLE, answer_style(asked, turn(text)), strict=True))

    refusal = style("I'm sorry, but I can't help you with that.")
    assert refusal["declines"] == 1 and refusal["takes up none of them"] == 1 and refusal["a list"] == 0
    listed = style("To repair the violin:\n1. Take off the strings.\n2. Glue the bridge.")
    assert listed["a list"] == 1 and listed["declines"] == 0 and listed["lines"] == 2
    assert listed["share of the request's words taken up"] == pytest.approx(2 / 3)
    assert style("What do you mean?")["ends with a question"] == 1
    assert style("It might be glue, I think.")["hedges"] == 2
    assert style("It ends in the mid")["stops in mid-sentence"] == 1
    assert style("word " * 40)["different word triples, share"] == pytest.approx(1 / 38)
    assert np.isfinite(answer_style(asked, turn(""))).all() and len(answer_style((), turn("a"))) == len(STYLE)


def test_a_part_of_the_real_dialogues_is_learnt_better_than_length() -> None:
    """All of them, with several seeds, are in docs/align.md; here are 700 of 2,308."""
    rows = read_comparisons(shared("hh_rlhf/harmless-base/test.jsonl.gz")).rows
    part, _ = split_comparisons(rows, by="prompt", held_out=0.7, key=0)
    found = cross_fit_reward(part.rows, dialogue_groups(part.rows), folds=2, key=0).held_out
    figures = measure_reward(part.rows, found, longer=longer_is_better(part.rows))
    assert figures.accuracy.pairs > 400 and figures.length_rule == "shorter"
    assert figures.accuracy.value > 0.58 and figures.over_length.value > 0.02


def test_folds_need_groups_and_names(tmp_path: Path) -> None:
    rows = read_comparisons_of(tmp_path, planted(12, noise=0.0))
    with pytest.raises(InputError, match="does not say its labeler"):
        train_linear_reward(rows, tmp_path / "a", LinearRewardConfig(by="labeler"), data="d")
    same = [replace(row, customer="one") for row in rows.rows]
    with pytest.raises(InputError, match="share one customer"):
        train_linear_reward(
            replace(rows, rows=tuple(same)), tmp_path / "b", LinearRewardConfig(by="customer"), data="d"
        )
    with pytest.raises(InputError, match="at least 2 folds"):
        LinearRewardConfig(folds=1)
