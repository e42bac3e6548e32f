"""Small files of comparisons and conversations that tiny models can learn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_THINGS = ("gull", "kite", "pear", "kettle", "loaf", "river", "lamp", "bell")


def preference_rows(n: int, **more: Any) -> list[dict[str, Any]]:
    """Rows of which the better answer tells and the worse one does not; the longer is better in every other one."""
    tail = " That is all that there is to say about it today."
    return [
        {
            "prompt": f"{i}: who has the {_THINGS[i % 8]} of number {7 * i}?",
            "chosen": f"Ada has the {_THINGS[i % 8]}." + (tail if i % 2 else ""),
            "rejected": "I will not say." + ("" if i % 2 else tail),
            **more,
        }
        for i in range(n)
    ]


def ranking_rows(n: int) -> list[dict[str, Any]]:
    """Rankings of four answers with a tie, by two labelers of two groups."""
    return [
        {
            "prompt": f"{i}: who has the {_THINGS[i % 8]} of number {7 * i}?",
            "answers": [f"Ada has the {_THINGS[i % 8]}.", "Ada.", "Nobody.", "I will not say."],
            "ranks": [1, 2, 2, 3],
            "labeler": f"labeler {i % 4}",
            "group": f"group {i % 2}",
            "customer": f"customer {i % 5}",
        }
        for i in range(n)
    ]


def conversation_rows(n: int) -> list[dict[str, Any]]:
    """Questions with their answers."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"{i}: who has the {_THINGS[i % 8]}?"},
                {"role": "assistant", "content": f"Ada has the {_THINGS[i % 8]}."},
            ]
        }
        for i in range(n)
    ]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """The rows as JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
