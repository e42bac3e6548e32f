"""PPO's parts of the policy loop by hand: values, returns, pretraining text, mean of weights, KL coefficient."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from model.tiny import checkpoint
from train.policies import SMALL, Paid, Watch, kept, learn, logprobs, other, tiny
from train.rows import random_rows
from train.test_train_policy import close_gradients, ranked
from train.test_train_supervised import by_rank, weights

from truing.model import ScalarModel
from truing.train import PolicyConfig
from truing.types import Completion, InputError

PTX = random_rows((12, 30, 7, 18, 22), trained_from=1)
GAE = {"advantage": "gae", "lam": 0.9, "gamma": 0.97}


def critic() -> ScalarModel:
    value = ScalarModel.from_base(checkpoint("llama"), 1)
    value.bias = 0.25
    return value


def values(value: ScalarModel, one: Completion) -> torch.Tensor:
    """What is expected before each token [T]: transformers' number of the row that ends there."""
    ids = [*one.prompt_ids, *one.token_ids]
    first = len(one.prompt_ids)
    rows = [torch.tensor(ids[: first + t])[None] for t in range(len(one.token_ids))]
    return torch.stack([value.net(input_ids=row).logits[0, 0] for row in rows]) + 0.25


def estimated(rewards: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Sums of discounted surprises, each from its definition."""
    after = np.append(expected[1:], 0.0)
    surprise = rewards + 0.97 * after - expected
    return np.array(
        [
            sum((0.97 * 0.9) ** k * surprise[t + k] for k in range(len(rewards) - t))
            for t in range(len(rewards))
        ]
    )


def test_a_step_of_ppo_has_the_gradients_by_hand_of_policy_and_values(
    gradients: list[list[torch.Tensor]],
) -> None:
    """Divergence taken off each token's reward, advantages whitened, one completion of each prompt."""
    watch, model, value, reference = Watch(), tiny(), critic(), other()
    settings: dict[str, Any] = GAE | {
        "kl_coef": 0.2,
        "kl_in": "reward",
        "whiten": True,
        "samples_per_prompt": 1,
    }
    trained = learn(model, watch, reference=reference, value=value, prompts_per_update=12, **settings)
    oracle, again = tiny(), critic()
    rows = [(one, reward) for _, one, reward in kept(watch, {})]
    assert len(rows) > 4
    now = [logprobs(oracle, one) for one, _ in rows]
    expected = [values(again, one) for one, _ in rows]
    surprises = []
    for (one, reward), p, v in zip(rows, now, expected, strict=True):
        with torch.no_grad():
            each = -0.2 * (p - logprobs(reference, one)).numpy()
        each[-1] += reward
        surprises.append(estimated(each, v.detach().numpy()))
    flat = np.concatenate(surprises)
    whitened = torch.from_numpy((flat - flat.mean()) / np.sqrt(flat.var() + 1e-8)).float()
    probs = torch.cat(now)
    (-whitened * (probs - probs.detach()).exp()).mean().backward()
    close_gradients(gradients[0], by_rank(oracle.net))

    returns = [torch.from_numpy(a).float() + v.detach() for a, v in zip(surprises, expected, strict=True)]
    loss = (0.5 * (torch.cat(expected) - torch.cat(returns)) ** 2).mean()
    loss.backward()
    close_gradients(gradients[1], by_rank(again.net))
    assert trained.updates[0].value_loss == pytest.approx(float(loss.detach()), rel=1e-3)


def test_pretraining_text_is_part_of_the_same_step(gradients: list[list[torch.Tensor]]) -> None:
    """Its gradient is added to that of the rewards, and it alone is a step, too."""
    learn(tiny(), advantage="rloo")
    both = learn(tiny(), advantage="rloo", ptx=PTX, ptx_coef=0.7, ptx_ratio=5 / 16)
    learn(
        tiny(), lambda _, c: Paid([1.0] * len(c)), advantage="rloo", ptx=PTX, ptx_coef=0.7, ptx_ratio=5 / 16
    )
    without, whole, alone = gradients
    close_gradients(whole, [a + b for a, b in zip(without, alone, strict=True)])

    oracle = tiny()
    rows = np.split(PTX.ids.astype(np.int64), PTX.offsets[1:-1])
    nll = []
    for row in rows:
        ids = torch.from_numpy(row)[None]
        table = oracle.net(input_ids=ids).logits[0, :-1].log_softmax(-1)
        nll.append(-table.gather(-1, ids[0, 1:, None]).squeeze(-1))
    loss = torch.cat(nll).mean()
    (0.7 * loss).backward()
    close_gradients(alone, by_rank(oracle.net))
    assert both.updates[0].ptx_loss == pytest.approx(float(loss.detach()), rel=1e-5)


def test_the_policy_ends_with_the_mean_of_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[torch.Tensor]] = []
    last = tiny()
    real = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW) -> object:
        done = real(self)
        seen.append([p.detach().clone() for group in self.param_groups for p in group["params"]])
        return done

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    mean = [p.detach().clone() for p in ranked(last)]
    learn(last, updates=3, minibatches=2, ema=0.7)
    assert len(seen) == 6
    for after in seen:
        mean = [0.7 * m + 0.3 * w for m, w in zip(mean, after, strict=True)]
    for mine, theirs in zip(ranked(last), mean, strict=True):
        torch.testing.assert_close(mine.detach(), theirs, rtol=0, atol=1e-6)
    assert any(not torch.equal(a, b) for a, b in zip(seen[-1], ranked(last), strict=True))


