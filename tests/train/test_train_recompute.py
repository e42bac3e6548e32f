"""Activations made again give the gradients that kept ones give, in far less memory, under the same context."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from model.test_model_memory import Peak
from train.compared import RANKINGS, random_comparisons
from train.rows import random_rows
from train.test_train_policy_killed import ppo
from train.test_train_rewards import scalar
from train.test_train_supervised import fresh, same, weights

from truing.model import decoder_layers, evaluating
from truing.train import RewardConfig, SupervisedConfig, reward_modelling, supervised

DATA = random_comparisons(RANKINGS)
ROWS = random_rows((60, 30, 12, 90, 41, 25))


def trained(family: str, *, recompute: bool, **more: object) -> list[torch.Tensor]:
    net = fresh(family)
    config = SupervisedConfig(1e-2, tokens_per_step=130, recompute=recompute)
    supervised(net, ROWS, config, what="test", **more)  # type: ignore[arg-type]
    assert not any("forward" in vars(layer) for layer in decoder_layers(net))
    return weights(net)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "gpt_neox"])
def test_recomputed_activations_give_the_same_weights_bit_for_bit(family: str) -> None:
    assert same(trained(family, recompute=True), trained(family, recompute=False))


def test_policy_learning_with_its_value_model_does_so_too() -> None:
    assert same(ppo(None, recompute=True)[1], ppo(None)[1])


def test_so_does_a_reward_model_though_it_learns_in_eval_mode() -> None:
    def run(recompute: bool) -> list[torch.Tensor]:
        net = scalar().net
        config = RewardConfig(1e-2, prompts_per_step=3, recompute=recompute)
        with Peak() as took:
            reward_modelling(net, DATA, config, what="test", forward_context=lambda: evaluating(net))
        peaks.append(took.peak)
        return weights(net)

    peaks: list[int] = []
    assert same(run(True), run(False))
    assert peaks[0] < peaks[1]


def test_what_changes_the_forward_pass_changes_it_again() -> None:
    """As a hook inside a layer does: without it the recomputed activations would be another model's."""

    def run(recompute: bool) -> list[torch.Tensor]:
        net = fresh("llama")

        @contextmanager
        def louder() -> Iterator[None]:
            handle = decoder_layers(net)[0].mlp.register_forward_hook(lambda _m, _i, out: 3 * out)
            try:
                yield
            finally:
                handle.remove()

        config = SupervisedConfig(1e-2, tokens_per_step=130, recompute=recompute)
        supervised(net, ROWS, config, what="test", forward_context=louder)
        return weights(net)

    assert same(run(True), run(False))
    assert not same(run(True), trained("llama", recompute=True))


def test_recomputing_takes_far_less_memory_of_long_micro_batches() -> None:
    def peak(recompute: bool) -> int:
        net = fresh("llama")
        rows = random_rows((250,) * 8, trained_from=240)
        with Peak() as run:
            supervised(
                net, rows, SupervisedConfig(1e-3, tokens_per_step=2000, recompute=recompute), what="test"
            )
        return run.peak

    assert peak(True) < 0.75 * peak(False)
