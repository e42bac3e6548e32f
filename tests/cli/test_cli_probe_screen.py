"""`truing probe screen`: what it writes, and what it says next."""

import json
from html import escape

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
    data, kept = (
        written(tmp_path, [*rows, {"messages": rows[0]["messages"][:1]}]),
        tmp_path / "new" / "kept.jsonl",
    )
    words = [str(base / "base"), str(data), "--directions", str(base / "personas.safetensors")]
    words += ["--out", str(tmp_path / "out"), "--max-tokens", "6", "--json"]
    assert main(["probe", "screen", *words]) == 0
    said = capsys.readouterr().out
    assert "rows without a score, no response: 1" in said
    told = json.loads(said.splitlines()[-1])
    assert told["rows"]["scored"] == 12 and [one["name"] for one in told["personas"]] == [
        "<b>other</b>",
        "bad",
    ]
    scored = [row.data for row in read_jsonl(tmp_path / "out" / "rows.jsonl")]
    assert len(scored) == 13 and scored[-1] == {"row": 13, "outcome": "no response"}
    worst = [row["worst"] for row in scored[:-1]]
    assert worst == sorted(worst, reverse=True)
    page = (tmp_path / "out" / "screen.html").read_text().replace(" \\\n    ", " ")  # commands on one line
    assert "<script" not in page and "<b>other" not in page and "&lt;script&gt;alert(1)" in page
    assert "nothing is known of them" in page
    assert "bad: input of layer 1 (counted from 0), read at response" in page
    # The command that is given leaves out all that lies above the line, and nothing else.
    pushing = sum(row["worst"] > 2 for row in scored[:-1])
    assert (
        0 < pushing < 12
        and f"{pushing} of 12 rows would push" in page
        and f"{pushing} of 12 rows would push" in said
    )
    again = next(line for line in said.splitlines() if line.startswith("next: truing "))
    assert "--max-tokens 6" in again and escape(again.removeprefix("next: ")) in page
    learnt = f"truing align sft --data KEPT.jsonl --model {base / 'base'} --out FOLDER"
    assert f"then: {learnt}\n" in said and learnt in page
    assert main([*again.replace("KEPT.jsonl", str(kept)).split()[2:], "--top", "1"]) == 0
    above = {row["row"] for row in scored[:pushing]}
    assert [row.data for row in read_jsonl(kept)] == [r for n, r in enumerate(rows, 1) if n not in above]
    capsys.readouterr()

    assert main(["probe", "screen", *words, "--write-kept", str(kept), "--drop-worst", "0.25"]) == 0
    left = [row.data for row in read_jsonl(kept)]
    dropped = {row["row"] for row in scored[:3]}
    assert left == [row for n, row in enumerate(rows, start=1) if n not in dropped]
    compared = f"truing audit FOLDER/model --baseline {base / 'base'} --suite ..."
    said, page = capsys.readouterr().out, (tmp_path / "out" / "screen.html").read_text()
    assert f"next: truing align sft --data {kept}" in said and f"then: {compared}\n" in said
    assert "9 of 13 rows were kept" in page and compared in page.replace(" \\\n    ", " ")


@pytest.mark.parametrize("plain", [True, False])
def test_the_next_commands_run_also_where_the_file_cannot_be_learnt_as_it_stands(
    base, tmp_path, capsys, monkeypatch, plain
):
    """Of plain text no supervised training takes turns, and rows without a score it refuses."""
    monkeypatch.setattr("truing.probe.screening.PUSHES", 100.0)  # nothing pushes
    rows = [tuple(turn["content"] for turn in row["messages"]) for row in planted()[0]]
    given = [{"prompt": asked, "completion": said, "n": n} for n, (asked, said) in enumerate(rows)]
    if not plain:
        given = [*planted()[0], {"messages": planted()[0][0]["messages"][:1]}]
    data, kept = written(tmp_path, given), tmp_path / "kept.jsonl"
    words = [str(base / "base"), str(data), "--directions", str(base / "personas.safetensors")]
    assert main(["probe", "screen", *words, "--out", str(tmp_path / "out"), "--max-tokens", "6"]) == 0
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines()[-2:])
    for told_next in (told["next"], told["then"]):
        asked = told_next.replace("KEPT.jsonl", str(kept)).replace("FOLDER", str(tmp_path / "run"))
        assert main(asked.split()[1:]) == 0
    left = [row.data for row in read_jsonl(kept)]
    assert len(left) == 12
    if plain:
        turns = [[one["role"] for part in ("prompt", "completion") for one in row[part]] for row in left]
        assert turns == [["user", "assistant"]] * 12 and [row["n"] for row in left] == list(range(12))
    else:
        assert left == given[:-1]


def test_the_cheap_baseline_says_what_it_cannot_tell(base, tmp_path, capsys):
    data = written(tmp_path, planted()[0])
    words = [str(base / "base"), str(data), "--directions", str(base / "personas.safetensors")]
    words += ["--top", "3", "--out", str(tmp_path / "o")]
    assert main(["probe", "screen", *words, "--baseline", "prompt"]) == 0
    said = capsys.readouterr().out
    assert "Rows are only ranked" in said and "--drop-worst" not in said
    again = f"next: truing probe screen {base / 'base'} {data} --directions {base / 'personas.safetensors'}"
    assert f"{again} --out {tmp_path / 'o'} --top 3\n" in said  # and compare with the base's own answers
    page = (tmp_path / "o" / "screen.html").read_text()
    assert "cannot tell that the file as a whole pushes anything" in page
    assert json.loads((tmp_path / "o" / "screen.json").read_text())["samples"] == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--drop-worst", "0.1"], "go together"),
        (["--drop-worst", "1", "--write-kept", "k"], "below 1"),
        (["--drop-worst", "0", "--write-kept", "{data}"], "take the place of all rows"),
        (["--samples", "0"], "at least 1"),
        (["--directions", "nowhere"], "no such file"),
        (["--out", "{data}"], "is a file, not a folder"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_three(base, tmp_path, capsys, more, said):
    data = written(tmp_path, planted()[0][:2])
    words = [str(base / "base"), str(data), "--directions", str(base / "personas.safetensors")]
    assert (
        main(["probe", "screen", *words, "--out", str(tmp_path / "o"), *(w.format(data=data) for w in more)])
        == 3
    )
    assert said in capsys.readouterr().err and not (tmp_path / "o").exists()
