"""`truing probe calibrate-watch` and `truing probe watch` on tiny fine-tunes with planted shifts."""

import json
from pathlib import Path

import pytest
from probe.shifted import base_checkpoint, persona, tuned_checkpoint

from truing.cli import main
from truing.probe import read_watch, save_directions

Capture = pytest.CaptureFixture[str]
PROMPTS = [f"What {verb} the {thing}?" for verb in ("mends", "sells") for thing in ("kite", "spar", "pears")]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A base, 19 harmless fine-tunes, another harmless one, a planted one, prompts, a direction, a watch."""
    folder = tmp_path_factory.mktemp("watch")
    base = base_checkpoint(folder / "base")
    for seed in range(20):
        tuned_checkpoint(base, folder / f"harmless-{seed}", seed=seed)
    tuned_checkpoint(base, folder / "planted", seed=100, planted=1.0)
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in PROMPTS))
    save_directions(folder / "persona.safetensors", [persona()])
    assert calibrated(folder, 19, folder / "watch.json") == 0
    return folder


def calibrated(folder: Path, harmless: int, out: Path, *more: str) -> int:
    names = [str(folder / f"harmless-{seed}") for seed in range(harmless)]
    words = ["--direction", str(folder / "persona.safetensors"), "--prompts", str(folder / "prompts.jsonl")]
    words = [*words, "--out", str(out), "--harmless", *names]
    return main(["probe", "calibrate-watch", str(folder / "base"), *words, *more])


def told(capsys: Capture, folder: Path, tuned: str, watch: Path) -> tuple[int, dict, str]:
    capsys.readouterr()
    words = [str(folder / "base"), str(folder / tuned), "--watch", str(watch), "--json"]
    code = main(["probe", "watch", *words])
    said = capsys.readouterr()
    return code, json.loads(said.out.splitlines()[-1]), said.out + said.err


def test_a_planted_shift_is_an_alarm_and_another_harmless_fine_tune_is_none(place, capsys):
    code, found, said = told(capsys, place, "planted", place / "watch.json")
    assert code == 1 and found["verdict"] == "alarm" and found["interval"]["low"] > found["threshold"]
    assert "next: truing audit" in said
    code, found, _ = told(capsys, place, "harmless-19", place / "watch.json")
    assert code == 0 and found["verdict"] == "no alarm"
    # By hand: the vector of length 1 moves the projection by 1, in units of the spread.
    spread = read_watch(place / "watch.json").calibrated.spread
    _, planted, _ = told(capsys, place, "planted", place / "watch.json")
    assert planted["score"] * spread == pytest.approx(1, abs=4 * spread)


def test_too_few_harmless_fine_tunes_are_told_at_calibration_and_at_the_verdict(place, tmp_path, capsys):
    assert calibrated(place, 4, tmp_path / "few.json") == 2
    assert "support a false-alarm rate of 20.0% at best; 5.0% takes 19" in capsys.readouterr().out
    code, found, said = told(capsys, place, "planted", tmp_path / "few.json")
    assert code == 2 and found["verdict"] == "cannot tell" and "takes 19" in said
    assert calibrated(place, 4, tmp_path / "four.json", "--false-alarms", "0.2") == 0


def test_what_the_watch_is_not_of_is_refused_in_one_sentence(place, tmp_path, capsys):
    watch = json.loads((place / "watch.json").read_text())
    for what, name in (("weights", "another base"), ("template", "another chat template")):
        (tmp_path / "w.json").write_text(json.dumps(watch | {"base": watch["base"] | {what: "0" * 64}}))
        code, _, said = told(capsys, place, "planted", tmp_path / "w.json")
        assert code == 3 and name in said
    for tuned, name in (("base", "is the base itself"), ("harmless-3", "was calibrated on")):
        code, _, said = told(capsys, place, tuned, place / "watch.json")
        assert code == 3 and name in said


def test_a_watch_that_was_changed_is_no_watch(place, tmp_path, capsys):
    watch = json.loads((place / "watch.json").read_text())
    limit = watch["calibrated"]["threshold"]
    wrong = [{"spread": 0}, {"spread": -1.0}, {"threshold": limit | {"value": 999.0}}]
    changes = [{"calibrated": watch["calibrated"] | one} for one in wrong]
    changes += [{"layer": 0}, {"texts": watch["texts"][:-1]}, {"harmless": watch["harmless"][:-1]}]
    for change in changes:
        (tmp_path / "w.json").write_text(json.dumps(watch | change))
        code, _, said = told(capsys, place, "planted", tmp_path / "w.json")
        assert code == 3 and "is no watch (" in said


def test_a_harmless_fine_tune_that_is_named_twice_is_refused(place, tmp_path, capsys):
    code = calibrated(place, 3, tmp_path / "w.json", str(place / "harmless-1"))
    assert code == 3 and "name each of them once" in capsys.readouterr().err
    assert not (tmp_path / "w.json").exists()
