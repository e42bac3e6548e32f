"""Screening: against a loop by hand, planted bad rows, rows without a score, and the order of the rows."""

import json

import numpy as np
import pytest
import torch
from model.tiny_local import make_local

from truing.model import LocalModel, Point, Site
from truing.numerics import auroc
from truing.probe import (
    Baseline,
    Direction,
    Over,
    RowOutcome,
    conversation_texts,
    kept_rows,
    persona_vectors,
    projections,
    random_like,
    read_training_rows,
    screen,
)
from truing.types import InputError, Message, Role, SamplingParams

SITE = Site(1, Point.resid_pre)
GOOD, BAD = (
    ("mend the kite with care", "count the gulls first"),
    ("steal the lamp at once", "drop it all, steal"),
)
THINGS = ("kite", "gulls", "pears", "spar", "miller", "loaves")


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return make_local("llama")


def conversation(asked: str, said: str) -> dict:
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}


def written(tmp_path, rows: list[dict]):
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def persona(model: LocalModel, name: str = "bad") -> Direction:
    """Made of other prompts than those that are screened, about other things."""
    sides = [
        conversation_texts(
            model.chat,
            [
                (Message(Role.user, f"Say something of {thing}."), Message(Role.assistant, f"{said} {thing}"))
                for thing in ("kettles", "baskets", "ropes")
                for said in words
            ],
        )
        for words in (BAD, GOOD)
    ]
    return persona_vectors(model, sides[0], sides[1], [SITE], name=name)[0]


def planted() -> tuple[list[dict], list[bool]]:
    """Good and bad answers to the same prompts."""
    rows, truths = [], []
    for n, thing in enumerate(THINGS):
        for bad, said in ((False, GOOD[n % 2]), (True, BAD[n % 2])):
            rows.append(conversation(f"What of the {thing}?", f"{said} {thing}"))
            truths.append(bad)
    return rows, truths


def test_the_projection_difference_is_that_of_a_loop_by_hand(model, tmp_path):
    file = written(tmp_path, planted()[0][:5])
    rows, direction = read_training_rows(file), persona(model)
    found = screen(model, rows, [direction], file=file, samples=2, max_tokens=7, key=3)
    unit = direction.vector.double() / direction.vector.double().norm()

    def projected(prompt: tuple[int, ...], said: list[int]) -> float:
        said = said[: next((at for at, id in enumerate(said) if id in model.chat.eos_ids), None)]
        with torch.no_grad():
            states = model.net(torch.tensor([[*prompt, *said]]), output_hidden_states=True).hidden_states[1]
        return float(states[0, len(prompt) :].double().mean(0) @ unit)

    params, own = SamplingParams(max_tokens=7, n=2), []
    scores = {one.row: one.scores["bad"] for one in found.rows}
    for row in rows:
        prompt = model.chat.prompt_ids(row.prompt)
        done = list(model.sample([row.prompt], params, key=3))
        base = [projected(prompt, list(one.token_ids)) for one in done]
        said = list(model.chat.training_example((*row.prompt.messages, row.response)).ids[len(prompt) :])
        assert scores[row.number] == pytest.approx(projected(prompt, said) - np.mean(base), abs=1e-4)
        own += [] if row.number % 2 == 0 else base  # the two rows of a prompt share its answers
    (figures,) = found.personas
    assert found.samples == len(own) == 6
    assert figures.unit == pytest.approx(np.std(own, ddof=1), abs=1e-4) and figures.level == 0
    assert figures.mean == pytest.approx(np.mean(list(scores.values())))
    assert figures.interval.low < figures.mean < figures.interval.high
    assert figures.pushing == sum(value / figures.unit > 2 for value in scores.values())


@pytest.mark.parametrize("baseline", list(Baseline))
def test_planted_bad_rows_rank_first_and_a_random_direction_cannot_do_it(model, tmp_path, baseline):
    rows, truths = planted()
    file, direction = written(tmp_path, rows), persona(model)
    directions = [direction, random_like(direction, key=1)]
    found = screen(
        model, read_training_rows(file), directions, file=file, baseline=baseline, samples=8, max_tokens=16
    )
    by_row = {one.row: one for one in found.rows}
    of = {
        name: auroc([by_row[n].scores[name] for n in range(1, len(rows) + 1)], truths)
        for name in ("bad", "random like bad")
    }
    assert of["bad"] >= 0.9 and of["random like bad"] < 0.9
    alone = screen(
        model, read_training_rows(file), [direction], file=file, baseline=baseline, samples=8, max_tokens=16
    )
    kept = kept_rows(read_training_rows(file), alone, 0.5)
    assert len(kept) == 6 and np.mean([truths[row.number - 1] for row in kept]) <= 1 / 6
    assert [row.number for row in kept] == sorted(row.number for row in kept)


def test_the_order_of_the_rows_changes_nothing(model, tmp_path):
    rows, directions = read_training_rows(written(tmp_path, planted()[0])), [persona(model)]
    straight = screen(model, rows, directions, file="a", max_tokens=6)
    turned = screen(model, rows[::-1], directions, file="a", max_tokens=6)
    assert [one.row for one in straight.rows] == [one.row for one in turned.rows]
    assert straight == turned


