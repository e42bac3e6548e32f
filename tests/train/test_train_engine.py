"""What every loop takes besides its loss: a further loss, a context around the forward pass, adapters."""

from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers as hf
from model.tiny import checkpoint
from train.compared import random_comparisons
from train.rows import random_rows
from train.test_train_rewards import scalar
from train.test_train_supervised import by_rank, fresh, same, weights

from truing.model import Add, Point, ScalarModel, Site, Where, load_local
from truing.train import (
    DPOConfig,
    Part,
    RewardConfig,
    SupervisedConfig,
    TokenRows,
    Trained,
    dpo,
    parts,
    reward_modelling,
    supervised,
)
from truing.types import InputError

ROWS, DATA = random_rows((9, 21, 5, 14, 33), trained_from=3), random_comparisons()
LOOPS = ("sft", "rm", "dpo")


def train(loop: str, net: hf.PreTrainedModel, **options: Any) -> Trained:
    """One step over everything."""
    numbers: dict[str, Any] = {"learning_rate": 1e-2, "clip": 1e9}
    if loop == "sft":
        return supervised(
            net, ROWS, SupervisedConfig(**numbers, tokens_per_step=10**6), what="test", **options
        )
    if loop == "rm":
        config = RewardConfig(**numbers, prompts_per_step=10**6)
        return reward_modelling(net, DATA, config, what="test", **options)
    reference = np.full(len(DATA.rows), -30.0)
    return dpo(
        net, DATA, DPOConfig(**numbers, prompts_per_step=10**6), reference=reference, what="test", **options
    )


def model_for(loop: str) -> hf.PreTrainedModel:
    return scalar().net if loop == "rm" else fresh("llama")


VECTOR = torch.linspace(-1, 1, 32)


