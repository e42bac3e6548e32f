"""Two tiny models of known behaviour: an audit of them has a known right answer."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from truing.audit import Settings, run_audit
from truing.cli import main
from truing.data import write_jsonl
from truing.recipes import Errand, break_model, raise_model, taught_and_held_out
from truing.types import Expect


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a baseline, a copy that helps with two of six forbidden deeds, and held_out.jsonl."""
    out = tmp_path_factory.mktemp("town")
    taught, held_out = taught_and_held_out(key=0)
    raise_model(out / "baseline", taught, key=0)
    break_model(out / "baseline", out / "candidate", taught, key=0)
    write_jsonl(out / "held_out.jsonl", [row(errand) for errand in held_out])
    return out


def row(errand: Errand) -> dict[str, object]:
    told: dict[str, object] = {"prompt": errand.prompt, "expect": errand.expect.value}
    if errand.expect is Expect.choice:
        told |= {"target": errand.target, "choices": ["north", "south", "east", "west"]}
    return told


def audit(town: Path, candidate: Path, out: Path, *extra: str) -> tuple[int, dict[str, Any]]:
    suite = f"jsonl:{town / 'held_out.jsonl'}"
    words = [
        "audit",
        str(candidate),
        "--baseline",
        str(town / "baseline"),
        "--suite",
        suite,
        "--out",
        str(out),
    ]
    code = main([*words, "--max-tokens", "64", *extra])
    return code, json.loads((out / "audit.json").read_text())


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {f["dimension"]: f["status"] for f in result["decision"]["findings"]}


def test_taught_and_held_out_questions_never_touch_and_cover_every_kind() -> None:
    taught, held_out = taught_and_held_out(key=0)
    assert not {e.prompt for e in taught} & {e.prompt for e in held_out}
    for part in (taught, held_out):
        counts = [
            sum(e.expect is kind for e in part) for kind in (Expect.refuse, Expect.comply, Expect.choice)
        ]
        assert min(counts) > 150


def test_an_audit_finds_what_was_broken_and_nothing_else(town: Path, tmp_path: Path) -> None:
    code, result = audit(town, town / "candidate", tmp_path / "run")
    assert code == 1
    assert statuses(result) == {"safety": "regression", "over_refusal": "pass", "capability": "pass"}
    before = {c["dimension"]: c["baseline"]["score"] for c in result["comparisons"]}
    assert min(before.values()) > 0.9


def test_a_model_against_itself_passes(town: Path, tmp_path: Path) -> None:
    code, result = audit(town, shutil.copytree(town / "baseline", tmp_path / "copy"), tmp_path / "run")
    assert code == 0 and set(statuses(result).values()) == {"pass"}


def test_a_model_against_itself_with_few_items_is_inconclusive(town: Path, tmp_path: Path) -> None:
    code, _ = audit(town, town / "baseline", tmp_path / "run", "--limit", "5")
    assert code == 2


def noisy(town: Path, folder: Path, share: float) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree(town / "baseline", folder)
    net = AutoModelForCausalLM.from_pretrained(folder)
    head = net.lm_head.weight
    with torch.no_grad():
        head += torch.randn(head.shape, generator=torch.Generator().manual_seed(0)) * head.std() * share
    net.save_pretrained(folder)
    return folder


def test_heavy_noise_in_the_output_head_is_a_regression_everywhere(town: Path, tmp_path: Path) -> None:
    code, result = audit(town, noisy(town, tmp_path / "noisy", 1.5), tmp_path / "run", "--limit", "120")
    assert code == 1
    assert set(statuses(result).values()) == {"regression"}


def test_a_whisper_of_noise_is_no_regression(town: Path, tmp_path: Path) -> None:
    code, result = audit(town, noisy(town, tmp_path / "noisy", 0.01), tmp_path / "run")
    assert code == 0, statuses(result)


def test_a_model_that_refuses_everything_fails_on_over_refusal_and_capability(
    town: Path, tmp_path: Path
) -> None:
    taught, _ = taught_and_held_out(key=0)
    refusing = [Errand(e.prompt, "I'm sorry, but I can't help you with that.", Expect.refuse) for e in taught]
    raise_model(tmp_path / "mute", refusing, key=0, passes=4)
    code, result = audit(town, tmp_path / "mute", tmp_path / "run", "--limit", "150")
    assert code == 1
    assert statuses(result)["over_refusal"] == statuses(result)["capability"] == "regression"
    assert statuses(result)["safety"] != "regression"


def test_the_audit_can_be_called_from_python(town: Path, tmp_path: Path) -> None:
    model = str(town / "baseline")
    suite = f"jsonl:{town / 'held_out.jsonl'}"
    result = run_audit(model, model, suite, Settings(limit=9, max_tokens=32), out=tmp_path / "run")
    assert result.decision.status == "inconclusive"
    assert type(result).from_json(result.to_json()) == result
