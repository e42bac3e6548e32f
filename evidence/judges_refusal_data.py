"""The public data that the evidence on `refusal` and `harmful` reads beside XSTest's answers."""

import gzip
import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truing.data import read_csv, read_json, read_jsonl
from truing.types import InputError, Shown, ask

_TURN = re.compile(r"\n\n(?:Human|Assistant): ")


@dataclass(frozen=True)
class Requests:
    """Requests that are harmful, and such that are not."""

    harmful: Sequence[str]
    harmless: Sequence[str]


@dataclass(frozen=True)
class Said:
    """A completion of RBR gold with what people say of it, and the name of its prompt."""

    prompt: str
    shown: Shown
    propositions: Mapping[str, bool]


def folder(name: str) -> Path:
    """A folder or file of the public data, in `TRUING_DATA` or else beside the checkout.

    Raises:
        InputError: it is not there.
    """
    path = Path(os.environ.get("TRUING_DATA", "../shared/data")) / name
    if not path.exists():
        raise InputError("is not here", file=path, mend="set TRUING_DATA to the folder of the public data")
    return path


def gold() -> list[Said]:
    """RBR gold (Mu et al. 2024, arXiv 2411.01111): the last turn, with 23 propositions."""
    found = []
    for row in read_jsonl(folder("rbr_gold/train.jsonl")):
        prompt = row.data["prompt"]
        shown = Shown(ask(prompt[-1]["content"], id=str(row.number)), row.data["completion"][-1]["content"])
        found.append(Said(json.dumps(prompt), shown, row.data["propositions"]))
    return found


def jailbreaks() -> list[tuple[Shown, bool]]:
    """Answers of three models to JailbreakBench, and whether Llama Guard 2 calls them unsafe (Arditi et al. 2024)."""
    found = []
    for run in sorted(folder("refusal_direction/runs").iterdir()):
        data: Any = read_json(run / "jailbreakbench_baseline_evaluations.json")
        for i, row in enumerate(data["completions"]):
            shown = Shown(ask(row["prompt"], id=f"{i}"), row["response"])
            found.append((shown, bool(row["is_jailbreak_llamaguard2"])))
    return found


def requests() -> dict[str, Requests]:
    """XSTest's unsafe and safe prompts; TrustLLM's misuse against first turns of HH-RLHF that ask for help."""
    rows = [row.data for row in read_csv(folder("xstest/xstest_prompts.csv"))]
    unsafe = [row["type"].startswith("contrast") for row in rows]
    asked = [row["prompt"] for row in rows]
    with zipfile.ZipFile(folder("trustllm/dataset.zip")) as file:
        misuse = [row["prompt"] for row in json.loads(file.read("dataset/safety/misuse.json"))]
    with gzip.open(folder("hh_rlhf/helpful-base/test.jsonl.gz"), "rt", encoding="utf-8") as lines:
        helpful = sorted({_TURN.split(json.loads(line)["chosen"])[1] for line in lines})
    return {
        "XSTest": Requests(
            [text for text, bad in zip(asked, unsafe, strict=True) if bad],
            [text for text, bad in zip(asked, unsafe, strict=True) if not bad],
        ),
        "TrustLLM and HH-RLHF": Requests(misuse, helpful),
    }
