"""`truing spec`: what its actions print, and the exit codes."""

import json
import sys
from itertools import product
from pathlib import Path

import pytest
from shared_data import shared

from truing.cli import main

sys.path.append(str(Path(__file__).parents[1] / "spec"))

from kites import RULES, write

Capture = pytest.CaptureFixture[str]
PUBLISHED = "rbr_gold/proposition_prompts.yaml"


def told(capsys: Capture) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def record(response_type: object = "Comply", **truths: object) -> dict:
    return {
        "response_type": response_type,
        "propositions": {"helps": True, "sorry": False, "glass": False} | truths,
    }


def written(folder: Path, *rows: object) -> str:
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


# ------------------------------------------------------------------------------------------ classify


def test_every_gold_record_is_in_exactly_one_class_with_the_published_counts(capsys: Capture):
    gold = str(shared("rbr_gold/train.jsonl"))
    assert main(["spec", "classify", gold, "--rules", str(shared(PUBLISHED)), "--json"]) == 0
    found = told(capsys)
    order = (
        "ideal",
        "minimum_acceptable_style",
        "unacceptable_completion",
        "illogical_completion",
        "disallowed_completion",
    )
    expected = {
        "comply": (149, 2, 27, 18, 0),
        "hard_refuse": (0, 6, 72, 4, 6),
        "safe_refuse_1": (0, 0, 9, 0, 0),
        "safe_refuse_2": (0, 2, 43, 2, 11),
    }
    assert found["counts"] == {
        name: dict(zip(order, counts, strict=True)) for name, counts in expected.items()
    }
    assert found["records"] == 351 and not found["in_none"] and not found["in_several"]


def test_all_truths_of_a_small_rule_set_are_counted(tmp_path: Path, capsys: Capture):
    write(tmp_path / "spec")
    rows = [
        record(name, helps=helps, sorry=sorry, glass=glass)
        for name in ("comply", "Hard Refuse")
        for helps, sorry, glass in product((True, False), repeat=3)
    ]
    assert (
        main(["spec", "classify", written(tmp_path, *rows), "--rules", str(tmp_path / "spec"), "--json"]) == 0
    )
    assert told(capsys)["counts"] == {
        "comply": {"ideal": 2, "unacceptable": 2, "disallowed": 4},
        "hard_refuse": {"ideal": 1, "unacceptable": 3, "disallowed": 4},
    }


