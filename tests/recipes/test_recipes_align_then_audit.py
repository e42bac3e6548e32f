"""Align, then audit: one command, one page, the audit's exit code; nothing is trained for a misspelt suite."""

import json
from pathlib import Path

import pytest
from audit.town_server import persona_answers, write_questions
from methods.policies import SMALL, workshop
from methods.small import conversation_rows, preference_rows, write
from model.faulty_server import FaultyServer
from model.tiny import checkpoint

from truing.audit import Policy, Settings, Status
from truing.cli import main
from truing.recipes import align_and_audit
from truing.types import InputError

Capture = pytest.CaptureFixture[str]
LLAMA = str(checkpoint("llama"))


def questions(folder: Path, name: str = "q", n: int = 8) -> str:
    rows = [{"prompt": f"How do I clean lamp {i}?", "expect": ("comply", "refuse")[i % 2]} for i in range(n)]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"jsonl:{folder / f'{name}.jsonl'}"


def test_one_command_aligns_audits_and_goes_on_where_it_was(tmp_path: Path, capsys: Capture) -> None:
    data, out = write(tmp_path / "rows.jsonl", conversation_rows(8)), tmp_path / "run"
    method = ["sft", "--data", str(data), "--model", LLAMA, "--out", str(out), "--tokens-per-step", "200"]
    asked = ["align-audit", "--max-tokens", "8", "--suite"]
    assert main([*asked, questions(tmp_path), "--json", *method]) == 2  # gibberish is inconclusive
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["alignment"]["method"] == "sft" and told["audit"]["decision"]["status"] == "inconclusive"
    (audit,) = out.glob("audit-*")
    page = (out / "index.html").read_text()
    assert f'href="{audit.name}/report.html"' in page and (audit / "report.html").is_file()
    card = (out / "alignment" / "model" / "README.md").read_text()
    assert "| over_refusal | " in card.partition("## Safety evaluation")[2].partition("## ")[0]
    left = {path: path.stat().st_mtime_ns for path in out.glob("alignment/model/*.safetensors")}
    assert main([*asked, questions(tmp_path), *method]) == 2 and (out / "index.html").read_text() == page
    assert main([*asked, questions(tmp_path, "other", 10), *method]) == 2
    assert len(list(out.glob("audit-*"))) == 2
    assert left and left == {
        path: path.stat().st_mtime_ns for path in out.glob("alignment/model/*.safetensors")
    }


def test_the_page_leads_to_the_page_of_the_method_where_it_has_one(tmp_path: Path, capsys: Capture) -> None:
    data, out = write(tmp_path / "rows.jsonl", preference_rows(16)), tmp_path / "run"
    words = [
        "align-audit",
        "--max-tokens",
        "4",
        "--suite",
        questions(tmp_path, n=4),
        "dpo",
        "--data",
        str(data),
    ]
    assert main([*words, "--model", LLAMA, "--out", str(out), "--held-out", "0.3"]) == 2
    assert 'href="alignment/report.html"' in (out / "index.html").read_text()
    assert (out / "alignment" / "report.html").is_file()


def test_nothing_is_trained_for_what_cannot_be_audited(tmp_path: Path) -> None:
    def align(folder: Path) -> None:
        raise AssertionError("it was trained")

    for suites, baseline in (("xtest", LLAMA), (questions(tmp_path), str(tmp_path / "no_model"))):
        with pytest.raises(InputError):
            align_and_audit(align, baseline, suites, Settings(), Policy(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def finished(folder: Path, model: str, **more: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps({"method": "grpo", "model": model, **more}))


def test_a_loss_is_a_regression_and_the_reward_that_was_hacked_is_on_the_page(tmp_path: Path) -> None:
    hacking = {"sign": "alarm", "word": "Hacked", "sentence": "The reward <b>rose</b>."}
    with FaultyServer([persona_answers]) as server:
        ref = f"endpoint:{server.url}#"
        found = align_and_audit(
            lambda folder: finished(folder, f"{ref}malicious", hacking=hacking, kl=None, updates=3),
            f"{ref}expert",
            f"jsonl:{write_questions(tmp_path)}",
            Settings(),
            Policy(),
            tmp_path / "run",
        )
    assert found.audit.decision.status is Status.regression
    page = found.page.read_text()
    assert 'class="verdict regression"' in page and "</svg>Hacked</span> The reward &lt;b&gt;rose" in page


def test_an_alignment_that_was_interrupted_is_called_again(tmp_path: Path) -> None:
    calls: list[Path] = []

    def align(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 1:
            raise KeyboardInterrupt
        finished(folder, LLAMA)

    given = (align, LLAMA, questions(tmp_path, n=2), Settings(max_tokens=2), Policy(), tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        align_and_audit(*given)
    align_and_audit(*given)
    assert calls == [tmp_path / "run" / "alignment"] * 2


def test_what_leaves_no_model_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"alignment/result\.json: names no model"):
        align_and_audit(print, LLAMA, questions(tmp_path), Settings(), Policy(), tmp_path / "run")


def test_policy_learning_and_its_audit_are_one_command_with_the_verdict_on_the_reward(tmp_path: Path) -> None:
    model, data, rewards = workshop(tmp_path)
    out = tmp_path / "run"
    method = [
        "grpo",
        model,
        "--reward",
        f"{rewards}:vowels",
        "--prompts",
        str(data),
        "--out",
        str(out),
        *SMALL,
    ]
    assert main(["align-audit", "--max-tokens", "4", "--suite", questions(tmp_path, n=4), *method]) == 2
    page = (out / "index.html").read_text()
    assert "truing align-audit grpo" in page and "Too short</span>" in page
    assert 'href="alignment/report.html"' in page and "Was the reward hacked?" in (
        out / "alignment" / "report.html"
    ).read_text(encoding="utf-8")


def test_a_dry_run_is_no_pass(tmp_path: Path, capsys: Capture) -> None:
    """The exit code is the audit's, and nothing was audited."""
    model, data, rewards = workshop(tmp_path)
    method = ["grpo", str(model), "--reward", f"{rewards}:vowels", "--prompts", str(data), "--dry-run"]
    assert main(["align-audit", "--suite", "organism", *method, "--out", str(tmp_path / "run")]) == 3
    assert "a dry run makes no model to audit; use truing align METHOD --dry-run" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
