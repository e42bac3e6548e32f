"""Every verb of `truing probe`, one after the other, on folders of a family that is not Llama."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from probe.families import folder, opened, refused
from probe.test_probe_screening import planted, written

from truing.cli import main
from truing.model import Point, Site
from truing.probe import DiffReport, load_directions, load_sae
from truing.types import loads

Capture = pytest.CaptureFixture[str]
FAMILY = "gemma3"
BASE, TUNED = (str(folder(FAMILY, seed)) for seed in (0, 1))
THINGS = ("kite", "gulls", "kettles", "pears", "lighthouse", "spar", "basket", "loaves", "miller", "rope")


def asked(root: Path, name: str, texts: list[str]) -> str:
    (root / name).write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    return str(root / name)


@pytest.fixture(scope="module")
def direction(tmp_path_factory) -> Path:
    """A refusal direction, found by the command line among requests that the model happens to refuse."""
    root = tmp_path_factory.mktemp("direction")
    texts = [f"{verb} the {thing} {end}" for verb in ("Steal", "Mend") for thing in THINGS for end in "?!.,"]
    openers, sides = refused(opened(FAMILY, 0), texts)
    words = ["--harmful", asked(root, "bad", sides[True]), "--harmless", asked(root, "good", sides[False])]
    words += [word for opener in openers for word in ("--opener", opener)]
    assert main(["probe", "direction", BASE, *words, "--out", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def sae(tmp_path_factory) -> Path:
    """An autoencoder of the tokens from which an assistant turn begins."""
    root = tmp_path_factory.mktemp("sae")
    talks = [
        {"messages": [turn("user", f"{i} {THINGS[i % 10]}?"), turn("assistant", "So.")]} for i in range(80)
    ]
    (root / "talks").write_text("".join(json.dumps(row) + "\n" for row in talks))
    words = ["--layer", "1", "--width", "24", "--k", "4", "--batch", "16", "--passes", "8"]
    words += ["--learning-rate", "0.01", "--tokens", "starts", "--out", str(root)]
    assert main(["probe", "sae", BASE, str(root / "talks"), *words]) == 0
    return root


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def last_line(capsys: Capture) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_direction_is_found_and_chosen_again_from_its_file(direction, capsys):
    file = str(direction / "direction_evaluations.json")
    assert main(["probe", "select-direction", file, "--layers", "3", "--json"]) == 0
    assert last_line(capsys) == json.loads((direction / "direction.json").read_text())


def test_a_persona_is_found_where_it_is_most_pronounced_and_where_one_asks_for_it(tmp_path, capsys):
    words = ["--prompts", asked(tmp_path, "asked", [f"What of the {thing}?" for thing in THINGS])]
    words += ["--persona", "You are cruel.", "--persona", "You hate us.", "--opposite", "You are kind."]
    assert main(["probe", "persona", BASE, *words, "--out", str(tmp_path), "--json"]) == 0
    told, ranked = last_line(capsys), json.loads((tmp_path / "sites.json").read_text())
    assert told == ranked[0] and {row["site"][0] for row in ranked} == {"2"}, (
        "before it, windows hide who is asked"
    )
    (direction,) = load_directions(tmp_path / "persona.safetensors")
    assert f"{direction.site.layer}.{direction.site.point}" == told["site"]

    more = ["--site", "2.mlp", "--over", "response", "--max-tokens", "3", "--name", "cruel"]
    assert main(["probe", "persona", BASE, *words, *more, "--out", str(tmp_path)]) == 0
    assert "next: truing probe calibrate-watch" in capsys.readouterr().out
    (direction,) = load_directions(tmp_path / "persona.safetensors")
    assert (direction.name, direction.site, direction.position) == ("cruel", Site(2, Point.mlp), "response")

    for site, why in (("7.mlp", "there is no layer 7"), ("1.head", "'1.head' is no site"), ("x", "no site")):
        assert main(["probe", "persona", BASE, *words, "--site", site, "--out", str(tmp_path)]) == 3
        assert why in capsys.readouterr().err


def test_an_autoencoder_of_what_attention_adds_is_found_there_again(sae, tmp_path, capsys):
    words = ["--layer", "2", "--point", "attention", "--width", "8", "--k", "1", "--batch", "16"]
    assert main(["probe", "sae", BASE, str(sae / "talks"), *words, "--out", str(tmp_path)]) == 0
    assert load_sae(tmp_path).site == Site(2, Point.attention)
    assert main(["probe", "measure-sae", str(tmp_path), str(sae / "talks"), "--json"]) == 0
    assert last_line(capsys)["l0"] <= 8


def test_an_autoencoder_is_measured_on_both_and_what_moved_is_tried(sae, tmp_path, capsys, monkeypatch):
    explained = []
    for model in (BASE, TUNED):
        assert main(["probe", "measure-sae", str(sae), str(sae / "talks"), "--model", model, "--json"]) == 0
        told = last_line(capsys)
        assert told["tokens"] == 80
        explained.append(told["explained_variance"])
    assert 1 > explained[0] > 0.3 and explained[0] > explained[1]

    entry = EntryPoint("vowels", "probe.families:VowelGrader", "truing.graders")
    monkeypatch.setattr("truing.grade.registry.entry_points", lambda group: [entry])
    words = ["--sae", str(sae), "--prompts", asked(tmp_path, "asked", [f"What of the {t}?" for t in THINGS])]
    words += [
        "--grader",
        "vowels",
        "--candidates",
        "2",
        "--max-tokens",
        "3",
        "--samples",
        "2",
        "--most",
        "0.5",
    ]
    code = main(["probe", "diff", BASE, TUNED, *words, "--out", str(tmp_path / "diff"), "--json"])
    told = last_line(capsys)
    report = loads(DiffReport, (tmp_path / "diff" / "report.json").read_text())
    assert code == (0 if report.judged else 2) and len(told["findings"]) == 2
    assert all(one.induce and one.suppress for one in report.findings) and not report.elsewhere
    assert "Both experiments" in (tmp_path / "diff" / "index.html").read_text()


def test_a_fine_tune_is_watched_and_rows_are_screened_along_the_direction(direction, tmp_path, capsys):
    found, watch = str(direction / "direction.safetensors"), str(tmp_path / "watch.json")
    words = ["--direction", found, "--prompts", asked(tmp_path, "asked", list(THINGS)), "--out", watch]
    words += ["--harmless", *(str(folder(FAMILY, seed)) for seed in (2, 3, 4)), "--false-alarms", "0.25"]
    assert main(["probe", "calibrate-watch", BASE, *words]) == 0
    capsys.readouterr()
    code = main(["probe", "watch", BASE, TUNED, "--watch", watch, "--json"])
    told = last_line(capsys)
    assert code == {"no alarm": 0, "alarm": 1, "cannot tell": 2}[told["verdict"]] and told["prompts"] == 10

    rows = str(written(tmp_path, planted()[0]))
    words = ["--directions", found, "--out", str(tmp_path / "out"), "--max-tokens", "5", "--json"]
    assert main(["probe", "screen", BASE, rows, *words]) == 0
    told = last_line(capsys)
    assert told["rows"]["scored"] == 12 and [one["name"] for one in told["personas"]] == ["refusal"]
