"""`truing probe`: the published choice, bad files, and a direction of a real model."""

import json
from pathlib import Path

import pytest
from probe.refusing import REFUSES, VERBS, refusing_checkpoint, requests
from shared_data import shared

from truing.cli import main
from truing.model import load_local
from truing.probe import (
    load_directions,
    opener_ids,
    prompt_texts,
    read_candidates,
    read_prompts,
    refusal_scores,
)

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


@pytest.mark.parametrize(("layers", "said"), [(0, "at least one layer, not 0"), (3, "is of layer 3")])
def test_a_number_of_layers_that_cannot_be_is_exit_three(layers, said, tmp_path, capsys):
    (tmp_path / "e.json").write_text(json.dumps([ROW]))
    code, _, err = selected(capsys, tmp_path / "e.json", layers)
    assert code == 3 and said in err


def test_a_missing_file_is_exit_three(tmp_path, capsys):
    code, _, err = selected(capsys, tmp_path / "none.json", 11)
    assert code == 3 and "there is no such file" in err


@pytest.fixture(scope="module")
def requests_of(tmp_path_factory) -> dict[str, Path]:
    """Files of harmful and harmless requests for the model that learnt to refuse."""
    folder, files = tmp_path_factory.mktemp("requests"), {}
    for kind, verbs in (("harmful", ("steal",)), ("harmless", VERBS)):
        files[kind] = folder / f"{kind}.jsonl"
        files[kind].write_text("".join(json.dumps({"prompt": text}) + "\n" for text in requests(verbs)))
    return files


def found(capsys: Capture, files: dict[str, Path], out: Path, *more: str) -> tuple[int, str, str]:
    sides = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    code = main(["probe", "direction", str(refusing_checkpoint()), *sides, "--out", str(out), *more])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_direction_of_a_real_model_is_written_with_the_scores_it_was_chosen_by(
    requests_of, tmp_path, capsys
):
    out = tmp_path / "found"
    code, told, _ = found(capsys, requests_of, out, "--opener", REFUSES, "--json")
    chosen = json.loads(told.splitlines()[-1])
    assert code == 0 and chosen == json.loads((out / "direction.json").read_text())
    assert chosen["steering"] > 0 and chosen["kl"] <= 0.1 and chosen["layer"] < 2
    (direction,) = load_directions(out / "direction.safetensors")
    assert (direction.site.layer, direction.position) == (chosen["layer"], f"template {chosen['position']}")
    assert selected(capsys, out / "direction_evaluations.json", 3, "--json")[1] == told

    model = load_local(refusing_checkpoint(), device="cpu", dtype="float32")
    openers = opener_ids(model.chat, [REFUSES])
    asked = {kind: prompt_texts(model.chat, read_prompts(file)[::7]) for kind, file in requests_of.items()}

    def refused(kind: str) -> float:
        scores = refusal_scores(model.next_logits([text.ids for text in asked[kind]]), openers)
        return float((scores > 0).double().mean())

    assert refused("harmful") > 0.9 and refused("harmless") < 0.1
    with model.steered(direction.removal(3)):
        assert refused("harmful") < 0.3
    with model.steered([direction.adding()]):
        assert refused("harmless") > 0.7


def test_where_no_candidate_passes_the_scores_are_kept_and_the_exit_is_three(
    requests_of, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("truing.probe.candidates.MOST_KL", -1.0)
    code, _, err = found(capsys, requests_of, tmp_path / "found", "--opener", REFUSES)
    assert code == 3 and "none of the 18 candidates passes the filter" in err
    assert len(read_candidates(tmp_path / "found" / "direction_evaluations.json", 3)) == 18
    assert not (tmp_path / "found" / "direction.safetensors").exists()


def test_openers_with_which_the_model_never_refuses_are_told_before_anything_is_tried(
    requests_of, tmp_path, capsys
):
    code, _, err = found(capsys, requests_of, tmp_path / "found", "--opener", "zebra")
    assert code == 3 and "harmful requests, and it takes ten" in err
    assert not (tmp_path / "found").exists()
