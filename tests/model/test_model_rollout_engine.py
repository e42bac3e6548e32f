"""Rollouts by a server that is given the policy's weights: the right ones, proved, or an error."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from model.faulty_server import quick_and_keyless  # noqa: F401
from model.reloading_server import ReloadingServer
from model.tiny import checkpoint, make_checkpoint
from peft import LoraConfig, get_peft_model

from truing.model import (
    TRAINABLE,
    EndpointModel,
    EndpointRollout,
    LocalModel,
    RolloutEngine,
    load_local,
)
from truing.types import Completion, EndpointError, InputError, SamplingParams, ask

pytestmark = pytest.mark.usefixtures("quick_and_keyless")
PARAMS = SamplingParams(temperature=1, max_tokens=6, n=2)
REQUESTS = [ask("Who counts the gulls?", id="a"), ask("Mend the kite.", id="b"), ask("Three pears.", id="c")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the server is started on."""
    return Path(shutil.copytree(checkpoint("llama"), tmp_path / "served"))


@pytest.fixture
def server(folder: Path) -> Iterator[ReloadingServer]:
    with ReloadingServer(folder) as running:
        yield running


def policy_of(folder: Path) -> LocalModel:
    return load_local(folder, device="cpu", dtype="float32")


def endpoint(server: ReloadingServer) -> EndpointModel:
    return EndpointModel(server.url, "base", logprobs=True, extra=TRAINABLE)


def rollout(engine: RolloutEngine, key: int = 1) -> list[Completion]:
    return list(engine.sample(REQUESTS, PARAMS, key=key))


def moved(policy: LocalModel, by: float = 0.3) -> None:
    """As a few steps of training do."""
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(5)
        for p in policy.net.parameters():
            if p.requires_grad:
                p += by * torch.randn_like(p)


def test_whole_weights_reach_the_server_and_its_answers_are_the_policys(
    server: ReloadingServer, folder: Path
) -> None:
    policy = policy_of(checkpoint("llama"))
    engine = EndpointRollout(endpoint(server), folder)
    engine.sync(policy)
    before = rollout(engine)
    moved(policy)
    engine.sync(policy)
    after = rollout(engine)
    assert all(c.error is None for c in (*before, *after))
    assert engine.check(policy, after) < 1e-4
    assert [c.token_ids for c in before] != [c.token_ids for c in after]
    assert [path for path, _ in server.calls[:5]] == [
        "/sleep?level=2",
        "/wake_up?tags=weights",
        "/collective_rpc",
        "/wake_up?tags=kv_cache",
        "/reset_prefix_cache",
    ]
    assert before[0].model != after[0].model, "versions have fingerprints of their own"


def test_an_adapter_is_loaded_under_a_new_name_and_the_one_before_unloaded(
    server: ReloadingServer, folder: Path, tmp_path: Path
) -> None:
    policy = policy_of(folder)
    adapter = get_peft_model(policy.net, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapter.peft_config["default"].base_model_name_or_path = str(folder)
    engine = EndpointRollout(endpoint(server), tmp_path / "versions", adapter=adapter)
    for _ in range(2):
        moved(policy)
        engine.sync(policy)
        found = rollout(engine)
        assert all(c.error is None for c in found)
        assert engine.check(policy, found) < 1e-4
    assert [path for path, _ in server.calls] == [
        "/v1/load_lora_adapter",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
    ]
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["truing-2"]


def test_the_prompts_and_ids_are_those_that_a_local_policy_has(server: ReloadingServer, folder: Path) -> None:
    policy = policy_of(folder)
    engine = EndpointRollout(endpoint(server), folder)
    engine.sync(policy)
    assert {c.prompt_ids for c in rollout(engine)} == {c.prompt_ids for c in rollout(policy)}


def test_a_server_that_goes_on_with_old_weights_is_found_out(folder: Path) -> None:
    with ReloadingServer(folder, deaf=True) as server:
        policy = policy_of(folder)
        engine = EndpointRollout(endpoint(server), folder)
        moved(policy)
        engine.sync(policy)
        with pytest.raises(EndpointError, match="does not have the policy's weights"):
            rollout(engine)


def test_text_without_token_ids_is_an_error_and_never_tokenised_anew(folder: Path) -> None:
    with ReloadingServer(folder, tells_ids=False) as server:
        engine = EndpointRollout(endpoint(server), folder)
        engine.sync(policy_of(folder))
        assert all("tokenised anew" in (c.error or "") for c in rollout(engine))


def test_a_server_with_another_chat_template_is_refused(tmp_path: Path) -> None:
    # The same tokens' numbers would be trained on after a prompt that nobody read.
    other = make_checkpoint(tmp_path / "other", "llama", chat_template="zephyr")
    with ReloadingServer(other) as server:
        engine = EndpointRollout(endpoint(server), tmp_path / "weights")
        engine.sync(policy_of(checkpoint("llama")))
        assert all("chat template" in (c.error or "") for c in rollout(engine))


def test_a_server_without_its_development_calls_says_which_switch_is_missing(folder: Path) -> None:
    with ReloadingServer(folder, dev_mode=False) as server:
        engine = EndpointRollout(endpoint(server), folder)
        with pytest.raises(EndpointError, match=r"404.*VLLM_SERVER_DEV_MODE"):
            engine.sync(policy_of(folder))


def test_an_endpoint_that_is_not_asked_for_ids_cannot_write_rollouts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="token ids"):
        EndpointRollout(EndpointModel("http://localhost:1/v1", "m"), tmp_path)
