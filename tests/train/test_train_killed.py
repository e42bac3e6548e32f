"""A reward model and a DPO that are killed with SIGKILL go on to the same weights, bit for bit."""

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from train.compared import RANKINGS, random_comparisons
from train.test_train_rewards import scalar
from train.test_train_supervised import fresh, same, weights

from truing.numerics import generator
from truing.train import DPOConfig, RewardConfig, Trained, dpo, resume, reward_modelling
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


def die_in_step(loop: str, path: Path, step: int) -> None:
    """Train until the optimiser of the given step (from 1), and be killed there."""
    real, done = torch.optim.AdamW.step, 0

    def step_or_die(self: torch.optim.AdamW) -> object:
        nonlocal done
        done += 1
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self)

    resume._EVERY = 0.0
    torch.optim.AdamW.step = step_or_die  # type: ignore[method-assign]
    LOOPS[loop](path)


def die_both(folder: Path) -> None:
    """Each loop in a process of its own, killed at a step that is drawn."""
    for loop in LOOPS:
        step = int(generator(7, loop).integers(2, STEPS + 1))
        child = os.fork()
        if child == 0:
            die_in_step(loop, folder / loop, step)
        _, status = os.waitpid(child, 0)
        print(json.dumps([loop, step, os.WTERMSIG(status)]))


@functools.cache
def killed(folder: Path) -> dict[str, int]:
    """The step in which each loop was killed."""
    code = "import sys; sys.path.insert(0, 'tests')\nfrom train.test_train_killed import *\ndie_both(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {number for _, _, number in told} == {signal.SIGKILL}
    return {loop: step for loop, step, _ in told}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("killed")
    killed(made)
    return made


@pytest.mark.parametrize("loop", LOOPS)
def test_a_killed_training_goes_on_to_the_same_weights(loop: str, folder: Path) -> None:
    step = killed(folder)[loop]
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
