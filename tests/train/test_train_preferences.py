"""DPO against transformers, answer by answer, and what it promises besides."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from model.tiny import checkpoint
from train.compared import RANKINGS, random_comparisons
from train.rows import Row
from train.test_train_supervised import by_rank, fresh, same

from truing.model import load_local
from truing.train import ComparedRows, DPOConfig, Trained, dpo, parts, preferences, sequence_logprobs
from truing.types import InputError

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox")
ONE_STEP = DPOConfig(1e-3, prompts_per_step=10**6, clip=1e9)


def train(
    net: hf.PreTrainedModel, data: ComparedRows, config: DPOConfig, reference: np.ndarray | None = None
) -> Trained:
    reference = sequence_logprobs(net, data) if reference is None else reference
    return dpo(net, data, config, reference=reference, what="test")


def logprobs_by_hand(net: hf.PreTrainedModel, data: ComparedRows) -> list[torch.Tensor]:
    """Of each answer's tokens that carry loss, from one forward pass of transformers for each."""
    sums = []
    for a, b in zip(data.rows.offsets[:-1], data.rows.offsets[1:], strict=True):
        ids = torch.from_numpy(data.rows.ids[a:b].astype(np.int64))
        logprobs = net(input_ids=ids[None]).logits[0].log_softmax(-1)
        chosen = logprobs[:-1].gather(-1, ids[1:, None]).squeeze(-1)
        sums.append(chosen[torch.from_numpy(data.rows.mask[a + 1 : b])].sum())
    return sums


