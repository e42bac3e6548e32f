"""The loop of reward models against transformers, answer by answer, and what it promises besides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from model.tiny import checkpoint
from train.compared import RANKINGS, random_comparisons
from train.test_train_supervised import by_rank, same, weights

from truing.model import ScalarModel
from truing.train import ComparedRows, RewardConfig, Trained, parts, reward_modelling
from truing.types import InputError

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox")
ONE_STEP = RewardConfig(1e-3, prompts_per_step=10**6, clip=1e9)


def scalar(family: str = "llama") -> ScalarModel:
    return ScalarModel.from_base(checkpoint(family), 1)


def train(net: hf.PreTrainedModel, data: ComparedRows, config: RewardConfig) -> Trained:
    return reward_modelling(net, data, config, what="test")


def by_hand(net: hf.PreTrainedModel, data: ComparedRows, divide_by: str = "kept") -> torch.Tensor:
    """The loss from one forward pass of transformers for each answer, pair by pair."""
    rows = np.split(data.rows.ids.astype(np.int64), data.rows.offsets[1:-1])
    rewards = [net(input_ids=torch.from_numpy(ids)[None]).logits[0, 0] for ids in rows]
    losses = []
    for first, last in zip(data.groups[:-1], data.groups[1:], strict=True):
        ranks, mine = data.ranks[first:last], rewards[first:last]
        pairs = [(i, j) for i in range(len(mine)) for j in range(len(mine)) if ranks[i] < ranks[j]]
        nats = [-torch.nn.functional.logsigmoid(mine[i] - mine[j]) for i, j in pairs]
        count = len(pairs) if divide_by == "kept" else len(mine) * (len(mine) - 1) // 2
        losses.append(torch.stack(nats).sum() / count)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("micro", [30, 2048])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_has_the_loss_and_gradient_of_every_pair_by_hand(
    family: str, micro: int, gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two to four answers to a prompt, ties among them, of uneven lengths: at once, or prompt by prompt."""
    monkeypatch.setattr(parts, "MICRO_TOKENS", micro)
    data = random_comparisons()
    oracle = scalar(family).net
    wanted = by_hand(oracle, data)
    wanted.backward()
    net = scalar(family).net
    trained = train(net, data, ONE_STEP)
    assert trained.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    for mine, theirs in zip(gradients[0], by_rank(oracle), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max() + 1e-3))


