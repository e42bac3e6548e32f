"""Policy learning that is killed, stopped or failed by its reward goes on to the same weights, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from train.killing import killed
from train.policies import Watch, learn, other, tiny, uneven
from train.test_train_policy_ppo import GAE, PTX, critic
from train.test_train_supervised import same, weights

from truing.model import LocalModel
from truing.numerics import generator
from truing.train import PolicyTrained
from truing.types import InputError

UPDATES = 3
PPO: dict[str, Any] = GAE | {
    "kl_coef": 0.2, "kl_in": "reward", "kl_target": 0.1, "kl_horizon": 100.0, "minibatches": 2, "ema": 0.9,
    "ptx_coef": 0.5, "ptx_ratio": 0.25, "warmup": 2, "prompts_per_update": 3,
}  # fmt: skip


def ppo(path: Path | None, **more: Any) -> tuple[PolicyTrained, list[torch.Tensor]]:
    model, value = tiny(), critic()
    given: dict[str, Any] = {"reference": other(), "value": value, "ptx": PTX, "updates": UPDATES} | more
    trained = learn(model, **PPO | given, checkpoint=path)
    return trained, [*weights(model.net), *weights(value.net)]


def adapted() -> LocalModel:
    model = tiny()
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        peft.get_peft_model(model.net, config)
    return model


def grpo(path: Path | None, **more: Any) -> tuple[PolicyTrained, list[torch.Tensor]]:
    model = adapted()
    given: dict[str, Any] = {"reference": "adapter off", "updates": UPDATES, "learning_rate": 0.02} | more
    return learn(model, kl_coef=0.5, **given, checkpoint=path), weights(model.net)


LOOPS: dict[str, Callable[..., tuple[PolicyTrained, list[torch.Tensor]]]] = {"ppo": ppo, "grpo": grpo}


EACH = {"ppo": 4, "grpo": 1}
"""Optimiser steps of an update; of PPO two of the policy and two of the value model."""
DIES_IN = {
    loop: int(generator(9, loop).integers(each + 1, each * UPDATES + 1)) for loop, each in EACH.items()
}
"""The optimiser step, from 1."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("killed")
    killed("test_train_policy_killed", DIES_IN, made)
    return made


@pytest.mark.parametrize("loop", LOOPS)
def test_a_killed_training_goes_on_to_the_same_weights(loop: str, folder: Path) -> None:
    """Policy, value model, both optimisers, mean of weights, KL coefficient and samples."""
    done = (DIES_IN[loop] - 1) // EACH[loop]
    assert len(torch.load(folder / loop, weights_only=True)["losses"]) == done > 0
    whole, wanted = LOOPS[loop](None)
    resumed, found = LOOPS[loop](folder / loop)
    assert same(found, wanted)
    assert resumed.updates == whole.updates
    assert len({row.kl_coef for row in whole.updates}) == (UPDATES if loop == "ppo" else 1)
    assert whole.updates[-1].kl > 0


def test_a_reward_that_fails_loses_nothing_that_was_done(tmp_path: Path) -> None:
    def broken(rows: Any, completions: Any) -> Any:
        if len(watch.seen) == 2:
            raise InputError("no judge")
        return uneven(rows, completions)

    watch, model, whole = Watch(broken), tiny(), tiny()
    with pytest.raises(InputError, match="no judge"):
        learn(model, watch, updates=3, checkpoint=tmp_path / "state")
    watch = Watch()
    model = tiny()
    learn(model, watch, updates=3, checkpoint=tmp_path / "state")
    assert len(watch.seen) == 2
    learn(whole, updates=3)
    assert same(weights(model.net), weights(whole.net))


def test_a_training_that_was_stopped_early_stays_stopped(tmp_path: Path) -> None:
    seen: list[int] = []

    def observe(update: Any, samples: Any) -> bool:
        assert len(samples) == 16
        assert {row.update for row in samples} == {update.update}
        seen.append(update.update)
        return update.update == 2

    for _ in range(2):
        trained = learn(
            tiny(), updates=4, observe=observe, checkpoint=tmp_path / "state",
            measure=lambda number: {"truth": number / 2} if number == 2 else {},
        )  # fmt: skip
        assert trained.stopped
        assert [dict(row.held_out) for row in trained.updates] == [{}, {"truth": 1.0}]
    assert seen == [1, 2]


def test_a_state_of_other_prompts_or_another_reference_is_refused(tmp_path: Path) -> None:
    grpo(tmp_path / "state", updates=1)
    with pytest.raises(InputError, match="with another reference"):
        grpo(tmp_path / "state", updates=1, reference=other())
    with pytest.raises(InputError, match="with another configuration"):
        grpo(tmp_path / "state", updates=2)


def test_the_model_without_its_adapter_is_the_reference_that_training_began_from() -> None:
    off, mine = grpo(None)
    apart, theirs = grpo(None, reference=tiny())
    assert same(mine, theirs)
    assert off.updates == apart.updates
    assert off.updates[0].kl == pytest.approx(0, abs=1e-4)


def test_an_adapter_that_was_trained_before_is_no_reference_when_off() -> None:
    model = adapted()
    learn(model, learning_rate=0.05)
    with pytest.raises(InputError, match="is not the one that training begins from"):
        learn(model, reference="adapter off", kl_coef=0.1)
    model = adapted()
    model.net.get_output_embeddings().weight.requires_grad_(True)
    with pytest.raises(InputError, match=r"weights lm_head.weight are trained and no part of the adapter"):
        learn(model, reference="adapter off", kl_coef=0.1)
