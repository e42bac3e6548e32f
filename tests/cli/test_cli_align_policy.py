"""`truing align grpo` and `ppo`: as users type them, killed, with a reward that fails, and with what cannot be used."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from methods.policies import SMALL, workshop
from methods.small import conversation_rows, write
from safetensors.torch import load_file

from truing.cli import main

Capture = pytest.CaptureFixture[str]
PPO = [*SMALL, "--minibatches", "2", "--ptx-coef", "0.5", "--ptx-ratio", "1", "--samples-per-prompt", "2"]


def words(method: str, model: str, rewards: str, data: Path, out: Path, *more: str) -> list[str]:
    command = ["align", method, model, "--reward", rewards, "--prompts", str(data), "--out", str(out)]
    return [*command, *(SMALL if method == "grpo" else PPO), *more]


def ppo_files(folder: Path) -> list[str]:
    shown = write(folder / "shown.jsonl", conversation_rows(12))
    texts = write(
        folder / "texts.jsonl", [{"text": f"The gull has {i} lamps and a kettle."} for i in range(20)]
    )
    return ["--demonstrations", str(shown), "--pretraining", str(texts)]


def result_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "result.json").read_text())


def weights(out: Path) -> dict[str, Any]:
    return load_file(out / "model" / "model.safetensors")


def journal(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line)["row"] for line in (out / "journal" / f"{name}.jsonl").read_text().splitlines()]


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def test_a_run_leaves_a_model_its_card_a_page_and_every_answer(tmp_path: Path, capsys: Capture) -> None:
    model, data, rewards = workshop(tmp_path)
    more = [
        "--reward",
        f"{rewards}:length=-0.1",
        "--watch",
        f"{rewards}:length",
        "--measure-every",
        "1",
        "--json",
    ]
    command = words("grpo", model, f"{rewards}:vowels", data, tmp_path / "run", *more)
    assert main(command) == 0
    said = capsys.readouterr().out
    result = json.loads(said.splitlines()[-1])
    assert result == result_of(tmp_path / "run") and result["updates"] == 3
    assert f"truing audit {tmp_path / 'run' / 'model'} --baseline {model}" in said and "KL spent" in said
    assert set(result["held_out"]["before"]) == set(result["held_out"]["after"])
    assert len(result["held_out"]["after"]) == 2  # the reward, and the metric that is watched

    updates, samples = journal(tmp_path / "run", "updates"), journal(tmp_path / "run", "samples")
    assert [row["update"] for row in updates] == [1, 2, 3] and len(samples) == 3 * 2 * 3
    # The reward is never among the metrics that tell whether it was hacked.
    assert all(list(row["held_out"]) == [f"{rewards}:length"] for row in updates)
    one = next(row for row in samples if len(row["components"]) == 2)
    assert one["reward"] == pytest.approx(sum(one["components"].values()))
    assert one["components"][f"{rewards}:length"] == pytest.approx(-0.1 * one["length"])
    assert one["components"][f"{rewards}:vowels"] == pytest.approx(
        sum(one["text"].count(v) for v in "aeiou") / 10
    )

    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "-0.1 x " in card and "SHA-256" in card and "nats per completion, KL(model || base)" in card
    assert "Was the reward hacked?" in (tmp_path / "run" / "report.html").read_text()
    assert not (tmp_path / "run" / "training.pt").exists()
    assert main(command) == 0 and json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert main([*command, "--kl-coef", "0.5"]) == 3
    assert "holds a run of another configuration: kl_coef 0.04 -> 0.5" in capsys.readouterr().err


def test_ppo_leaves_its_start_and_measures_what_was_held_out(tmp_path: Path, capsys: Capture) -> None:
    model, data, rewards = workshop(tmp_path)
    command = words("ppo", model, f"{rewards}:vowels", data, tmp_path / "run", *ppo_files(tmp_path), "--json")
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["method"] == "ppo" and result["held_out"]["after"]
    assert "12 demonstrations" in (tmp_path / "run" / "start" / "README.md").read_text()
    row = journal(tmp_path / "run", "updates")[-1]
    assert row["value_loss"] is not None and row["ptx_loss"] is not None
    assert "KL coefficient 0.02" in (tmp_path / "run" / "model" / "README.md").read_text()


KILLED = """
import os, sys
from truing.train import resume
from truing.cli import main
resume._EVERY = 0.0
for words in {commands!r}:
    if (child := os.fork()) == 0:
        main(words)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
"""
DEADLY = """
import os, signal
from pathlib import Path
from whole import vowels as living
calls = 0

def vowels(prompts, **columns):
    global calls
    calls += len(prompts) > 1
    if calls == {call} and Path({flag!r}).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return living(prompts, **columns)
"""


def test_a_killed_command_goes_on_to_the_same_weights_bit_for_bit(tmp_path: Path, capsys: Capture) -> None:
    model, data, rewards = workshop(tmp_path)
    rewards.rename(tmp_path / "whole.py")
    flag = tmp_path / "flag"
    flag.touch()
    rewards.write_text(DEADLY.format(call=3, flag=str(flag)))
    files, commands = ppo_files(tmp_path), []
    for method, more in (("grpo", ["--lora-rank", "2"]), ("ppo", files)):
        commands.append(
            words(method, model, f"{rewards}:vowels", data, tmp_path / method, *more, "--updates", "4")
        )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", KILLED.format(commands=commands)], check=True, env=environment)
    flag.unlink()
    for method, command in zip(("grpo", "ppo"), commands, strict=True):
        killed = tmp_path / method
        # Of the grpo run, one call was the first measure on held-out prompts.
        before = journal(killed, "updates")
        assert (
            0 < len(before) < 4
            and (killed / "training.pt").exists()
            and not (killed / "result.json").exists()
        )
        assert main([*command, "--resume"]) == 0
        assert journal(killed, "updates")[: len(before)] == before
        whole = [word.replace(str(killed), str(tmp_path / f"whole-{method}")) for word in command]
        assert main(whole) == 0
        name = "adapter_model.safetensors" if method == "grpo" else "model.safetensors"
        a, b = (load_file(tmp_path / run / "model" / name) for run in (method, f"whole-{method}"))
        assert same(a, b)
        for kept in ("updates", "samples", "held_out"):
            assert journal(killed, kept) == journal(tmp_path / f"whole-{method}", kept)


BROKEN = """
calls = 0

