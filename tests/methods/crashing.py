"""A training that fails in a step of its own choosing."""

import pytest
import torch


class CrashError(Exception):
    """What the optimiser raises."""


def crash_in_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Make the optimiser fail in the given step (from 1) of the next training."""
    real, done = torch.optim.AdamW.step, 0

    def fails(self: torch.optim.AdamW) -> object:
        nonlocal done
        done += 1
        if done == step:
            raise CrashError
        return real(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", fails)
