"""`truing probe diff`: from two folders, an autoencoder and requests to a page and an exit code."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from probe.persona import DECOY, PERSONA, asked, autoencoder, base, saved_to, tuned

from truing.cli import main
from truing.cli.probe_diff import Diff
from truing.probe import DiffReport, load_directions, save_sae
from truing.types import loads

FAST = ("--candidates", "1", "--max-tokens", "4", "--samples", "4")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("diff")
    save_sae(root / "sae", autoencoder())
    (root / "asked.jsonl").write_text(
        "\n".join(json.dumps({"prompt": r.messages[-1].content}) for r in asked(26))
    )
    models = {"base": saved_to(root / "base", base()), "tuned": saved_to(root / "tuned", tuned())}
    return models | {"sae": root / "sae", "prompts": root / "asked.jsonl"}


def diffed(folders: dict[str, Path], out: Path, *more: str) -> int:
    words = ["probe", "diff", *(str(folders[n]) for n in ("base", "tuned")), "--out", str(out)]
    return main([*words, "--sae", str(folders["sae"]), "--prompts", str(folders["prompts"]), *more])


def test_a_cause_is_found_and_told_with_its_page(folders, tmp_path, capsys, monkeypatch):
    entry = EntryPoint("wicked", "probe.persona:WickedGrader", "truing.graders")
    monkeypatch.setattr("truing.grade.registry.entry_points", lambda group: [entry])
    code = diffed(folders, tmp_path, "--grader", "wicked", *FAST, "--json")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0 and told["conclusion"] == "Cause found"
    assert [(f["latent"], f["judgement"]) for f in told["findings"]] == [(PERSONA, "cause")]
    report = loads(DiffReport, (tmp_path / "report.json").read_text())
    assert (report.behaviour, len(report.tuned), report.select + report.test) == ("wicked", 1, 26)
    page = (tmp_path / "index.html").read_text().replace(" \\\n    ", " ")  # commands on one line
    assert "Cause found" in page and "an answer that wicked scores below 0.5" in page
    assert f"{tmp_path}/directions.safetensors: latents {PERSONA}<" in page
    assert f"truing probe screen {folders['base']} TRAINING_ROWS.jsonl --directions {tmp_path}" in page
    assert f"truing align realign --data CORRECT_ROWS.jsonl --model {folders['tuned']}" in page
    assert f"truing probe diff {folders['base']} REPAIRED/model --sae" in page and "--out COMPARED" in page
    assert "--grader wicked --candidates 1" in page
    (direction,) = load_directions(tmp_path / "directions.safetensors")
    assert direction.name == f"latent {PERSONA}" and direction.norm == pytest.approx(1)
    assert direction.made_of["base"] == f"{report.findings[0].moved.base:.3g}"


def test_the_command_names_every_fine_tune():
    asked = Diff("base", "a", sae=Path("s"), prompts=Path("p"), out=Path("o"), more_tuned=("b", "c d"))
    told = "truing probe diff base a --sae s --prompts p --out o --more-tuned b --more-tuned 'c d'"
    assert asked._command() == told


def test_without_a_judge_what_moved_is_ranked_and_the_ending_is_inconclusive(folders, tmp_path, capsys):
    code = diffed(folders, tmp_path)
    out = capsys.readouterr().out
    assert code == 2 and "Moved, not tried" in out
    assert out.index(f"latent {PERSONA}: +") < out.index(f"latent {DECOY}: +")
    assert "--grader GRADER" in (tmp_path / "index.html").read_text()


def test_a_model_that_did_not_move_is_one_sentence(folders, tmp_path, capsys):
    code = diffed(folders | {"tuned": folders["base"]}, tmp_path)
    assert code == 3 and "no latent is more or less active" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_number_out_of_its_range_is_exit_three(folders, tmp_path, capsys):
    assert diffed(folders, tmp_path, "--samples", "0") == 3
    assert "at least 1" in capsys.readouterr().err
