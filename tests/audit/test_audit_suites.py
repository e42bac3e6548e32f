"""Suites read the published files, and say what they leave out."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from shared_data import shared

from truing.audit import draw, load_suites, suite_names
from truing.types import Expect, InputError, Item, Role


def write(folder: Path, *rows: object) -> str:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"jsonl:{path}"


def items(spec: str) -> tuple[Item, ...]:
    return load_suites(spec)[0].items


def test_the_suites_are_registered() -> None:
    assert {"xstest", "trustllm", "bbq", "gsm8k", "jsonl", "decodingtrust"} <= set(suite_names())


def test_xstest_has_250_safe_and_200_unsafe_prompts() -> None:
    found = items(f"xstest:{shared('xstest')}")
    assert Counter((i.dimension, i.expect) for i in found) == {
        ("over_refusal", Expect.comply): 250,
        ("safety", Expect.refuse): 200,
    }


def test_gsm8k_targets_are_the_numbers_after_the_mark() -> None:
    found = items(f"gsm8k:{shared('gsm8k/test.jsonl')}")
    assert len(found) == 1319
    assert all(math.isfinite(float(item.target)) for item in found)
    assert not any("<<" in item.request.last for item in found)


def test_bbq_reads_every_category_and_clusters_by_question_template() -> None:
    found = items(f"bbq:{shared('bbq')}")
    assert len(found) == 3680 + 1200
    assert all(item.target in item.choices and len(item.choices) == 3 for item in found)
    assert len({item.cluster for item in found}) < 100
    unknown = [i for i in found if i.dimension == "bias_ambiguous"]
    assert all(i.target.lower() not in i.request.last.split("\n")[0].lower() for i in unknown[:200])


def test_bbq_knows_the_biased_answer_of_every_row() -> None:
    """Of a negative question it is the stereotyped group, of its positive twin the other."""
    suite = load_suites(f"bbq:{shared('bbq')}")[0]
    assert not suite.unmeasured
    rows = {
        f"{path.name}:{number}": json.loads(line)
        for path in shared("bbq").glob("*.jsonl")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    }
    for item in suite.items:
        row = rows[item.source]
        tags = {row[f"ans{n}"]: row["answer_info"][f"ans{n}"][1] for n in range(3)}
        assert tags[item.facts["unknown"]] == "unknown" and item.group == row["category"]
        stereotyped = tags[item.facts["biased"]] in row["additional_metadata"]["stereotyped_groups"]
        assert stereotyped == (row["question_polarity"] == "neg") and tags[item.facts["biased"]] != "unknown"


def bbq_rows(folder: Path, targets: str = "") -> str:
    rows = [
        {
            "example_id": n,
            "question_index": "1",
            "question_polarity": polarity,
            "context_condition": "ambig",
            "category": "Trade",
            "answer_info": {
                "ans0": ["the miller", "miller"],
                "ans1": ["nobody", "unknown"],
                "ans2": ["Bo", "sailor"],
            },
            "additional_metadata": {"stereotyped_groups": groups},
            "context": "A miller and a sailor came in.",
            "question": "Who was late?",
            "ans0": "The miller",
            "ans1": "Nobody can know",
            "ans2": "The sailor",
            "label": 1,
        }
        for n, (polarity, groups) in enumerate(
            [("neg", ["miller"]), ("nonneg", ["Miller"]), ("neg", ["baker"])]
        )
    ]
    (folder / "Trade.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if targets:
        table = "category,question_index,example_id,target_loc\n"
        table += "".join(f"Trade,1,{n},{target}\n" for n, target in enumerate(targets))
        (folder / "additional_metadata.csv").write_text(table, encoding="utf-8")
    return f"bbq:{folder}"


def test_without_metadata_a_row_that_names_no_group_has_no_direction(tmp_path: Path) -> None:
    suite = load_suites(bbq_rows(tmp_path))[0]
    assert [i.facts.get("biased") for i in suite.items] == ["The miller", "The sailor", None]
    assert [(u.what, u.rows) for u in suite.unmeasured] == [("bbq: direction of the errors", 1)]


@pytest.mark.parametrize("named", ["", "Trade.jsonl"])
def test_the_metadata_beside_the_categories_go_before_the_row(tmp_path: Path, named: str) -> None:
    spec = bbq_rows(tmp_path, targets="2x2")
    suite = load_suites(f"{spec}/{named}" if named else spec)[0]
    assert [i.facts.get("biased") for i in suite.items] == ["The sailor", "The sailor", "The sailor"]
    assert not suite.unmeasured and "additional_metadata.csv" in suite.files


def test_trustllm_reads_the_archive_and_lists_every_row_it_leaves_out() -> None:
    suite = load_suites(f"trustllm:{shared('trustllm')}")[0]
    assert set(suite.files) >= {"jailbreak", "awareness", "AdvGLUE"}
    by_file = Counter(item.id.split("/")[1] for item in suite.items)
    assert by_file["jailbreak"] == 1400 and by_file["exaggerated_safety"] == 200 and by_file["AdvGLUE"] == 912
    assert all(u.why for u in suite.unmeasured)
    assert {i.dimension for i in suite.items} == {
        "truthfulness", "safety", "over_refusal", "fairness", "stereotype_refusal", "stereotype", "robustness",
        "unknowable_refusal", "privacy", "ethics",
    }  # fmt: skip


def test_trustllm_groups_its_items_by_file_and_part() -> None:
    suite = load_suites(f"trustllm:{shared('trustllm')}")[0]
    groups = Counter(item.group for item in suite.items)
    assert all(item.group.startswith(item.id.split("/")[1]) for item in suite.items)
    assert groups["AdvGLUE, original"] == groups["AdvGLUE, modified"] == 456
    attacks = {group: n for group, n in groups.items() if group.startswith("jailbreak, ")}
    assert sum(attacks.values()) == 1400 and set(attacks.values()) == {100}
    agreement = [item for item in suite.items if item.grader]
    assert {(i.grader, i.expect, i.dimension) for i in agreement} == {
        ("agreement", Expect.judged, "stereotype")
    }
    assert len(agreement) == 1000


def test_trustllm_measures_leaks_of_the_addresses_that_its_file_names(tmp_path: Path) -> None:
    rows = [
        {
            "gt-email": "ada@tern.example",
            "gt-name": "Ada",
            "prompt": "the email address of Ada is",
            "type": kind,
            "shotType": shots,
        }
        for kind in "AB"
        for shots in ("zero-shot", "five-shot")
    ]
    (tmp_path / "privacy_leakage.json").write_text(json.dumps(rows), encoding="utf-8")
    found = items(f"trustllm:{tmp_path}")
    assert {(i.expect, i.target, i.dimension) for i in found} == {
        (Expect.secret, "ada@tern.example", "privacy")
    }
    assert Counter(i.group for i in found) == {
        "privacy_leakage, zero-shot": 2,
        "privacy_leakage, five-shot": 2,
    }
    assert len({i.cluster for i in found}) == 1 and "@" not in found[0].cluster


def test_trustllm_row_counts_add_up_to_the_published_ones() -> None:
    suite = load_suites(f"trustllm:{shared('trustllm')}")[0]
    rows = Counter(item.id.split("/")[1] for item in suite.items)
    for left in suite.unmeasured:
        rows[left.what.split("/")[1]] += left.rows
    published = {
        "external": 400, "internal": 400, "hallucination": 652, "sycophancy": 419, "golden_advfactuality": 209,
        "jailbreak": 1400, "misuse": 1174, "exaggerated_safety": 200, "stereotype_agreement": 1000,
        "stereotype_recognition": 1000, "stereotype_query_test": 95, "disparagement": 810, "preference": 240,
        "AdvGLUE": 912, "AdvInstruction": 600, "ood_detection": 241, "ood_generalization": 500,
        "privacy_awareness_confAIde": 196, "privacy_awareness_query": 560, "explicit_moralchoice": 1367,
        "implicit_ETHICS": 500, "implicit_SocialChemistry101": 500, "awareness": 2666,
    }  # fmt: skip
    assert rows == published


def test_trustllm_reads_an_unpacked_folder_and_a_single_file_alike(tmp_path: Path) -> None:
    import zipfile

    zipfile.ZipFile(shared("trustllm/dataset.zip")).extractall(tmp_path)
    unpacked, packed = items(f"trustllm:{tmp_path}"), items(f"trustllm:{shared('trustllm/dataset.zip')}")
    assert unpacked == packed
    one = items(f"trustllm:{next(tmp_path.rglob('jailbreak.json'))}")
    assert one == tuple(i for i in packed if i.id.startswith("trustllm/jailbreak/"))


def test_a_users_rows_say_what_they_expect_or_it_is_plain_from_their_fields(tmp_path: Path) -> None:
    spec = write(
        tmp_path,
        {"prompt": "a", "expect": "refuse"},
        {"prompt": "b", "expect": "comply", "dimension": "kindness", "cluster": "k"},
        {"prompt": "c", "choices": ["x", "y"], "target": "y"},
        {"prompt": "d", "target": "forty", "accept": ["40"]},
        {"prompt": "e", "expect": "number", "target": 42, "system": "Be brief."},
        {
            "messages": [{"role": role, "content": "f"} for role in ("user", "assistant", "user")],
            "target": "i",
        },
    )
    found = items(spec)
    assert [(i.expect, i.dimension) for i in found] == [
        (Expect.refuse, "safety"),
        (Expect.comply, "kindness"),
        (Expect.choice, "capability"),
        (Expect.text, "capability"),
        (Expect.number, "capability"),
        (Expect.text, "capability"),
    ]
    assert found[4].target == "42" and found[4].request.messages[0].role is Role.system
    assert len(found[5].request.messages) == 3


def test_a_users_row_may_name_a_secret_a_grader_a_group_and_how_many_answers(tmp_path: Path) -> None:
    spec = write(
        tmp_path,
        {"prompt": "a", "expect": "secret", "target": "4711", "group": "plain"},
        {"prompt": "b", "grader": "agreement", "samples": 3},
    )
    secret, judged = items(spec)
    assert (secret.expect, secret.dimension, secret.group) == (Expect.secret, "privacy", "plain")
    assert (judged.expect, judged.grader, judged.samples) == (Expect.judged, "agreement", 3)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"prompt": "a", "expect": "secret", "target": "--"}, "the secret '--' cannot be found in an answer"),
        ({"prompt": "a", "expect": "judged"}, "names its grader"),
        ({"prompt": "a", "expect": "comply", "samples": 0}, "samples is 0, no number of answers"),
        ({"prompt": "a"}, "row 2: the row does not say what to expect"),
        ({"prompt": "a", "expect": "obey"}, "expect is 'obey'; choose from refuse, comply"),
        ({"prompt": "a", "expect": "refuse", "dimention": "x"}, "there is no field 'dimention'"),
        ({"expect": "refuse"}, "the field 'prompt' is missing"),
        ({"prompt": 7, "expect": "refuse"}, "the field 'prompt' is int, not text"),
        ({"prompt": "a", "choices": ["x", "y"], "target": "z"}, "'z' is none of the choices"),
        ({"prompt": "a", "messages": [], "expect": "refuse"}, "either `messages` or `prompt`"),
        ({"messages": [], "expect": "refuse"}, "row 2"),
        (
            {"messages": [{"role": "assistant", "content": "x"}], "expect": "refuse"},
            "the last turn of a request",
        ),
        ({"prompt": "a", "expect": "refuse", "tools": "hammer"}, "row 2"),
        (["a"], "row 2: is not a JSON object"),
    ],
)
def test_a_wrong_row_is_one_sentence_with_file_and_row(tmp_path: Path, row: object, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        items(write(tmp_path, {"prompt": "fine", "expect": "comply"}, row))
    assert sentence in str(caught.value) and "mine.jsonl, row 2" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("nonsense", "there is no suite 'nonsense'; choose from bbq"),
        ("xstest:/no/such/place", "there is no such file or folder"),
        ("jsonl", "the suite jsonl needs a file"),
        ("xstest:data/no-such-folder", "there is no such file or folder"),
        ("xstest:../no-such-folder", "there is no such file or folder"),
        ("xstest:tests/no-such-folder", "there is no such file or folder"),
        ("gsm8k,", "an empty or a repeated name"),
        ("gsm8k,gsm8k", "an empty or a repeated name"),
        ("gsm8k:no-such-owner/no-such-set", "Hub"),
    ],
)
def test_a_suite_that_cannot_be_read_is_one_sentence(spec: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        load_suites(spec)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_suite_is_refused_since_nothing_asked_is_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no item"):
        load_suites(write(tmp_path))


def test_two_rows_with_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two items have the id"):
        load_suites(write(tmp_path, *[{"id": "a", "prompt": "b", "expect": "comply"}] * 2))


def test_hostile_text_in_a_row_reaches_the_request_unchanged(tmp_path: Path) -> None:
    hostile = "\0 \ud800 \u202e 😀"
    assert items(write(tmp_path, {"prompt": hostile, "expect": "comply"}))[0].request.last == hostile


def test_a_limit_keeps_every_dimension_and_a_larger_one_only_adds() -> None:
    every = items(f"trustllm:{shared('trustllm')}")
    small, large = draw(every, 100, key=3), draw(every, 700, key=3)
    assert set(Counter(i.dimension for i in small).values()) == {10}
    assert {i.id for i in small} < {i.id for i in large}
    kept = {i.id for i in large}
    assert len(large) == 700 and [i.id for i in large] == [i.id for i in every if i.id in kept]
    assert {i.id for i in draw(every, 100, key=4)} != {i.id for i in small}


def test_a_data_set_of_the_hub_is_read_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[object] = []

    def load_dataset(path: str, config: str | None, *, split: str, revision: str | None) -> object:
        asked.append((path, config, split, revision))
        return datasets.Dataset.from_list([{"question": "Two and two?", "answer": "So it is\n#### 4"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    (item,) = items("gsm8k:some-owner/gsm8k@v1")
    assert asked == [("some-owner/gsm8k", "main", "test", "v1")]
    assert (item.target, item.source) == ("4", "some-owner/gsm8k@v1:1")
