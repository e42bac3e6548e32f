import csv
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from truing.data import Row, place, read_csv, read_json, read_jsonl, write_jsonl
from truing.types import InputError, Message, Role, StorageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def written(tmp_path, data, name="rows.jsonl"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4), st.sampled_from(["", ".gz"]))
def test_what_is_written_is_read_back(tmp_path_factory, rows, ending):
    path = tmp_path_factory.mktemp("round") / f"rows.jsonl{ending}"
    write_jsonl(path, rows)
    expected = [json.loads(json.dumps(row)) for row in rows]
    assert [row.data for row in read_jsonl(path)] == expected
    assert [row.number for row in read_jsonl(path)] == list(range(1, len(rows) + 1))


def test_records_are_written_as_their_json(tmp_path):
    write_jsonl(tmp_path / "m.jsonl", [Message(Role.user, "\ud800\0")])
    assert list(read_jsonl(tmp_path / "m.jsonl")) == [Row(1, {"role": "user", "content": "\ud800\0"})]


def test_a_gzip_file_holds_no_clock(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "a.gz", [{"a": 1}])
    monkeypatch.setattr("time.time", lambda: 1e9)
    write_jsonl(tmp_path / "b.gz", [{"a": 1}])
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_a_row_that_cannot_be_written_leaves_the_old_file_whole(tmp_path):
    path = written(tmp_path, b'{"old": 1}\n')
    with pytest.raises(ValueError):
        write_jsonl(path, [{"new": 1}, {"new": float("nan")}])
    assert path.read_bytes() == b'{"old": 1}\n'
    assert [child.name for child in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_disk_that_refuses_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        write_jsonl(tmp_path / "no" / "such" / "folder.jsonl", [{}])


def test_blank_lines_marks_and_carriage_returns_are_skipped(tmp_path):
    path = written(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\r\n   \n{"a": "\xe2\x80\xa8"}')
    assert list(read_jsonl(path)) == [Row(1, {"a": 1}), Row(4, {"a": "\u2028"})]


BROKEN = [
    (b'{"a": 1,}', "is not JSON"),
    (b"{'a': 1}", "is not JSON"),
    (b'{"a": 1} {"b": 2}', "Extra data"),
    (b"[1]", "is not a JSON object"),
    (b'{"a": 1, "a": 1}', "has the key 'a' twice"),
    (b'{"x": {"a": 1, "a": 2}}', "has the key 'a' twice"),
    (b'{"a": NaN}', "holds NaN"),
    (b'{"a": -Infinity}', "holds -Infinity"),
    (b'{"a": 1e999}', "too large"),
    (b'{"a": ' + b"9" * 5000 + b"}", "5000 digits"),
    (b'{"a": "\xff"}', "is not UTF-8 .byte 8 is 0xff"),
    (b'{"a":' + b"[" * 100_000, "nested too deeply"),
    (b"\xff\xfe{\0}\0", "is not UTF-8"),
    (b'{"a": "\0"}', "is not JSON"),
]


@pytest.mark.parametrize(("line", "what"), BROKEN)
def test_a_broken_row_is_named(tmp_path, line, what):
    path = written(tmp_path, b'{"ok": 1}\n' * 6 + line + b'\n{"ok": 2}\n')
    with pytest.raises(InputError, match=f"rows.jsonl, row 7: .*{what}.*; .*[.]$") as caught:
        list(read_jsonl(path))
    assert caught.value.row == 7 and "\n" not in str(caught.value)


def test_errors_can_be_collected_and_lose_no_good_row(tmp_path):
    path = written(tmp_path, b"".join(line + b'\n{"ok": 1}\n' for line, _ in BROKEN))
    errors = []
    rows = list(read_jsonl(path, on_error=errors.append))
    assert len(rows) == len(errors) == len(BROKEN)
    assert [e.row for e in errors] == [row.number - 1 for row in rows]


def test_a_row_of_ten_megabytes_is_read(tmp_path):
    write_jsonl(tmp_path / "big.jsonl", [{"text": "\0" * 10_000_000}])
    assert len(next(read_jsonl(tmp_path / "big.jsonl")).data["text"]) == 10_000_000


@pytest.mark.parametrize("reader", [read_jsonl, read_csv, lambda path: [read_json(path)]])
def test_a_file_that_cannot_be_read_is_named(tmp_path, reader):
    with pytest.raises(InputError, match=r"gone[.]jsonl: there is no such file"):
        list(reader(tmp_path / "gone.jsonl"))
    with pytest.raises(InputError, match="is a folder"):
        list(reader(tmp_path))
    with pytest.raises(InputError, match="no such file"):
        list(reader("a\0b"))
    with pytest.raises(InputError, match="no whole gzip file"):
        list(reader(written(tmp_path, b"no gzip", "x.gz")))
    whole = gzip.compress(b'{"a": 1}\n' * 1000)
    with pytest.raises(InputError, match="no whole gzip file"):
        list(reader(written(tmp_path, whole[:-20], "y.gz")))


def test_read_json_is_as_strict(tmp_path):
    assert read_json(written(tmp_path, b'\xef\xbb\xbf[{"a": [1.5, null]}]', "a.json")) == [{"a": [1.5, None]}]
    with pytest.raises(InputError, match=r"a.json: is not JSON \(.* at line 3, column 2\)"):
        read_json(written(tmp_path, b'{\n"a": 1\n "b"}', "a.json"))
    with pytest.raises(InputError, match="twice"):
        read_json(written(tmp_path, b'{"a": 1, "a": 2}', "a.json"))


def test_place_names_the_file_once():
    with pytest.raises(InputError) as caught, place("outer", 1), place("inner", 7):
        raise InputError("is bad", mend="mend it")
    assert str(caught.value) == "inner, row 7: is bad; mend it."


def test_csv_fields_may_hold_lines_quotes_nul_and_megabytes(tmp_path):
    big = b"x" * 1_000_000
    path = written(tmp_path, b'a,b\r\n"two\nlines","say ""hi"""\r\n\r\n\0,' + big + b"\n3,\n", "t.csv")
    rows = list(read_csv(path))
    assert [row.number for row in rows] == [2, 5, 6]
    assert rows[0].data == {"a": "two\nlines", "b": 'say "hi"'}
    assert rows[1].data == {"a": "\0", "b": big.decode()}
    assert rows[2].data == {"a": "3", "b": ""}


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text('a,"\r\n', max_size=8))))
def test_csv_reads_what_the_standard_library_writes(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("one", "two"), *rows])
    assert [tuple(row.data.values()) for row in read_csv(path)] == rows