def test_shared_prompts_read_once_change_nothing(
    gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random_comparisons()
    losses = []
    for worth in (1, 10**6):
        monkeypatch.setattr(parts, "_WORTH_SHARING", worth)
        losses.append(train(scalar().net, data, ONE_STEP).loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_a_model_that_cannot_pack_is_trained_on_the_same_loss(
    gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for _ in range(2):
        losses.append(train(scalar().net, random_comparisons(), ONE_STEP).loss)
        monkeypatch.setattr("truing.model.packing.PackedForward._agrees", lambda *_: False)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_all_pairs_can_be_divided_by() -> None:
    data = random_comparisons()
    with torch.no_grad():
        wanted = float(by_hand(scalar().net, data, "all"))
    assert train(scalar().net, data, replace(ONE_STEP, divide_by="all")).loss == pytest.approx(
        wanted, rel=1e-5
    )


def test_two_halves_weighted_by_their_prompts_are_the_whole_gradient(
    gradients: list[list[torch.Tensor]],
) -> None:
    """As two ranks that average would have it, with three prompts on one and five on the other."""
    train(scalar().net, random_comparisons(), ONE_STEP)
    train(scalar().net, random_comparisons(RANKINGS[:3]), ONE_STEP)
    train(scalar().net, random_comparisons(RANKINGS[3:], first=3), ONE_STEP)
    whole, *halves = gradients
    for all_, three, five in zip(whole, *halves, strict=True):
        torch.testing.assert_close(3 / 8 * three + 5 / 8 * five, all_, rtol=1e-4, atol=1e-6)


def test_the_answers_of_a_prompt_are_never_split_over_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    real = parts.Reader.read

    def read(self: parts.Reader, units: np.ndarray) -> parts.Part:
        part = real(self, units)
        seen.append(part.rows.tolist())
        return part

    monkeypatch.setattr(parts.Reader, "read", read)
    monkeypatch.setattr(parts, "MICRO_TOKENS", 1)
    data = random_comparisons()
    train(scalar().net, data, RewardConfig(1e-3, prompts_per_step=3))
    assert sorted(seen) == [list(range(a, b)) for a, b in zip(data.groups[:-1], data.groups[1:], strict=True)]


def test_states_that_carry_no_loss_may_be_poison(
    gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = train(scalar().net, random_comparisons(), ONE_STEP).loss
    real = parts.Reader.read

    def poisoned(self: parts.Reader, units: np.ndarray) -> parts.Part:
        part = real(self, units)
        keep = torch.zeros(len(part.ids), 1, dtype=torch.bool)
        keep[part.trained] = True
        return replace(part, hidden=torch.where(keep, part.hidden, torch.nan))

    monkeypatch.setattr(parts.Reader, "read", poisoned)
    assert train(scalar().net, random_comparisons(), ONE_STEP).loss == clean
    assert same(*gradients)


def test_one_batch_can_be_learnt_by_heart() -> None:
    trained = train(scalar().net, random_comparisons(), RewardConfig(1e-2, passes=25, prompts_per_step=8))
    assert trained.curve[0][1] > 0.4
    assert trained.loss < 0.02


def test_what_is_counted_is_what_was_done() -> None:
    data = random_comparisons()
    trained = train(scalar().net, data, RewardConfig(1e-3, passes=2, prompts_per_step=4))
    assert (trained.tokens, trained.loss_tokens, trained.steps) == (
        2 * len(data.rows.ids),
        2 * len(data.rows),
        4,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trained_model_scores_the_same_when_loaded(family: str, tmp_path: Path) -> None:
    model = scalar(family)
    data = random_comparisons()
    rows = [ids.tolist() for ids in np.split(data.rows.ids, data.rows.offsets[1:-1])]
    before = model.score(rows)
    train(model.net, data, replace(ONE_STEP, learning_rate=1e-2))
    trained = model.score(rows)
    assert np.abs(trained - before).min() > 1e-3
    model.save(tmp_path)
    np.testing.assert_allclose(ScalarModel.load(tmp_path).score(rows), trained, atol=2e-6)


def test_a_frozen_head_is_refused() -> None:
    net = scalar().net
    net.score.requires_grad_(False)
    with pytest.raises(InputError, match=r"head of the reward model is frozen.*modules_to_save"):
        train(net, random_comparisons(), ONE_STEP)


def test_a_model_with_logits_is_no_reward_model() -> None:
    net = hf.AutoModelForCausalLM.from_pretrained(checkpoint("llama"))
    with pytest.raises(InputError, match="a LlamaForCausalLM has no single number out"):
        train(net, random_comparisons(), ONE_STEP)


def test_a_row_longer_than_the_context_is_named() -> None:
    net = scalar().net
    net.config.max_position_embeddings = 20
    with pytest.raises(InputError, match=r"row \d+ has \d+ tokens, the model's context is 20"):
        train(net, random_comparisons(), ONE_STEP)


@pytest.mark.parametrize("wrong", [{"prompts_per_step": 0}, {"divide_by": "some"}, {"clip": 0.0}], ids=str)
def test_a_configuration_out_of_range_is_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        RewardConfig(**({"learning_rate": 1e-3} | wrong))


def test_two_trainings_give_the_same_weights_bit_for_bit() -> None:
    found = []
    for _ in range(2):
        net = scalar().net
        train(net, random_comparisons(), RewardConfig(1e-2, prompts_per_step=3))
        found.append(weights(net))
    assert same(*found)
