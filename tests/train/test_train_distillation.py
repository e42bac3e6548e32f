"""On-policy distillation against both models' whole tables, padded; what it promises besides."""

from pathlib import Path

import pytest
import torch
from methods.crashing import CrashError, crash_in_step
from model.tiny import checkpoint
from train.pairs import in_a_pair
from train.test_train_supervised import same, weights

from truing.model import LocalModel, load_local
from truing.numerics import generalised_jsd
from truing.train import (
    DistillationConfig,
    DistillationUpdate,
    Distilled,
    PromptRow,
    SupervisedConfig,
    TokenRows,
    on_policy_distillation,
    resume,
    supervised,
)
from truing.train import parts as subject
from truing.types import Completion, InputError, Message, Request, Role

PROMPTS = [
    PromptRow(str(i), (Message(Role.user, f"{i}: " + "say more of it. " * (i % 3)),)) for i in range(6)
]
NUMBERS = {"prompts_per_update": 3, "samples_per_prompt": 2, "max_new_tokens": 12, "weight_decay": 0.0}


def config(rate: float = 1e-2, **more: float) -> DistillationConfig:
    return DistillationConfig(rate, **{**NUMBERS, **more})


def opened(family: str = "llama", seed: int = 0) -> LocalModel:
    return load_local(checkpoint(family, seed), device="cpu", dtype="float32")


def distil(
    student: LocalModel, teacher: LocalModel, numbers: DistillationConfig, path: Path | None = None
) -> tuple[Distilled, list[tuple[DistillationUpdate, list[Completion]]]]:
    seen: list[tuple[DistillationUpdate, list[Completion]]] = []
    trained = on_policy_distillation(
        student, teacher, PROMPTS, numbers, what="test", checkpoint=path,
        observe=lambda row, written: seen.append((row, list(written))),
    )  # fmt: skip
    return trained, seen


def by_hand(student: LocalModel, teacher: LocalModel, written: list[Completion], numbers: DistillationConfig):
    """The mean over completion tokens, row by row, each model reading whole rows by transformers itself."""
    each = []
    for one in written:
        assert one.prompt_ids and one.token_ids
        ids = torch.tensor([[*one.prompt_ids, *one.token_ids]])
        at = slice(len(one.prompt_ids) - 1, ids.shape[1] - 1)
        with torch.no_grad():
            theirs = teacher.net(input_ids=ids, use_cache=False).logits[0, at]
        ours = student.net(input_ids=ids, use_cache=False).logits[0, at]
        each.append(generalised_jsd(ours, theirs, numbers.beta, temperature=numbers.temperature))
    return torch.cat(each).mean()


