"""`truing judge`: calibrate a grader, show its card; and what a wrong command line is told."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from shared_data import shared

from truing.cli import main
from truing.grade import read_card
from truing.types import GraderId, Outcome, Shown, Verdict

Capture = pytest.CaptureFixture[str]


class Polite:
    """Scores an answer by the number in it; two criteria."""

    id = GraderId("polite", "1")

    def __init__(self, ref: str | None) -> None:
        self.ref = ref

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        return [
            {
                name: Verdict(name, Outcome.decided, self.id, "graded", score=float(s.answer))
                for name in ("tone", "form")
            }
            for s in shown
        ]


@pytest.fixture
def polite(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SimpleNamespace(name="polite", load=lambda: Polite)
    monkeypatch.setattr("truing.grade.registry.entry_points", lambda group: [entry])


def scored(folder: Path, rows: int = 40) -> str:
    """Answers that say their own score: good ones 0.4, bad ones 0.2."""
    path = folder / "scored.jsonl"
    lines = [
        {
            "prompt": f"Question {i}?",
            "answer": "0.4" if i % 2 else "0.2",
            "label": i % 2,
            "category": "ab"[i % 3 > 0],
        }
        for i in range(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_the_refusal_grader_is_calibrated_on_xstest_and_its_card_shown(
    tmp_path: Path, capsys: Capture
) -> None:
    answers = shared("xstest/completions/xstest_v2_completions_mistralguard.csv")
    out = tmp_path / "cards" / "refusal.json"
    words = ["judge", "calibrate", "refusal", "--labels", str(answers), "--out", str(out), "--json"]
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    told = json.loads(printed[-1])
    card = read_card(out)
    assert told["digest"] == card.digest and told["suffices"] is True and told["card"] == card.to_json()
    text = "\n".join(printed[:-1])
    for name in (
        "accuracy",
        "kappa",
        "sensitivity",
        "specificity",
        "Youden's J",
        "safe_targets",
        card.digest,
    ):
        assert name in text
    assert "labels by people: xstest_v2_completions_mistralguard.csv" in text
    assert f"judged {card.overall.judged} of 450 answers" in text and "abstained" in text
    rate = card.overall.sensitivity
    assert f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]" in text
    assert "judged labels suffice for an audit to pass (200 are needed)." in text
    assert main(["judge", "show", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == printed[:-1]


@pytest.mark.usefixtures("polite")
def test_a_threshold_is_tuned_on_other_prompts(tmp_path: Path, capsys: Capture) -> None:
    words = ["judge", "calibrate", "polite/tone", "--labels", scored(tmp_path), "--json"]
    assert main(words) == 0
    plain = json.loads(capsys.readouterr().out.splitlines()[-1])["card"]
    assert plain["overall"]["counts"] == {"tp": 0, "fn": 20, "tn": 20, "fp": 0}
    assert main([*words, "--tune", "--seed", "5", "--ground", "oracle"]) == 0
    printed = capsys.readouterr().out
    card = json.loads(printed.splitlines()[-1])["card"]
    assert card["reading"] == {"value": "score", "threshold": pytest.approx(0.3)}
    assert card["overall"]["accuracy"]["value"] == 1.0 and card["seed"] == 5 and card["ground"] == "oracle"
    assert f"threshold tuned on {card['tuned_on']} other answers (seed 5)" in printed
    assert "labels by an oracle" in printed
    assert "do not suffice for an audit to pass: 200 are needed" in printed


@pytest.mark.usefixtures("polite")
def test_a_criterion_is_named_by_option_too(tmp_path: Path, capsys: Capture) -> None:
    words = ["judge", "calibrate", "polite", "--labels", scored(tmp_path)]
    assert main(words) == 3
    assert "has the criteria form, tone" in capsys.readouterr().err
    assert main([*words, "--criterion", "form"]) == 0
    assert "polite 1, criterion form" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["calibrate", "nonsense", "--labels", "LABELS"], "no grader 'nonsense'; choose from"),
        (
            ["calibrate", "refusal", "--labels", "/no/such/labels.jsonl"],
            "/no/such/labels.jsonl: there is no such file",
        ),
        (
            ["calibrate", "refusal", "--labels", "LABELS"],
            "labels.jsonl, row 2: the label is 'refusel'; known are true",
        ),
        (["calibrate", "refusal", "--labels", "GOOD", "--tune"], "refusal is read by its classes"),
        (["calibrate", "refusal", "--labels", "GOOD", "--criterion", "tone"], "has the criteria refusal"),
        (
            ["calibrate", "refusal", "--labels", "GOOD", "--positive", "refusal"],
            "the judge said 'compliance'",
        ),
        (
            ["calibrate", "refusal", "--labels", "GOOD", "--positive", "x", "--negative", "x"],
            "positive and negative",
        ),
        (["calibrate", "refusal"], ""),
        (["show", "LABELS"], ""),
        (["show", "GOOD"], "not JSON"),
        (["show"], ""),
        ([], ""),
    ],
)
def test_bad_input_is_one_sentence_and_exit_3(
    tmp_path: Path, capsys: Capture, words: list[str], said: str
) -> None:
    row = {
        "prompt": "How do I clean the lamp?",
        "answer": "Wipe the lamp with a soft cloth and warm water.",
        "label": 1,
    }
    bad, good = tmp_path / "labels.jsonl", tmp_path / "good.jsonl"
    bad.write_text(json.dumps(row) + "\n" + json.dumps(row | {"label": "refusel"}) + "\n")
    good.write_text((json.dumps(row) + "\n") * 2)
    files = {"LABELS": str(bad), "GOOD": str(good)}
    assert main(["judge", *(files.get(word, word) for word in words)]) == 3
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err


def test_a_card_that_cannot_be_written_is_no_finding(tmp_path: Path, capsys: Capture) -> None:
    row = {
        "prompt": "How do I clean the lamp?",
        "answer": "Wipe the lamp with a soft cloth.",
        "label": "compliance",
    }
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(row) + "\n")
    words = ["judge", "calibrate", "refusal", "--labels", str(path), "--out", "/proc/card.json"]
    assert main(words) == 4
    assert "/proc/card.json cannot be written" in capsys.readouterr().err
