"""What can be added to supervised training from outside: rows beside, one who watches, steps of so many rows."""

import numpy as np
import pytest
import torch
from train.rows import random_rows
from train.test_train_supervised import fresh, same, weights

from truing.model import load_local
from truing.train import Beside, SupervisedConfig, Trained, supervised
from truing.train.beside import BesideRows
from truing.train.parts import Part, Reader
from truing.types import InputError

ROWS, OTHERS = random_rows((5, 30, 8, 12, 20, 9)), random_rows((7, 16, 11, 4))
CONFIG = SupervisedConfig(1e-2, rows_per_step=2, passes=2)


def trained(config: SupervisedConfig = CONFIG, **more: object) -> tuple[Trained, list[torch.Tensor]]:
    net = fresh("llama")
    return supervised(net, ROWS, config, what="test", **more), weights(net)


def nothing(part: Part, share: float) -> torch.Tensor:
    part.hidden.grad = torch.zeros_like(part.hidden)
    return torch.zeros(())


def test_a_step_has_as_many_rows_as_are_asked_for_whatever_their_lengths() -> None:
    assert [trained(SupervisedConfig(1e-2, rows_per_step=n))[0].steps for n in (1, 2, 3, 6, 9)] == [
        6,
        3,
        2,
        1,
        1,
    ]
    with pytest.raises(InputError, match="rows_per_step must not be negative"):
        SupervisedConfig(1e-2, rows_per_step=-1)


def test_rows_beside_come_in_passes_over_all_of_them_each_once_in_a_step() -> None:
    net = fresh("llama")
    forward = Reader(net, ROWS, np.arange(len(ROWS) + 1)).forward
    beside = BesideRows(net, Beside(OTHERS, 3, nothing), key=4, forward=forward)
    steps = [beside.step(n) for n in range(4)]
    assert sum(map(len, steps)) <= 12 and all(len(set(step.tolist())) == len(step) for step in steps)
    assert len(steps[0]) == 3 and {int(row) for step in steps[:2] for row in step} == {0, 1, 2, 3}
    assert [beside.step(n).tolist() for n in range(4)] == [step.tolist() for step in steps]
    other = BesideRows(net, Beside(OTHERS, 3, nothing), key=5, forward=forward)
    assert [other.step(n).tolist() for n in range(4)] != [step.tolist() for step in steps]


def test_rows_beside_without_a_loss_leave_the_training_as_it_is() -> None:
    assert same(trained(beside=Beside(OTHERS, 3, nothing))[1], trained()[1])


def test_whoever_watches_is_told_of_every_step_and_can_end_the_training() -> None:
    told: list[tuple[int, float]] = []

    def watches(step: int, loss: float) -> bool:
        told.append((step, loss))
        return step == 4

    found, ended = trained(observe=watches)
    assert [step for step, _ in told] == [1, 2, 3, 4]
    assert found.steps == 4 and tuple(told) == found.curve
    whole, end = trained()
    assert whole.steps == 6 and whole.curve[:4] == found.curve and found.tokens < whole.tokens
    assert not same(ended, end)


def test_whoever_watches_may_use_the_model_as_it_is_otherwise() -> None:
    """Padded rows, a cache and no packed attention, between packed steps."""
    model = load_local(fresh("llama").name_or_path, device="cpu", dtype="float32")
    ids, said = torch.tensor([[5, 9, 200, 17]]), []

    def watches(step: int, loss: float) -> bool:
        with torch.no_grad():
            said.append(model.net(input_ids=ids, use_cache=True).logits)
        assert model.net.config._attn_implementation != "truing_packed"
        return False

    supervised(model.net, ROWS, CONFIG, what="test", observe=watches)
    with torch.no_grad():
        assert torch.equal(model.net(input_ids=ids, use_cache=True).logits, said[-1])
    assert same(weights(model.net), trained()[1])
