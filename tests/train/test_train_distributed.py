"""Two processes train what one trains: supervised, reward model, DPO; data-parallel and sharded (gloo on the CPU)."""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model.tiny import checkpoint
from train.compared import RANKINGS, random_comparisons
from train.pairs import in_a_pair
from train.rows import random_rows
from train.test_train_policy_killed import grpo, ppo
from train.test_train_rewards import scalar
from train.test_train_supervised import fresh

from truing.model import whole
from truing.numerics import generator
from truing.train import (
    DPOConfig,
    RewardConfig,
    SupervisedConfig,
    distributed,
    dpo,
    parts,
    resume,
    reward_modelling,
    sequence_logprobs,
    spread,
    supervised,
)
from truing.train.distributed import deal
from truing.train.plan import plan

ROWS = random_rows((60, 30, 12, 9, 41, 25, 7, 33, 18, 70, 5, 16))
DATA = random_comparisons(RANKINGS)
# Small learning rates: Adam's first step is the sign of the gradient, and a rounding decides that of a zero.
NLL = SupervisedConfig(1e-3, tokens_per_step=50, passes=2, warmup=0.5)
REWARD = RewardConfig(1e-3, passes=3, prompts_per_step=2)
POLICY = DPOConfig(1e-3, passes=3, prompts_per_step=2)
Made = tuple[list[float], dict[str, torch.Tensor]]


def sft(path: Path | None = None, family: str = "llama") -> Made:
    net = fresh(family)
    spread(net)
    trained = supervised(net, ROWS, NLL, what="test", checkpoint=path)
    return [loss for _, loss in trained.curve], weights(net)


def rm(path: Path | None = None) -> Made:
    net = scalar().net
    spread(net)
    trained = reward_modelling(net, DATA, REWARD, what="test", checkpoint=path)
    return [loss for _, loss in trained.curve], weights(net)


def policy(path: Path | None = None) -> Made:
    net = fresh("llama")
    spread(net)
    reference = sequence_logprobs(net, DATA)
    trained = dpo(net, DATA, POLICY, reference=reference, what="test", checkpoint=path)
    return [*reference.tolist(), *(loss for _, loss in trained.curve)], weights(net)


def narrow() -> Made:
    """As on a GPU: matrix products in bfloat16, and layers gathered in it."""
    places = [module for module in (distributed, parts) if hasattr(module, "computes_bfloat16")]
    before = [module.computes_bfloat16 for module in places]
    for module in places:
        module.computes_bfloat16 = lambda _: True
    try:
        return sft()
    finally:
        for module, real in zip(places, before, strict=True):
            module.computes_bfloat16 = real


def of_policy(loop: Callable[..., Any]) -> Made:
    """Rewards, losses and divergences of every update, and what was learnt."""
    trained, found = loop(None, learning_rate=1e-3)
    rows = [x for row in trained.updates for x in (row.reward, row.loss, row.kl, row.kl_spent, row.entropy)]
    return [float(x) for x in rows if x is not None], {str(i): w for i, w in enumerate(found)}


JOBS: dict[str, Callable[..., Made]] = {
    "sft": sft,
    "rm": rm,
    "dpo": policy,
    "tied": functools.partial(sft, family="qwen3"),
    "narrow": narrow,
    "grpo": functools.partial(of_policy, grpo),
    "ppo": functools.partial(of_policy, ppo),
}
WAYS = ("parallel", "sharded")
SHARDED = ("sft", "rm", "dpo", "tied", "narrow")


def weights(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: whole(p).clone() for name, p in net.named_parameters()}


def one_of_two(rank: int, folder: Path, way: str) -> None:
    made = {name: job() for name, job in JOBS.items() if way == "parallel" or name in SHARDED}
    # Stopped in the middle, and gone on with by one process or by two.
    resume._EVERY = 0.0
    stop_after(4, lambda: sft(folder / f"{way}.pt"))
    if rank == 0:
        (folder / f"{way}-for-two.pt").write_bytes((folder / f"{way}.pt").read_bytes())
    made["resumed"] = sft(folder / f"{way}-for-two.pt")
    if rank == 0:
        torch.save(made, folder / f"{way}.made")


