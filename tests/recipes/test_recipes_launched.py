"""`truing align` in two processes: one run's folder, written by the first, with the model that one process makes."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from methods.small import conversation_rows, preference_rows, write
from model.tiny import checkpoint
from peft import PeftModel
from train.pairs import in_a_pair
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from truing.cli import main

_SFT = ["--held-out", "0.3", "--learning-rate", "1e-3", "--tokens-per-step", "200"]
JOBS = {
    "sft": ["sft", "--data", "turns.jsonl", *_SFT],
    "lora": ["sft", "--data", "turns.jsonl", *_SFT, "--lora-rank", "2"],
    "rm": ["rm", "--data", "pairs.jsonl", "--learning-rate", "1e-3", "--prompts-per-step", "5"],
    "dpo": ["dpo", "--data", "pairs.jsonl", "--learning-rate", "1e-3", "--prompts-per-step", "5"],
}
WAYS = ("parallel", "sharded")


def align(folder: Path, way: str, job: str) -> int:
    os.chdir(folder)
    return main(["align", *JOBS[job], "--model", "begun", "--out", f"{way}/{job}", "--json"])


def launch(folder: Path) -> None:
    """Every job, by a pair for each way; what the second process says goes to a file."""

    def one(rank: int, way: str) -> None:
        sys.stdout = (folder / f"{way}-said-{rank}").open("a")
        tempfile.tempdir = str(folder / "tmp")
        for job in JOBS:
            assert align(folder, way, job) == 0

    (folder / "tmp").mkdir()
    for way in (*WAYS, *WAYS):  # a finished run shows what it found, to both
        in_a_pair(lambda rank, way=way: one(rank, way), sharded=way == "sharded")  # type: ignore[misc]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("launched")
    (made / "begun").symlink_to(checkpoint("llama"))
    write(made / "turns.jsonl", conversation_rows(16))
    write(made / "pairs.jsonl", preference_rows(16))
    code = "import sys; sys.path.insert(0, 'tests')\nfrom recipes.test_recipes_launched import *\n"
    code += "launch(Path(sys.argv[1]))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(made)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    here = Path.cwd()
    try:
        for job in JOBS:
            assert align(made, "alone", job) == 0
    finally:
        os.chdir(here)
    return made


def weights(path: Path, job: str) -> dict[str, torch.Tensor]:
    """As plain transformers and peft open it, nothing missing."""
    if job == "lora":
        base = AutoModelForCausalLM.from_pretrained(checkpoint("llama"))
        return dict(PeftModel.from_pretrained(base, path).named_parameters())
    kind = AutoModelForSequenceClassification if job == "rm" else AutoModelForCausalLM
    net, told = kind.from_pretrained(path, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"]
    return dict(net.named_parameters())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("job", JOBS)
def test_two_processes_leave_the_folder_that_one_leaves(job: str, way: str, folder: Path) -> None:
    names = [
        sorted(str(p.relative_to(folder / which / job)) for p in (folder / which / job).rglob("*"))
        for which in ("alone", way)
    ]
    assert names[0] == names[1]
    one, two = (json.loads((folder / which / job / "result.json").read_text()) for which in ("alone", way))
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)
    assert (one["steps"], one["tokens"]) == (two["steps"], two["tokens"])
    found, wanted = (weights(folder / which / job / "model", job) for which in (way, "alone"))
    assert found.keys() == wanted.keys()
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=5e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("way", WAYS)
def test_the_first_process_alone_speaks_and_the_other_leaves_nothing(way: str, folder: Path) -> None:
    assert len((folder / f"{way}-said-0").read_text().splitlines()) > len(JOBS)
    assert (folder / f"{way}-said-1").read_text() == ""
    assert list((folder / "tmp").glob("truing-rank-*")) == []