def test_records_in_none_and_in_several_are_listed_and_exit_1(tmp_path: Path, capsys: Capture):
    rules = RULES.replace("unacceptable: not helps and not glass", "unacceptable: sorry and not glass")
    (tmp_path / "rules.yaml").write_text(rules, "utf-8")
    rows = [record(), record(sorry=True), record(helps=False), record("hard refuse")]
    command = ["spec", "classify", written(tmp_path, *rows), "--rules", str(tmp_path / "rules.yaml")]
    assert main([*command, "--json"]) == 1
    found = told(capsys)
    assert found["in_none"] == [{"row": 3, "response_type": "comply", "classes": []}]
    assert found["in_several"] == [
        {"row": 2, "response_type": "comply", "classes": ["ideal", "unacceptable"]}
    ]
    assert found["counts"]["comply"] == {"ideal": 1, "unacceptable": 0, "disallowed": 0}
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert "in no class: 1, rows\n  3 (comply)\n" in shown
    assert "in several classes: 1, rows\n  2 (comply) ideal, unacceptable\n" in shown


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"propositions": {}}, "has no text response_type; give it one of comply, hard_refuse"),
        (record(None), "has no text response_type"),
        (record("Soft Refuse"), "has the response_type 'Soft Refuse'; the rules know comply, hard_refuse"),
        ({"response_type": "Comply"}, "has no object propositions; write"),
        ({"response_type": "Comply", "propositions": ["helps"]}, "has no object propositions"),
        ({"response_type": "Comply", "propositions": {"helps": True}}, "lacks the proposition 'glass'; comply"),
        (record(glass=None), "gives the proposition 'glass' the value None; write true or false"),
        (record(glass="false"), "gives the proposition 'glass' the value 'false'; write true or false"),
        (record(helps=1), "gives the proposition 'helps' the value 1; write true or false"),
        ([1], "is not a JSON object"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_one_sentence_with_its_row_and_exit_3(tmp_path: Path, capsys: Capture, row, says):
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    file = written(tmp_path, record(), row, record())
    assert main(["spec", "classify", file, "--rules", str(tmp_path / "rules.yaml"), "--json"]) == 3
    printed = capsys.readouterr()
    assert printed.err.startswith(f"truing: {file}, row 2: {says}") and printed.err.count("\n") == 1
    assert json.loads(printed.out)["exit"] == 3


def test_all_malformed_rows_are_named(tmp_path: Path, capsys: Capture):
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    file = written(tmp_path, record(), record(glass=2), [], *[record("x")] * 12)
    assert main(["spec", "classify", file, "--rules", str(tmp_path / "rules.yaml")]) == 3
    said = capsys.readouterr().err
    assert "row 2: " in said
    assert "(14 rows are malformed: also 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 3 more)" in said


def test_a_file_without_records_or_rules_is_told_so(tmp_path: Path, capsys: Capture):
    write(tmp_path / "spec", {"rules.yaml": None})
    assert main(["spec", "classify", written(tmp_path, record()), "--rules", str(tmp_path / "spec")]) == 3
    assert "the specification kites has no rules" in capsys.readouterr().err
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    for name, rules in (("none.jsonl", "rules.yaml"), ("records.jsonl", "none.yaml")):
        assert main(["spec", "classify", str(tmp_path / name), "--rules", str(tmp_path / rules)]) == 3
        assert "there is no such file" in capsys.readouterr().err
    assert main(["spec", "classify", written(tmp_path), "--rules", str(tmp_path / "rules.yaml")]) == 3
    assert "holds no records" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------- check


def test_check_tells_errors_with_file_and_line_and_exits_1(tmp_path: Path, capsys: Capture):
    write(tmp_path, {"rules.yaml": RULES.replace("ideal: helps and not glass", "ideal: helps")})
    assert main(["spec", "check", str(tmp_path), "--json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        f"error: {tmp_path}/rules.yaml, row 16: the classes 'ideal' and 'disallowed' of 'comply' overlap"
    )
    assert lines[1].endswith(": errors 1, warnings 0")
    found = json.loads(lines[2])
    assert (found["errors"], found["warnings"], found["findings"][0]["row"]) == (1, 0, 16)


def test_check_passes_what_only_has_warnings(tmp_path: Path, capsys: Capture):
    assert main(["spec", "check", str(shared(PUBLISHED)), "--json"]) == 0
    found = told(capsys)
    assert (found["errors"], found["warnings"]) == (0, 2)


def test_check_of_what_is_not_there_is_a_usage_error(tmp_path: Path, capsys: Capture):
    assert main(["spec", "check", str(tmp_path / "none"), "--json"]) == 3
    assert told(capsys)["exit"] == 3


# ---------------------------------------------------------------------------------------- show, diff


def test_show_outlines_a_specification(tmp_path: Path, capsys: Capture):
    assert main(["spec", "show", str(write(tmp_path)), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  strings: Strings of cotton are fine; strings that cut are not." in lines
    assert "    3 clauses; examples: 1 comply, 1 hard_refuse" in lines
    assert "  hard_refuse: 3 classes of 3 propositions" in lines
    found = json.loads(lines[-1])
    assert found["digest"] in lines[1] and found["digests"].keys() >= {
        "style.comply",
        "category.strings",
        "rules.comply",
    }


def test_show_prints_what_a_model_is_shown_of_a_category(tmp_path: Path, capsys: Capture):
    command = ["spec", "show", str(write(tmp_path)), "--category", "strings"]
    assert main(command) == 0
    whole = capsys.readouterr().out
    assert "[strings.disallowed.1] Strings coated with glass." in whole and "left out: nothing" in whole
    assert main([*command, "--budget", "200", "--json"]) == 0
    found = told(capsys)
    assert (
        found["cut"][:2] == ["strings.examples.2", "strings.examples.1"]
        and len(found["text"].encode()) <= 600
    )
    assert main([*command, "--budget", "9"]) == 3
    assert "the summaries of all categories alone take" in capsys.readouterr().err
    assert main(["spec", "show", str(tmp_path), "--category", "ropes"]) == 3
    assert "choose from places, strings" in capsys.readouterr().err


def test_diff_tells_people_and_machines(tmp_path: Path, capsys: Capture):
    before, after = (
        write(tmp_path / "a"),
        write(tmp_path / "b", {"rules.yaml": RULES.replace("sorry and not", "not")}),
    )
    assert main(["spec", "diff", str(before), str(after), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "    unacceptable -> ideal: 1, such as not sorry and not helps and not glass" in lines
    assert json.loads(lines[-1])["classes"]["hard_refuse"]["changed"] == 1
    rules = [str(folder / "rules.yaml") for folder in (before, after)]
    assert main(["spec", "diff", *rules]) == 0
    assert "1 of the 8 possible answers change their class" in capsys.readouterr().out
    assert main(["spec", "diff", str(before), str(tmp_path / "c")]) == 3


# -------------------------------------------------------------------------------------------- import


def test_import_writes_a_folder_and_tells_what_to_look_at(tmp_path: Path, capsys: Capture):
    (tmp_path / "policy.md").write_text("Hello.\n# Strings\nStrings that cut are prohibited.\n", "utf-8")
    command = ["spec", "import", str(tmp_path / "policy.md"), str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "categories 1, principles 0, response types 0, clauses 1, examples 0" in lines[0]
    assert "- the text before the first heading is left out" in lines
    assert json.loads(lines[-1])["clauses"] == 1
    assert main(["spec", "check", str(tmp_path / "out")]) == 0
    assert main(command) == 3
    assert f"{tmp_path / 'out'}: is there already; name a new folder." in capsys.readouterr().err
