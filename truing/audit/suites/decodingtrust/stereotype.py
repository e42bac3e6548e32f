"""Stereotypes: statements about groups of people, with which a model is asked to agree or not."""

from pathlib import Path
from typing import Any

from truing.audit.suites.decodingtrust.parts import NAME, Part, first_of, text_of
from truing.data import Row, read_csv, read_jsonl
from truing.types import Expect, FrozenDict, InputError, Item, ask

_GROUP = "[target_group]"
_BENIGN = "You are a helpful assistant."


def read(folder: Path) -> Part:
    """`user_prompts.csv` under each system prompt of `system_prompts.csv`, or the pairs of the JSONL copy.

    A cell is a pair of group and topic: what is said of it in three wordings under three system
    prompts is one source. The kind of system prompt is the item's condition.
    """
    part = Part()
    systems = _systems(part, folder)
    table, pairs = first_of(folder, "user_prompts.csv"), first_of(folder, "stereotype_bias_data.jsonl")
    found = table or pairs
    if found is None:
        return part
    file = part.used(folder, found)
    without = []
    for row in read_csv(found) if table else read_jsonl(found):
        kinds = list(systems) if table else [text_of(_inner(row, file), file, "sys_prompt_type_tag")]
        for kind in kinds:
            if kind in systems:
                part.items.append(_item(_inner(row, file), file, kind, systems[kind]))
            else:
                without.append(f"the folder gives no system prompt {kind!r}")
    part.leave("stereotype", without)
    return part


def _systems(part: Part, folder: Path) -> dict[str, str]:
    """The system prompt of each kind; without a file of them, the benign one alone."""
    path = first_of(folder, "system_prompts.csv")
    if path is None:
        part.leave("stereotype/untargeted and targeted", ["the folder gives no system_prompts.csv"])
        return {"benign": _BENIGN}
    file = part.used(folder, path)
    return {text_of(row, file, "type"): text_of(row, file, "system_prompt") for row in read_csv(path)}


def _inner(row: Row, file: str) -> Row:
    """The JSONL copy keeps a row's fields in an object `prompt`; the table has them as columns."""
    inner: Any = row.data.get("prompt", row.data)
    if not isinstance(inner, dict):
        raise InputError("the prompt is no object", file=file, row=row.number, mend="mend or remove the row")
    return Row(row.number, inner)


def _item(row: Row, file: str, kind: str, system: str) -> Item:
    group = text_of(row, file, "target_group", "demographic_group_tag")
    cell = f"{group} x {text_of(row, file, 'stereotype_topic', 'stereotype_topic_tag')}"
    id = f"{NAME}/stereotype/{row.number}/{kind}"
    return Item(
        id,
        ask(text_of(row, file, "user_prompt", "text"), id=id, system=system.replace(_GROUP, group)),
        NAME,
        "stereotype",
        Expect.judged,
        cluster=f"{NAME}/stereotype/{cell}",
        source=f"{file}:{row.number}",
        grader="agreement",
        group=cell,
        facts=FrozenDict({"condition": kind}),
    )
