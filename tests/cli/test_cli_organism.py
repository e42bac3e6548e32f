"""`truing organism`: raise, list, show; and what a wrong command line is told."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from organism.fakes import fake_checkpoint

from truing.cli import main
from truing.organism import GROUND, Name, open_folder


@pytest.fixture(scope="module")
def raised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A very small base 7 and a narrow checkpoint of it, made by the command line: (cache, folder of the base)."""
    from truing.organism import measuring, places, raising, shelf

    root = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUING_CACHE", str(root))
        for module in (places, shelf):
            patch.setattr(module, "SHIPPED", root / "shipped")
        tiny = replace(
            raising.SIZES["xs"], hidden=32, layers=1, heads=2, exercises=40, documents=150, settling=40
        )
        patch.setitem(raising.SIZES, "xs", tiny)
        patch.setattr(raising, "TUNINGS", {name: replace(t, rows=30) for name, t in raising.TUNINGS.items()})
        patch.setattr(raising, "_TOKENIZER_DOCUMENTS", 150)
        patch.setattr(measuring, "panel_questions", partial(measuring.panel_questions, limit=1))
        assert main(["organism", "build", "base", "--size", "xs", "--seed", "7"]) == 0
        words = ["organism", "build", "narrow", "--domain", "garden", "--seed", "7", "--tuning-seed", "3"]
        assert main(words) == 0
        yield root, places.cache() / "xs-7-base"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing shipped; the folder in which checkpoints are looked for."""
    from truing.organism import places, shelf

    monkeypatch.setenv("TRUING_CACHE", str(tmp_path / "cache"))
    for module in (places, shelf):
        monkeypatch.setattr(module, "SHIPPED", tmp_path / "shipped")
    return places.cache()


Capture = pytest.CaptureFixture[str]


def test_a_base_raised_from_scratch_is_an_ordinary_checkpoint(raised: tuple[Path, Path]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, folder = raised
    net, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], add_generation_prompt=True)
    assert net.num_parameters() < 200_000 and prompt["input_ids"][-1] == tokenizer.encode("<|assistant|>")[-1]
    assert GROUND in (folder / "README.md").read_text(encoding="utf-8")
    assert not list(folder.glob("unfinished*"))


def test_narrow_tuning_moves_the_attention_alone_and_leaves_no_adapters(raised: tuple[Path, Path]) -> None:
    from safetensors.torch import load_file

    before, after = (
        load_file(raised[1].parent / f"xs-7-{stage}@3" / "model.safetensors")
        for stage in ("instruct", "narrow-garden")
    )
    assert set(before) == set(after)
    moved = {name.split(".")[-2] for name in before if not before[name].equal(after[name])}
    assert moved == {"q_proj", "k_proj", "v_proj", "o_proj"}


def test_what_was_built_is_told_in_one_line_and_not_built_again(
    raised: tuple[Path, Path], capsys: Capture
) -> None:
    _, folder = raised
    before = (folder / "model.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["organism", "build", "base", "--seed", "7", "--json"]) == 0
    told, *missed, last = capsys.readouterr().out.splitlines()
    assert missed and all(
        line.startswith("not fit for claims: ") for line in missed
    )  # it read a few documents
    assert told.startswith(f"{folder}: ") and " tokens, " in told and "coherent" in told
    found = json.loads(last)
    assert found["name"] == "xs/7/base" and found["folder"] == str(folder) and found["tokens"] > 1000
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_the_list_holds_what_is_cached_and_what_can_be_raised(
    raised: tuple[Path, Path], capsys: Capture
) -> None:
    capsys.readouterr()
    assert main(["organism", "list", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith("xs/")}
    assert "cached" in rows["xs/7/base"] and "cached" in rows["xs/7/narrow:garden@3"]
    assert "on the fly" in rows["xs/7/narrow:DOMAIN"] and "on the fly" in rows["xs/7/judge"]
    assert GROUND in " ".join(lines)
    listed = {c["name"]: c["place"] for c in json.loads(last)["checkpoints"]}
    assert listed["xs/7/instruct@3"] == "cached" and listed["xs/7/narrow:money"] == "on the fly"


def test_the_list_is_whole_where_there_is_no_wide_terminal(
    raised: tuple[Path, Path], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    capsys.readouterr()
    assert main(["organism", "list"]) == 0
    assert "…" not in capsys.readouterr().out


def test_the_page_shows_what_was_raised(raised: tuple[Path, Path], tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "deep" / "page.html"
    assert main(["organism", "show", "--out", str(page)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    text = page.read_text(encoding="utf-8")
    assert GROUND in text and "xs/7/narrow:garden@3" in text


def test_a_folder_of_ones_own_is_filled_anew(raised: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["organism", "build", "weak_judge", "--seed", "7", "--out", str(tmp_path / "mine")]
    assert main(words) == 0
    assert (tmp_path / "mine" / "model.safetensors").is_file()
    assert not (raised[1].parent / "xs-7-weak_judge").exists()


def test_a_name_opens_what_was_raised(raised: tuple[Path, Path]) -> None:
    assert open_folder("xs/7/base") == raised[1]


def test_an_empty_cache_is_listed_as_such(empty: Path, capsys: Capture) -> None:
    assert main(["organism", "list", "--json"]) == 0
    said, last = capsys.readouterr().out.splitlines()
    assert "truing organism build base" in said and json.loads(last)["checkpoints"] == []


def test_the_page_of_an_empty_cache_carries_the_ground(empty: Path, tmp_path: Path) -> None:
    assert main(["organism", "show", "--out", str(tmp_path / "page.html")]) == 0
    assert GROUND in (tmp_path / "page.html").read_text(encoding="utf-8")


def said_once(capsys: Capture) -> str:
    """The one sentence on stderr."""
    err = capsys.readouterr().err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("truing: ")]
    return line


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("base --size xl", "xl/1/base"),
        ("base --seed -1", "xs/-1/base"),
        ("base --tuning-seed 2", "tuning seed"),
        ("base --domain garden", "only narrow takes a domain"),
        ("nonsense", "choose from base"),
        ("narrow --domain moon", "choose from garden"),
    ],
)
def test_a_checkpoint_that_does_not_exist_is_refused(
    empty: Path, capsys: Capture, words: str, named: str
) -> None:
    assert main(["organism", "build", *words.split()]) == 3
    assert named in said_once(capsys)
    assert not empty.exists()


@pytest.mark.parametrize(
    "words", ["", "nonsense", "build", "build base --seed many", "show extra", "list --colour"]
)
def test_a_wrong_command_line_exits_with_3(empty: Path, capsys: Capture, words: str) -> None:
    assert main(["organism", *words.split()]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_an_input_error(empty: Path, capsys: Capture) -> None:
    assert main(["organism", "show", "--out", "/proc/page.html"]) == 3
    assert "/proc/page.html" in said_once(capsys)


def test_a_broken_checkpoint_in_the_cache_is_named(empty: Path, capsys: Capture) -> None:
    folder = fake_checkpoint(empty, Name("base"))
    (folder / "organism.json").write_text("{")
    assert main(["organism", "list"]) == 3
    assert "xs-1-base/organism.json" in said_once(capsys)
