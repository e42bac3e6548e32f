"""The published choice of a refusal direction, from the published scores and from made ones."""

import json
import math
from pathlib import Path

import pytest
from shared_data import shared

from truing.probe import Candidate, Chosen, choose, read_candidates, write_candidates
from truing.types import InputError

GOOD = Candidate(-1, 3, -5.0, 2.0, 0.05)
ROW = {"position": -1, "layer": 3, "refusal_score": -5.0, "steering_score": 2.0, "kl_div_score": 0.05}


@pytest.mark.parametrize(
    ("model", "layers", "position", "layer", "kept"),
    [
        ("gemma-2b-it", 18, -2, 10, 13),
        ("llama-2-7b-chat-hf", 32, -1, 14, 5),
        ("qwen-1_8b-chat", 24, -2, 15, 12),
    ],
)
def test_the_published_choice_comes_out_of_the_published_scores(model, layers, position, layer, kept):
    runs = shared("refusal_direction/runs") / model
    chosen = choose(read_candidates(runs / "direction_evaluations.json", layers), layers)
    assert (chosen.position, chosen.layer, chosen.kept) == (position, layer, kept)
    published = json.loads((runs / "direction_evaluations_filtered.json").read_text())
    assert len(published) == kept
    best = published[0]
    assert [chosen.refusal, chosen.steering, chosen.kl] == [
        best[key] for key in ("refusal_score", "steering_score", "kl_div_score")
    ]
    assert {"pos": position, "layer": layer} == json.loads((runs / "direction_metadata.json").read_text())


@pytest.mark.parametrize(
    "worse",
    [
        Candidate(-1, 3, math.nan, 2.0, 0.05),
        Candidate(-1, 3, -9.0, math.nan, 0.05),
        Candidate(-1, 3, -9.0, 2.0, math.nan),
        Candidate(-1, 3, -math.inf, 2.0, 0.05),
        Candidate(-1, 8, -9.0, 2.0, 0.05),  # int(0.8 * 11) = 8
        Candidate(-1, 3, -9.0, 2.0, 0.1000001),
        Candidate(-1, 3, -9.0, -1e-9, 0.05),
    ],
)
def test_each_part_of_the_filter_discards_a_candidate_that_would_win(worse):
    assert choose([worse, GOOD], 11) == Chosen(-1, 3, 1, -5.0, 2.0, 0.05)


def test_the_borders_of_the_filter_are_inside():
    border = Candidate(-4, 7, -9.0, 0.0, 0.1)
    assert choose([GOOD, border], 11) == Chosen(-4, 7, 2, -9.0, 0.0, 0.1)


def test_of_equal_candidates_the_first_is_chosen():
    assert choose([GOOD, Candidate(-2, 4, -5.0, 7.0, 0.0)], 11).position == -1


def test_nothing_that_passes_is_an_error_which_counts_why():
    poor = [
        Candidate(-1, 3, -5.0, -2.0, 0.0),
        Candidate(-1, 9, -5.0, 2.0, 0.0),
        Candidate(-2, 3, -5.0, -1.0, 0),
    ]
    with pytest.raises(InputError, match=r"none of the 3 .*2 that induce no refusals, 1 in the last fifth"):
        choose(poor, 11)


def test_what_is_written_is_read_back_whatever_the_scores(tmp_path):
    wanted = [GOOD, Candidate(-2, 0, math.nan, math.inf, 0.1 + 0.2)]
    write_candidates(tmp_path / "new" / "e.json", wanted)
    found = read_candidates(tmp_path / "new" / "e.json", 11)
    assert found[0] == GOOD and math.isnan(found[1].refusal)
    assert (found[1].steering, found[1].kl) == (math.inf, 0.1 + 0.2)
    assert json.loads((tmp_path / "new" / "e.json").read_text())[0] == ROW


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("[{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "no list of candidates"),
        ("[]", "no list of candidates"),
        ("[1]", "row 1: is no object"),
        (
            json.dumps([ROW, {k: v for k, v in ROW.items() if k != "kl_div_score"}]),
            "row 2: has no kl_div_score",
        ),
        (json.dumps([ROW, ROW, ROW | {"layer": 2.0}]), "row 3: the layer is 2.0 and no whole number"),
        (json.dumps([ROW | {"layer": 11}]), "row 1: .*layer 11, and a model of 11 layers has 0 to 10"),
        (json.dumps([ROW | {"layer": -1}]), "row 1: .*layer -1"),
        (json.dumps([ROW | {"position": True}]), "row 1: the position is True"),
        (json.dumps([ROW | {"refusal_score": "low"}]), "row 1: the refusal_score is 'low' and no number"),
    ],
)
def test_a_file_that_is_none_is_one_sentence_with_its_row(tmp_path: Path, text: str, said: str):
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(InputError, match=said) as error:
        read_candidates(tmp_path / "e.json", 11)
    assert str(error.value).startswith(str(tmp_path / "e.json"))


def test_scores_that_javascript_wrote_as_null_are_not_numbers(tmp_path: Path):
    (tmp_path / "e.json").write_text(json.dumps([ROW | {"kl_div_score": None}, ROW]))
    assert choose(read_candidates(tmp_path / "e.json", 11), 11).kept == 1
