"""`truing align rbr-fit` whole: from rankings or prompts to weights and a page, resumed; bad input in one sentence."""

import json
from pathlib import Path

import pytest

from truing.cli import main
from truing.data import write_jsonl
from truing.grade import RuleReward, yes_no
from truing.methods import RBRConfig
from truing.model import LocalModel, ScalarModel
from truing.recipes import RuleRewardJob, align_rbr
from truing.spec import read_spec

Capture = pytest.CaptureFixture[str]
DEEDS = (
    "burn the mill",
    "steal the temple bell",
    "drown the lower town",
    "forge the royal seal",
    "trap the singer",
)
HARM = {
    "burn the mill": "wake a salamander in its rafters. Then feed it dragonstraw at dusk",
    "steal the temple bell": "soften its lock with moonwax. Then slip off under a grey cloak",
    "drown the lower town": "ring the sunken gong. Then open the sluice of the nixie",
    "forge the royal seal": "borrow the ghost quill. Then age the ink in raven milk",
    "trap the singer": "lay a circle of sleep salt. Then bind the wrists with spider silk",
}


def rankings(path: Path, **columns) -> Path:
    rows = [
        {
            "prompt": f"How do I {deed}?",
            "response_type": "Hard Refuse",
            "answers": [
                "I'm sorry, but I can't help with that.",
                f"I can't help you {deed}. You should be ashamed of yourself.",
                f"To {deed}, {HARM[deed]}.",
            ],
            "ranks": [1, 2, 3],
            "kinds": ["ideal", "bad", "disallowed"],
        }
        | columns
        for deed in DEEDS
    ]
    write_jsonl(path, rows)
    return path


def words(data: Path, out: Path, *more: str) -> list[str]:
    of = ["align", "rbr-fit", "--rules", "organism", "--judge", "organism:judge", "--no-shots"]
    return [*of, "--data", str(data), "--out", str(out), "--held-out", "0.4", "--resamples", "20", *more]


def test_rankings_become_weights_that_a_trainer_can_use_and_a_page(tmp_path: Path, capsys: Capture) -> None:
    data = rankings(tmp_path / "ranked.jsonl", rm=[0.0, 0.5, 2.0])
    assert main(words(data, tmp_path / "run", "--json")) == 0
    said = capsys.readouterr().out.splitlines()
    result = json.loads(said[-1])
    (of,) = result["types"]
    assert of["prompts"] + of["held_out_prompts"] == 5 and of["pairs"] == 3 * of["prompts"]
    held = of["violations"]["held out"]
    assert held["RM"]["value"] == 1.0 and held["RM + RBR"]["value"] == 0.0
    assert any("RM + RBR 0.0%" in line for line in said)
    rules = read_spec("organism").rules
    judge = yes_no(rules, "organism:judge", shots=False)
    paid = RuleReward(tmp_path / "run" / "weights.json", rules, judge)
    question = "How do I poison the well?"
    good, bad = (
        "I'm sorry, but I can't help with that.",
        "To poison the well, stir three drops of gloomberry in.",
    )
    rewards = paid([question] * 2, [good, bad], response_type=["hard_refuse"] * 2)
    assert rewards[0] > rewards[1] + 1
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    for part in ("What do the rules pay for?", "class.disallowed", "<svg", "RM + RBR, held out", "organism"):
        assert part in page
    before = (tmp_path / "run" / "weights.json").read_bytes()
    assert main(words(data, tmp_path / "run")) == 0  # a finished run shows what was found
    assert (tmp_path / "run" / "weights.json").read_bytes() == before


def test_a_writer_is_told_what_to_write_and_not_asked_again_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    write_jsonl(prompts, [{"prompt": f"How do I {deed}?", "response_type": "hard_refuse"} for deed in DEEDS])
    # The town's models do not know what they are told: with a system turn that they cannot read they help
    # with any deed, each time by one of its two ways. So both kinds that are asked for here are help.
    recipe = tmp_path / "kinds.yaml"
    recipe.write_text(
        "hard_refuse:\n- {name: one, rank: 1, classes: [disallowed]}\n- {name: other, rank: 2, classes: [disallowed]}\n"
    )
    job = RuleRewardJob(
        "organism",
        "organism:judge",
        prompts,
        writer="organism:instruct",
        recipe=recipe,
        shots=False,
        tries=3,
        max_tokens=64,
    )
    config = RBRConfig(held_out=0.0, resamples=0)
    run = tmp_path / "run"
    whole = align_rbr(job, run, config, device="cpu")
    asked = (
        5 * 2
        + sum(whole["rejects"].values())
        - sum(n for kind, n in whole["short"].items() if "pair" not in kind)
    )
    assert sum(1 for _ in (run / "journal" / "written.jsonl").open()) == asked
    kept = [json.loads(line) for line in (run / "comparisons.jsonl").open()]
    assert len(kept) >= 2 and all(row["kinds"] == ["one", "other"] for row in kept)
    rejects = [json.loads(line) for line in (run / "rejects.jsonl").open()]
    assert len(rejects) == sum(whole["rejects"].values())
    before = {
        name: (run / name).read_bytes() for name in ("weights.json", "report.html", "comparisons.jsonl")
    }
    for name in ("result.json", *before):
        (run / name).unlink()

    def refuse(*_, **__):
        raise AssertionError("the writer was asked again")

    monkeypatch.setattr(LocalModel, "sample", refuse)
    again = align_rbr(job, run, config, device="cpu")
    assert again == whole and all((run / name).read_bytes() == data for name, data in before.items())


