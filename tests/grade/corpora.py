"""Readers of the public data that the graders are fitted and measured on."""

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

from shared_data import shared

_TURN = re.compile(r"\n\n(?:Human|Assistant): ")
XSTEST = ("llama2new", "mistralguard", "mistralinstruct")


def _jsonl(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.decode("utf-8").split("\n") if line.strip()]


def dialogues(half: int) -> list[list[str]]:
    """The turns of every second chosen dialogue of HH-RLHF."""
    found = []
    for part in ("helpful-base", "harmless-base"):
        rows = _jsonl(shared(f"hh_rlhf/{part}/test.jsonl.gz"))
        found += [_TURN.split(row["chosen"])[1:] for row in rows[half::2]]
    return found


def sums(half: int) -> list[str]:
    """Every second worked answer of GSM8K."""
    return [row["answer"] for row in _jsonl(shared("gsm8k/test.jsonl"))[half::2]]


def specification() -> list[str]:
    """The prose lines of the Model Spec."""
    lines = shared("model_spec/model_spec.md").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if len(line.split()) > 4]


def fitting_texts() -> list[str]:
    """What the table of word order is fitted on: the even halves."""
    return [turn for turns in dialogues(0) for turn in turns] + sums(0) + specification()


def rbr_gold() -> list[dict[str, Any]]:
    """Prompt, completion and 23 propositions."""
    return _jsonl(shared("rbr_gold/train.jsonl"))


def xstest(model: str) -> list[dict[str, str]]:
    """Prompts and answers of one model with the final label of two people."""
    with shared(f"xstest/completions/xstest_v2_completions_{model}.csv").open(
        encoding="utf-8", newline=""
    ) as f:
        return list(csv.DictReader(f))
