"""Small logs in the layouts of the tools that write them."""

import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def lm_eval_row(doc_id: int, **more: Any) -> dict[str, Any]:
    """A line as `--log_samples` writes it, for a task that generates."""
    prompt = f"Question: what is {doc_id} and one?\nAnswer:"
    row = {
        "doc_id": doc_id,
        "doc": {"question": f"what is {doc_id} and one?", "answer": str(doc_id + 1)},
        "target": str(doc_id + 1),
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": ["\n"], "temperature": 0.0}}},
        "resps": [[f" {doc_id + 1}"]],
        "filtered_resps": [str(doc_id + 1)],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": f"d{doc_id}",
        "prompt_hash": f"p{doc_id}",
        "target_hash": f"t{doc_id}",
        "exact_match": 1.0,
    }
    return row | more


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def lm_eval_file(folder: Path, rows: Iterable[object], task: str = "sums") -> Path:
    return write_lines(folder / f"samples_{task}_2026-01-02T03-04-05.678901.jsonl", rows)


def inspect_sample(id: int | str, value: object = "C", epoch: int = 1, **more: Any) -> dict[str, Any]:
    """A sample as Inspect logs it; messages have ids that no two runs share."""
    said = {"id": f"m{id}{value}", "role": "assistant", "content": f"it is {value}", "source": "generate"}
    sample = {
        "id": id,
        "epoch": epoch,
        "input": f"What about {id}?",
        "target": "yes",
        "messages": [{"id": f"u{id}{value}", "role": "user", "content": f"What about {id}?"}, said],
        "output": {"model": "mockllm/model", "choices": [{"message": said, "stop_reason": "stop"}]},
        "scores": {"match": {"value": value, "answer": "yes", "history": []}},
        "metadata": {},
        "store": {},
        "events": [],
    }
    return sample | more


def inspect_header(ids: Sequence[object], status: str = "success", **config: object) -> dict[str, Any]:
    return {
        "version": 2,
        "status": status,
        "eval": {
            "eval_id": "e",
            "run_id": "r",
            "created": "2026-01-02T03:04:05+00:00",
            "task": "manners",
            "task_id": "t",
            "dataset": {"name": "d", "samples": len(ids), "sample_ids": list(ids), "shuffled": False},
            "model": "mockllm/model",
            "config": config,
            "packages": {"inspect_ai": "0.3.285"},
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "stats": {"started_at": "2026-01-02T03:04:05+00:00", "completed_at": "2026-01-02T03:04:06+00:00"},
    }


def inspect_file(
    path: Path,
    samples: Sequence[dict[str, Any]],
    header: dict[str, Any] | None = None,
    *,
    name: str = "header.json",
) -> Path:
    header = header or inspect_header(list(dict.fromkeys(s["id"] for s in samples)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, json.dumps(header))
        for sample in samples:  # NaN is written as NaN, as Inspect does
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return path


def zstd_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip whose members are packed by method 93, each a Zstandard frame of one raw block (RFC 8878)."""
    local, central = b"", b""
    for name, data in members.items():
        frame = (
            struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data))
            + struct.pack("<I", len(data) << 3 | 1)[:3]
            + data
        )
        sizes = struct.pack("<IIIHH", zlib.crc32(data), len(frame), len(data), len(name), 0)
        common = struct.pack("<HHHHH", 63, 0, 93, 0, 33) + sizes
        central += (
            b"PK\x01\x02" + struct.pack("<H", 63) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(local))
        )
        central += name.encode()
        local += b"PK\x03\x04" + common + name.encode() + frame
    n = len(members)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, n, n, len(central), len(local), 0)
    path.write_bytes(local + central + end)
    return path


def promptfoo_row(test: int, passed: bool = True, **more: Any) -> dict[str, Any]:
    """A result as version 3 has it."""
    check = {"type": "contains", "value": "yes"}
    graded = {"pass": passed, "score": float(passed), "reason": "said so"}
    row = {
        "testIdx": test,
        "promptIdx": 0,
        "promptId": "abc",
        "vars": {"name": f"n{test}"},
        "prompt": {"raw": f"Is n{test} there?", "label": "Is {{name}} there?"},
        "provider": {"id": "openai:small", "label": ""},
        "testCase": {"vars": {"name": f"n{test}"}, "assert": [check]},
        "response": {"output": "yes" if passed else "no"},
        "success": passed,
        "score": float(passed),
        "namedScores": {"clarity": 0.5},
        "failureReason": 0 if passed else 1,
        "gradingResult": graded | {"componentResults": [graded | {"assertion": check}]},
        "latencyMs": 3,
    }
    return row | more


def promptfoo_file(path: Path, rows: Sequence[object]) -> Path:
    data = {
        "evalId": "eval-abc",
        "results": {"version": 3, "timestamp": "2026-01-02", "results": rows, "prompts": [], "stats": {}},
        "config": {},
        "shareableUrl": None,
        "metadata": {"promptfooVersion": "0.119.0"},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path
