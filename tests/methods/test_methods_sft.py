"""Supervised fine-tuning: whole weights or an adapter, held-out loss, presets, going on after a crash."""

from pathlib import Path

import pytest
import torch
from methods.crashing import CrashError, crash_in_step
from methods.small import conversation_rows, write
from model.tiny import checkpoint, make_checkpoint
from safetensors.torch import load_file

from truing.methods import SFT_PRESETS, SFTConfig, finetune, read_conversations
from truing.model import load_local
from truing.recipes import align_sft
from truing.train import resume
from truing.types import InputError, SamplingParams, ask

LEARN = SFTConfig(learning_rate=1e-2, tokens_per_step=256, passes=30)


@pytest.fixture(scope="module")
def model() -> str:
    return str(checkpoint("llama"))


def test_an_adapter_is_an_ordinary_peft_folder_and_answers_as_it_learnt(tmp_path: Path, model: str) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    before = load_file(Path(model) / "model.safetensors")
    rows = read_conversations(write(tmp_path / "rows.jsonl", conversation_rows(1)))
    config = SFTConfig(learning_rate=3e-2, tokens_per_step=64, passes=40, lora_rank=8)
    out = finetune(model, rows, tmp_path / "out", config, what="a test", data="rows").folder
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} <= {
        p.name for p in out.iterdir()
    }
    assert all(torch.equal(t, before[n]) for n, t in load_file(Path(model) / "model.safetensors").items())

    tuned = load_local(out)
    (said,) = tuned.sample(
        [ask("0: who has the gull?", id="q")], SamplingParams(temperature=0, max_tokens=30), key=0
    )
    assert said.answer == "Ada has the gull."
    peft = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), str(out)).eval()
    ids = torch.tensor([tuned.chat.prompt_ids(ask("Who?", id="q"))])
    with torch.no_grad():
        assert torch.allclose(peft(ids).logits, tuned.net(ids).logits, atol=1e-5)
    assert "LoRA of rank 8" in (out / "README.md").read_text()


def test_a_fresh_adapter_changes_nothing_and_does_not_touch_the_global_generator(
    tmp_path: Path, model: str
) -> None:
    rows = read_conversations(write(tmp_path / "rows.jsonl", conversation_rows(2)))
    config = SFTConfig(learning_rate=1e-30, passes=1, lora_rank=4)
    state = torch.get_rng_state()
    out = finetune(model, rows, tmp_path / "out", config, what="a test", data="rows").folder
    assert torch.equal(torch.get_rng_state(), state)
    ids = torch.tensor([[5, 9, 200, 17]])
    with torch.no_grad():
        assert torch.equal(load_local(out).net(ids).logits, load_local(model).net(ids).logits)


def test_held_out_conversations_are_not_trained_on_and_their_loss_is_told(tmp_path: Path, model: str) -> None:
    rows = read_conversations(write(tmp_path / "rows.jsonl", conversation_rows(24)))
    twice = [*rows, *rows]  # an equal question must not be on both sides
    config = SFTConfig(learning_rate=3e-3, tokens_per_step=128, passes=3, held_out=0.25, seed=1)
    tuned = finetune(model, twice, tmp_path / "out", config, what="a test", data="rows")
    assert tuned.validation is not None
    assert 0 < tuned.validation.conversations < 24 and tuned.validation.conversations % 2 == 0
    assert tuned.validation.after < tuned.validation.before - 1

    # The same number by the model's scorer, in a way of its own.
    loaded, ids, nats = load_local(tuned.folder), 0, 0.0
    from truing.methods.sft import _split

    for i in _split(twice, config, "")[1]:
        shown = loaded.chat.training_example(twice[i])
        start = shown.mask.index(True)
        ((*each,),) = loaded.score([shown.ids[:start]], [shown.ids[start:]])
        nats -= sum(x for x, m in zip(each, shown.mask[start:], strict=True) if m)
        ids += sum(shown.mask)
    assert tuned.validation.after == pytest.approx(nats / ids, rel=1e-3)


def test_a_share_that_leaves_a_side_empty_is_a_sentence(tmp_path: Path, model: str) -> None:
    rows = read_conversations(write(tmp_path / "rows.jsonl", conversation_rows(1)))
    with pytest.raises(InputError, match="leave nothing on one side"):
        finetune(model, rows, tmp_path / "out", SFTConfig(held_out=0.5), what="a test", data="rows")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"lora_rank": -1}, "lora_rank is at least 0"),
        ({"held_out": 1.0}, "a share below 1"),
        ({"seed": -1}, "a seed"),
    ],
)
def test_numbers_out_of_their_range_are_sentences(wrong: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SFTConfig(**wrong)


def test_the_preset_has_the_published_numbers() -> None:
    published = SFT_PRESETS["instructgpt-1.3b"]
    assert (published.learning_rate, published.passes, published.warmup) == (9.65e-6, 16, 0)
    assert SFT_PRESETS["instructgpt-175b"].learning_rate == 5.03e-6


@pytest.mark.parametrize("rank", [0, 4])
def test_a_run_that_crashed_goes_on_to_the_same_weights_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    model = str(make_checkpoint(tmp_path / "bf16", "llama", 3, dtype=torch.bfloat16))
    data = write(tmp_path / "rows.jsonl", conversation_rows(12))
    config = SFTConfig(learning_rate=1e-2, tokens_per_step=100, passes=3, lora_rank=rank)
    whole = align_sft(model, data, tmp_path / "whole", config, device="cpu")

    monkeypatch.setattr(resume, "_EVERY", 0.0)
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        crash_in_step(patch, 4)
        align_sft(model, data, tmp_path / "crashed", config, device="cpu")
    assert (tmp_path / "crashed" / "training.pt").exists()
    again = align_sft(model, data, tmp_path / "crashed", config, device="cpu")
    file = "adapter_model.safetensors" if rank else "model.safetensors"
    assert (Path(whole["model"]) / file).read_bytes() == (Path(again["model"]) / file).read_bytes()
    assert {k: v for k, v in again.items() if k != "model"} == {
        k: v for k, v in whole.items() if k != "model"
    }
    assert not (tmp_path / "crashed" / "training.pt").exists()
    with pytest.raises(InputError, match="another configuration"):
        align_sft(model, data, tmp_path / "crashed", SFTConfig(seed=1), device="cpu")
