"""The supervised loop against Hugging Face's own loss and gradients, and what it promises besides."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import transformers as hf
from model.tiny import checkpoint
from torch.optim.optimizer import register_optimizer_step_pre_hook
from train.rows import Row, random_row, random_rows

from truing.model import load_local
from truing.train import SupervisedConfig, TokenRows, Trained, supervised
from truing.train import parts as subject
from truing.types import InputError

LENGTHS = (3, 21, 12, 12, 5, 40, 12)
ONE_STEP = SupervisedConfig(1e-3, tokens_per_step=10**6, clip=1e9)


def llama() -> hf.PreTrainedModel:
    return fresh("llama")


def fresh(family: str) -> hf.PreTrainedModel:
    """The tiny model of the family, with its weights as on the disk and without dropout (GPT-2 has some)."""
    net = load_local(checkpoint(family), device="cpu", dtype="float32").net
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return net


def train(net: hf.PreTrainedModel, rows: TokenRows, config: SupervisedConfig) -> Trained:
    return supervised(net, rows, config, what="test")


def weights(net: hf.PreTrainedModel) -> list[torch.Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def same(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def padded_loss(net: hf.PreTrainedModel, rows: Sequence[Row]) -> torch.Tensor:
    """Hugging Face's own loss of the rows as one padded batch."""
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels, attend = torch.full_like(ids, -100), torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        attend[i, : len(row.ids)] = 1
        labels[i, : len(row.ids)] = torch.tensor(row.ids).where(torch.tensor(row.mask), -100)
    loss: torch.Tensor = net(input_ids=ids, attention_mask=attend, labels=labels, use_cache=False).loss
    return loss


def by_rank(net: hf.PreTrainedModel) -> list[torch.Tensor]:
    """The gradients of the net in the order of the fixture."""
    return [p.grad for wanted in (True, False) for p in net.parameters() if (p.ndim > 1) == wanted]


FAMILIES = ("llama", "qwen2", "qwen3", "gemma3", "mistral", "phi3", "gpt_neox", "gpt2")


@pytest.mark.parametrize("micro", [30, 2048])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_has_the_loss_and_gradient_of_one_padded_batch(
    family: str, micro: int, gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of seven lengths, longer than Gemma's window too, in one micro-batch or in several uneven ones."""
    monkeypatch.setattr(subject, "MICRO_TOKENS", micro)
    sample = [random_row(i, n, trained_from=1 + i % 3) for i, n in enumerate(LENGTHS)]
    oracle = fresh(family)
    wanted = padded_loss(oracle, sample)
    wanted.backward()
    net = fresh(family)
    trained = train(net, TokenRows.of(sample), ONE_STEP)
    assert trained.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    for mine, theirs in zip(gradients[0], by_rank(oracle), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max() + 1e-3))


TINY = {"vocab_size": 420, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "bos_token_id": 1, "eos_token_id": 2}
PACKED = {
    "a scale of its own": hf.GraniteConfig(**TINY, **HEADS, attention_multiplier=0.5),
    "dropout": hf.GPT2Config(vocab_size=420, n_embd=16, n_layer=2, n_head=2, resid_pdrop=0.5),
}
APART = {
    "capped attention": hf.Gemma2Config(**TINY, **HEADS, head_dim=8),
    "recurrent": hf.MambaConfig(vocab_size=420, hidden_size=16, num_hidden_layers=2, state_size=4),
    "attention of its own": hf.BloomConfig(vocab_size=420, hidden_size=16, n_layer=2, n_head=2),
}


def made_from(config: Any) -> hf.PreTrainedModel:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return hf.AutoModelForCausalLM.from_config(config)


