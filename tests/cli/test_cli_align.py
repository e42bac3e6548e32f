"""`truing align`: the commands a user types first, what they print, and one sentence for what cannot be used."""

import json
from pathlib import Path

import pytest
from methods.small import conversation_rows, preference_rows, ranking_rows, write
from model.tiny import checkpoint

from truing.cli import main
from truing.methods import REWARD_PRESETS, RewardModelConfig

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model() -> str:
    return str(checkpoint("llama"))


def last_line(capsys: Capture) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_sft_prints_the_loss_and_how_to_audit(tmp_path: Path, model: str, capsys: Capture) -> None:
    data = write(tmp_path / "rows.jsonl", conversation_rows(12))
    words = ["align", "sft", "--data", str(data), "--model", model, "--out", str(tmp_path / "run")]
    assert main([*words, "--held-out", "0.3", "--learning-rate", "1e-3", "--tokens-per-step", "200"]) == 0
    said = capsys.readouterr().out
    assert "that were held out: " in said and f"truing audit {tmp_path / 'run' / 'model'}" in said
    assert main([*words, "--held-out", "0.3", "--learning-rate", "2e-3", "--tokens-per-step", "200"]) == 3
    assert "holds a run of another configuration: learning_rate 0.001 -> 0.002" in capsys.readouterr().err


def test_rm_prints_its_accuracy_beside_that_of_length_and_by_labeler(
    tmp_path: Path, model: str, capsys: Capture
) -> None:
    data = write(tmp_path / "rows.jsonl", ranking_rows(30))
    words = ["align", "rm", "--data", str(data), "--model", model, "--out", str(tmp_path / "run")]
    assert main([*words, "--held-out", "0.4", "--lora-rank", "2", "--json"]) == 0
    said = capsys.readouterr().out
    assert "held-out pairs, where '" in said and "  labeler 1: " in said and "  group 0: " in said
    result = json.loads(said.splitlines()[-1])
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["figures"]["accuracy"]["pairs"] > 0 and (tmp_path / "run" / "report.html").exists()


def test_dpo_prints_how_the_policy_orders_what_was_held_out(
    tmp_path: Path, model: str, capsys: Capture
) -> None:
    data = write(tmp_path / "rows.jsonl", preference_rows(20))
    words = ["align", "dpo", "--data", str(data), "--model", model, "--out", str(tmp_path / "run"), "--json"]
    assert main([*words, "--held-out", "0.3", "--learning-rate", "1e-3"]) == 0
    result = last_line(capsys)
    assert result["method"] == "dpo" and set(result["figures"]) >= {"rewards", "margin", "better_shift"}


def test_a_linear_reward_needs_no_model(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("sklearn")
    data = write(tmp_path / "rows.jsonl", preference_rows(40))
    words = ["align", "rm", "--data", str(data), "--features", "linear", "--out", str(tmp_path / "run")]
    assert main([*words, "--folds", "2", "--json"]) == 0
    result = last_line(capsys)
    assert result["base"] == "" and result["figures"]["accuracy"]["value"] > 0.9
    assert "Reward for one standard deviation more" in (tmp_path / "run" / "report.html").read_text()


def test_a_preset_is_taken_but_for_what_is_given_as_an_option(
    tmp_path: Path, model: str, capsys: Capture
) -> None:
    data = write(tmp_path / "rows.jsonl", preference_rows(20))
    words = ["align", "rm", "--data", str(data), "--model", model, "--out", str(tmp_path / "run")]
    usual = RewardModelConfig()
    given = ["--held-out", "0.4", f"--learning-rate={usual.learning_rate}"]  # the second one as it is anyway
    assert main([*words, "--preset", "instructgpt-6b", *given]) == 0
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert (config["learning_rate"], config["warmup"], config["held_out"]) == (usual.learning_rate, 0, 0.4)
    assert usual.warmup != 0 and usual.learning_rate != REWARD_PRESETS["instructgpt-6b"].learning_rate
    assert main([*words, "--preset", "gpt-9"]) == 3
    assert "there is no preset 'gpt-9'; choose from instructgpt-6b" in capsys.readouterr().err


CHAT = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}

LONG = {"messages": [CHAT["messages"][0], {"role": "assistant", "content": "gull " * 3000}]}


