"""A reward model and a DPO that are killed with SIGKILL go on to the same weights, bit for bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from train.compared import RANKINGS, random_comparisons
from train.killing import killed
from train.test_train_rewards import scalar
from train.test_train_supervised import fresh, same, weights

from truing.numerics import generator
from truing.train import DPOConfig, RewardConfig, Trained, dpo, reward_modelling
from truing.types import InputError

DATA = random_comparisons(RANKINGS)
REWARD = RewardConfig(1e-2, passes=3, prompts_per_step=3)
POLICY = DPOConfig(1e-2, passes=3, prompts_per_step=3)
REFERENCE = np.linspace(-40, -20, len(DATA.rows))
STEPS = 8


def rm(path: Path | None) -> tuple[Trained, list[torch.Tensor]]:
    net = scalar().net
    return reward_modelling(net, DATA, REWARD, what="test", checkpoint=path), weights(net)


def policy(path: Path | None, reference: np.ndarray = REFERENCE) -> tuple[Trained, list[torch.Tensor]]:
    net = fresh("llama")
    return dpo(net, DATA, POLICY, reference=reference, what="test", checkpoint=path), weights(net)


LOOPS: dict[str, Callable[..., tuple[Trained, list[torch.Tensor]]]] = {"rm": rm, "policy": policy}


DIES_IN = {loop: int(generator(7, loop).integers(2, STEPS + 1)) for loop in LOOPS}
"""The step, from 1."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("killed")
    killed("test_train_killed", DIES_IN, made)
    return made


@pytest.mark.parametrize("loop", LOOPS)
def test_a_killed_training_goes_on_to_the_same_weights(loop: str, folder: Path) -> None:
    step = DIES_IN[loop]
    assert len(torch.load(folder / loop, weights_only=True)["losses"]) == step - 1
    whole, wanted = LOOPS[loop](None)
    resumed, found = LOOPS[loop](folder / loop)
    assert same(found, wanted)
    assert whole.steps == STEPS
    assert resumed.curve == whole.curve


def test_a_state_of_other_comparisons_or_another_reference_is_refused(tmp_path: Path) -> None:
    policy(tmp_path / "state")
    with pytest.raises(InputError, match="with another reference"):
        policy(tmp_path / "state", REFERENCE + 1)
    rm(tmp_path / "other")
    net = scalar().net
    with pytest.raises(InputError, match="with another set of comparisons"):
        reward_modelling(
            net, random_comparisons([(1, 2)] * 3), REWARD, what="test", checkpoint=tmp_path / "other"
        )
