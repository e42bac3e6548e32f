"""Whole audits of random-weight models: gibberish is never safety, and a run is a function of its inputs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from model.tiny import checkpoint, make_checkpoint
from shared_data import shared

from truing.cli import main

SUITES = ",".join(
    f"{name}:{{}}/{folder}"
    for name, folder in [("xstest", "xstest"), ("trustllm", "trustllm"), ("bbq", "bbq"), ("gsm8k", "gsm8k")]
)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One audit of two random Qwen3 folders on the four suites; its exit code is in `exit`."""
    out = tmp_path_factory.mktemp("audit")
    models = [
        str(make_checkpoint(out / name, "qwen3", seed, "qwen3", max_position_embeddings=4096))
        for seed, name in enumerate("ab")
    ]
    suites = SUITES.format(*[shared("xstest").parent] * 4)
    code = main(
        [
            "audit",
            models[0],
            "--baseline",
            models[1],
            "--suite",
            suites,
            "--limit",
            "14",
            "--max-tokens",
            "24",
            "--out",
            str(out / "run"),
        ]
    )
    (out / "exit").write_text(str(code))
    return out


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "audit.json").read_text())  # type: ignore[no-any-return]


def test_gibberish_is_inconclusive(audited: Path) -> None:
    assert (audited / "exit").read_text() == "2"
    decision = result(audited / "run")["decision"]
    assert decision["status"] == "inconclusive"
    assert {f["status"] for f in decision["findings"]} == {"inconclusive"}


def test_gibberish_is_neither_safe_nor_refusing_nor_right(audited: Path) -> None:
    for comparison in result(audited / "run")["comparisons"]:
        for side in ("baseline", "candidate"):
            assert comparison[side].get("score") in (None, 0.0), comparison
            # A stray digit in a short answer to a sum is read as a number, and is wrong.
            assert comparison[side]["covered"] <= 0.15, comparison
            assert "refused" not in comparison[side]["outcomes"], comparison


def test_every_dimension_of_the_four_suites_was_asked_and_what_was_not_is_listed(audited: Path) -> None:
    found = result(audited / "run")
    assert {c["dimension"] for c in found["comparisons"]} == {
        "over_refusal", "safety", "truthfulness", "fairness", "robustness", "privacy", "ethics",
        "bias_ambiguous", "bias_clear", "capability", "stereotype", "stereotype_refusal", "unknowable_refusal",
    }  # fmt: skip
    assert {n["what"] for n in found["not_asked"]} >= {"trustllm/sycophancy", "trustllm/disparagement"}


def test_the_page_and_the_json_say_that_the_weights_are_random(audited: Path) -> None:
    assert "random" in result(audited / "run")["candidate"]["ground"]
    assert "random weights" in (audited / "run" / "report.html").read_text(encoding="utf-8")


def test_the_decoding_is_part_of_the_run_and_of_the_page(audited: Path) -> None:
    assert json.loads((audited / "run" / "run.json").read_text())["config"]["settings"]["max_tokens"] == 24
    assert "greedy, at most 24 tokens" in (audited / "run" / "report.html").read_text(encoding="utf-8")


def test_a_finished_run_is_not_asked_again_and_keeps_its_bytes(
    audited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = audited / "run"
    names = ("audit.json", "report.html", "journal/baseline.jsonl", "journal/candidate.jsonl")
    before = [(run / name).read_bytes() for name in names]
    config = json.loads((run / "run.json").read_text())["config"]
    monkeypatch.setattr(
        "truing.audit.engine.load", lambda *_, **__: pytest.fail("a finished run needs no model")
    )
    code = main(
        [
            "audit",
            config["candidate"],
            "--baseline",
            config["baseline"],
            "--suite",
            config["suites"],
            "--limit",
            "14",
            "--max-tokens",
            "24",
            "--out",
            str(run),
        ]
    )
    assert code == 2
    assert [(run / name).read_bytes() for name in names] == before


def test_the_same_folder_twice_gives_identical_journals(tmp_path: Path) -> None:
    first = checkpoint("qwen3", chat_template="qwen3")
    second = shutil.copytree(first, tmp_path / "copy")
    suite = f"xstest:{shared('xstest')}"
    for decoding in ([], ["--temperature", "0.8", "--top-p", "0.9"]):
        out = tmp_path / f"run{len(decoding)}"
        main(
            [
                "audit",
                str(first),
                "--baseline",
                str(second),
                "--suite",
                suite,
                "--limit",
                "40",
                "--max-tokens",
                "16",
                "--out",
                str(out),
                *decoding,
            ]
        )
        journals = [(out / "journal" / f"{side}.jsonl").read_bytes() for side in ("baseline", "candidate")]
        assert journals[0] == journals[1] and journals[0].count(b"\n") == 40
        assert {c["unchanged"] for c in result(out)["comparisons"]} == {1.0}


def test_noise_in_the_output_head_is_seen_as_changed_text(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    plain = checkpoint("llama", chat_template="chatml")
    noisy = shutil.copytree(plain, tmp_path / "noisy")
    net = AutoModelForCausalLM.from_pretrained(plain)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        net.lm_head.weight += (
            torch.randn(net.lm_head.weight.shape, generator=generator) * net.lm_head.weight.std()
        )
    net.save_pretrained(noisy)
    out = tmp_path / "run"
    main(
        [
            "audit",
            str(noisy),
            "--baseline",
            str(plain),
            "--suite",
            f"xstest:{shared('xstest')}",
            "--limit",
            "30",
            "--max-tokens",
            "16",
            "--out",
            str(out),
        ]
    )
    found = result(out)
    assert max(c["unchanged"] for c in found["comparisons"]) < 0.2
    assert found["candidate"]["fingerprint"] != found["baseline"]["fingerprint"]


def test_another_configuration_in_the_folder_is_refused_with_what_differs(
    audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((audited / "run" / "run.json").read_text())["config"]
    arguments = [
        "audit",
        config["candidate"],
        "--baseline",
        config["baseline"],
        "--suite",
        config["suites"],
        "--out",
        str(audited / "run"),
    ]
    assert main([*arguments, "--limit", "14", "--max-tokens", "25"]) == 3
    assert "max_tokens" in capsys.readouterr().err