def test_the_field_limit_of_the_process_stays_as_it_was(tmp_path):
    before = csv.field_size_limit()
    rows = read_csv(written(tmp_path, b"a\n1\n2\n", "t.csv"))
    next(rows)
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("data", "row", "what"),
    [
        (b"", None, "has no header"),
        (b"a,b,a\n1,2,3\n", 1, "has the column 'a' twice"),
        (b'a,b\n"x\ny",2\n1\n', 4, "has 1 fields where the header has 2"),
        (b"a,b\n1,2,3\n", 2, "has 3 fields where"),
        (b'a,b\n1,2\n"open,2\n3,4\n', 3, "is not CSV"),
        (b'a,b\n1,2\n"x"y,2\n', 3, "is not CSV"),
        (b"a,b\n1,2\n3,\xe9\n", 3, "is not utf-8"),
    ],
)
def test_a_broken_csv_row_is_named(tmp_path, data, row, what):
    with pytest.raises(InputError, match=what) as caught:
        list(read_csv(written(tmp_path, data, "t.csv")))
    assert caught.value.row == row and str(caught.value.file).endswith("t.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "cp1252", "utf-16", "latin-1"])
def test_csv_is_read_in_the_encoding_that_is_named(tmp_path, encoding):
    path = written(tmp_path, "a,b\né,2\n".encode(encoding), "t.csv")
    assert list(read_csv(path, encoding=encoding)) == [Row(2, {"a": "é", "b": "2"})]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert list(read_csv(written(tmp_path, b"\xef\xbb\xbfa\n1\n", "t.csv"))) == [Row(2, {"a": "1"})]


def test_an_unknown_encoding_and_one_that_does_not_fit_are_named(tmp_path):
    path = written(tmp_path, b"a\n\x81\n", "t.csv")
    with pytest.raises(InputError, match="no encoding 'klingon'"):
        list(read_csv(path, encoding="klingon"))
    with pytest.raises(InputError, match="row 2: is not cp1252"):
        list(read_csv(path, encoding="cp1252"))
    with pytest.raises(InputError, match="is not utf-16"):
        list(read_csv(path, encoding="utf-16"))


def test_the_public_jsonl_files_are_read_whole():
    counts = {
        "gsm8k/test.jsonl": 1319,
        "hh_rlhf/harmless-base/test.jsonl.gz": 2312,
        "hh_rlhf/helpful-base/test.jsonl.gz": 2354,
        "rbr_gold/train.jsonl": 351,
        "moderation/dev.jsonl.gz": 792,
        "bbq/Age.jsonl": 3680,
    }
    for name, count in counts.items():
        rows = list(read_jsonl(shared(name)))
        assert len(rows) == count and rows[-1].number == count


def test_the_public_csv_files_agree_with_pandas():
    pandas = pytest.importorskip("pandas")
    names = ["xstest/xstest_prompts.csv", "davidson/labeled_data.csv"]
    names += [f"xstest/completions/{p.name}" for p in sorted(shared("xstest/completions").glob("*.csv"))]
    assert len(names) == 5
    for name in names:
        ours = list(read_csv(shared(name)))
        oracle = pandas.read_csv(shared(name), dtype=str, keep_default_na=False)
        theirs = oracle.rename(columns={"Unnamed: 0": ""}).to_dict("records")
        assert [row.data for row in ours] == theirs
        lines = shared(name).read_bytes().split(b"\n")
        first = ours[0].data[next(iter(ours[0].data))]
        assert lines[ours[0].number - 1].startswith(first.encode())
        last = ours[-1]
        assert lines[last.number - 1].startswith(next(iter(last.data.values())).encode())
