"""The core audits endpoints without torch, and says what a local model needs."""

import json
import subprocess
import sys
from pathlib import Path

from model.faulty_server import FaultyServer

BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        absent = "torch transformers accelerate peft safetensors tokenizers huggingface_hub".split()
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from truing.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", BLOCKED, *words], capture_output=True, text=True)


def reply(exchange) -> None:  # type: ignore[no-untyped-def]
    choice = {"index": 0, "message": {"role": "assistant", "content": "#### 2"}, "finish_reason": "stop"}
    exchange.json({"object": "chat.completion", "model": exchange.body["model"], "choices": [choice]})


def test_two_endpoints_are_audited_without_torch(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(
        json.dumps({"prompt": "1 + 1?", "expect": "number", "target": "2"}) + "\n"
    )
    with FaultyServer([reply]) as server:
        ref = f"endpoint:{server.url}#"
        words = ("audit", ref + "a", "--baseline", ref + "b", "--suite", f"jsonl:{tmp_path / 'q.jsonl'}")
        done = run(*words, "--out", str(tmp_path / "run"))
    assert done.returncode == 2, done.stderr
    assert (tmp_path / "run" / "report.html").exists()


def test_a_local_model_without_torch_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "q.jsonl").write_text(
        json.dumps({"prompt": "1 + 1?", "expect": "number", "target": "2"}) + "\n"
    )
    words = ("audit", str(tmp_path), "--baseline", str(tmp_path), "--suite", f"jsonl:{tmp_path / 'q.jsonl'}")
    done = run(*words, "--out", str(tmp_path / "run"))
    assert done.returncode == 3 and "Traceback" not in done.stderr, done.stderr