def by_hand(net: hf.PreTrainedModel, data: ComparedRows, reference: np.ndarray, beta: float) -> torch.Tensor:
    """The loss pair by pair: Rafailov et al. 2023, equation 7."""
    logprobs = logprobs_by_hand(net, data)
    losses = []
    for first, last in zip(data.groups[:-1], data.groups[1:], strict=True):
        rewards = [beta * (logprobs[i] - float(reference[i])) for i in range(first, last)]
        ranks = data.ranks[first:last]
        pairs = [(i, j) for i in range(len(ranks)) for j in range(len(ranks)) if ranks[i] < ranks[j]]
        nats = [-torch.nn.functional.logsigmoid(rewards[i] - rewards[j]) for i, j in pairs]
        losses.append(torch.stack(nats).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("chunk", [1, 512])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_has_the_loss_and_gradient_of_every_pair_by_hand(
    family: str, chunk: int, gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another reference, in one micro-batch and head pass, or prompt by prompt in both."""
    monkeypatch.setattr(preferences, "LOGIT_ROWS", chunk)
    monkeypatch.setattr(parts, "MICRO_TOKENS", 4 * chunk)
    data = random_comparisons()
    oracle = fresh(family)
    reference = np.random.default_rng(0).normal(-20, 5, len(data.rows)).astype(np.float32)
    wanted = by_hand(oracle, data, reference, 0.3)
    wanted.backward()
    net = fresh(family)
    trained = train(net, data, replace(ONE_STEP, beta=0.3), reference)
    assert trained.loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    for mine, theirs in zip(gradients[0], by_rank(oracle), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max() + 1e-3))


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_those_of_each_answer_by_itself(family: str) -> None:
    data, net = random_comparisons(), fresh(family)
    with torch.no_grad():
        wanted = [float(x) for x in logprobs_by_hand(net, data)]
    assert sequence_logprobs(net, data).tolist() == pytest.approx(wanted, rel=1e-5)
    assert sequence_logprobs(net, data.rows).tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_policy_that_is_its_reference_has_the_loss_log_two(family: str) -> None:
    data, net = random_comparisons(), fresh(family)
    assert train(net, data, ONE_STEP).loss == pytest.approx(math.log(2), abs=1e-6)


def test_a_mean_over_prompts_is_that_of_its_halves(gradients: list[list[torch.Tensor]]) -> None:
    """As two ranks that average would have it, with three prompts on one and five on the other."""
    for rankings, first in ((RANKINGS, 0), (RANKINGS[:3], 0), (RANKINGS[3:], 3)):
        train(fresh("llama"), random_comparisons(rankings, first=first), ONE_STEP)
    whole, *halves = gradients
    for all_, three, five in zip(whole, *halves, strict=True):
        torch.testing.assert_close(3 / 8 * three + 5 / 8 * five, all_, rtol=1e-4, atol=1e-6)


def test_states_that_predict_no_answer_may_be_poison(
    gradients: list[list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, reference = random_comparisons(), sequence_logprobs(fresh("llama"), random_comparisons())
    clean = train(fresh("llama"), data, ONE_STEP, reference).loss
    real = parts.Reader.read

    def poisoned(self: parts.Reader, units: np.ndarray) -> parts.Part:
        part = real(self, units)
        keep = torch.zeros(len(part.ids), 1, dtype=torch.bool)
        keep[part.before] = True
        return replace(part, hidden=torch.where(keep, part.hidden, torch.nan))

    monkeypatch.setattr(parts.Reader, "read", poisoned)
    assert train(fresh("llama"), data, ONE_STEP, reference).loss == clean
    assert same(*gradients)


def test_a_prompt_twice_in_a_step_counts_twice(gradients: list[list[torch.Tensor]]) -> None:
    """Two passes in one step: the gradient is that of one."""
    for passes in (1, 2):
        train(fresh("llama"), random_comparisons(), replace(ONE_STEP, passes=passes))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_one_batch_can_be_learnt_by_heart_and_the_better_answers_gain() -> None:
    data, net = random_comparisons([(1, 2)] * 4), fresh("llama")
    before = sequence_logprobs(net, data)
    trained = train(net, data, DPOConfig(3e-3, passes=15, prompts_per_step=4))
    assert trained.loss < 0.1
    better, worse = (sequence_logprobs(net, data) - before).reshape(4, 2).T
    assert (better > worse + 10).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trained_model_is_the_same_when_loaded(family: str, tmp_path: Path) -> None:
    data, net = random_comparisons(), fresh(family)
    before = sequence_logprobs(net, data)
    train(net, data, replace(ONE_STEP, learning_rate=1e-2))
    trained = sequence_logprobs(net, data)
    assert np.abs(trained - before).min() > 1e-2
    net.save_pretrained(tmp_path)
    hf.AutoTokenizer.from_pretrained(checkpoint(family)).save_pretrained(tmp_path)
    loaded = load_local(tmp_path, device="cpu", dtype="float32").net
    np.testing.assert_allclose(sequence_logprobs(loaded, data), trained, rtol=1e-5)


def test_references_must_be_finite_and_as_many_as_answers() -> None:
    data, net = random_comparisons(), fresh("llama")
    with pytest.raises(ValueError, match="21 answers and 3 references"):
        train(net, data, ONE_STEP, np.zeros(3))
    reference = np.zeros(len(data.rows))
    reference[4] = -np.inf
    with pytest.raises(InputError, match="the reference's log-probability of row 5 is -inf"):
        train(net, data, ONE_STEP, reference)


def test_a_token_outside_the_vocabulary_is_named_with_its_row() -> None:
    wrong = Row((5, 9999), (False, True)), Row((5, 6), (False, True))
    data = ComparedRows.of([([*wrong], [1, 2])])
    with pytest.raises(InputError, match="row 1 has the token 9999, the model's vocabulary is"):
        sequence_logprobs(fresh("llama"), data)
    with pytest.raises(InputError, match="row 1 has the token 9999, the model's vocabulary is"):
        train(fresh("llama"), data, ONE_STEP, np.zeros(2))


@pytest.mark.parametrize("wrong", [{"beta": 0.0}, {"prompts_per_step": 0}, {"warmup": 1.0}], ids=str)
def test_a_configuration_out_of_range_is_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        DPOConfig(**({"learning_rate": 1e-3} | wrong))