@pytest.mark.parametrize(
    ("method", "rows", "sentence"),
    [
        ("rm", [], "holds no comparison to learn from (there are no rows)"),
        ("rm", [{"prompt": "a", "chosen": "b", "rejected": "b"}], "holds no comparison to learn from"),
        ("rm", [{"prompt": "a", "chosen": "b", "rejected": ""}], "1 rows: an answer is empty"),
        ("rm", [CHAT], "row 1: has neither chosen and rejected nor ranks nor ratings"),
        ("rm", preference_rows(1), "leaves the side 'held out' empty"),
        ("dpo", preference_rows(1), "leaves the side 'held out' empty"),
        ("dpo", [CHAT], "row 1: has neither chosen"),
        ("rm --by labeler", preference_rows(8), "does not say its labeler; split by prompt"),
        ("rm --held-out 0", preference_rows(8), "held_out is a share between 0 and 1"),
        ("rm --learning-rate 0", preference_rows(30), "learning_rate must be above 0"),
        ("rm --features linear --folds 1", preference_rows(8), "at least 2 folds"),
        ("rm --features linear", preference_rows(1), "share one prompt, so none can be held out"),
        ("sft", [], "holds no row to train on"),
        ("sft", preference_rows(2), "is a preference data set"),
        (
            "sft",
            [{"messages": CHAT["messages"][:1]}],
            "row 1: a training example ends with an assistant turn",
        ),
        ("sft --held-out 0.5", [*conversation_rows(5), LONG], "row 6: has "),
        ("sft --lora-rank -1", [CHAT], "lora_rank is at least 0"),
    ],
)
def test_what_cannot_be_learnt_is_one_sentence_and_leaves_no_model(
    tmp_path: Path, model: str, capsys: Capture, method: str, rows: list, sentence: str
) -> None:
    data = write(tmp_path / "rows.jsonl", rows)
    named = [] if "linear" in method else ["--model", model]
    words = ["align", *method.split(), "--data", str(data), *named, "--out", str(tmp_path / "run")]
    assert main(words) == 3
    said = capsys.readouterr().err
    assert said.count("truing: ") == 1 and sentence in said and "internal" not in said
    assert not (tmp_path / "run").exists()


def test_the_same_command_does_once_the_file_is_mended(tmp_path: Path, model: str, capsys: Capture) -> None:
    data = write(tmp_path / "rows.jsonl", [*preference_rows(20), {"prompt": "a"}])
    words = ["align", "dpo", "--data", str(data), "--model", model, "--out", str(tmp_path / "run")]
    assert main([*words, "--held-out", "0.3"]) == 3 and "row 21" in capsys.readouterr().err
    write(data, preference_rows(20))
    assert main([*words, "--held-out", "0.3"]) == 0


@pytest.mark.parametrize("method", ["sft", "rm", "dpo"])
def test_an_endpoint_has_no_weights_to_train(tmp_path: Path, capsys: Capture, method: str) -> None:
    rows = conversation_rows(2) if method == "sft" else preference_rows(20)
    data = write(tmp_path / "rows.jsonl", rows)
    words = ["align", method, "--data", str(data), "--model", "endpoint:http://localhost:1/v1#m"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 3
    assert "this needs a model's weights" in capsys.readouterr().err


def test_a_model_is_asked_for_where_one_is_needed_and_refused_where_none_is(
    tmp_path: Path, model: str, capsys: Capture
) -> None:
    data = str(write(tmp_path / "rows.jsonl", preference_rows(4)))
    words = ["align", "rm", "--data", data, "--out", str(tmp_path / "run")]
    assert main(words) == 3 and "give --model, or --features linear" in capsys.readouterr().err
    assert main([*words, "--features", "linear", "--model", model]) == 3
    assert "leave --model out" in capsys.readouterr().err


def test_distill_prints_how_far_the_student_is_from_its_teacher(
    tmp_path: Path, model: str, capsys: Capture
) -> None:
    rows = [
        {"prompt": f"{7 * i * i}: who has the {['gull', 'kite', 'pear', 'lamp'][i % 4]}?"} for i in range(8)
    ]
    data = write(tmp_path / "prompts.jsonl", rows)
    words = ["align", "distill", "--model", model, "--prompts", str(data), "--out", str(tmp_path / "run")]
    short = ["--max-new-tokens", "4", "--samples-per-prompt", "1", "--held-out", "0.4", "--json"]
    assert main([*words, "--teacher", str(checkpoint("llama", 1)), *short]) == 0
    said = capsys.readouterr().out
    assert "KL(student || teacher) on " in said and f"truing audit {tmp_path / 'run' / 'model'}" in said
    result = json.loads(said.splitlines()[-1])
    assert result["method"] == "distill" and result == json.loads(
        (tmp_path / "run" / "result.json").read_text()
    )
    other = str(checkpoint("llama", 0, "llama3"))
    assert main([*words[:-1], str(tmp_path / "other"), "--teacher", other, *short]) == 3
    said = capsys.readouterr().err
    assert said.count("truing: ") == 1 and "has another tokenizer" in said
