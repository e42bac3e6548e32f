"""`truing align METHOD --dry-run`: what a training would take, before anything is loaded or written."""

import json
from pathlib import Path

import pytest
from model.tiny import checkpoint

from truing.cli import main
from truing.methods import (
    SIZE_PRESETS,
    DPOTuningConfig,
    GRPOTuningConfig,
    PPOTuningConfig,
    RewardModelConfig,
    SFTConfig,
)
from truing.methods.size_presets import SIZES
from truing.model import TrainingSetup, training_memory

Capture = pytest.CaptureFixture[str]
CONFIGS = {
    "sft": SFTConfig,
    "rm": RewardModelConfig,
    "dpo": DPOTuningConfig,
    "grpo": GRPOTuningConfig,
    "ppo": PPOTuningConfig,
}


@pytest.fixture
def config_alone(tmp_path: Path) -> str:
    """A model's folder without weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text((checkpoint("llama") / "config.json").read_text())
    return str(folder)


@pytest.mark.parametrize("method", ["sft", "rm", "dpo"])
def test_a_dry_run_needs_the_configuration_alone_and_leaves_nothing(
    method: str, config_alone: str, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "run"
    words = ["align", method, "--data", "none.jsonl", "--model", config_alone, "--out", str(out)]
    assert main([*words, "--preset", "7B", "--lora-rank", "8", "--dry-run", "--json"]) == 0
    said = capsys.readouterr().out.splitlines()
    found = json.loads(said[-1])
    assert not out.exists()
    assert found["recompute"] and found["parameters"] > 0
    assert {row["devices"] for row in found["peaks"]} == {1, 8, 64}
    assert any("QLoRA of rank 8" in line for line in said) == (method != "rm")
    assert all(row["fits"] == {"24": True, "80": True} for row in found["peaks"])


@pytest.mark.parametrize("method", ["grpo", "ppo"])
def test_policy_learning_counts_its_reference_value_model_and_rollouts(
    method: str, config_alone: str, tmp_path: Path, capsys: Capture
) -> None:
    words = ["align", method, config_alone, "--out", str(tmp_path / "run"), "--dry-run", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not (tmp_path / "run").exists()
    whole = next(row for row in found["peaks"] if row["trains"] == "all weights")
    assert not whole["sharded"]
    setup = TrainingSetup(copies=1, value_models=int(method == "ppo"), rollout_rows=64, rollout_tokens=2048)
    assert whole["gib"] == round(training_memory(config_alone, setup).total / 2**30, 2)
    assert any(row["trains"].startswith("QLoRA") for row in found["peaks"]) == (method == "grpo")


def test_sizes_have_numbers_for_every_method() -> None:
    assert all(set(sizes) == set(SIZES) for sizes in SIZE_PRESETS.values())
    assert set(SIZE_PRESETS) == set(CONFIGS)
    for method, kind in CONFIGS.items():
        for numbers in SIZE_PRESETS[method].values():
            kind(**numbers)  # type: ignore[arg-type]


def test_four_bits_without_an_adapter_are_refused(config_alone: str, tmp_path: Path, capsys: Capture) -> None:
    words = ["align", "sft", "--data", "none.jsonl", "--model", config_alone, "--out", str(tmp_path / "run")]
    assert main([*words, "--quantize", "4bit"]) == 3
    assert "lora_rank above 0" in capsys.readouterr().err


def test_an_unknown_size_is_one_sentence_with_those_there_are(
    config_alone: str, tmp_path: Path, capsys: Capture
) -> None:
    words = ["align", "dpo", "--data", "none.jsonl", "--model", config_alone, "--out", str(tmp_path / "run")]
    assert main([*words, "--preset", "13B"]) == 3
    assert "choose from xs, 1B, 7B, 70B" in capsys.readouterr().err