@pytest.mark.parametrize(
    ("family", "beta", "temperature", "micro"),
    [
        ("llama", 1.0, 1.0, 2048),
        ("llama", 0.3, 0.8, 40),
        ("gpt_neox", 0.0, 1.0, 2048),
        ("gemma3", 1.0, 1.0, 40),
    ],
)
def test_an_update_has_the_divergence_and_gradient_of_whole_tables_one_row_at_a_time(
    family: str, beta: float, temperature: float, micro: int, gradients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MICRO_TOKENS", micro)
    numbers = config(1e-30, passes=0.5, beta=beta, temperature=temperature, clip=1e9)
    student, teacher = opened(family), opened(family, seed=1)
    trained, ((row, written),) = distil(student, teacher, numbers)
    oracle = opened(family)
    wanted = by_hand(oracle, teacher, written, numbers)
    wanted.backward()
    assert row.divergence == pytest.approx(wanted.item(), rel=1e-4)
    assert row.divergence > 1e-4
    (found,) = gradients
    by_rank = [p.grad for flat in (True, False) for p in oracle.net.parameters() if (p.ndim > 1) == flat]
    for one, truth in zip(found, by_rank, strict=True):
        torch.testing.assert_close(one, truth, rtol=1e-3, atol=1e-6)
    assert trained.tokens == row.tokens == sum(len(one.token_ids or ()) for one in written)
    assert row.grad_norm == pytest.approx(torch.stack([g.norm() for g in found]).norm().item(), rel=1e-4)
    assert sum(row.stops.values()) == len(written) == 6


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_a_student_that_is_its_teacher_diverges_by_exactly_nothing_and_does_not_move(beta: float) -> None:
    student, teacher = opened(), opened()
    before = weights(student.net)
    trained, _ = distil(student, teacher, config(beta=beta))
    assert [row.divergence for row in trained.updates] == [0.0, 0.0]
    assert max(float((a - b).abs().max()) for a, b in zip(before, weights(student.net), strict=True)) < 1e-5


def taught() -> LocalModel:
    """A teacher that likes a few tokens."""
    teacher = opened(seed=1)
    ids = teacher.chat.prompt_ids(Request("0", PROMPTS[0].messages))

    class Row:
        mask = (False,) * len(ids) + (True,) * 8

        def __init__(self, last: int) -> None:
            self.ids = (*ids, *[200 + (last + i) % 5 for i in range(8)])

    numbers = SupervisedConfig(1e-2, tokens_per_step=128, passes=4)
    supervised(teacher.net, TokenRows.of([Row(i) for i in range(8)]), numbers, what="test")
    return teacher


def test_a_student_comes_nearer_to_its_teacher_which_stays_what_it_is() -> None:
    student, teacher = opened(), taught()
    before = weights(teacher.net)
    trained, _ = distil(student, teacher, config(1e-2, passes=7))
    first, last = trained.updates[0].divergence, trained.updates[-1].divergence
    assert last < 0.5 * first
    assert same(before, weights(teacher.net))
    assert not student.net.training


def test_a_training_that_crashed_goes_on_to_the_same_weights_and_rows_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = config(passes=3, max_new_tokens=6)
    whole = opened()
    trained, seen = distil(whole, opened(seed=1), numbers)

    monkeypatch.setattr(resume, "_EVERY", 0.0)
    path = tmp_path / "state.pt"
    with monkeypatch.context() as crashing:
        crash_in_step(crashing, 4)
        with pytest.raises(CrashError):
            distil(opened(), opened(seed=1), numbers, path)
    again = opened()
    rest, after = distil(again, opened(seed=1), numbers, path)
    assert same(weights(whole.net), weights(again.net))
    assert rest.updates == trained.updates
    assert [row.update for row, _ in after] == [4, 5, 6]
    assert [w for _, w in after] == [w for _, w in seen[3:]]
    with pytest.raises(InputError, match="another teacher"):
        distil(opened(), opened(seed=2), numbers, path)


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """To the rounding of a sum of two: the divergence of every update, what was written, and the weights."""
    numbers = config(1e-4, passes=2)

    def learn(name: str) -> None:
        student = opened()
        trained, seen = distil(student, opened(seed=1), numbers)
        texts = [[one.text for one in written] for _, written in seen]
        rows = [(row.divergence, row.tokens, row.grad_norm) for row in trained.updates]
        torch.save((rows, texts, weights(student.net)), tmp_path / name)

    learn("one")
    in_a_pair(lambda rank: learn(f"rank {rank}"), sharded=False)
    rows, texts, made = torch.load(tmp_path / "one")
    for rank in (0, 1):
        others, theirs, found = torch.load(tmp_path / f"rank {rank}")
        assert theirs == texts
        torch.testing.assert_close(torch.tensor(others), torch.tensor(rows), rtol=1e-4, atol=1e-7)
        for one, other in zip(made, found, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=2e-4)


def test_a_student_cannot_teach_itself_in_place() -> None:
    student = opened()
    with pytest.raises(InputError, match="the teacher is the student itself"):
        distil(student, student, config())


@pytest.mark.parametrize("wrong", [{"beta": 1.5}, {"temperature": 0.0}, {"samples_per_prompt": 0}])
def test_numbers_out_of_their_range_are_sentences(wrong: dict) -> None:
    with pytest.raises(InputError):
        config(**wrong)
