"""Reward models: what is saved scores the same anywhere, what is held out is told, what does not fit is counted."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from methods.crashing import CrashError, crash_in_step
from methods.small import conversation_rows, preference_rows, ranking_rows, write
from model.tiny import checkpoint

from truing.data import Comparisons, read_comparisons
from truing.grade import LearnedReward
from truing.methods import REWARD_PRESETS, RewardModelConfig, read_conversations, train_reward_model
from truing.recipes import align_rm
from truing.train import resume
from truing.types import InputError

QUICK = RewardModelConfig(learning_rate=1e-2, prompts_per_step=16, held_out=0.4, seed=1)


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Comparisons:
    return read_comparisons(write(tmp_path_factory.mktemp("data") / "c.jsonl", preference_rows(30)))


@pytest.mark.parametrize(
    ("family", "rank"), [("llama", 0), ("llama", 4), ("qwen3", 4), ("gemma3", 0), ("gpt_neox", 4)]
)
def test_one_step_trains_saves_loads_and_scores_the_same_in_transformers(
    tmp_path: Path, comparisons: Comparisons, family: str, rank: int
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    config = RewardModelConfig(learning_rate=1e-2, prompts_per_step=64, held_out=0.4, lora_rank=rank)
    made = train_reward_model(str(checkpoint(family)), comparisons, tmp_path / "rm", config, data="c")
    assert made.trained.steps == 1
    asked, said = ["Who has it?", "Hm?"], ["Ada.", "I will not say, as nobody knows."]
    ours = LearnedReward(made.folder, device="cpu")(asked, said)

    tokenizer = AutoTokenizer.from_pretrained(made.folder)
    net = AutoModelForSequenceClassification.from_pretrained(made.folder).eval()
    assert net.config.num_labels == 1
    turns = [
        [{"role": "user", "content": a}, {"role": "assistant", "content": b}]
        for a, b in zip(asked, said, strict=True)
    ]
    texts = tokenizer.apply_chat_template(turns, tokenize=False)
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.no_grad():
        theirs = net(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, 0]
    assert np.allclose(ours, theirs.numpy(), atol=1e-4)
    assert abs(ours[0] - ours[1]) > 1e-3


def test_what_is_learnt_beats_the_rule_on_length_and_the_run_has_its_page(tmp_path: Path) -> None:
    data = tmp_path / "c.jsonl.gz"
    with gzip.open(data, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in preference_rows(60))
    config = RewardModelConfig(learning_rate=5e-3, prompts_per_step=8, passes=3, held_out=0.4)
    result = align_rm(str(checkpoint("llama")), data, tmp_path / "run", config, device="cpu")
    found = result["figures"]
    assert found["accuracy"]["value"] > 0.95 > 0.7 > found["length"]["value"]
    assert found["over_length"]["low"] > 0 and found["loss"] < 0.3
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What it pays for" in page and "random weights, never trained" in page.lower()
    assert align_rm(str(checkpoint("llama")), data, tmp_path / "run", config, device="cpu") == result


def test_the_mean_of_the_demonstrations_is_zero_and_stays_so_on_disk(
    tmp_path: Path, comparisons: Comparisons
) -> None:
    shown = read_conversations(write(tmp_path / "d.jsonl", conversation_rows(5)))
    long = (shown[0][0], type(shown[0][1])(shown[0][1].role, "gull " * 3000))
    made = train_reward_model(
        str(checkpoint("llama")), comparisons, tmp_path / "rm", QUICK, data="c", demonstrations=[*shown, long]
    )
    assert made.skipped == {"a demonstration is longer than the model's context": 1}
    reward = LearnedReward(made.folder, device="cpu")
    got = reward([turn[0].content for turn in shown], [turn[1].content for turn in shown])
    assert made.bias != 0 and abs(np.mean(got)) < 1e-5
    with pytest.raises(InputError, match="no demonstration fits"):
        train_reward_model(
            str(checkpoint("llama")), comparisons, tmp_path / "b", QUICK, data="c", demonstrations=[long]
        )


def test_labelers_and_groups_have_their_accuracies_and_can_be_held_out(tmp_path: Path) -> None:
    rows = read_comparisons(write(tmp_path / "r.jsonl", ranking_rows(40)))
    config = RewardModelConfig(learning_rate=5e-3, prompts_per_step=16, held_out=0.5, by="labeler", seed=3)
    made = train_reward_model(str(checkpoint("llama")), rows, tmp_path / "rm", config, data="r")
    names = [one.name for one in made.figures.labelers]
    assert 0 < len(names) < 4 and set(names) < {f"labeler {i}" for i in range(4)}
    assert sum(one.pairs for one in made.figures.labelers) == made.figures.accuracy.pairs
    assert made.figures.accuracy.pairs == 5 * made.figures.accuracy.prompts  # of 6 pairs one is a tie
    assert made.prompts == 40 - made.figures.accuracy.prompts


def test_a_comparison_longer_than_the_context_is_left_out_and_counted(
    tmp_path: Path, comparisons: Comparisons
) -> None:
    long = preference_rows(12, rejected="gull " * 600)
    for i, row in enumerate(long):
        row["prompt"] = f"another {i}: and what about this?"
    rows = read_comparisons(write(tmp_path / "c.jsonl", [*preference_rows(30), *long]))
    made = train_reward_model(str(checkpoint("llama")), rows, tmp_path / "rm", QUICK, data="c")
    assert made.skipped == {"an answer with its prompt is longer than the model's context": 12}
    assert made.prompts + made.figures.accuracy.prompts == 30
    only = read_comparisons(write(tmp_path / "long.jsonl", long))
    with pytest.raises(InputError, match="fits into the model's context"):
        train_reward_model(str(checkpoint("llama")), only, tmp_path / "b", QUICK, data="c")


def test_equal_seeds_give_equal_rewards_and_another_seed_does_not(
    tmp_path: Path, comparisons: Comparisons
) -> None:
    def weights(name: str, config: RewardModelConfig) -> bytes:
        made = train_reward_model(str(checkpoint("llama")), comparisons, tmp_path / name, config, data="c")
        return (made.folder / "model.safetensors").read_bytes()

    one = weights("a", QUICK)
    assert weights("b", QUICK) == one
    assert weights("c", RewardModelConfig(learning_rate=1e-2, held_out=0.4, seed=2)) != one


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [({"lora_rank": -1}, "lora_rank"), ({"held_out": 0.0}, "between 0 and 1"), ({"seed": 2**64}, "a seed")],
)
def test_numbers_out_of_their_range_are_sentences(wrong: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        RewardModelConfig(**wrong)


def test_the_preset_has_the_published_numbers() -> None:
    published = REWARD_PRESETS["instructgpt-6b"]
    assert (published.learning_rate, published.prompts_per_step, published.passes) == (9e-6, 64, 1)


def test_a_run_that_crashed_goes_on_to_the_same_weights_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = str(checkpoint("llama")), write(tmp_path / "c.jsonl", preference_rows(24))
    config = RewardModelConfig(learning_rate=1e-2, prompts_per_step=4, passes=1, held_out=0.3)

    def run(name: str) -> bytes:
        folder = Path(align_rm(model, data, tmp_path / name, config, device="cpu")["model"])
        return (folder / "model.safetensors").read_bytes()

    whole = run("whole")
    monkeypatch.setattr(resume, "_EVERY", 0.0)
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        crash_in_step(patch, 3)
        run("crashed")
    assert (tmp_path / "crashed" / "training.pt").exists()
    assert run("crashed") == whole
