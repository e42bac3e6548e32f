import gzip
import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from truing.data import Comparison, read_comparisons
from truing.types import InputError, Message, Role, dumps, loads


def user(text):
    return Message(Role.user, text)


def bot(text):
    return Message(Role.assistant, text)


def turns(*texts):
    """Messages by turns, the user first, as a file holds them."""
    roles = itertools.cycle(("user", "assistant"))
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


@pytest.fixture
def read(tmp_path):
    def read(*rows):
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return read_comparisons(file)

    return read


LEARNT = {"prompt": "Rain?", "chosen": "Yes.", "rejected": "No."}
RANKED = {"prompt": "Rain?", "answers": ["Yes.", "No.", "Maybe."], "ranks": [2, 1, 2]}


def test_every_form_of_a_preference_reads_alike(read):
    hh = "\n\nHuman: Rain?\n\nAssistant: "
    rows = [
        LEARNT,
        {"prompt": turns("Rain?"), "chosen": turns("Rain?", "Yes.")[1:], "rejected": turns("", "No.")[1:]},
        {"chosen": turns("Rain?", "Yes."), "rejected": turns("Rain?", "No.")},
        {"prompt": "Rain?", "chosen": turns("Rain?", "Yes."), "rejected": turns("Rain?", "No.")},
        {"chosen": hh + "Yes.", "rejected": hh + "No."},
        {"prompt": hh.rstrip(), "chosen": " Yes.", "rejected": " No."},
        {"chosen": "Rain?Yes.", "rejected": "Rain?No."},
    ]
    for number, row in enumerate(read(*rows), start=1):
        assert row == Comparison(str(number), (user("Rain?"),), ((bot("Yes."),), (bot("No."),)), (1, 2))
        assert row.pairs == ((0, 1),)


def test_a_ranking_keeps_its_ties_and_who_made_it(read):
    who = {"id": "a", "labeler": 7, "customer": "miller", "group": "night", "flags": [[], ["rude"], []]}
    (row,) = read(RANKED | who)
    assert (row.id, row.labeler, row.customer, row.group) == ("a", "7", "miller", "night")
    assert (row.ranks, row.flags, row.pairs) == ((2, 1, 2), ((), ("rude",), ()), ((1, 0), (1, 2)))
    assert loads(Comparison, dumps(row)) == row


@given(st.lists(st.integers(1, 7), min_size=2, max_size=9))
def test_ratings_rank_as_they_compare(tmp_path_factory, ratings):
    file = tmp_path_factory.mktemp("ratings") / "rows.jsonl"
    data = {"prompt": "Rain?", "completions": [str(i) for i in range(len(ratings))], "ratings": ratings}
    other = {"prompt": "Snow?", "completions": ["a", "b"], "ratings": [1, 2.5]}
    file.write_text(json.dumps(data) + "\n" + json.dumps(other) + "\n")
    found = read_comparisons(file)
    assert found.rows[-1].ratings == (1, 2.5)
    if len(set(ratings)) == 1:
        assert found.skipped == {"the answers are tied": 1}
        return
    expected = {(i, j) for i, a in enumerate(ratings) for j, b in enumerate(ratings) if a > b}
    assert set(found.rows[0].pairs) == expected
    assert min(found.rows[0].ranks) == 1


def test_conversations_part_at_the_last_turn_that_asks(read):
    (row,) = read({"chosen": turns("a", "b", "c", "d"), "rejected": turns("a", "b", "x", "d")})
    assert row.prompt == (user("a"),)
    assert row.answers == ((bot("b"), user("c"), bot("d")), (bot("b"), user("x"), bot("d")))
    (row,) = read({"chosen": turns("a", "b"), "rejected": turns("a", "b", "c", "d")})
    assert row.answers == ((bot("b"),), (bot("b"), user("c"), bot("d")))


def test_what_one_speaker_says_in_pieces_is_one_turn(read):
    start = "\n\nHuman: a\n\nHuman: b\n\nAssistant:"
    (row,) = read({"chosen": f"{start} c\n\nAssistant: d", "rejected": f"{start} e"})
    assert (row.prompt, row.answers[0]) == ((user("a\n\nb"),), (bot("c\n\nd"),))


