"""BBQ (Parrish et al. 2022, arXiv 2110.08193): bias questions in ambiguous and clear contexts."""

from collections.abc import Mapping
from pathlib import Path

from truing.audit.suites.base import Loaded, Unmeasured
from truing.audit.suites.sources import (
    Source,
    file_digest,
    find_files,
    read_rows,
    read_sources,
    text_field,
)
from truing.data import Row
from truing.types import Expect, FrozenDict, InputError, Item, ask

_DIMENSIONS = {"ambig": "bias_ambiguous", "disambig": "bias_clear"}
_POLARITIES = ("neg", "nonneg")
_METADATA = "additional_metadata.csv"
_UNKNOWN = "unknown"

Targets = Mapping[tuple[str, str], str]
"""(category, example_id) -> place of the answer that names the stereotyped group, as the metadata write it."""


class BBQ:
    """Accuracy: in an ambiguous context the unknown answer is the right one.

    The two contexts are dimensions of their own, since a model may gain one and lose the other.
    Questions from one template are paraphrases and share a cluster. An item's facts say which answer
    is the biased one: in a negative question the stereotyped group, in its positive twin the other.
    """

    name = "bbq"
    version = "2"

    def load(self, source: str | None) -> Loaded:
        """Read every category (`*.jsonl`) that lies in the folder, and `additional_metadata.csv` if it does.

        Where the metadata do not tell, the stereotyped group is taken from the row itself, if it names
        exactly one of the answers.
        """
        sources = read_sources(self.name, source, "*.jsonl", split="test")
        files = {s.name: s.digest for s in sources}
        metadata = _metadata(source)
        if metadata is not None:
            files[metadata.name] = file_digest(metadata)
        targets = _targets(metadata) if metadata is not None else {}
        items = [self._item(row, file, targets) for file in sources for row in file.rows]
        undirected = sum(not item.facts for item in items)
        direction = Unmeasured(
            "bbq: direction of the errors",
            undirected,
            f"neither {_METADATA} nor the row tells which answer is the stereotyped one",
        )
        return Loaded(self.name, self.version, tuple(items), files, (direction,) if undirected else ())

    def _item(self, row: Row, file: Source, targets: Targets) -> Item:
        answers = tuple(text_field(row, f"ans{i}", file.name) for i in range(3))
        label = row.data.get("label")
        if not isinstance(label, int) or not 0 <= label < 3:
            raise InputError(
                "the label is not 0, 1 or 2", file=file.name, row=row.number, mend="mend the row"
            )
        category = text_field(row, "category", file.name)
        condition = text_field(row, "context_condition", file.name)
        if condition not in _DIMENSIONS:
            raise InputError(
                f"the context_condition is {condition!r}",
                file=file.name,
                row=row.number,
                mend="it is ambig or disambig",
            )
        id = f"{self.name}/{file.name.removesuffix('.jsonl')}/{row.number}"
        options = "\n".join(f"{letter}. {answer}" for letter, answer in zip("ABC", answers, strict=True))
        prompt = (
            f"{text_field(row, 'context', file.name)} {text_field(row, 'question', file.name)}\n{options}\n"
            "Answer with the letter of one option."
        )
        return Item(
            id,
            ask(prompt, id=id),
            self.name,
            _DIMENSIONS[condition],
            Expect.choice,
            answers[label],
            choices=answers,
            cluster=f"{category}/{row.data.get('question_index')}",
            source=f"{file.name}:{row.number}",
            group=category,
            facts=_facts(row, answers, targets.get((category, str(row.data.get("example_id"))), "")),
        )


def _metadata(source: str | None) -> Path | None:
    """The metadata file that lies in the folder of the categories, or beside a single one."""
    folder = str(Path(source).parent) if source is not None and Path(source).is_file() else source
    try:
        return find_files(BBQ.name, folder, _METADATA)[0]
    except InputError:
        return None


def _targets(path: Path) -> Targets:
    return {
        (text_field(row, "category", path), text_field(row, "example_id", path)): text_field(
            row, "target_loc", path
        )
        for row in read_rows(path)
    }


def _facts(row: Row, answers: tuple[str, ...], target_loc: str) -> FrozenDict:
    """Which answer is `biased` and which is `unknown`; nothing where that cannot be told."""
    info, more = row.data.get("answer_info"), row.data.get("additional_metadata")
    told = more.get("stereotyped_groups") if isinstance(more, dict) else None
    groups = {str(group).casefold() for group in told} if isinstance(told, list) else set()
    try:
        tags = [str(info[f"ans{i}"][1]).casefold() for i in range(3)]  # type: ignore[index]
        negative = _POLARITIES.index(row.data.get("question_polarity")) == 0
    except (KeyError, IndexError, TypeError, ValueError):
        return FrozenDict()
    named = [int(target_loc)] if target_loc in ("0", "1", "2") else [i for i in range(3) if tags[i] in groups]
    people = [i for i in range(3) if tags[i] != _UNKNOWN]
    if len(people) != 2 or len(named) != 1 or named[0] not in people:
        return FrozenDict()
    biased = named[0] if negative else sum(people) - named[0]
    return FrozenDict({"biased": answers[biased], "unknown": answers[3 - sum(people)]})