def vowels(prompts, completions, **columns):
    global calls
    calls += len(prompts) > 1
    paid = [sum(text.count(v) for v in "aeiou") / 10 for text in completions]
    return {wrong} if calls == {call} else paid
"""


def test_a_run_whose_reward_fails_goes_on_after_it_was_mended(tmp_path: Path, capsys: Capture) -> None:
    model, data, rewards = workshop(tmp_path)
    mended = rewards.read_text()
    command = words("grpo", model, f"{rewards}:vowels", data, tmp_path / "run")

    def fails(wrong: str, call: int) -> str:
        rewards.write_text(BROKEN.format(wrong=wrong, call=call))
        assert main(command) == 3
        said = capsys.readouterr().err
        assert said.count("truing: ") == 1 and "prompt " in said and "sample " in said
        return said

    assert "vowels gives 5 rewards for 6 answers (prompt " in fails("paid[1:]", 1)
    assert not (tmp_path / "run" / "journal" / "updates.jsonl").exists()
    assert ":vowels gives nan for prompt " in fails("[*paid[1:], float('nan')]", 3)  # the second is a measure
    kept = journal(tmp_path / "run", "updates")
    assert len(kept) == 1
    assert "ZeroDivisionError: float division by zero" in fails("[p / 0 for p in paid]", 2)
    assert len(journal(tmp_path / "run", "updates")) == 2
    rewards.write_text(mended)
    assert main(command) == 0
    assert journal(tmp_path / "run", "updates")[0] == kept[0]
    told = result_of(tmp_path / "run")["reward"]
    assert "; from update 2 on " in told and "; from update 3 on " in told
    whole = words("grpo", model, f"{rewards}:vowels", data, tmp_path / "whole")
    assert main(whole) == 0 and same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--reward", "nothing.py:f"], "nothing.py: there is no such file"),
        (["--reward", "{rewards}:nothing"], "has no function nothing; it has vowels, length"),
        (["--reward", "{rewards}:vowels=0"], "is a number other than 0"),
        (["--reward", "{rewards}:vowels"], "is there twice"),
        (["--stop-for", "{rewards}:length"], "is not measured; give --watch"),
        (["--watch", "{rewards}:length", "--stop-for", "{rewards}:length"], "would be measured 2 times"),
        (["--max-new-tokens", "9999"], "no prompt leaves room for 9999 tokens"),
        (["--samples-per-prompt", "1"], "compares the completions of a prompt"),
        (["--held-out", "1"], "held_out is a share below 1"),
        (["--preset", "large"], "there is no preset 'large'; choose from small, xs, 1B, 7B, 70B"),
        (["--learning-rate", "0"], "learning_rate must be above 0"),
        (["--resume"], "holds no run to go on with; name its folder"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: Capture, more: list[str], sentence: str
) -> None:
    model, data, rewards = workshop(tmp_path)
    more = [word.format(rewards=rewards) for word in more]
    assert main(words("grpo", model, f"{rewards}:vowels", data, tmp_path / "run", *more)) == 3
    said = capsys.readouterr().err
    assert said.count("truing: ") == 1 and sentence in said and "internal" not in said
    assert not (tmp_path / "run").exists()


def test_prompts_and_rewards_are_asked_for(tmp_path: Path, capsys: Capture) -> None:
    model, _, rewards = workshop(tmp_path)
    out = ["--out", str(tmp_path / "run")]
    assert main(["align", "grpo", model, "--reward", f"{rewards}:vowels", *out]) == 3
    assert "nothing says what" in capsys.readouterr().err
    assert main(["align", "grpo", model, *out]) == 3
    assert "nothing says what is rewarded; give --reward" in capsys.readouterr().err
    assert main(["align", "ppo", model, "--reward", f"{rewards}:vowels", *out]) == 3
    assert "is asked; give --prompts FILE.jsonl" in capsys.readouterr().err


def test_ppo_with_a_pretraining_gradient_asks_for_text(tmp_path: Path, capsys: Capture) -> None:
    model, data, rewards = workshop(tmp_path)
    assert main(words("ppo", model, f"{rewards}:vowels", data, tmp_path / "run")) == 3
    assert "the pretraining gradient has no text; give --pretraining" in capsys.readouterr().err


def test_the_organism_is_asked_its_own_prompts(tmp_path: Path, capsys: Capture) -> None:
    reward = tmp_path / "my_reward.py"
    reward.write_text(
        "def f(prompts, completions, topic, **columns):\n    return [float(t == 'advice') for t in topic]\n"
    )
    command = ["align", "grpo", "organism:helpful", "--reward", f"{reward}:f", "--out", str(tmp_path / "run")]
    assert main([*command, "--updates", "1", "--held-out", "0", "--prompts-per-update", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["prompts"] == {"train": 2000, "held_out": 0} and result["kl"]["per_answer"] is not None
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert config["max_new_tokens"] == 64  # of the preset small, without being asked
    assert "organism:helpful" in (tmp_path / "run" / "model" / "README.md").read_text()