def test_the_price_of_a_nat_is_read_before_it_is_steered() -> None:
    trained = learn(tiny(), updates=2, reference=other(), kl_coef=0.2, kl_target=1e-3, kl_horizon=50.0)
    first, second = trained.updates
    assert first.kl_coef == 0.2
    taken = round(first.tokens / first.length) - first.missing["odd"]
    assert second.kl_coef == pytest.approx(0.2 * (1 + 0.2 * taken / 50))


def test_the_learning_rates_rise_from_a_tenth() -> None:
    config = PolicyConfig(1.0, **SMALL | {"warmup": 10})
    assert [round(config.rate(update), 3) for update in (0, 1, 5, 9, 10, 500)] == [
        0.1,
        0.19,
        0.55,
        0.91,
        1,
        1,
    ]
    assert PolicyConfig(1.0).rate(0) == 1


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ({"kl_coef": 0.1}, "needs a reference"),
        ({"advantage": "gae"}, "no value model"),
        ({"ptx_coef": 1.0}, "no pretraining rows"),
        ({"samples_per_prompt": 1}, "there is only one of each"),
        ({"minibatches": 5}, "4 prompts make no 5 minibatches"),
        ({"kl_target": 6.0}, "kl_target and kl_coef above 0"),
        ({"truncated": "drop"}, "truncated must be one of score, mask, penalty"),
        ({"max_new_tokens": 500}, "the model's context is 512"),
        ({"reference": "adapter off"}, "has no adapter"),
        ({"reference": "base"}, "a model, 'adapter off' or None"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_sampled(
    numbers: dict[str, Any], problem: str
) -> None:
    model, watch = tiny(), Watch()
    before = weights(model.net)
    with pytest.raises(InputError, match=problem):
        learn(model, watch, **numbers)
    assert not watch.seen
    assert all(torch.equal(a, b) for a, b in zip(weights(model.net), before, strict=True))


def test_the_policy_is_no_reference_of_itself() -> None:
    model = tiny()
    with pytest.raises(InputError, match="the reference is the policy itself"):
        learn(model, reference=model, kl_coef=0.1)


def test_a_reward_of_the_wrong_length_or_no_number_is_named() -> None:
    with pytest.raises(InputError, match="16 completions and 1 rewards"):
        learn(tiny(), lambda _rows, _completions: Paid([1.0]))
    with pytest.raises(InputError, match=r"the reward of completion 3 of prompt p. is nan"):
        learn(tiny(), lambda _, c: Paid([float("nan") if i == 2 else 1.0 for i in range(len(c))]))


class GoesOn:
    """An engine whose answers go on after their end, or lack what is needed."""

    def __init__(self, **changes: Any) -> None:
        self.changes, self.synced = changes, 0

    def sync(self, model: Any) -> None:
        self.model, self.synced = model, self.synced + 1

    def sample(self, requests: Any, params: Any, *, key: int) -> Any:
        for one in self.model.sample(requests, params, key=key):
            changes = {name: make(one) for name, make in self.changes.items()}
            yield dataclasses.replace(one, **changes)


def test_an_engine_is_given_the_weights_and_its_tokens_are_learnt_from() -> None:
    engine, mine, theirs = GoesOn(), tiny(), tiny()
    learn(mine, updates=2)
    learn(theirs, updates=2, engine=engine)
    assert engine.synced == 2
    assert all(torch.equal(a, b) for a, b in zip(weights(mine.net), weights(theirs.net), strict=True))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"token_ids": lambda one: (*one.token_ids[:-1], 8, 9), "logprobs": lambda _: None}, "went on after"),
        ({"token_ids": lambda _: None, "logprobs": lambda _: None}, "gives no token ids"),
        ({"sample": lambda one: min(one.sample, 2)}, "wrote no completion 4 of prompt p."),
    ],
)
def test_an_engine_that_gives_something_else_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        learn(tiny(), engine=GoesOn(**changes))


def test_rewards_see_neither_the_end_token_nor_more() -> None:
    """Of several ends each ends an answer; its id is among the tokens and its text is not in the answer."""
    watch, model = Watch(), tiny()
    trained = learn(model, watch)
    ended = [one for one in watch.seen[0] if one.stop == "eos"]
    assert len({one.token_ids[-1] for one in ended}) > 1
    assert trained.updates[0].stops["eos"] == len(ended)
    for one in ended:
        assert one.text == model.chat.decode(one.token_ids[:-1])
        assert not any(token % 8 == 0 for token in one.token_ids[:-1])
