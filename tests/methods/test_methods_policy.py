"""GRPO, RLOO and PPO as methods: what they begin at, that rewards rise, what the start of PPO is made of."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from methods.policies import workshop
from methods.small import conversation_rows, write
from model.tiny import checkpoint, make_checkpoint
from safetensors.torch import load_file

from truing.grade import RewardMix
from truing.methods import (
    GRPOTuningConfig,
    Mixed,
    PolicyRun,
    PolicyTuned,
    PPOTuningConfig,
    measured_before,
    read_conversations,
    read_prompts,
    tune_by_grpo,
    tune_by_ppo,
)
from truing.methods.held_out import PROXY
from truing.model import ScalarModel
from truing.types import InputError

NUMBERS: dict[str, Any] = {
    "updates": 2, "prompts_per_update": 4, "samples_per_prompt": 4, "max_new_tokens": 8, "truncated": "score",
}  # fmt: skip


def low_ids(prompts: list, completions: list, completion_ids: list, **columns: Any) -> list[float]:
    """The share of an answer's tokens among the first half of the vocabulary."""
    return [sum(id < 256 for id in ids) / len(ids) for ids in completion_ids]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PolicyRun:
    _, data, _ = workshop(tmp_path_factory.mktemp("prompts"))
    prompts = read_prompts(data, held_out=0.4, key=0)
    mix = RewardMix([("low ids", low_ids, 1.0)], texts=True)
    return PolicyRun(
        prompts, mix, "prompts.jsonl", watched=RewardMix([("watched", low_ids, 1.0)], texts=True)
    )


def by_grpo(run: PolicyRun, out: Path, family: str = "llama", **numbers: Any) -> PolicyTuned:
    config = GRPOTuningConfig(**{"learning_rate": 3e-3, **NUMBERS, **numbers})
    return tune_by_grpo(str(checkpoint(family)), run, out, config, device="cpu")


@pytest.mark.parametrize(
    ("family", "numbers"),
    [
        ("llama", {"estimator": "grpo"}),
        ("qwen3", {"estimator": "rloo", "lora_rank": 2}),
        ("gemma3", {"estimator": "dr_grpo"}),
        ("gpt_neox", {"estimator": "rloo"}),
    ],
)
def test_the_policy_begins_at_its_reference_and_moves(
    tmp_path: Path, run: PolicyRun, family: str, numbers: dict
) -> None:
    made = by_grpo(run, tmp_path / "out", family, **numbers)
    first, second = made.trained.updates
    assert first.kl == pytest.approx(0, abs=1e-4) and first.ratio_max == pytest.approx(1, abs=1e-5)
    assert second.kl_spent is not None and second.kl_spent > 0
    assert (made.folder / ("adapter_config.json" if numbers.get("lora_rank") else "config.json")).exists()
    assert numbers["estimator"] in (made.folder / "README.md").read_text()


def test_what_is_paid_for_is_learnt_and_the_end_is_measured(tmp_path: Path, run: PolicyRun) -> None:
    free = by_grpo(run, tmp_path / "free", updates=15, kl_coef=0.0, learning_rate=1e-2, measure_every=7)
    rewards = [row.reward for row in free.trained.updates]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.2
    ends = free.held_out[PROXY]
    measured = {row.update: row.held_out["watched"]["value"] for row in free.trained.updates if row.held_out}
    assert list(measured) == [1, 8, 15]
    assert ends["low"] > measured[1] and ends["n"] + ends["missing"] == len(run.prompts.held_out)


def test_metrics_are_measured_first_last_and_every_so_many() -> None:
    assert measured_before(20, 5) == [1, 6, 11, 16, 20] and measured_before(21, 5) == [1, 6, 11, 16, 21]
    assert measured_before(20, 0) == [1, 20] and measured_before(1, 7) == [1]


def test_measures_that_are_known_are_not_made_again(tmp_path: Path, run: PolicyRun) -> None:
    kept: dict[int, Any] = {}
    first = by_grpo(replace(run, measured=kept.__setitem__), tmp_path / "a", measure_every=1)
    assert sorted(kept) == [1, 2, 3] and kept[3] == first.held_out
    told: list[int] = []
    again = replace(run, known=kept, measured=lambda number, _: told.append(number))
    assert by_grpo(again, tmp_path / "b", measure_every=1).held_out == first.held_out and not told


PPO = PPOTuningConfig(
    **{**NUMBERS, "samples_per_prompt": 1}, learning_rate=1e-3, minibatches=2, ptx_coef=0.0, ema=0.5, warmup=0,
    start_learning_rate=3e-3, start_tokens_per_step=100,
)  # fmt: skip


def test_the_start_of_ppo_reads_a_tenth_of_pretraining_text(tmp_path: Path, run: PolicyRun) -> None:
    shown = tuple(read_conversations(write(tmp_path / "c.jsonl", conversation_rows(30))))
    texts = tuple(f"The gull number {i} sings about the kettle." for i in range(200))
    config, start = replace(PPO, ptx_coef=1.0, ptx_ratio=1.0), tmp_path / "start"
    made = tune_by_ppo(
        str(checkpoint("llama")),
        run,
        Mixed(shown, texts),
        tmp_path / "out",
        config,
        start=start,
        device="cpu",
    )
    first = made.trained.updates[0]
    # PPO is kept near to the start, not to the model that it was tuned from.
    assert first.kl == pytest.approx(0, abs=1e-3) and first.ptx_loss is not None
    before = load_file(checkpoint("llama") / "model.safetensors")
    begun = load_file(start / "model.safetensors")
    assert any(not before[name].equal(begun[name]) for name in before)
    card = (start / "README.md").read_text()
    pieces = int(card.split("30 demonstrations, and ")[1].split()[0])
    from truing.methods.pretraining import text_rows
    from truing.model import load_local

    chat = load_local(checkpoint("llama"), device="cpu").chat
    taught = sum(len(chat.training_example(row).ids) for row in shown)
    mixed = sum(len(row.ids) for row in text_rows(texts[:pieces], chat, context=512))
    assert mixed / (taught + mixed) == pytest.approx(0.1, abs=0.01)


def test_the_value_model_begins_as_the_reward_model_or_expects_nothing(
    tmp_path: Path, run: PolicyRun
) -> None:
    model = str(checkpoint("llama"))
    reward = ScalarModel.from_base(model, 3, device="cpu")
    reward.bias = 50.0
    reward.save(tmp_path / "rm")
    losses = {}
    for name, value in {"rm": str(tmp_path / "rm"), "zeros": ""}.items():
        made = tune_by_ppo(
            model,
            run,
            Mixed(value=value),
            tmp_path / f"out {name}",
            PPO,
            start=tmp_path / "none",
            device="cpu",
        )
        losses[name] = made.trained.updates[0].value_loss
        assert not (tmp_path / "none").exists()
    # Rewards lie in [0, 1]: what expects nothing is off by less than half a unit squared, the other by about 50.
    assert losses["zeros"] < 0.5 < 500 < losses["rm"]


def test_a_value_model_that_reads_other_tokens_is_refused(tmp_path: Path, run: PolicyRun) -> None:
    make_checkpoint(tmp_path / "other", "llama", vocab_size=400)
    ScalarModel.from_base(tmp_path / "other", 0, device="cpu").save(tmp_path / "rm")
    with pytest.raises(InputError, match="reads other tokens than the policy"):
        tune_by_ppo(
            str(checkpoint("llama")), run, Mixed(value=str(tmp_path / "rm")), tmp_path / "out", PPO,
            start=tmp_path / "none", device="cpu",
        )  # fmt: skip