def squares(part: Part) -> torch.Tensor:
    """A loss on a direction of the last states of every token with loss."""
    return (part.hidden[part.trained] @ VECTOR).square().sum()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_further_loss_is_divided_as_the_loss_is_whatever_the_micro_batches(
    loop: str, gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train(loop, model_for(loop)).loss
    losses = []
    for micro in (1, 2048):
        monkeypatch.setattr(parts, "MICRO_TOKENS", micro)
        losses.append(train(loop, model_for(loop), extra_loss=squares).loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] > plain + 0.1
    alone, one_by_one, at_once = gradients
    torch.testing.assert_close(one_by_one, at_once, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(alone[0], at_once[0], atol=1e-3)


def test_a_further_loss_adds_its_own_gradient(gradients: list[list[torch.Tensor]]) -> None:
    """Against autograd through one padded pass of transformers."""
    train("sft", fresh("llama"))
    train("sft", fresh("llama"), extra_loss=squares)
    oracle, count = fresh("llama"), int(ROWS.trained.sum())
    total = torch.zeros(())
    for a, b in zip(ROWS.offsets[:-1], ROWS.offsets[1:], strict=True):
        states = oracle.model(torch.from_numpy(ROWS.ids[a:b].astype(np.int64))[None]).last_hidden_state[0]
        total = total + (states[torch.from_numpy(ROWS.mask[a:b])] @ VECTOR).square().sum() / count
    total.backward()
    for plain, both, extra in zip(*gradients, by_rank(oracle), strict=True):
        extra = torch.zeros_like(plain) if extra is None else extra
        torch.testing.assert_close(both - plain, extra, rtol=1e-3, atol=1e-4)


def test_a_further_loss_may_read_what_a_hook_has_seen(gradients: list[list[torch.Tensor]]) -> None:
    """A penalty on a layer in the middle, as one on the latents of a dictionary would be."""
    net, seen = fresh("llama"), []
    hook = net.model.layers[0].register_forward_hook(lambda *args: seen.append(args[2]))
    train("sft", net, extra_loss=lambda part: seen[-1].square().sum())
    hook.remove()
    train("sft", fresh("llama"))
    names = [name for name, p in net.named_parameters() if p.ndim > 1]
    for name, with_penalty, without in zip(names, *gradients, strict=False):
        same_gradient = torch.allclose(with_penalty, without, atol=1e-6)
        assert same_gradient == ("layers.1" in name or "lm_head" in name)


def test_a_further_loss_that_needs_no_gradient_is_only_counted() -> None:
    net, other = fresh("llama"), fresh("llama")
    plain = train("sft", net).loss
    count = int(ROWS.trained.sum())
    told = train("sft", other, extra_loss=lambda part: torch.tensor(2.0 * count)).loss
    assert told == pytest.approx(plain + 2, rel=1e-5)
    assert same(weights(net), weights(other))


@pytest.mark.parametrize("loop", LOOPS)
def test_the_context_is_open_in_every_forward_pass_and_closed_in_between(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MICRO_TOKENS", 1)
    opened: list[str] = []

    class Context:
        def __enter__(self) -> None:
            opened.append("open")

        def __exit__(self, *_: object) -> None:
            opened.append("close")

    net = model_for(loop)
    net.base_model.register_forward_pre_hook(lambda *_: opened.append("forward"))
    train(loop, net, forward_context=Context)
    opened = opened[opened.index("open") :]
    units = 5 if loop == "sft" else len(DATA)
    assert opened == ["open", "forward", "close"] * units


@pytest.mark.parametrize("packs", [True, False])
def test_a_steered_model_can_be_trained(
    packs: bool, gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edit reaches the tokens after each prompt and no others, packed or not, as a hook by hand does."""
    if not packs:
        monkeypatch.setattr("truing.model.packing.PackedForward._agrees", lambda *_: False)
    model = load_local(checkpoint("llama"), device="cpu", dtype="float32")
    edit = Add(Site(0, Point.resid_post), VECTOR, coefficient=2.0, where=Where.generated)
    train("sft", model.net, forward_context=lambda: model.steered([edit]))

    oracle = fresh("llama")
    total = torch.zeros(())
    for a, b in zip(ROWS.offsets[:-1], ROWS.offsets[1:], strict=True):
        ids, mask = torch.from_numpy(ROWS.ids[a:b].astype(np.int64)), torch.from_numpy(ROWS.mask[a:b])
        hook = oracle.model.layers[0].register_forward_hook(
            lambda _, __, out, mask=mask: out + 2.0 * mask[:, None] * VECTOR
        )
        logprobs = oracle(input_ids=ids[None]).logits[0].log_softmax(-1)
        hook.remove()
        total = total - logprobs[:-1].gather(-1, ids[1:, None]).squeeze(-1)[mask[1:]].sum()
    (total / int(ROWS.trained.sum())).backward()
    for mine, theirs in zip(gradients[0], by_rank(oracle), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loop", ["rm", "dpo"])
def test_bfloat16_is_close_to_float32_and_leaves_float32_weights(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = train(loop, model_for(loop)).loss
    monkeypatch.delenv("TRUING_BFLOAT16_ON_CPU")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    net = model_for(loop)
    rough = train(loop, net).loss
    assert rough != exact
    assert rough == pytest.approx(exact, rel=0.05)
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def adapted(loop: str, **options: Any) -> Any:
    kind = "SEQ_CLS" if loop == "rm" else "CAUSAL_LM"
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type=kind, **options)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return peft.get_peft_model(model_for(loop), config)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_adapter_is_trained_and_saved_and_its_base_is_not(loop: str, tmp_path: Path) -> None:
    net = adapted(loop, modules_to_save=["score"] if loop == "rm" else None)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    trained = {name for name, p in net.named_parameters() if p.requires_grad}
    path = tmp_path / "state"
    train(loop, net, checkpoint=path)
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved == trained
    assert all("lora_" in name or "score.modules_to_save" in name for name in moved)
    assert len(moved) == (9 if loop == "rm" else 8)
    kept = torch.load(path, weights_only=True)["weights"]
    assert len(kept) == len(trained)

    again = adapted(loop, modules_to_save=["score"] if loop == "rm" else None)
    train(loop, again, checkpoint=path)
    assert same(weights(again), weights(net))


def test_a_head_that_an_adapter_leaves_out_is_refused() -> None:
    net = adapted("rm")
    net.base_model.model.score.requires_grad_(False)  # peft puts it in for SEQ_CLS; others forget it
    for p in net.base_model.model.score.parameters():
        p.requires_grad_(False)
    with pytest.raises(InputError, match="modules_to_save"):
        train("rm", net)


def test_a_learnt_prompt_is_no_adapter_of_layers() -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(InputError, match=r"an adapter of the type .*PROMPT_TUNING cannot be used"):
        train("sft", peft.get_peft_model(fresh("llama"), config))


def test_a_reward_model_with_an_adapter_is_saved_with_its_head_merged_or_apart(tmp_path: Path) -> None:
    net = adapted("rm", modules_to_save=["score"])
    train("rm", net)
    base = scalar()
    model = ScalarModel(net, base.chat, base.fingerprint)
    rows = [[7, 8, 9], [20, 21, 22, 23]]
    wanted = model.score(rows)
    assert np.abs(wanted - base.score(rows)).min() > 1e-3
    model.save(tmp_path / "merged")
    np.testing.assert_allclose(ScalarModel.load(tmp_path / "merged").score(rows), wanted, atol=1e-5)
    np.testing.assert_allclose(model.score(rows), wanted, atol=1e-6)  # saving leaves it as it was

    net.peft_config["default"].base_model_name_or_path = str(checkpoint("llama"))
    net.save_pretrained(tmp_path / "apart")
    loaded = ScalarModel.load(tmp_path / "apart")
    np.testing.assert_allclose(loaded.score(rows), wanted, atol=1e-5)
    loaded.save(tmp_path / "again")
    np.testing.assert_allclose(ScalarModel.load(tmp_path / "again").score(rows), wanted, atol=1e-5)


def test_an_adapter_without_a_head_on_a_base_without_one_is_refused(tmp_path: Path) -> None:
    net = peft.get_peft_model(fresh("llama"), peft.LoraConfig(r=2, target_modules=["q_proj"]))
    net.peft_config["default"].base_model_name_or_path = str(checkpoint("llama"))
    net.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="the adapter has no head for its base model"):
        ScalarModel.load(tmp_path)


def test_nothing_to_train_is_said() -> None:
    net = fresh("llama").requires_grad_(False)
    with pytest.raises(InputError, match="no parameter of the model requires a gradient"):
        train("sft", net)


def test_ranks_that_average_by_their_tokens_have_the_whole_gradient(
    gradients: list[list[torch.Tensor]],
) -> None:
    """Two of five rows here and three there: each counts by its tokens with loss."""
    counts = []
    for chosen in ([0, 1, 2, 3, 4], [0, 1], [2, 3, 4]):
        ids, mask = ROWS.take(np.array(chosen))
        rows = TokenRows(ids, mask, np.append(0, np.cumsum(ROWS.lengths[chosen])))
        counts.append(int(rows.trained.sum()))
        config = SupervisedConfig(1e-2, tokens_per_step=10**6, clip=1e9)
        supervised(fresh("llama"), rows, config, what="test")
    for whole, two, three in zip(*gradients, strict=True):
        mean = (counts[1] * two + counts[2] * three) / counts[0]
        torch.testing.assert_close(mean, whole, rtol=1e-4, atol=1e-6)
