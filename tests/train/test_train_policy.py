"""The loop of policy learning against transformers' own forward pass, row by row."""

from typing import Any

import pytest
import torch
from model.tiny_local import local
from train.policies import (
    PROMPTS,
    SMALL,
    Paid,
    Watch,
    advantages,
    aggregated,
    kept,
    learn,
    logprobs,
    other,
    tiny,
)
from train.test_train_supervised import by_rank, same, weights

from truing.train import PolicyConfig, parts
from truing.train.policy_reading import policy_net
from truing.train.rollout import Flat, check_prompts, drawn, roll_out

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox")


def close_gradients(mine: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * float(b.abs().max() + 1e-3))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("family", FAMILIES)
def test_before_the_first_step_the_ratio_of_every_token_is_one(family: str, temperature: float) -> None:
    """Sampler, training forward pass and transformers agree, prompts of uneven length read once per group."""
    model = local(family)
    config = PolicyConfig(1e-3, **SMALL | {"temperature": temperature})
    rollout = roll_out(model, None, PROMPTS, config, 3)
    flat = Flat.of_rollout(rollout, range(len(rollout.completions)))
    read = policy_net(model, temperature, check_prompts(model, PROMPTS, config)).read(flat)
    sampled = torch.tensor([x for one in rollout.completions for x in one.logprobs])
    with torch.no_grad():
        alone = torch.cat([logprobs(model, one, temperature) for one in rollout.completions])
    for found in (sampled, alone):
        torch.testing.assert_close((read - found).exp(), torch.ones_like(read), rtol=0, atol=1e-3)
    assert len({len(one.token_ids) for one in rollout.completions}) > 3


CASES: dict[str, dict[str, Any]] = {
    "grpo with a penalty in the loss": {"advantage": "grpo", "kl_coef": 0.3},
    "dr_grpo, fixed denominator, hot": {"advantage": "dr_grpo", "aggregation": "fixed", "temperature": 1.4},
    "rloo by sequence, cut ones masked": {
        "advantage": "rloo",
        "aggregation": "sequence",
        "truncated": "mask",
    },
    "cut ones penalised": {"advantage": "dr_grpo", "truncated": "penalty", "kl_coef": 0.3, "kl_kind": "k1"},
    "penalty in the reward": {"advantage": "rloo", "kl_coef": 0.3, "kl_in": "reward"},
}


