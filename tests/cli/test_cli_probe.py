"""`truing probe`: the published choice, bad files, and a direction of a real model."""

import json
from pathlib import Path

import pytest
from shared_data import shared

from truing.cli import main
from truing.model import load_local
from truing.probe import Candidate, choose, load_directions, read_candidates, write_candidates

Capture = pytest.CaptureFixture[str]
ROW = {"position": -1, "layer": 3, "refusal_score": -5.0, "steering_score": 2.0, "kl_div_score": 0.05}


def selected(capsys: Capture, file: Path, layers: int, *more: str) -> tuple[int, str, str]:
    code = main(["probe", "select-direction", str(file), "--layers", str(layers), *more])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("model", "layers", "wanted"),
    [
        ("gemma-2b-it", 18, (-2, 10, 13)),
        ("llama-2-7b-chat-hf", 32, (-1, 14, 5)),
        ("qwen-1_8b-chat", 24, (-2, 15, 12)),
    ],
)
def test_the_published_choice_is_the_last_line(model, layers, wanted, capsys):
    runs = shared("refusal_direction/runs") / model
    code, out, _ = selected(capsys, runs / "direction_evaluations.json", layers, "--json")
    told = json.loads(out.splitlines()[-1])
    assert code == 0 and list(told) == ["position", "layer", "kept", "refusal", "steering", "kl"]
    assert (told["position"], told["layer"], told["kept"]) == wanted
    best = json.loads((runs / "direction_evaluations_filtered.json").read_text())[0]
    assert [told["refusal"], told["steering"], told["kl"]] == list(best.values())[2:]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("not JSON", "is not JSON"),
        (json.dumps([ROW, {"position": -1}]), "row 2: has no layer"),
        (json.dumps([ROW | {"layer": 12}]), "row 1: the candidate is of layer 12"),
        (json.dumps([ROW | {"steering_score": -0.1}] * 3), "none of the 3 candidates passes the filter"),
        (json.dumps([ROW | {"kl_div_score": float("nan")}]), "1 with a score that is no number"),
    ],
)
def test_a_bad_file_is_one_sentence_and_exit_three(rows, said, tmp_path, capsys):
    (tmp_path / "e.json").write_text(rows)
    code, out, err = selected(capsys, tmp_path / "e.json", 11, "--json")
    assert code == 3 and said in err and str(tmp_path / "e.json") in err
    assert len(err.splitlines()) == 1 and "Traceback" not in err
    assert json.loads(out.splitlines()[-1])["exit"] == 3


@pytest.mark.parametrize(
    ("layers", "said"), [(0, "at least one layer, not 0"), (3, "layers 3, and|layer 3, and")]
)
def test_a_number_of_layers_that_cannot_be_is_exit_three(layers, said, tmp_path, capsys):
    (tmp_path / "e.json").write_text(json.dumps([ROW]))
    code, _, err = selected(capsys, tmp_path / "e.json", layers)
    assert code == 3 and any(part in err for part in said.split("|"))


def test_a_missing_file_is_exit_three(tmp_path, capsys):
    code, _, err = selected(capsys, tmp_path / "none.json", 11)
    assert code == 3 and "there is no such file" in err
