"""What a hostile folder can do to the reader: nothing, and one sentence says why."""

import os
import time
from pathlib import Path

import pytest
from kites import FILES, PLACES, RULES, STRINGS, error_of, write

from truing.spec import check_spec, import_document, read_spec
from truing.spec.reading import read_folder
from truing.types import InputError

CATEGORY = "categories/strings.md"


def test_what_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="there is no specification 'nowhere'; name a folder, or one of"):
        read_spec("nowhere")
    assert "has no spec.md" in str(error_of(tmp_path / "a", {"spec.md": None}))
    assert "no such folder" in str(error_of(tmp_path / "b", {name: None for name in FILES if "/" in name}))
    write(tmp_path / "c", {name: None for name in FILES if "/" in name})
    (tmp_path / "c" / "categories").mkdir()
    with pytest.raises(InputError, match="holds no category"):
        read_spec(tmp_path / "c")
    with pytest.raises(InputError, match="is a file, not the folder"):
        read_spec(write(tmp_path / "d") / "spec.md")
    with pytest.raises(InputError, match="has no category 'kite'; choose from places, strings"):
        read_spec(tmp_path / "d").category("kite")


@pytest.mark.parametrize("file", FILES)
def test_what_is_not_utf8_is_told_with_its_line(tmp_path: Path, file):
    told = error_of(tmp_path, {file: FILES[file].encode().replace(b"kite", b"k\xefte", 1)})
    line = FILES[file][: FILES[file].index("kite")].count("\n") + 1
    assert (told.problem, told.row, Path(str(told.file))) == ("is not UTF-8", line, tmp_path / file)


@pytest.mark.parametrize("file", FILES)
def test_control_characters_are_told_with_their_line(tmp_path: Path, file):
    told = error_of(tmp_path, {file: FILES[file].replace("kite", "k\x1b[2Jite", 1)})
    line = FILES[file][: FILES[file].index("kite")].count("\n") + 1
    assert (told.problem, told.row, Path(str(told.file))) == (
        "holds a control character",
        line,
        tmp_path / file,
    )


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_ten_megabytes_is_refused_at_once(tmp_path: Path, file):
    told = error_of(tmp_path, {file: FILES[file].encode() + b"x" * 10_000_000})
    most = 300 if file == "rules.yaml" else 1000
    assert told.problem == f"is larger than {most} kB" and Path(str(told.file)) == tmp_path / file


def test_a_yaml_bomb_is_refused_and_nothing_is_executed(tmp_path: Path):
    levels = "\n".join(f"  l{i + 1}: &l{i + 1} [{', '.join([f'*l{i}'] * 10)}]" for i in range(8))
    told = error_of(tmp_path / "a", {"rules.yaml": f"propositions:\n  l0: &l0 [a]\n{levels}\n"})
    assert "repeats too much by aliases" in str(told) and told.row
    mark = tmp_path / "executed"
    for tag in (
        f"!!python/object/apply:pathlib.Path.touch [{mark}]",
        "!!python/name:os.system",
        "!include /etc/passwd",
    ):
        told = error_of(tmp_path / "b", {"rules.yaml": RULES.replace('helps: "Does', f'helps: {tag} "Does')})
        assert "has the tag" in str(told) and told.row == 2
    told = error_of(tmp_path / "c", {"rules.yaml": RULES.replace("sorry and not helps", f"__import__('pathlib').Path('{mark}').touch()")})  # fmt: skip  # noqa: E501
    assert told.row == 10
    assert not mark.exists()


@pytest.mark.parametrize("name", ["spec.md", "categories/strings.md", "rules.yaml", "categories"])
def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name):
    outside = write(tmp_path / "outside")
    inside = write(tmp_path / "inside")
    path = inside / name
    if path.is_dir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    else:
        path.unlink()
    path.symlink_to(outside / name)
    with pytest.raises(InputError, match="is a link that leads out of the specification") as told:
        read_spec(inside)
    assert Path(str(told.value.file)) == path


def test_links_within_the_folder_and_to_the_folder_are_followed(tmp_path: Path):
    write(tmp_path / "spec")
    (tmp_path / "spec" / "categories" / "strings.md").rename(tmp_path / "spec" / "strings_of_2026.md")
    (tmp_path / "spec" / "categories" / "strings.md").symlink_to("../strings_of_2026.md")
    (tmp_path / "link").symlink_to("spec")
    assert len(read_spec(tmp_path / "link").categories) == 2


def test_circular_links_pipes_and_folders_in_place_of_files_are_refused(tmp_path: Path):
    for i, make in enumerate((lambda p: p.symlink_to(p.name), os.mkfifo, Path.mkdir)):
        folder = write(tmp_path / str(i), {"categories/strings.md": None})
        make(folder / "categories" / "strings.md")
        with pytest.raises(InputError) as told:
            read_spec(folder)
        assert Path(str(told.value.file)).name == "strings.md"


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path):
    write(
        tmp_path, {"categories/.DS_Store": b"\0\xff", "categories/notes.txt": b"\xff", "README.md": "hello"}
    )
    assert [path.name for path in read_folder(tmp_path).ignored] == ["notes.txt"]
    assert len(read_spec(tmp_path).categories) == 2


def test_a_category_may_not_be_called_as_citations_begin(tmp_path: Path):
    told = error_of(tmp_path, {"categories/style.md": PLACES.replace("id: places", "id: style")})
    assert "has the id 'style'" in str(told) and told.row == 2


def test_there_is_a_limit_to_the_number_of_categories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("truing.spec.reading.MAX_CATEGORIES", 1)
    assert "holds more than 1 categories" in str(error_of(tmp_path, {}))


@pytest.mark.parametrize(
    "text",
    [
        "# a" + " " * 200_000 + "b", "[" * 200_000, "](#" * 70_000, "[^" * 100_000, "`a" * 100_000, "- " * 100_000,
        "~~~\n" + "<user>\n" * 25_000 + "~~~", "\n" * 100_000 + "x", "- a\n" * 20_000, "# " + "{" * 200_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_no_text_takes_long_to_read_check_or_import(tmp_path: Path, text):
    start = time.process_time()
    (tmp_path / "a.md").write_text("# A\nWords.\n\n" + text, "utf-8")
    import_document(tmp_path / "a.md", tmp_path / "out")
    check_spec(write(tmp_path / "kites", {CATEGORY: STRINGS.replace("Strings coated with glass.", text)}))
    assert time.process_time() - start < 10


@pytest.mark.parametrize("end", [" " * 300_000 + "x", ") " * 150_000 + "x", "(" * 300_000])
def test_no_example_takes_long_to_read(tmp_path: Path, end):
    start = time.process_time()
    told = error_of(tmp_path, {CATEGORY: STRINGS + f'- "a" -> comply (source: {end}\n'})
    assert told.problem == "is no example" and time.process_time() - start < 5


def test_front_matter_is_short(tmp_path: Path):
    told = error_of(tmp_path, {CATEGORY: STRINGS.replace("summary: ", "summary: " + "x" * 10_000)})
    assert told.problem == "has front matter of more than 10000 characters" and told.row == 1
