"""`truing judge train` and `truing judge select`: from labels to a grader that can be opened, and to more labels."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "grade"))
from planted import planted

from truing.cli import main
from truing.data import write_jsonl
from truing.grade import open_grader, read_card, read_moderation_rows
from truing.types import Outcome, Shown, ask

Capture = pytest.CaptureFixture[str]


def labels(path: Path, n: int = 200) -> str:
    write_jsonl(path, [{"text": row.text, **row.known, "group": row.group} for row in planted(n).rows])
    return str(path)


def test_labels_become_a_grader_with_cards_and_figures(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("sklearn")
    out = tmp_path / "weather.npz"
    words = [
        "judge",
        "train",
        labels(tmp_path / "labels.jsonl"),
        "--out",
        str(out),
        "--show-mislabels",
        "--json",
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "labels disagree with a model of the other half" in said and f"moderation:{out}" in said
    heads = {head["head"]: head for head in json.loads(said.splitlines()[-1])["heads"]}
    assert set(heads) == {"weather", "weather/storm", "fruit"}
    area = heads["weather"]["average_precision"]
    assert 0.7 < area["low"] < area["value"] <= area["high"]
    grader = open_grader(f"moderation/weather/storm:{out}")
    one = Shown(ask("How is it?", id="1"), "thunder and lightning and a gale over the town")
    verdict = grader.grade([one])[0]
    assert verdict.outcome is Outcome.decided and verdict.label == "flagged"
    card = read_card(tmp_path / "weather.cards" / "weather-storm.json")
    assert card.belongs_to(grader) and not card.belongs_to(open_grader("moderation/hate"))


def test_what_is_selected_can_be_labelled_and_learned_from(tmp_path: Path, capsys: Capture) -> None:
    picked = tmp_path / "picked.jsonl"
    words = ["judge", "select", labels(tmp_path / "texts.jsonl"), "--out", str(picked), "-n", "30"]
    assert main(words) == 0
    assert "30 of 200 texts" in capsys.readouterr().out
    rows = read_moderation_rows(picked)
    assert len(rows.rows) == 30 and rows.heads == () and {row.group for row in rows.rows} > {"site 0"}
    assert main(words) == 0 and read_moderation_rows(picked) == rows


@pytest.mark.parametrize(
    ("row", "options", "why"),
    [
        ({"text": "a", "x": 3}, [], "labels.jsonl, row 1"),
        ({"text": "a", "x": 1}, [], "no label has 10 texts of either kind"),
        ({"text": "a", "x": 1}, ["--folds", "1"], "at least 2 folds"),
    ],
)
def test_what_cannot_be_learned_from_is_one_sentence(
    tmp_path: Path, capsys: Capture, row: dict[str, object], options: list[str], why: str
) -> None:
    path = tmp_path / "labels.jsonl"
    write_jsonl(path, [row])
    assert main(["judge", "train", str(path), "--out", str(tmp_path / "m.npz"), *options]) == 3
    said = capsys.readouterr().err
    assert why in said and said.count("\n") == 1 and not (tmp_path / "m.npz").exists()


def test_without_scikit_learn_the_extra_is_named(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert main(["judge", "train", labels(tmp_path / "l.jsonl", 100), "--out", str(tmp_path / "m.npz")]) == 3
    assert "pip install 'truing[learn]'" in capsys.readouterr().err


def test_a_selection_of_nothing_is_refused(tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path / "p.jsonl")
    assert main(["judge", "select", labels(tmp_path / "l.jsonl", 20), "--out", out, "-n", "0"]) == 3
    assert "at least 1 text" in capsys.readouterr().err