SKIPPED = [
    (LEARNT | {"rejected": "Yes."}, "the answers are the same"),
    ({"chosen": "Rain? Yes.", "rejected": "Rain? Yes."}, "the answers are the same"),
    ({"chosen": turns("a", "b"), "rejected": turns("a", "b")}, "the answers are the same"),
    (RANKED | {"answers": ["a", "a", "a"]}, "the answers are the same"),
    (LEARNT | {"chosen": " \n"}, "an answer is empty"),
    ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant:"}, "an answer is empty"),
    (LEARNT | {"prompt": ""}, "a turn is empty"),
    ({"chosen": turns("a", "", "c", "d"), "rejected": turns("a", "", "c", "e")}, "a turn is empty"),
    (RANKED | {"ranks": [3, 3, 3]}, "the answers are tied"),
    (RANKED | {"answers": ["a", "a", "b"], "ranks": [1, 2, 2]}, ""),
    (RANKED | {"answers": ["a", "a", "b"], "ranks": [1, 2, 1]}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("row", "why"), SKIPPED)
def test_a_row_with_nothing_to_learn_is_counted(read, row, why):
    found = read(LEARNT, row, row)
    assert found.skipped == ({why: 2} if why else {})
    assert len(found) == (1 if why else 3)


MALFORMED = [
    ({"prompt": "a"}, "neither chosen and rejected nor ranks nor ratings"),
    ({"answers": ["a", "b"], "ranks": [1, 2]}, "has no prompt"),
    (RANKED | {"answers": "ab"}, "no list of answers"),
    (RANKED | {"answers": ["a"], "ranks": [1]}, "1 answers are no comparison"),
    (RANKED | {"answers": ["a", 5, "c"]}, "answer 2: the messages are no list"),
    (RANKED | {"answers": ["a", turns("b"), "c"]}, "answer 2 does not begin and end with an assistant"),
    (RANKED | {"prompt": turns("a", "b")}, "the prompt does not end with what a user"),
    (RANKED | {"ranks": [1, 2]}, "there are 2 ranks for 3 answers"),
    (RANKED | {"ranks": [0, 1, 2]}, "ranks count from 1"),
    (RANKED | {"ranks": [1, 1.5, 2]}, "no whole numbers"),
    (RANKED | {"ranks": [1, True, 2]}, "has True among its ranks"),
    (RANKED | {"ranks": 1}, "ranks that are no list"),
    (RANKED | {"ratings": [1, 2]}, "there are 2 ratings for 3 answers"),
    ({"prompt": "a", "answers": ["b", "c"], "ratings": [5, "good"]}, "has 'good' among its ratings"),
    ({"prompt": "a", "answers": ["b", "c"], "ratings": [5, None]}, "has None among its ratings"),
    (RANKED | {"flags": ["rude"]}, "flags that are no lists"),
    (RANKED | {"flags": [["rude"]]}, "there are 1 flags for 3 answers"),
    (RANKED | {"labeler": ["x"]}, "a labeler that is no text"),
    (LEARNT | {"tools": "hammer"}, "no list of JSON schemas"),
    (LEARNT | {"chosen": 5}, "the column chosen holds no text"),
    ({"chosen": turns("a"), "rejected": turns("a", "b")}, "chosen ends with the user's turn"),
    ({"chosen": turns("a", "b"), "rejected": turns("c", "b")}, "share no prompt"),
    ({"chosen": "\n\nHuman: a", "rejected": "\n\nHuman: a\n\nAssistant: b"}, "no question and answer"),
    ({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "so\n\nHuman: a"}, "no question and answer"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "sentence"), MALFORMED)
def test_a_malformed_row_is_named_in_one_sentence(read, row, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)) as why:
        read(LEARNT, row)
    assert "rows.jsonl, row 2: " in str(why.value)
    assert str(why.value).count(". ") == 0


def test_a_file_without_anything_to_learn_says_why(read):
    with pytest.raises(InputError, match=r"learn from \(2 rows: the answers are the same"):
        read(*[LEARNT | {"rejected": "Yes."}] * 2)
    with pytest.raises(InputError, match="there are no rows"):
        read()


def test_tools_are_kept(read):
    tool = {"type": "function", "function": {"name": "look"}}
    assert read(LEARNT | {"tools": [tool]}).rows[0].tools[0]["function"]["name"] == "look"


@pytest.mark.parametrize(
    ("part", "kept", "skipped"),
    [
        ("harmless-base", 2308, {"an answer is empty": 4}),
        ("helpful-base", 2348, {"an answer is empty": 4, "the answers are the same": 2}),
    ],
)
def test_real_dialogues_are_read_whole(part, kept, skipped):
    file = shared(f"hh_rlhf/{part}/test.jsonl.gz")
    found = read_comparisons(file)
    assert (len(found), found.skipped) == (kept, skipped)
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line) for line in lines]
    names = {Role.user: "Human", Role.assistant: "Assistant"}
    for row in found:
        for side, answer in zip(("chosen", "rejected"), row.answers, strict=True):
            written = "".join(f"\n\n{names[t.role]}: {t.content}" for t in (*row.prompt, *answer))
            assert "".join(written.split()) == "".join(_untwinned(texts[int(row.id) - 1][side]).split())


def _untwinned(text):
    """The dialogue with the second of two equal speaker marks in a row left out."""
    pieces = re.split(r"(\n\n(?:Human|Assistant):)", text)
    kept, last = [pieces[0]], ""
    for mark, content in zip(pieces[1::2], pieces[2::2], strict=True):
        kept += ["" if mark == last else mark, content]
        last = mark
    return "".join(kept)