def check_one_step(family: str, settings: dict[str, Any], gradients: list[list[torch.Tensor]]) -> None:
    """The gradient of the first step is that of the loss by hand, over the rows that take part."""
    watch, model, oracle, reference = Watch(), tiny(family), tiny(family), other(family)
    penalised = "kl_coef" in settings
    trained = learn(model, watch, reference=reference if penalised else None, **settings)
    rows, temperature = kept(watch, settings), settings.get("temperature", 1.0)
    assert {"eos", "length"} <= set(trained.updates[0].stops)
    now = [logprobs(oracle, one, temperature) for _, one, _ in rows]
    with torch.no_grad():
        ref = [logprobs(reference, one, temperature) for _, one, _ in rows]
    nats = [float((p - q).sum().detach()) for p, q in zip(now, ref, strict=True)]
    if settings.get("kl_in") == "reward":
        rows = [(g, one, r - 0.3 * x) for (g, one, r), x in zip(rows, nats, strict=True)]
    each = [
        -a * (p - p.detach()).exp() for a, p in zip(advantages(rows, settings["advantage"]), now, strict=True)
    ]
    if penalised and settings.get("kl_in") != "reward":
        each = [x + 0.3 * 0.5 * (p - q) ** 2 for x, p, q in zip(each, now, ref, strict=True)]
    aggregated(each, settings.get("aggregation", "token"), 12).backward()
    close_gradients(gradients[0], by_rank(oracle.net))
    if penalised:
        assert trained.updates[0].kl == pytest.approx(sum(nats) / len(nats), rel=1e-3)
        spent = torch.cat([(q - p).exp() - 1 - (q - p) for p, q in zip(now, ref, strict=True)])
        assert trained.updates[0].kl_spent == pytest.approx(float(spent.mean().detach()), rel=1e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_update_of_every_family_has_the_gradient_of_the_loss_by_hand(
    family: str, gradients: list[list[torch.Tensor]]
) -> None:
    check_one_step(family, CASES["grpo with a penalty in the loss"], gradients)


@pytest.mark.parametrize("micro", [60, 2048])
@pytest.mark.parametrize("case", CASES)
def test_an_update_has_the_gradient_of_the_loss_by_hand(
    case: str, micro: int, gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether all goes through the model at once, or prompt by prompt."""
    monkeypatch.setattr(parts, "MICRO_TOKENS", micro)
    check_one_step("llama", CASES[case], gradients)


def test_minibatches_of_a_rollout_are_steps_against_the_policy_that_sampled(
    gradients: list[list[torch.Tensor]],
) -> None:
    """The second of two inner epochs has the loss by hand, with ratios other than one and some of them clipped."""
    watch, model = Watch(), tiny()
    trained = learn(model, watch, inner_epochs=2, advantage="rloo", clip_high=0.01, clip_low=0.02)
    oracle, between = tiny(), tiny()
    first = torch.optim.AdamW(between.net.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    for p, g in zip(ranked(between), gradients[0], strict=True):
        p.grad = g
    first.step()
    first.zero_grad()
    rows = kept(watch, {})
    with torch.no_grad():
        old = [logprobs(oracle, one) for _, one, _ in rows]
    each, ratios = [], []
    for a, q, (_, one, _) in zip(advantages(rows, "rloo"), old, rows, strict=True):
        ratio = (logprobs(between, one) - q).exp()
        each.append(torch.maximum(-a * ratio, -a * ratio.clamp(0.98, 1.01)))
        if a:  # else its prompt is not read
            ratios.append((ratio > 1.01 if a > 0 else ratio < 0.98).detach())
    torch.cat(each).mean().backward()
    close_gradients(gradients[1], by_rank(between.net))
    share = float(torch.cat(ratios).float().mean()) / 2  # of the first epoch none
    assert 0 < trained.updates[0].clip_share == pytest.approx(share, abs=0.01)
    assert trained.updates[0].ratio_max > 1.01


def ranked(model: Any) -> list[torch.nn.Parameter]:
    """The parameters in the order of the fixture."""
    return [p for wanted in (True, False) for p in model.net.parameters() if (p.ndim > 1) == wanted]


def test_groups_without_an_advantage_are_not_read_and_change_nothing(
    gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(rows: Any, completions: Any) -> Paid:
        """Two of the four prompts are paid alike."""
        pairs = zip(rows, completions, strict=True)
        return Paid([float(len(one.token_ids)) if row.id in ("p0", "p2") else 1.0 for row, one in pairs])

    read: list[int] = []
    real = parts.Reader.read
    monkeypatch.setattr(parts.Reader, "read", lambda self, units: read.extend(units) or real(self, units))
    watch, model, oracle = Watch(half), tiny(), tiny()
    trained = learn(model, watch, advantage="rloo")
    assert len(read) == 2
    assert trained.updates[0].zero_variance_groups == 2
    rows = kept(watch, {})
    now = [logprobs(oracle, one) for _, one, _ in rows]
    each = [-a * (p - p.detach()).exp() for a, p in zip(advantages(rows, "rloo"), now, strict=True)]
    torch.cat(each).mean().backward()
    close_gradients(gradients[0], by_rank(oracle.net))


def test_an_update_that_teaches_nothing_moves_nothing(gradients: list[list[torch.Tensor]]) -> None:
    for reward in (lambda _, c: Paid([1.0] * len(c)), lambda _, c: Paid([None] * len(c))):
        model = tiny()
        before = weights(model.net)
        trained = learn(model, reward)
        assert same(weights(model.net), before)
        assert not gradients
        assert trained.updates[0].zero_variance_groups == 4
    assert trained.updates[0].reward is None


def test_a_reward_that_can_be_learnt_rises() -> None:
    def short(_: Any, completions: Any) -> Paid:
        return Paid([-float(len(c.token_ids)) for c in completions])

    trained = learn(tiny(), short, updates=8, samples_per_prompt=8, learning_rate=5e-3)
    rewards = [row.reward for row in trained.updates]
    assert rewards[-1] > rewards[0] + 2, rewards


def test_nan_in_what_takes_no_part_reaches_nothing(gradients: list[list[torch.Tensor]]) -> None:
    """Tokens whose embedding is NaN: a completion that goes on after one fails, and the others are learnt from."""

    def poisoned() -> Any:
        model = tiny(tie_word_embeddings=False)
        with torch.no_grad():
            model.net.get_input_embeddings().weight[[i for i in range(100, 200) if i % 8]] = torch.nan
        return model

    watch, model, oracle = (
        Watch(lambda _, c: Paid([float(len(x.token_ids)) for x in c])),
        poisoned(),
        poisoned(),
    )
    trained = learn(model, watch, truncated="mask")
    stops = trained.updates[0].stops
    assert stops["error"] >= 2
    assert len(watch.seen[0]) == 16 - stops["error"]
    assert all(g.isfinite().all() for g in gradients[0])
    whole = [one for one in watch.seen[0] if one.stop == "eos"]
    rows = [(int(one.request_id[1:]), one, float(len(one.token_ids))) for one in whole]
    now = [logprobs(oracle, one) for _, one, _ in rows]
    each = [-a * (p - p.detach()).exp() for a, p in zip(advantages(rows, "grpo"), now, strict=True)]
    torch.cat(each).mean().backward()
    close_gradients(gradients[0], by_rank(oracle.net))


def test_every_pass_over_the_prompts_has_each_once() -> None:
    whole = drawn(3, "x", 0, 21, 7)
    assert [sorted(whole[i : i + 7]) for i in (0, 7, 14)] == [list(range(7))] * 3
    assert len({tuple(whole[i : i + 7]) for i in (0, 7, 14)}) == 3
    assert [*drawn(3, "x", 0, 5, 7), *drawn(3, "x", 5, 16, 7)] == list(whole)
