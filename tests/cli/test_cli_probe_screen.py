"""`truing probe screen`: what it writes, and what it says next."""

import json

import pytest
from model.tiny import make_checkpoint
from probe.test_probe_screening import persona, planted, written

from truing.cli import main
from truing.data import read_jsonl
from truing.model import load_local
from truing.probe import save_directions


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screen")
    make_checkpoint(folder / "base", "llama")
    model = load_local(folder / "base", device="cpu", dtype="float32")
    save_directions(folder / "personas.safetensors", [persona(model), persona(model, "<b>other</b>")])
    return folder


def test_rows_page_and_kept_rows_are_written(base, tmp_path, capsys):
    rows = planted()[0]
    rows[3]["messages"][1]["content"] += " <script>alert(1)</script>"
    data, kept = written(tmp_path, [*rows, {"messages": rows[0]["messages"][:1]}]), tmp_path / "kept.jsonl"
    words = [str(base / "base"), str(data), "--directions", str(base / "personas.safetensors")]
    words += ["--out", str(tmp_path / "out"), "--max-tokens", "6", "--json"]
    assert main(["probe", "screen", *words]) == 0
    said = capsys.readouterr().out
    assert "--write-kept FILE --drop-worst 0.1" in said and "rows without a score, no response: 1" in said
    told = json.loads(said.splitlines()[-1])
    assert told["rows"]["scored"] == 12 and [one["name"] for one in told["personas"]] == [
        "<b>other</b>",
        "bad",
    ]
    scored = [row.data for row in read_jsonl(tmp_path / "out" / "rows.jsonl")]
    assert len(scored) == 13 and scored[-1] == {"row": 13, "outcome": "no response"}
    worst = [row["worst"] for row in scored[:-1]]
    assert worst == sorted(worst, reverse=True)
    page = (tmp_path / "out" / "screen.html").read_text()
    assert "<script" not in page and "<b>other" not in page and "&lt;script&gt;alert(1)" in page
    assert "nothing is known of them" in page and "--drop-worst 0.1" in page

    assert main(["probe", "screen", *words, "--write-kept", str(kept), "--drop-worst", "0.25"]) == 0
    left = [row.data for row in read_jsonl(kept)]
    dropped = {row["row"] for row in scored[:3]}
    assert left == [row for n, row in enumerate(rows, start=1) if n not in dropped]
    assert f"next: truing align sft --data {kept}" in capsys.readouterr().out


def test_the_cheap_baseline_says_what_it_cannot_tell(base, tmp_path):
    data = written(tmp_path, planted()[0])
    words = [str(base / "base"), str(data), "--directions", str(base / "personas.safetensors")]
    assert main(["probe", "screen", *words, "--out", str(tmp_path / "o"), "--baseline", "prompt"]) == 0
    page = (tmp_path / "o" / "screen.html").read_text()
    assert "cannot tell that the file as a whole pushes anything" in page
    assert json.loads((tmp_path / "o" / "screen.json").read_text())["samples"] == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--drop-worst", "0.1"], "go together"),
        (["--drop-worst", "1", "--write-kept", "k"], "below 1"),
        (["--samples", "0"], "at least 1"),
        (["--directions", "nowhere"], "no such file"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_three(base, tmp_path, capsys, more, said):
    data = written(tmp_path, planted()[0][:2])
    words = [str(base / "base"), str(data), "--directions", str(base / "personas.safetensors")]
    assert main(["probe", "screen", *words, "--out", str(tmp_path / "o"), *more]) == 3
    assert said in capsys.readouterr().err and not (tmp_path / "o").exists()
