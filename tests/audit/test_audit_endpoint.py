"""An audit through endpoints, against a server whose answers are scripted."""

import json
from pathlib import Path
from typing import Any

import pytest
from model.faulty_server import FaultyServer, quick_and_keyless  # noqa: F401

from truing.cli import main

pytestmark = pytest.mark.usefixtures("quick_and_keyless")


def answer(exchange: Any, text: str) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    exchange.json({"object": "chat.completion", "model": exchange.body["model"], "choices": [choice]})


def audit(
    server: FaultyServer, folder: Path, n: int, *, out: str = "run", kind: str = "number"
) -> tuple[int, dict[str, Any]]:
    rows = [{"prompt": f"What is {i} plus 1?", "expect": kind, "target": str(i + 1)} for i in range(n)]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ref = f"endpoint:{server.url}#"
    words = ["audit", ref + "new", "--baseline", ref + "old", "--suite", f"jsonl:{folder / 'q.jsonl'}"]
    code = main([*words, "--out", str(folder / out)])
    path = folder / out / "audit.json"
    return code, json.loads(path.read_text()) if path.exists() else {}


def right(exchange: Any) -> str:
    return str(int(exchange.last.split()[2]) + 1)


def test_equal_answers_pass_and_the_report_says_nothing_about_random_weights(tmp_path: Path) -> None:
    with FaultyServer([lambda e: answer(e, f"#### {right(e)}")]) as server:
        code, found = audit(server, tmp_path, 200)
    assert code == 0, found["decision"]
    assert found["candidate"].get("ground", "") == ""


def test_one_wrong_answer_in_eight_is_a_regression(tmp_path: Path) -> None:
    def reply(e: Any) -> None:
        worse = e.body["model"] == "new" and int(right(e)) % 8 == 0
        answer(e, "#### 0" if worse else f"#### {right(e)}")

    with FaultyServer([reply]) as server:
        code, found = audit(server, tmp_path, 200)
    (comparison,) = found["comparisons"]
    assert code == 1 and (comparison["losses"], comparison.get("gains", 0)) == (25, 0)
    assert comparison["p"] == pytest.approx(0.5**25)


def test_an_endpoint_that_goes_down_loses_nothing_it_answered_and_the_run_goes_on_later(
    tmp_path: Path,
) -> None:
    asked: list[str] = []
    down = [True]

    def reply(e: Any) -> None:
        if down[0] and len(asked) >= 40:
            e.json({"error": {"message": "gone"}}, 503)
        else:
            asked.append(e.last)
            answer(e, f"#### {right(e)}")

    with FaultyServer([reply]) as server:
        code, _ = audit(server, tmp_path, 60)
        assert code == 4
        kept = (tmp_path / "run" / "journal" / "baseline.jsonl").read_bytes().count(b"\n")
        assert kept >= 20
        down[0] = False
        before = len(asked)
        code, found = audit(server, tmp_path, 60)
    assert found["comparisons"][0]["baseline"]["outcomes"] == {"decided": 60}
    assert len(asked) - before == 120 - kept


def test_what_was_seen_of_an_endpoint_survives_a_crash_after_the_last_batch(tmp_path: Path) -> None:
    def reply(e: Any) -> None:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": f"#### {right(e)}"},
            "finish_reason": "stop",
        }
        e.json({"object": "chat.completion", "model": "quite-another", "choices": [choice]})

    with FaultyServer([reply]) as server:
        audit(server, tmp_path, 5)
        before = (tmp_path / "run" / "audit.json").read_bytes()
        for name in ("audit.json", "report.html"):
            (tmp_path / "run" / name).unlink()
        audit(server, tmp_path, 5)
    assert b"quite-another" in before
    assert (tmp_path / "run" / "audit.json").read_bytes() == before
