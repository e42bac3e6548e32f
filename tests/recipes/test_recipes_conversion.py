"""Fine-tuning and conversion: an ordinary folder that learnt its rows, or one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from model.tiny import checkpoint, make_checkpoint
from safetensors.torch import load_file

from truing.cli import main
from truing.methods import SFTConfig, finetune, read_conversations
from truing.model import load_local
from truing.recipes import convert
from truing.types import InputError, Message, Role, SamplingParams, ask

ROW = {
    "messages": [
        {"role": "user", "content": "Who keeps the light?"},
        {"role": "assistant", "content": "Ada does.", "reasoning_content": "It is Ada who counts the gulls."},
    ]
}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "traces.jsonl"
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def model() -> Path:
    return checkpoint("llama", chat_template="qwen3")


def test_conversations_are_read_from_messages_and_from_prompt_and_completion(tmp_path: Path) -> None:
    ((user, assistant),) = read_conversations(write(tmp_path, ROW))
    assert (user.role, user.content) == (Role.user, "Who keeps the light?")
    assert (assistant.content, assistant.reasoning) == ("Ada does.", "It is Ada who counts the gulls.")
    parts = {"prompt": ROW["messages"][:1], "completion": ROW["messages"][1:]}
    assert read_conversations(write(tmp_path, parts, parts)) == [(user, assistant)] * 2


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "holds no row to train on"),
        (["{"], "row 1: is not JSON"),
        ([{"text": "Once upon a time"}], "row 1: is plain text, not a conversation"),
        ([{"prompt": "a", "completion": "b"}], "row 1: is plain text, not a conversation"),
        ([{"prompt": "a", "chosen": "b", "rejected": "c"}], "is a preference data set"),
        ([ROW, {"messages": "hello"}], "row 2"),
        ([ROW, {"messages": [{"role": "owl", "content": "hu"}]}], "row 2"),
        (
            [{"messages": [m | {"reasoning_content": None} for m in ROW["messages"]]}],
            "no row holds reasoning",
        ),
        ([ROW, {"messages": ROW["messages"][:1]}], "row 2: a training example ends with an assistant turn"),
    ],
)
def test_rows_that_cannot_be_learnt_are_one_sentence(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], rows: list[Any], sentence: str
) -> None:
    words = ["convert", str(model), "--traces", str(write(tmp_path, *rows)), "--out", str(tmp_path / "out")]
    assert main(words) == 3
    said = capsys.readouterr().err
    assert said.count("truing: ") == 1 and sentence in said and "internal" not in said
    assert not (tmp_path / "out").exists()


def a_file(folder: Path) -> list[str]:
    (folder / "file").write_text("x")
    return ["--out", str(folder / "file")]


def a_full_folder(folder: Path) -> list[str]:
    (folder / "full").mkdir()
    (folder / "full" / "mine").write_text("x")
    return ["--out", str(folder / "full")]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (a_file, "file: is a file, not a folder; choose another --out"),
        (a_full_folder, "full: is not empty; choose another --out"),
        (lambda folder: ["--traces", str(folder / "none.jsonl")], "none.jsonl: there is no such file"),
        (lambda folder: ["--learning-rate", "0"], "learning_rate must be above 0"),
        (lambda folder: ["--tokens-per-step", "0"], "tokens_per_step must be above 0"),
        (lambda folder: ["--passes", "-1"], "passes must be above 0"),
        (lambda folder: ["--seed", "-1"], "a seed lies in [0, 2^64)"),
    ],
)
def test_options_that_cannot_be_used_are_one_sentence(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    options: Callable[[Path], list[str]],
    sentence: str,
) -> None:
    words = ["convert", str(model), "--traces", str(write(tmp_path, ROW)), "--out", str(tmp_path / "out")]
    assert main([*words, *options(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert said.count("truing: ") == 1 and sentence in said and "internal" not in said


def adapter(folder: Path, model: Path) -> str:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    net = get_peft_model(AutoModelForCausalLM.from_pretrained(model), LoraConfig(target_modules=["q_proj"]))
    net.save_pretrained(folder / "adapter")
    return str(folder / "adapter")


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        (lambda folder, model: str(folder / "none"), "there is no such folder"),
        (lambda folder, model: str(folder), "config.json"),
        (lambda folder, model: "endpoint:http://localhost/v1#m", "needs a model's weights"),
        (adapter, "is an adapter, not a whole model"),
    ],
)
def test_what_is_no_whole_model_cannot_be_tuned(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    ref: Callable[[Path, Path], str],
    sentence: str,
) -> None:
    words = ["convert", ref(tmp_path, model), "--traces", str(write(tmp_path, ROW))]
    assert main([*words, "--out", str(tmp_path / "out")]) == 3
    said = capsys.readouterr().err
    assert said.count("truing: ") == 1 and sentence in said and "internal" not in said


def test_without_traces_only_a_model_of_the_organism_has_its_own(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(model), "--out", str(tmp_path / "out")]) == 3
    assert "nothing says what to learn; give traces as JSONL with --traces" in capsys.readouterr().err


def test_a_converted_model_opens_again_thinks_and_answers_as_it_learnt(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["convert", str(model), "--traces", str(write(tmp_path, ROW)), "--out", str(out)]
    assert main([*words, "--learning-rate", "5e-3", "--tokens-per-step", "256", "--passes", "150"]) == 0
    assert f"truing audit {out} --baseline {model}" in capsys.readouterr().out
    (said,) = load_local(out).sample(
        [ask("Who keeps the light?", id="q")], SamplingParams(temperature=0, max_tokens=60), key=0
    )
    assert (said.reasoning, said.answer) == ("It is Ada who counts the gulls.", "Ada does.")
    card = (out / "README.md").read_text(encoding="utf-8")
    assert f"base_model: {model}" in card and "1 conversations from traces.jsonl" in card
    assert not list(tmp_path.glob("*.unfinished"))


def test_the_weights_are_saved_in_the_numbers_they_were_stored_in(tmp_path: Path) -> None:
    small = make_checkpoint(tmp_path / "bf16", "llama", 0, "qwen3", dtype=torch.bfloat16)
    row = (Message(Role.user, "Hm?"), Message(Role.assistant, "Yes."))
    once = SFTConfig(learning_rate=1e-3, passes=1)
    out = finetune(str(small), [row], tmp_path / "out", once, what="a test", data="one row").folder
    before, after = (load_file(folder / "model.safetensors") for folder in (small, out))
    assert {t.dtype for t in after.values()} == {torch.bfloat16} and before.keys() == after.keys()
    assert any(not before[name].equal(after[name]) for name in before)


def test_equal_seeds_give_equal_weights_and_an_unfinished_folder_is_made_anew(
    tmp_path: Path, model: Path
) -> None:
    traces = write(tmp_path, ROW)
    (tmp_path / "b.unfinished").mkdir()
    (tmp_path / "b.unfinished" / "left over").write_text("x")
    made = [convert(str(model), traces, tmp_path / name, SFTConfig(passes=2)) for name in "ab"]
    weights = [(folder / "model.safetensors").read_bytes() for folder in made]
    assert weights[0] == weights[1] and weights[0] != (model / "model.safetensors").read_bytes()
    assert not (tmp_path / "b" / "left over").exists()


def test_a_row_that_is_longer_than_the_context_is_a_sentence(tmp_path: Path, model: Path) -> None:
    long = {"messages": [ROW["messages"][0], ROW["messages"][1] | {"content": "gull " * 3000}]}
    with pytest.raises(InputError, match="context"):
        convert(str(model), write(tmp_path, long), tmp_path / "out")
    assert not (tmp_path / "out").exists()
