"""Trainings that are killed with SIGKILL in an optimiser step, each in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from model.tiny import checkpoint

from truing.train import resume


def killed(module: str, steps: Mapping[str, int], folder: Path) -> None:
    """Let every loop of the test module's `LOOPS` die in its step (from 1); each leaves its state in `folder`."""
    code = f"""
import sys
sys.path.insert(0, "tests")
from train import killing
from train.{module} import LOOPS
killing.die({{name: LOOPS[name] for name in {list(steps)!r}}}, {dict(steps)!r}, sys.argv[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [signal.SIGKILL] * len(steps)


def die(loops: Mapping[str, Callable[[Path], Any]], steps: Mapping[str, int], folder: str) -> None:
    """Run each loop in a child that is killed; print by what signals they ended."""
    checkpoint("llama")  # made here, so that it is removed here
    signals = []
    for name, loop in loops.items():
        child = os.fork()
        if child == 0:
            _die_in_step(steps[name])
            loop(Path(folder) / name)
            os._exit(0)
        signals.append(os.WTERMSIG(os.waitpid(child, 0)[1]))
    print(json.dumps(signals))


def _die_in_step(step: int) -> None:
    """From now on this process is killed in the given step of any optimiser, and saves after every step before."""
    real, done = torch.optim.AdamW.step, 0

    def step_or_die(self: torch.optim.AdamW) -> object:
        nonlocal done
        done += 1
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self)

    resume._EVERY = 0.0
    torch.optim.AdamW.step = step_or_die  # type: ignore[method-assign]
