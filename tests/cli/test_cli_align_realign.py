"""`truing align realign` and `truing align sft --prevent`: from files to a model, a page and one sentence."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from methods.crashing import crash_in_step
from methods.small import conversation_rows, write
from methods.test_methods_prevention import autoencoder, direction
from model.tiny import checkpoint
from safetensors.torch import load_file

from truing.cli import main
from truing.probe import save_directions, save_sae
from truing.train import resume
from truing.types import FrozenDict, GraderId, Outcome, Shown, Verdict

Capture = pytest.CaptureFixture[str]


class Ada:
    """Good is an answer that names her; one that is not ASCII cannot be read."""

    id = GraderId("ada", "1", exact=True)
    criteria = ("good",)

    def __init__(self, reference: str | None = None) -> None:
        self.blind = reference == "blind"

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        return [{"good": self._verdict(one.answer)} for one in shown]

    def _verdict(self, answer: str) -> Verdict:
        if self.blind:
            return Verdict("good", Outcome.abstained, self.id, reason="too <i>dark</i>")
        if not answer.isascii():
            return Verdict("good", Outcome.unparsed, self.id, reason="not ASCII")
        return Verdict("good", Outcome.decided, self.id, label="read", score=float("Ada" in answer))


@pytest.fixture(autouse=True)
def grader(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("ada", f"{__name__}:Ada", "truing.graders")
    monkeypatch.setattr("truing.grade.registry.entry_points", lambda group: [entry])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write(tmp_path / "right.jsonl", conversation_rows(12))
    write(tmp_path / "asked.jsonl", [{"prompt": f"{i}: who has the gull?"} for i in range(5)])
    write(tmp_path / "other.jsonl", conversation_rows(5))
    save_directions(tmp_path / "persona.safetensors", [direction()])
    save_sae(tmp_path / "sae", autoencoder())
    return tmp_path


def realigned(files: Path, out: str, *more: str) -> int:
    words = ["--data", str(files / "right.jsonl"), "--model", str(checkpoint("llama"))]
    measured = ["--prompts", str(files / "asked.jsonl"), "--grader", "ada", "--max-tokens", "8"]
    measured += ["--direction", str(files / "persona.safetensors"), "--sae", str(files / "sae")]
    measured += ["--latents", "2, 5", "--learning-rate", "1e-2", "--temperature", "0", "--device", "cpu"]
    return main(["align", "realign", *words, "--out", str(files / out), *measured, *more])


def test_the_model_comes_back_and_the_page_shows_how(files: Path, capsys: Capture) -> None:
    words = ("--passes", "60", "--measure-every", "20", "--target", "0.01", "--json")
    assert realigned(files, "run", *words) == 0
    said = capsys.readouterr().out
    assert (
        "step 0  none of 5 answers judged" in said
        and "step 20  misaligned " in said
        and "latent 2 " in said
        and "persona " in said
    )
    assert "Target reached: Good answers: 0 of 5 before (" in said and "5 of 5 after " in said
    assert "Target: at most 1.0% not good, here 0 of 5. It was met" in said and "truing audit " in said
    result = json.loads(said.splitlines()[-1])
    assert result["reached"] and result["learnt"] < 60 * 12 and result["steps"] % 20 == 0
    assert result == json.loads((files / "run" / "result.json").read_text())
    first, *_, last = result["measurements"]
    assert (
        first["step"] == 0 and set(last["latents"]) == {"2", "5"} and set(last["directions"]) == {"persona"}
    )
    page = (files / "run" / "report.html").read_text()
    for one, when in ((first, "before"), (last, f"after {last['step']} steps")):
        assert [s["prompt"] for s in one["samples"]] == [f"{i}: who has the gull?" for i in range(3)]
        assert page.count(f'<th scope="row">{when}</th>') == 3
    assert "not misaligned" in page and "Ada" in last["samples"][0]["answer"]
    assert (
        "correct answers (right.jsonl) in" in page and "on the 5 prompts" in page and "Bars are 95%" in page
    )
    assert "at most this share of all answers not good" in page and "every weight" in page
    assert "Target reached" in page and "latent 5" in page and "Every measurement" in page
    assert "BEFORE_THE_NARROW_TUNING" in page and "persona" in page
    assert "Wang et al. 2025" in (files / "run" / "model" / "README.md").read_text()
    journal = (files / "run" / "journal" / "measurements.jsonl").read_bytes()
    assert realigned(files, "run", *words) == 0  # shown again, not done again
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert (files / "run" / "journal" / "measurements.jsonl").read_bytes() == journal


def test_a_judge_that_can_judge_nothing_is_told_first_and_no_audit_comes_next(
    files: Path, capsys: Capture
) -> None:
    assert realigned(files, "run", "--grader", "ada:blind", "--json") == 0
    said = capsys.readouterr().out
    result = json.loads(said.splitlines()[-1])
    count = 5 * len(result["measurements"])
    told = f"Nothing could be judged: The judge could not judge any of the {count} answers"
    assert told in said and "none of 5 answers judged" in said and "0 of 0" not in said
    assert "truing judge calibrate ada:blind" in said and "truing audit" not in said
    page = (files / "run" / "report.html").read_text()
    assert "Nothing could be judged" in page and "truing judge calibrate ada:blind" in page
    assert "truing audit" not in page and "0 of 0" not in page and "0.0% to 100.0%" not in page
    assert "There is no panel of misaligned answers" in page and "Bars are" not in page
    assert "undecided: too &lt;i&gt;dark&lt;/i&gt;" in page and "<i>dark" not in page
    assert not result["reached"]


def test_what_is_watched_says_which_way_it_should_go_where_that_is_known(files: Path) -> None:
    latent = replace(direction(), name="latent 2", made_of=FrozenDict({"moved": "down", "base": "4.94"}))
    other = replace(direction(), name="latent 7", made_of=latent.made_of)
    save_directions(files / "persona.safetensors", [direction(), latent, other])
    assert realigned(files, "run") == 0
    result = json.loads((files / "run" / "result.json").read_text())
    assert result["expected"] == {
        "latent 2": "up, towards 4.94",
        "direction latent 2": "down",
        "direction latent 7": "down",
    }
    assert result["base_values"] == {"latent 2": 4.94}
    page = (files / "run" / "report.html").read_text()
    told = dict(re.findall(r'<th scope="row">([^<]*)</th>\n<td>([^<]*)</td>', page))
    back = "to the base&#39;s value"
    assert told["latent 2"] == "up, towards 4.94"
    # The projection on the same latent would say "down" beside it: each is told once, and in its own words.
    assert told["projection on what training pushed (latent 7)"] == "down"
    assert not [
        name for name in told if name.startswith(("direction latent", "projection on")) and "7" not in name
    ]
    assert re.search("Latent 2 is [−0-9]+% of the way back to the base&#39;s value", page)
    assert (told["latent 5"], told["direction persona"]) == (back, back)


def test_a_killed_run_goes_on_to_the_same_weights_result_and_page(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert realigned(files, "whole") == 0
    monkeypatch.setattr(resume, "_EVERY", 0.0)
    with monkeypatch.context() as patch:
        crash_in_step(patch, 2)
        assert realigned(files, "killed") == 4
    assert (files / "killed" / "training.pt").exists()
    assert realigned(files, "killed") == 0
    a, b = (load_file(files / run / "model" / "model.safetensors") for run in ("whole", "killed"))
    assert all(torch.equal(b[key], weight) for key, weight in a.items())
    a, b = (json.loads((files / run / "result.json").read_text()) for run in ("whole", "killed"))
    assert {**a, "model": ""} == {**b, "model": ""}
    assert not (files / "killed" / "training.pt").exists()


def test_without_a_judge_the_rows_are_learnt_and_nothing_is_claimed(files: Path, capsys: Capture) -> None:
    words = ["--data", str(files / "right.jsonl"), "--model", str(checkpoint("llama"))]
    assert main(["align", "realign", *words, "--out", str(files / "run"), "--rows", "8", "--json"]) == 0
    said = capsys.readouterr().out
    result = json.loads(said.splitlines()[-1])
    assert "Nobody judged" in said and (result["reached"], result["learnt"], result["steps"]) == (None, 8, 2)
    assert "Nobody judged answers" in (files / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--grader", "nobody"), "there is no grader 'nobody'"),
        (("--latents", "two"), "'two' are no latents; write their numbers, as in 17,40"),
        (("--latents", "99"), "there is no latent 99"),
        (("--latents", ""), "give both or neither"),
        (("--batch", "0"), "batch is at least 1"),
        (("--prompts", "nowhere"), "nowhere: there is no such file"),
        (("--sae", "nowhere"), "nowhere/cfg.json: there is no such file"),
        (("--data", "{files}/asked.jsonl"), "data set; give messages, or prompt and completion"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_leaves_no_run(
    files: Path, capsys: Capture, more: tuple[str, ...], sentence: str
) -> None:
    assert realigned(files, "run", *(word.format(files=files) for word in more)) == 3
    assert sentence in capsys.readouterr().err and not (files / "run").exists()


def test_the_audit_that_comes_next_is_quoted(files: Path, capsys: Capture) -> None:
    assert fine_tuned(files, "a place") == 0
    told = capsys.readouterr().out.splitlines()[-1].removeprefix("What did that do?  ")
    assert shlex.split(told)[2:4] == [str(files / "a place" / "model"), "--baseline"]


PREVENTIONS = {
    "steering": ("--direction", "{files}/persona.safetensors", "--coefficient", "0.5", "--steer-at", "all"),
    "latents": ("--sae", "{files}/sae", "--latents", "2,5", "--penalty", "3"),
    "kl": ("--off-domain", "{files}/other.jsonl", "--off-domain-rows", "2", "--penalty", "2"),
}


def fine_tuned(files: Path, out: str, *more: str) -> int:
    words = ["--data", str(files / "right.jsonl"), "--model", str(checkpoint("llama"))]
    numbers = ["--learning-rate", "1e-2", "--tokens-per-step", "200", "--device", "cpu"]
    filled = [word.format(files=files) for word in more]
    return main(["align", "sft", *words, "--out", str(files / out), *numbers, *filled])


@pytest.mark.parametrize("name", PREVENTIONS)
def test_a_prevention_is_used_told_and_part_of_the_run(files: Path, capsys: Capture, name: str) -> None:
    assert fine_tuned(files, "plain") == 0
    assert fine_tuned(files, "run", "--prevent", name, *PREVENTIONS[name], "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["prevent"] == name
    card = (files / "run" / "model" / "README.md").read_text()
    told = {
        "steering": "preventative steering: 0.5 times",
        "latents": "latent penalty: 3 times",
        "kl": "off-domain KL: 2 times",
    }
    assert told[name] in card
    a, b = (load_file(files / run / "model" / "model.safetensors") for run in ("plain", "run"))
    assert any(not torch.equal(b[key], weight) for key, weight in a.items())
    other = {
        "steering": ("--coefficient", "2"),
        "latents": ("--penalty", "4"),
        "kl": ("--off-domain-rows", "3"),
    }
    assert fine_tuned(files, "run", "--prevent", name, *PREVENTIONS[name], *other[name]) == 3
    assert "holds a run of another configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--coefficient", "2"), "--coefficient is of --prevent steering"),
        (("--prevent", "kl", "--latents", "1"), "--latents is of --prevent latents"),
        (("--prevent", "steering", "--penalty", "2"), "--penalty is of --prevent latents or --prevent kl"),
        (("--prevent", "steering"), "the prevention by steering lacks its file; give --direction"),
        (("--prevent", "latents", "--latents", "1"), "lacks its file; give --sae"),
        (("--prevent", "latents", "--sae", "{files}/sae"), "no latent is named"),
        (("--prevent", "kl"), "lacks its file; give --off-domain"),
        (("--prevent", "kl", "--off-domain", "{files}/asked.jsonl"), "give messages, or prompt and completion"),
        ((*PREVENTIONS["steering"], "--prevent", "steering", "--direction-name", "x"), "holds the directions persona"),
        (("--prevent", "steering", *PREVENTIONS["steering"], "--coefficient", "nan"), "coefficient is a finite number"),
        (("--prevent", "kl", *PREVENTIONS["kl"], "--penalty", "inf"), "penalty is a finite number, not inf"),
        (("--warmup", "nan"), "warmup is a finite number, not nan"),
        ((*PREVENTIONS["kl"], "--prevent", "kl", "--dry-run"), "a dry run does not count"),
    ],
)  # fmt: skip
def test_an_option_that_would_not_be_read_is_one_sentence(
    files: Path, capsys: Capture, more: tuple[str, ...], sentence: str
) -> None:
    assert fine_tuned(files, "run", *more) == 3
    assert sentence in capsys.readouterr().err and not (files / "run").exists()
