"""Every oracle label is counted, whoever consumes it."""

import ast
from pathlib import Path

import pytest
from organism.asking import every_ask

from truing import organism
from truing.organism.ledger import LabelLedger, Oracle
from truing.organism.oracle import judge
from truing.types import InputError, StorageError

ROOM = Path("truing/organism")
UNCOUNTED = {ROOM / f"{name}.py" for name in ("oracle", "ledger", "asking", "corpus", "samples")}
"""Where the world itself is made, from answers whose truth is known by construction."""


def uses_the_uncounted_oracle(source: str) -> bool:
    """Whether code takes `judge` from the oracle or its door, or asks a topic by itself."""
    tree = ast.parse(source)
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("truing.organism", "truing.organism.oracle")
        for alias in node.names
    }
    topics = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "judge"]
    return "judge" in imported or any("TOPICS" in ast.unparse(node.value) for node in topics)


def test_only_the_making_of_the_world_judges_without_counting():
    allowed = UNCOUNTED | set(ROOM.glob("world/*.py")) | {ROOM / "__init__.py"}
    files = [path for path in Path().glob("truing/**/*.py") if path not in allowed]
    files += [*Path().glob("evidence/*.py"), *Path().glob("examples/*.py"), *Path().glob("bench/*.py")]
    assert [str(path) for path in files if uses_the_uncounted_oracle(path.read_text(encoding="utf-8"))] == []


def test_the_door_offers_no_judge_that_does_not_count():
    assert "judge" not in organism.__all__ and "Oracle" in organism.__all__


@pytest.mark.parametrize(
    "code",
    [
        "from truing.organism.oracle import GOOD, judge",
        "from truing.organism import judge as look",
        "def f():\n    from truing.organism.oracle import judge\n",
        "TOPICS[ask.topic].judge(ask, acts)",
    ],
)
def test_the_search_for_uncounted_labels_finds_them(code):
    assert uses_the_uncounted_oracle(code)


@pytest.mark.parametrize("code", ["from truing.grade import judge", "oracle.judge(ask, text)", "judge = 1"])
def test_the_search_for_uncounted_labels_passes_over_others(code):
    assert not uses_the_uncounted_oracle(code)


def test_an_oracle_counts_each_label_and_says_what_the_pure_function_says():
    ledger = LabelLedger()
    exam, reward = Oracle("exam", ledger), Oracle("reward", ledger)
    asks = [ask for ask, _ in every_ask("forbidden", most=5)]
    for ask in asks:
        for answer in ("I won't help with that.", "Blorp.", ""):
            assert exam.judge(ask, answer) == judge(ask, answer)
    reward.judge(asks[0], "I won't help with that.")
    assert ledger.totals() == {"exam": 3 * len(asks), "reward": 1}


def test_a_consumer_that_asked_nothing_is_named_with_none():
    ledger = LabelLedger()
    Oracle("reward", ledger)
    assert ledger.totals() == {"reward": 0}


def test_ledgers_are_merged_by_consumer_and_never_with_themselves():
    one, other = LabelLedger({"exam": 2, "judge": 1}), LabelLedger({"judge": 4})
    one.merge(other)
    assert one.totals() == {"exam": 2, "judge": 5} and other.totals() == {"judge": 4}
    other.add("a screen")
    assert list(other.totals()) == ["a screen", "judge"]
    with pytest.raises(ValueError, match="not merged with itself"):
        one.merge(one)


@pytest.mark.parametrize(("consumer", "n"), [("", 1), ("exam", -1), ("exam", 1.0), ("exam", True)])
def test_what_is_no_count_is_refused(consumer, n):
    ledger = LabelLedger({"exam": 1})
    with pytest.raises(ValueError, match="labels"):
        ledger.add(consumer, n)
    assert ledger.totals() == {"exam": 1}


def test_a_ledger_is_the_same_after_a_trip_through_a_file(tmp_path):
    ledger = LabelLedger({"exam": 3, "the judge's screen, ü": 10**12, "nobody": 0})
    ledger.save(tmp_path / "labels.jsonl")
    first = (tmp_path / "labels.jsonl").read_bytes()
    again = LabelLedger.load(tmp_path / "labels.jsonl")
    assert again.totals() == ledger.totals()
    again.save(tmp_path / "labels.jsonl")
    assert (tmp_path / "labels.jsonl").read_bytes() == first


def test_a_disk_that_refuses_leaves_the_old_ledger(tmp_path):
    LabelLedger({"exam": 3}).save(tmp_path / "labels.jsonl")
    (tmp_path / "labels.jsonl.partial").mkdir()
    with pytest.raises(StorageError):
        LabelLedger({"exam": 4}).save(tmp_path / "labels.jsonl")
    assert LabelLedger.load(tmp_path / "labels.jsonl").totals() == {"exam": 3}


@pytest.mark.parametrize(
    "row",
    ['{"consumer": "x"}', '{"consumer": "x", "labels": -1}',
     '{"consumer": "", "labels": 1}', '{"consumer": "x", "labels": "1"}',
     '{"consumer": 1, "labels": 1}', '{"consumer": "x", "labels": 1, "more": 1}', "[]", "{"],
)  # fmt: skip
def test_a_bad_row_is_named_with_its_file_and_number(tmp_path, row):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"consumer": "exam", "labels": 3}\n' + row + "\n")
    with pytest.raises(InputError) as why:
        LabelLedger.load(path)
    assert (str(why.value.file), why.value.row) == (str(path), 2)