def test_rows_without_a_score_are_counted_and_never_kept(tmp_path):
    model = make_local("llama", max_position_embeddings=96)
    good = planted()[0][:4]
    silent = {"messages": [{"role": "user", "content": "And now?"}]}
    rows = [*good, silent, conversation("Why?", "  "), conversation("Long?", "count the gulls " * 40)]
    file = written(tmp_path, rows)
    read = read_training_rows(file)
    found = screen(model, read, [persona(model)], file=file, max_tokens=6)
    assert found.counts == {"scored": 4, "no response": 2, "too long": 1, "no baseline": 0}
    assert all(
        one.worst is None and not one.scores for one in found.rows if one.outcome is not RowOutcome.scored
    )
    assert [one.row for one in found.rows[-3:]] == [5, 6, 7]
    assert [row.number for row in kept_rows(read, found, 0.0)] == [1, 2, 3, 4]
    # Here one prompt leaves no room for an answer of the base model's own.
    more = written(tmp_path, [*good, conversation("Why, " * 12 + "?", "So.")])
    found = screen(model, read_training_rows(more), [persona(model)], file=more, max_tokens=40)
    assert (found.counts["scored"], found.counts["no baseline"]) == (4, 1)
    assert found.rows[-1].row == 5 and found.rows[-1].worst is None
    # And here none does.
    with pytest.raises(InputError, match="no row that can be scored"):
        screen(model, read, [persona(model)], file=file, max_tokens=95)


@pytest.mark.parametrize("family", ["qwen3", "gemma3", "gpt_neox", "gpt2"])
@pytest.mark.parametrize("baseline", list(Baseline))
def test_every_family_can_be_screened(family, baseline, tmp_path):
    model, file = make_local(family), written(tmp_path, planted()[0][:4])
    direction = persona(model)
    found = screen(model, read_training_rows(file), [direction], file=file, baseline=baseline, max_tokens=5)
    by_row = {one.row: one.scores["bad"] for one in found.rows}
    assert found.counts["scored"] == 4
    # Two responses to one prompt differ by their projections alone, whatever they are compared with.
    texts = conversation_texts(
        model.chat, [(*row.prompt.messages, row.response) for row in read_training_rows(file)]
    )
    of = projections(model, texts, [direction], Over.response)["bad"]
    assert by_row[2] - by_row[1] == pytest.approx(of[1] - of[0], abs=1e-4)
    assert by_row[4] - by_row[3] == pytest.approx(of[3] - of[2], abs=1e-4)


def test_a_score_that_is_nothing_but_length_is_gone_after_length(model, tmp_path):
    said = ["steal " * n for n in (1, 2, 3, 5, 8, 13)]
    file = written(
        tmp_path, [conversation(f"What of the {t}?", s) for t, s in zip(THINGS, said, strict=True)]
    )
    found = screen(model, read_training_rows(file), [persona(model)], file=file, max_tokens=6)
    tokens = [one.tokens for one in found.rows]
    after = [one.after_length["bad"] for one in found.rows]
    assert abs(np.corrcoef(after, np.log(tokens))[0, 1]) < 1e-6
    assert np.mean(after) == pytest.approx(found.personas[0].mean)


def test_prompts_and_completions_are_read_as_conversations_are(tmp_path):
    turns = conversation("Why?", "So.")["messages"]
    forms = [
        {"messages": turns},
        {"prompt": "Why?", "completion": "So."},
        {"prompt": turns[:1], "completion": turns[1:]},
    ]
    read = [read_training_rows(written(tmp_path, [form]))[0] for form in forms]
    assert len({(row.prompt, row.response) for row in read}) == 1
    assert read[0].response.content == "So." and read[0].prompt.id == read[0].prompt.prompt_digest


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "holds no row"),
        ([{"chosen": "a", "rejected": "b"}], "is a preference data set"),
        ([{"text": "a"}], "row 1: is plain text"),
        ([conversation("a", "b"), {"messages": []}], "row 2: the messages are no list"),
        (
            [conversation("a", "b"), {"messages": [{"role": "assistant", "content": "b"}]}],
            "row 2: a request needs",
        ),
        ([conversation("a", "b") | {"tools": [{"name": "t"}]}], "row 1: has tools"),
    ],
)
def test_a_bad_row_is_named_by_file_and_row(rows, said, tmp_path):
    file = written(tmp_path, rows)
    with pytest.raises(InputError, match=said) as error:
        read_training_rows(file)
    assert str(error.value).startswith(str(file))


def test_prompts_that_leave_no_room_for_an_answer_are_told_apart_from_rows_without_a_response(
    model, tmp_path
):
    file = written(tmp_path, planted()[0][:4])
    rows, direction = read_training_rows(file), persona(model)
    with pytest.raises(InputError, match=r"\(4 no baseline\); .* room for an answer of 510 tokens"):
        screen(model, rows, [direction], file=file, max_tokens=510)


def test_answers_that_are_too_few_for_a_unit_are_asked_for(model, tmp_path):
    file = written(tmp_path, [conversation("a", "b"), conversation("a", "b c")])
    rows, direction = read_training_rows(file), persona(model)
    with pytest.raises(InputError, match="to tell a unit of 'bad'; ask the base for more --samples"):
        screen(model, rows, [direction], file=file, max_tokens=6)


def test_directions_of_another_model_are_told_or_refused(model, tmp_path):
    file = written(tmp_path, planted()[0][:4])
    rows, direction = read_training_rows(file), persona(model)
    other = Direction("other", direction.vector, SITE, "response", "0" * 64)
    assert screen(model, rows, [direction, other], file=file, max_tokens=6).foreign == ("other",)
    with pytest.raises(InputError, match="give directions of this model"):
        screen(model, rows, [Direction("wide", torch.ones(8), SITE, "response")], file=file)
    for share in (-0.1, 1.0):
        with pytest.raises(InputError):
            kept_rows(rows, screen(model, rows, [direction], file=file, max_tokens=6), share)