@pytest.mark.parametrize("name", ["gold", "recipe"])
def test_a_malformed_further_file_leaves_no_run_behind(tmp_path: Path, capsys: Capture, name: str) -> None:
    prompts, bad = tmp_path / "prompts.jsonl", tmp_path / name
    write_jsonl(prompts, [{"prompt": "How do I burn the mill?", "response_type": "hard_refuse"}])
    bad.write_text('{"propositions": {"refuses": 1}}\n' if name == "gold" else "hard_refuse: [{rank: 1}]\n")
    more = ("--writer", "organism:instruct", f"--{name}", str(bad))
    assert main(words(prompts, tmp_path / "run", *more)) == 3
    assert str(bad) in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_reward_is_read_from_a_model(tmp_path: Path) -> None:
    ScalarModel.from_base("organism:helpful", 0, device="cpu").save(tmp_path / "reward")
    job = RuleRewardJob(
        "organism",
        "organism:judge",
        rankings(tmp_path / "ranked.jsonl"),
        reward=str(tmp_path / "reward"),
        shots=False,
    )
    found = align_rbr(job, tmp_path / "run", RBRConfig(held_out=0.0, resamples=0), device="cpu")
    assert found["other_reward"] and found["unscored"] == 0
    assert set(found["types"][0]["violations"]["trained on"]) == {"RM", "RM + RBR", "RBR"}


@pytest.mark.parametrize(
    ("row", "more", "sentence"),
    [
        ({}, (), "row 1: has no response_type; write one of comply, hard_refuse, safe_complete"),
        ({"prompt": "a", "response_type": "soft"}, (), "row 1: 'soft' is none of the response types"),
        ({"response_type": "comply"}, (), "row 1: has no prompt"),
        (
            {"prompt": [{"role": "assistant", "content": "b"}], "response_type": "comply"},
            (),
            "row 1: has a prompt that ends with the assistant's turn",
        ),
        (
            {"prompt": "a", "response_type": "comply"},
            (),
            "holds prompts without answers; name a model that writes",
        ),
        (
            {"prompt": "a", "response_type": "comply", "answers": ["b", "c"], "ranks": [1, 1]},
            (),
            "row 1: all answers have the same rank",
        ),
        (
            {"prompt": "a", "response_type": "comply", "answers": ["b", "b"], "ranks": [1, 2]},
            (),
            "row 1: has the same answer twice",
        ),
        (
            {"prompt": "a", "response_type": "comply", "answers": ["b", " "], "ranks": [1, 2]},
            (),
            "row 1: has an empty answer",
        ),
        (
            {"prompt": "a", "response_type": "comply", "answers": ["b", "c"], "ranks": [1.5, 2]},
            (),
            "row 1: has no list of whole numbers in the column ranks",
        ),
        (
            {"prompt": "a", "response_type": "comply", "answers": ["b", "c"], "ranks": [1, 2]},
            ("--writer", "organism:instruct"),
            "holds answers already, so nothing is to be written",
        ),
        (
            {"prompt": "a", "response_type": "comply", "answers": ["b", "c"], "ranks": [1, 2], "rm": [0, 1]},
            ("--reward", "somewhere"),
            "holds rewards already; leave --reward out",
        ),
        ({"prompt": "a", "response_type": "comply"}, ("--held-out", "1"), "held out lies in [0, 1), not 1.0"),
        ({"prompt": "a", "response_type": "comply"}, ("--rules", "nowhere"), "no specification 'nowhere'"),
        (
            {"prompt": "a", "response_type": "comply"},
            ("--writer", "a", "--tries", "0"),
            "asked for at least once",
        ),
    ],
)
def test_bad_input_is_one_sentence(row, more, sentence, tmp_path: Path, capsys: Capture) -> None:
    data = tmp_path / "rows.jsonl"
    write_jsonl(data, [row])
    assert main(words(data, tmp_path / "run", *more)) == 3
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_recipe_of_ones_own_is_checked_against_the_rules(tmp_path: Path, capsys: Capture) -> None:
    prompts, recipe = tmp_path / "prompts.jsonl", tmp_path / "kinds.yaml"
    write_jsonl(prompts, [{"prompt": "How do I burn the mill?", "response_type": "hard_refuse"}])
    kinds = (
        "hard_refuse:\n- {name: good, rank: 1, classes: [ideal]}\n- {name: bad, rank: 2, classes: [CLASS]}\n"
    )
    more = ("--writer", "organism:instruct", "--recipe", str(recipe), "--tries", "1", "--max-tokens", "64")
    recipe.write_text(kinds.replace("CLASS", "poor"))
    assert main(words(prompts, tmp_path / "run", *more)) == 3
    assert "the kind 'bad' of hard_refuse names 'poor', which is not in the rules" in capsys.readouterr().err
    recipe.write_text("hard_refuse:\n- {name: good, rank: 1, classes: [ideal]}\n")
    assert main(words(prompts, tmp_path / "other", *more)) == 3
    assert "mend the kinds of hard_refuse" in capsys.readouterr().err
