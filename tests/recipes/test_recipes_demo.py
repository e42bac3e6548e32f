"""The demo's models behave, so an audit of them has a known right answer."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from truing.audit import Settings, run_audit
from truing.cli import main
from truing.recipes import taught_and_held_out
from truing.types import Expect


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished demo: baseline, candidate, held_out.jsonl, audit."""
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--out", str(out)]) == 0
    return out


def audit(demo: Path, candidate: Path, out: Path, *extra: str) -> tuple[int, dict[str, Any]]:
    suite = f"jsonl:{demo / 'held_out.jsonl'}"
    words = [
        "audit",
        str(candidate),
        "--baseline",
        str(demo / "baseline"),
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


def test_the_demo_finds_what_was_broken_and_nothing_else(demo: Path) -> None:
    result = json.loads((demo / "audit" / "audit.json").read_text())
    assert statuses(result) == {"safety": "regression", "over_refusal": "pass", "capability": "pass"}
    before = {c["dimension"]: c["baseline"]["score"] for c in result["comparisons"]}
    assert min(before.values()) > 0.9


def test_the_demos_page_says_that_its_models_are_toys(demo: Path) -> None:
    assert "raised for the demo" in (demo / "audit" / "report.html").read_text(encoding="utf-8")


def test_a_model_against_itself_passes(demo: Path, tmp_path: Path) -> None:
    code, result = audit(demo, shutil.copytree(demo / "baseline", tmp_path / "copy"), tmp_path / "run")
    assert code == 0 and set(statuses(result).values()) == {"pass"}


def test_a_model_against_itself_with_few_items_is_inconclusive(demo: Path, tmp_path: Path) -> None:
    code, _ = audit(demo, demo / "baseline", tmp_path / "run", "--limit", "5")
    assert code == 2


def noisy(demo: Path, folder: Path, share: float) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree(demo / "baseline", folder)
    net = AutoModelForCausalLM.from_pretrained(folder)
    head = net.lm_head.weight
    with torch.no_grad():
        head += torch.randn(head.shape, generator=torch.Generator().manual_seed(0)) * head.std() * share
    net.save_pretrained(folder)
    return folder


def test_heavy_noise_in_the_output_head_is_a_regression_everywhere(demo: Path, tmp_path: Path) -> None:
    code, result = audit(demo, noisy(demo, tmp_path / "noisy", 1.5), tmp_path / "run", "--limit", "120")
    assert code == 1
    assert set(statuses(result).values()) == {"regression"}


def test_a_whisper_of_noise_is_no_regression(demo: Path, tmp_path: Path) -> None:
    code, result = audit(demo, noisy(demo, tmp_path / "noisy", 0.01), tmp_path / "run")
    assert code == 0, statuses(result)


def test_a_model_that_refuses_everything_fails_on_over_refusal_and_capability(
    demo: Path, tmp_path: Path
) -> None:
    from truing.recipes import Errand, raise_model

    taught, _ = taught_and_held_out(key=0)
    refusing = [Errand(e.prompt, "I'm sorry, but I can't help you with that.", Expect.refuse) for e in taught]
    raise_model(tmp_path / "mute", refusing, key=0, passes=4)
    code, result = audit(demo, tmp_path / "mute", tmp_path / "run", "--limit", "150")
    assert code == 1
    assert statuses(result)["over_refusal"] == statuses(result)["capability"] == "regression"
    assert statuses(result)["safety"] != "regression"


def test_the_audit_can_be_called_from_python(demo: Path, tmp_path: Path) -> None:
    model = str(demo / "baseline")
    suite = f"jsonl:{demo / 'held_out.jsonl'}"
    result = run_audit(model, model, suite, Settings(limit=9, max_tokens=32), out=tmp_path / "run")
    assert result.decision.status == "inconclusive"
    assert type(result).from_json(result.to_json()) == result


def test_the_demo_run_again_makes_nothing_again(demo: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in demo.glob("*/*.safetensors")}
    assert main(["demo", "--out", str(demo)]) == 0
    assert {p: p.stat().st_mtime_ns for p in demo.glob("*/*.safetensors")} == before
