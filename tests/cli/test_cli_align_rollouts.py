"""`truing align grpo --rollouts`: a server writes the answers, with the policy's own weights at every update."""

import shutil
from pathlib import Path

import pytest
from methods.policies import SMALL, workshop
from model.faulty_server import quick_and_keyless  # noqa: F401
from model.reloading_server import ReloadingServer
from model.tiny import checkpoint

from truing.cli import main

pytestmark = pytest.mark.usefixtures("quick_and_keyless")
Capture = pytest.CaptureFixture[str]


def grpo(folder: Path, server: str, versions: Path, *more: str) -> list[str]:
    model, data, rewards = workshop(folder)
    command = ["align", "grpo", model, "--reward", f"{rewards}:vowels", "--prompts", str(data), *SMALL]
    where = ["--rollouts", server, "--versions", str(versions), "--out", str(folder / "run")]
    return [*command, *where, *more]


def test_every_update_is_written_by_the_adapter_of_that_update(tmp_path: Path, capsys: Capture) -> None:
    with ReloadingServer(Path(checkpoint("llama"))) as server:
        command = grpo(tmp_path, f"endpoint:{server.url}#base", tmp_path / "versions", "--lora-rank", "2")
        assert main(command) == 0
    loaded = [body["lora_name"] for path, body in server.calls if path == "/v1/load_lora_adapter"]
    assert loaded == ["truing-1", "truing-2", "truing-3"]
    assert "3 updates" in capsys.readouterr().out
    assert (tmp_path / "run" / "model" / "adapter_model.safetensors").is_file()


def test_whole_weights_go_to_the_folder_that_the_server_was_started_on(tmp_path: Path) -> None:
    served = Path(shutil.copytree(checkpoint("llama"), tmp_path / "served"))
    before = (served / "model.safetensors").read_bytes()
    with ReloadingServer(served) as server:
        assert main(grpo(tmp_path, f"endpoint:{server.url}#base", served)) == 0
    assert [path for path, _ in server.calls].count("/collective_rpc") == 3
    assert (served / "model.safetensors").read_bytes() != before


def test_a_server_that_keeps_its_old_weights_ends_the_training_with_a_sentence(
    tmp_path: Path, capsys: Capture
) -> None:
    served = Path(shutil.copytree(checkpoint("llama"), tmp_path / "served"))
    with ReloadingServer(served, deaf=True) as server:
        command = grpo(tmp_path, f"endpoint:{server.url}#base", served, "--learning-rate", "0.05")
        assert main(command) != 0
    assert "does not have the policy's weights" in capsys.readouterr().err
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(
    ("server", "versions", "said"),
    [
        ("endpoint:http://localhost:1/v1#base", None, "--versions"),
        ("http://localhost:1/v1", "somewhere", "endpoint:URL#MODEL"),
    ],
)
def test_what_cannot_be_a_server_is_said_before_anything_is_loaded(
    tmp_path: Path, capsys: Capture, server: str, versions: str | None, said: str
) -> None:
    _, data, rewards = workshop(tmp_path)
    where = ["--versions", str(tmp_path / versions)] if versions else []
    command = ["align", "grpo", str(tmp_path / "no model"), "--reward", f"{rewards}:vowels"]
    assert main([*command, "--prompts", str(data), "--rollouts", server, *where]) == 3
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
