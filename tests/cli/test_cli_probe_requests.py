"""Every verb of `truing probe` that reads requests: what cannot be read is told by its row, before anything is done."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from probe.families import folder

from truing.cli import main
from truing.model import Point, Site
from truing.probe import BatchTopKConfig, Direction, SavedSAE, save_directions, save_sae

Capture = pytest.CaptureFixture[str]
BASE, TUNED, OTHER = (str(folder("gpt2", seed)) for seed in (0, 1, 2))
SYSTEM = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
VERBS = ("direction", "persona", "calibrate-watch", "diff")


@pytest.fixture
def words(tmp_path) -> dict[str, list[str]]:
    """What each verb is asked, with requests in `asked.jsonl`; all goes to `out`."""
    rows = [{"prompt": f"What of the {thing}?"} for thing in ("kite", "gulls", "pears", "spar", "rope")]
    write(tmp_path, *rows)
    centre = torch.arange(32.0)
    save_directions(tmp_path / "d", [Direction("cruel", centre, Site(1), "last")])
    sae = BatchTopKConfig(8, 2).build(centre, torch.randn(64, 32))
    save_sae(tmp_path / "sae", SavedSAE(sae, BASE, Site(1, Point.resid_post)))
    file, out = str(tmp_path / "asked.jsonl"), ["--out", str(tmp_path / "out")]
    watch = ["--harmless", TUNED, OTHER, "--direction", str(tmp_path / "d")]
    return {
        "direction": ["direction", BASE, "--harmful", file, "--harmless", file, *out],
        "persona": ["persona", BASE, "--persona", "a", "--opposite", "b", "--prompts", file, *out],
        "calibrate-watch": ["calibrate-watch", BASE, *watch, "--prompts", file, *out],
        "diff": ["diff", BASE, TUNED, "--sae", str(tmp_path / "sae"), "--prompts", file, *out],
    }


def write(root: Path, *rows: object) -> None:
    (root / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def refused(capsys: Capture, root: Path, words: list[str], *more: str) -> str:
    assert main(["probe", *words, *more]) == 3
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and not (root / "out").exists()
    return said


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_that_is_too_long_is_told_by_its_row(verb, words, tmp_path, capsys):
    write(tmp_path, {"prompt": "Why?"}, {"prompt": "gulls " * 600}, {"prompt": "And?"}, {"prompt": "So?"})
    said = refused(capsys, tmp_path, words[verb])
    assert "asked.jsonl, row 2: has " in said and "context is 512; shorten it or leave it out" in said


@pytest.mark.parametrize("verb", ["persona", "calibrate-watch"])
def test_a_request_that_leaves_no_room_for_an_answer_is_told_by_its_row(verb, words, tmp_path, capsys):
    write(tmp_path, {"prompt": "What of the kite?"}, {"prompt": "gulls " * 150})
    said = refused(capsys, tmp_path, words[verb], "--over", "response", "--max-tokens", "400")
    assert "asked.jsonl, row 2: has " in said and "400 more are asked for" in said


def test_a_request_with_a_system_turn_of_its_own_is_told_by_its_row(words, tmp_path, capsys):
    write(tmp_path, {"prompt": "What of the kite?"}, {"prompt": SYSTEM})
    assert "asked.jsonl, row 2: " in refused(capsys, tmp_path, words["persona"])


@pytest.mark.parametrize("verb", VERBS)
def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(verb, words, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    (tmp_path / "asked.jsonl").unlink()
    for out in ("file", "file/below") if verb != "calibrate-watch" else ("file/below", "."):
        assert main(["probe", *words[verb], "--out", str(tmp_path / out)]) == 3
        said = capsys.readouterr().err
        assert "is a file, not a folder; choose another --out" in said or "is a folder, not a file" in said


@pytest.mark.parametrize(
    ("verb", "more", "why"),
    [
        ("persona", ("--max-tokens", "0"), "max-tokens is at least 1, not 0"),
        ("calibrate-watch", ("--max-tokens", "0"), "max-tokens is at least 1, not 0"),
        ("diff", ("--temperature", "-1"), "temperature is at least 0, not -1.0"),
        ("diff", ("--temperature", "nan"), "temperature is at least 0, not nan"),
        ("diff", ("--most", "inf"), "the largest strength is above 0"),
    ],
)
def test_a_number_out_of_its_range_is_exit_three(verb, more, why, words, tmp_path, capsys):
    assert why in refused(capsys, tmp_path, words[verb], *more)


def test_a_fine_tune_that_is_given_twice_does_not_count_twice(words, tmp_path, capsys):
    said = refused(capsys, tmp_path, words["diff"], "--more-tuned", OTHER, "--more-tuned", TUNED)
    assert "one fine-tune is given twice" in said


def test_a_direction_of_a_layer_below_the_first_is_of_no_model(words, tmp_path, capsys):
    save_directions(tmp_path / "d", [Direction("cruel", torch.arange(32.0), Site(-1), "last")])
    assert "is of layer -1 and width 32" in refused(capsys, tmp_path, words["calibrate-watch"])


def test_the_next_commands_run_also_where_names_have_spaces(words, tmp_path, capsys):
    place = tmp_path / "a place"
    asked = [*words["persona"][:-1], str(place)]
    assert main(["probe", *asked]) == 0
    told = capsys.readouterr().out.splitlines()[-1].removeprefix("next: ")
    assert shlex.split(told)[-6:-2] == ["--direction", str(place / "persona.safetensors"), *asked[6:8]]
    following = shlex.split(told.replace("FOLDER ...", f"{TUNED} {OTHER}"))
    watch = str(place / "watch.json")
    assert main([*following[1:-1], watch]) == 2
    told = capsys.readouterr().out.splitlines()[-1].removeprefix("next: ")
    assert shlex.split(told) == ["truing", "probe", "watch", BASE, "TUNED", "--watch", watch]