def packs(net: hf.PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> bool:
    made = []
    real = subject.PackedForward
    monkeypatch.setattr(subject, "PackedForward", lambda *args: made.append(real(*args)) or made[-1])
    train(net, random_rows((9, 12)), ONE_STEP)
    packed: bool = made[0].packs
    return packed


@pytest.mark.parametrize("family", FAMILIES)
def test_the_usual_families_are_packed(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would be one of the slow way alone."""
    assert packs(fresh(family), monkeypatch)


@pytest.mark.parametrize("config", PACKED.values(), ids=PACKED)
def test_what_packing_can_do_is_packed(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert packs(made_from(config), monkeypatch)


@pytest.mark.parametrize("config", APART.values(), ids=APART)
def test_a_model_that_would_mix_packed_rows_gets_them_apart(
    config: Any, gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = made_from(config)
    sample = [random_row(i, n) for i, n in enumerate((3, 12, 5, 12))]
    losses = [padded_loss(net, [row]) * (len(row.ids) - 1) for row in sample]
    wanted = sum(losses) / sum(len(row.ids) - 1 for row in sample)
    net.eval().zero_grad()
    wanted.backward()
    theirs = [g.clone() for g in by_rank(net)]
    trained = train(net, TokenRows.of(sample), ONE_STEP)
    assert trained.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    for mine, their in zip(gradients[0], theirs, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-3, atol=1e-6)
    assert not packs(net, monkeypatch)


def test_one_batch_can_be_learnt_by_heart() -> None:
    net = llama()
    before = train(net, random_rows((20, 30)), SupervisedConfig(1e-12)).loss
    trained = train(net, random_rows((20, 30)), SupervisedConfig(1e-2, passes=80, tokens_per_step=50))
    assert before > 5
    assert trained.loss < 0.05


def test_what_is_counted_is_what_was_done() -> None:
    trained = train(
        llama(), random_rows((10, 20), trained_from=4), SupervisedConfig(1e-3, passes=3, tokens_per_step=15)
    )
    assert (trained.tokens, trained.loss_tokens, trained.steps) == (90, 66, 6)
    assert trained.cpu_seconds > 0
    assert [step for step, _ in trained.curve] == [1, 2, 3, 4, 5, 6]
    assert trained.loss == trained.curve[-1][1]


def test_masked_tokens_are_read_but_not_learnt(gradients: list[list[torch.Tensor]]) -> None:
    """Tokens after the last trained one change nothing; a masked one before it changes what is predicted."""
    plain = Row((7, 8, 9, 10, 11), (False, True, True, False, False))
    poisoned_after = Row((7, 8, 9, 300, 301), plain.mask)
    poisoned_before = Row((300, 8, 9, 10, 11), plain.mask)
    losses = [train(llama(), TokenRows.of([row]), ONE_STEP).loss for row in (plain, poisoned_after)]
    assert losses[0] == losses[1]
    assert same(*gradients)
    assert train(llama(), TokenRows.of([poisoned_before]), ONE_STEP).loss != losses[0]


def test_rows_do_not_see_each_other() -> None:
    """The neighbour of a row in the same forward pass, poisoned where it carries no loss."""
    of_neighbour = []
    for first in (5, 300):
        rows = [Row((first, 6, 7, 8), (False, False, False, True)), Row((9, 10, 11), (False, True, True))]
        alone = train(llama(), TokenRows.of(rows[:1]), ONE_STEP).loss
        both = train(llama(), TokenRows.of(rows), ONE_STEP).loss
        of_neighbour.append(both * 3 - alone)
    assert of_neighbour[0] == pytest.approx(of_neighbour[1], abs=1e-5)


def test_the_same_key_gives_the_same_weights_and_another_key_others() -> None:
    rows, found = random_rows(LENGTHS), []
    for key in (1, 1, 2):
        net = llama()
        train(net, rows, SupervisedConfig(1e-2, tokens_per_step=30, key=key))
        found.append(weights(net))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_dropout_is_drawn_from_the_key_and_off_afterwards() -> None:
    found = []
    for key, noise in ((1, 5), (1, 6), (2, 5)):
        net = llama()
        for layer in net.model.layers:
            layer.self_attn.attention_dropout = 0.5
        torch.manual_seed(noise)
        train(net, random_rows((12,)), SupervisedConfig(1e-2, passes=2, tokens_per_step=12, key=key))
        found.append(weights(net))
        assert not net.training
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_the_global_generators_and_the_attention_are_left_as_they_were() -> None:
    net = llama()
    state, attention = torch.random.get_rng_state(), net.config._attn_implementation
    train(net, random_rows(LENGTHS), ONE_STEP)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert net.config._attn_implementation == attention
    assert all(p.grad is None for p in net.parameters())


def test_gradients_left_by_somebody_else_are_not_trained_on() -> None:
    clean, dirty = llama(), llama()
    padded_loss(dirty, [random_row(9, 30)]).backward()
    for net in (clean, dirty):
        train(net, random_rows(LENGTHS), ONE_STEP)
    assert same(weights(clean), weights(dirty))


def test_frozen_weights_stay_and_norms_do_not_decay() -> None:
    net = llama()
    frozen, norm = net.model.layers[0].mlp.up_proj.weight, net.model.norm.weight
    frozen.requires_grad_(False)
    before = frozen.clone(), norm.detach().clone()
    heavy = SupervisedConfig(1e-3, weight_decay=100.0, tokens_per_step=10**6)
    matrix = net.model.layers[0].mlp.down_proj.weight
    size = float(matrix.detach().norm())
    train(net, random_rows(LENGTHS), heavy)
    assert torch.equal(frozen, before[0])
    assert float((norm.detach() - before[1]).abs().max()) < 0.01
    assert float(matrix.detach().norm()) < 0.95 * size


def test_the_gradient_is_clipped_to_its_norm(gradients: list[list[torch.Tensor]]) -> None:
    train(llama(), random_rows(LENGTHS), SupervisedConfig(1e-3, clip=0.01))
    norm = torch.stack([g.norm() for g in gradients[0]]).norm()
    assert float(norm) == pytest.approx(0.01, rel=1e-3)


def test_the_learning_rate_rises_then_falls_along_a_cosine() -> None:
    rates: list[float] = []
    handle = register_optimizer_step_pre_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
    config = SupervisedConfig(1.0e-3, tokens_per_step=12, passes=11, warmup=0.2, final_rate=0.5)
    train(llama(), random_rows((12,)), config)
    handle.remove()
    rise = [1 / 3, 2 / 3]
    fall = [0.5 + 0.25 * (1 + torch.cos(torch.tensor(torch.pi * i / 8)).item()) for i in range(9)]
    assert rates == pytest.approx([1e-3 * share for share in rise + fall])


def test_bfloat16_is_close_to_float32_and_leaves_float32_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(LENGTHS)
    exact = train(llama(), rows, ONE_STEP).loss
    monkeypatch.delenv("TRUING_BFLOAT16_ON_CPU")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    net = llama()
    rough = train(net, rows, ONE_STEP).loss
    assert rough != exact
    assert rough == pytest.approx(exact, rel=0.01)
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_a_row_longer_than_the_context_is_named() -> None:
    with pytest.raises(InputError, match="row 2 has 513 tokens, the model's context is 512"):
        train(llama(), random_rows((5, 513, 600)), ONE_STEP)


def test_a_token_outside_the_vocabulary_is_named_with_its_row() -> None:
    rows = TokenRows.of([Row((1, 2), (False, True)), Row((1, 9999), (False, True))])
    with pytest.raises(InputError, match="row 2 has the token 9999, the model's vocabulary is"):
        train(llama(), rows, ONE_STEP)


def test_weights_in_bfloat16_are_refused() -> None:
    with pytest.raises(InputError, match=r"torch\.bfloat16.*float32"):
        train(llama().to(torch.bfloat16), random_rows(LENGTHS), ONE_STEP)


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    net = llama()
    with torch.no_grad():
        net.model.norm.weight[0] = float("inf")
    with pytest.raises(InputError, match=r"test: the loss of step 1 is nan; lower the learning rate"):
        train(net, random_rows(LENGTHS), ONE_STEP)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"tokens_per_step": 0},
        {"passes": 0},
        {"passes": float("inf")},
        {"clip": 0},
        {"warmup": 1.0},
        {"final_rate": 1.1},
        {"beta2": 1.0},
        {"weight_decay": -0.1},
    ],
    ids=str,
)
def test_a_configuration_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        SupervisedConfig(**({"learning_rate": 1e-3} | wrong))  # type: ignore[arg-type]
