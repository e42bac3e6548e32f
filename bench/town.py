"""Audits in this process that peers are compared with: two small models, closed questions of the town."""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from unittest.mock import patch

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: for the threads that a peer starts, too
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformers import GenerationMixin

from bench.pairs import Stopwatch, time_pairs
from truing.audit import Policy, Settings, plan_items, run_audit
from truing.data import from_messages, read_jsonl, write_jsonl
from truing.model.local import decode
from truing.types import Item

MODELS = {"baseline": "organism:instruct", "candidate": "organism:helpful"}
QUESTIONS = 256
NEW = 64
"""Tokens that an answer may have."""
_SAME = 0.98
"""The least share of equal answers: float32 sums of another order may turn a close choice of words."""

Peer = Callable[[Sequence[Item], Path], dict[str, dict[str, str]]]
"""Asks the questions of both models, scores and logs into a folder; gives side -> id -> answer."""


def compare_audits(name: str, peer: Peer, *, pairs: int) -> int:
    """Print whose time goes where, and last the JSON line; fail if the peer did other work than we.

    Ours is all of `run_audit`: it loads both models, asks, journals, judges, compares and writes the
    report. A peer has its models loaded already, and has neither comparison nor report to write.
    """
    with tempfile.TemporaryDirectory() as place:
        folder, runs = Path(place), count()
        file = _questions(folder / "town.jsonl")
        items = plan_items(f"jsonl:{file}", Settings(), Policy()).items
        model, whole = _watches(), _watches()
        told: dict[str, dict[str, dict[str, str]]] = {}

        def ours() -> None:
            out = folder / f"ours-{next(runs)}"
            with patch("truing.model.local.decode", model["ours"].around(decode)):
                run_audit(
                    MODELS["candidate"],
                    MODELS["baseline"],
                    f"jsonl:{file}",
                    Settings(max_tokens=NEW),
                    out=out,
                )
            told["ours"] = {side: _answers(out / "journal" / f"{side}.jsonl") for side in MODELS}

        def theirs() -> None:
            timed = model["peer"].around(GenerationMixin.generate)
            with patch.object(GenerationMixin, "generate", lambda *values, **named: timed(*values, **named)):
                told["peer"] = peer(items, folder / f"peer-{next(runs)}")

        result = time_pairs(
            f"audit of {len(MODELS)} models on {len(items)} questions, to the report, against {name}",
            whole["ours"].around(ours),
            whole["peer"].around(theirs),
            pairs=pairs,
        )
    same = [told["peer"][s].get(i) == text for s in MODELS for i, text in told["ours"][s].items()]
    for side, answers in (("ours", result["ours"]), ("peer", result["peer"])):
        share = sum(model[side].times) / sum(whole[side].times)
        rate = len(MODELS) * len(items) / answers
        print(
            f"{side}: {rate:.1f} answers a second, {share:.0%} of the time in the model, {1 - share:.0%} around it"
        )
    print(f"{sum(same)} of {len(same)} answers are the same on both sides")
    print(json.dumps(result))
    return int(sum(same) < _SAME * len(same))


def _watches() -> dict[str, Stopwatch]:
    return {"ours": Stopwatch(), "peer": Stopwatch()}


def _questions(file: Path) -> Path:
    """Questions of every dimension, all with one short target: scoring must cost a peer nothing."""
    drawn = plan_items("organism", Settings(limit=QUESTIONS), Policy()).items
    rows = [
        {"id": str(i), "messages": from_messages(item.request.messages), "dimension": item.dimension,
         "expect": "text", "target": "kettle"}
        for i, item in enumerate(drawn)
    ]  # fmt: skip
    write_jsonl(file, rows)
    return file


def _answers(journal: Path) -> dict[str, str]:
    return {row.data["key"]: row.data["row"]["text"] for row in read_jsonl(journal)}