def stop_after(step: int, train: Callable[[], object]) -> None:
    """Train until so many steps are saved."""
    real, done = resume.Resume.save, 0

    class StopError(Exception):
        pass

    def save(self: resume.Resume, seconds: float, *, last: bool) -> None:
        nonlocal done
        real(self, seconds, last=last)
        done += 1
        if done == step:
            raise StopError

    resume.Resume.save = save  # type: ignore[method-assign]
    try:
        train()
    except StopError:
        pass
    finally:
        resume.Resume.save = real  # type: ignore[method-assign]


def launch(folder: Path) -> None:
    """Every job, by a pair for each way."""
    for family in ("llama", "qwen3"):
        checkpoint(family)  # made here, so that it is removed here
    for way in WAYS:
        in_a_pair(lambda rank, way=way: one_of_two(rank, folder, way), sharded=way == "sharded")  # type: ignore[misc]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both pairs left."""
    made: Path = tmp_path_factory.mktemp("both")
    code = "import sys; sys.path.insert(0, 'tests')\nfrom train.test_train_distributed import *\n"
    code += "launch(Path(sys.argv[1]))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(made)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


@functools.cache
def alone(job: str) -> Made:
    return JOBS[job]()


def equal(found: Made, wanted: Made, tolerance: float = 2e-5) -> None:
    """Equal losses to 1e-5 of them, equal weights to `tolerance`: a fiftieth of the learning rate.

    One weight in a thousand may be off by a tenth: where a gradient is nothing but rounding, Adam makes a step of it,
    and processors round in ways of their own.
    """
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5, atol=1e-6)
    assert found[1].keys() == wanted[1].keys()
    for name, weight in wanted[1].items():
        off = (found[1][name] - weight).abs()
        assert int((off > tolerance).sum()) <= weight.numel() / 1000, name
        assert float(off.max()) <= 5 * tolerance, name


@pytest.mark.parametrize(
    ("job", "way"),
    [(job, way) for job in JOBS for way in WAYS if job != "narrow" and (way == "parallel" or job in SHARDED)],
)
def test_two_processes_give_the_trace_of_one(job: str, way: str, folder: Path) -> None:
    equal(torch.load(folder / f"{way}.made")[job], alone(job))


@pytest.mark.parametrize("way", WAYS)
def test_in_bfloat16_they_do_up_to_its_rounding(way: str, folder: Path) -> None:
    losses, _ = torch.load(folder / f"{way}.made")["narrow"]
    np.testing.assert_allclose(losses, alone("narrow")[0], rtol=2e-3)
    assert losses != alone("sft")[0]


@pytest.mark.parametrize("way", WAYS)
def test_what_two_processes_began_two_or_one_go_on_with(way: str, folder: Path) -> None:
    equal(torch.load(folder / f"{way}.made")["resumed"], alone("sft"))
    equal(sft(folder / f"{way}.pt"), alone("sft"))


def test_some_steps_of_these_trainings_leave_a_rank_without_a_unit() -> None:
    steps = plan(ROWS.lengths, tokens_per_step=NLL.tokens_per_step, passes=NLL.passes, key=NLL.key)
    sizes = [len(hand) for n in range(len(steps)) for hand in deal(ROWS.lengths[steps.step(n)], 2)]
    assert 0 in sizes and max(sizes) > 1


@given(st.lists(st.integers(1, 2000), min_size=0, max_size=60), st.integers(1, 9))
def test_every_unit_is_dealt_once_and_no_rank_has_more_than_the_mean_and_one_unit(
    lengths: list[int], ranks: int
) -> None:
    hands = deal(np.array(lengths, np.int64), ranks)
    assert sorted(np.concatenate(hands).tolist()) == list(range(len(lengths)))
    loads = [sum(lengths[i] for i in hand) for hand in hands]
    assert max(loads) <= sum(lengths) / ranks + max(lengths, default=0)


def test_units_of_many_lengths_are_dealt_almost_evenly() -> None:
    lengths = generator(3, "deal").integers(20, 500, 400)
    loads = [int(lengths[hand].sum()) for hand in deal(lengths, 8)]
    assert max(loads) < 1.01 * min(loads)
