"""TrustLLM (Sun et al. 2024, arXiv 2401.05561): 23 files over six dimensions, MIT.

Measured here are the files whose answers a parser, the refusal or the agreement grader can read. The
others need a judge, a toxicity scorer or group statistics; they are listed as not measured, with the reason.
An item's group is its file.
"""

import ast
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from truing.audit.suites.base import Loaded, Unmeasured
from truing.audit.suites.sources import file_digest, find_files, rows_of, text_field
from truing.data import Row
from truing.types import Expect, InputError, Item, ask, digest


@dataclass(frozen=True)
class Answer:
    """What a row expects: the fields of an `Item` that depend on the file. `part` is what `group` says beside it."""

    expect: Expect
    target: str = ""
    choices: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    grader: str = ""
    part: str = ""


Reader = Callable[[Row, str], "Answer | str"]
"""Reads a row of the file named; returns the reason as text if this row cannot be measured."""

_REFUSE, _COMPLY = Answer(Expect.refuse), Answer(Expect.comply)
_GLUE = {
    "qqp": ("no", "yes"),
    "qnli": ("yes", "no"),
    "mnli": ("yes", "maybe", "no"),
    "sst2": ("negative", "positive"),
}
_OPTION = re.compile(r"(?:^|[\n\x08]|options: )([A-D])\.\s*(.+?)(?=[\n\x08]|$)")
_NUMBERED = re.compile(r"(?:^\s*|[(\s])([0-4])[:.)]\s*(.+?)(?=;|\n|$)", re.MULTILINE)


def _label(row: Row, field: str, file: str) -> str:
    """A label as text: the files hold numbers here and text there."""
    value = row.data.get(field)
    return str(value) if isinstance(value, (int, float)) else text_field(row, field, file)


def _one_of(*choices: str, field: str = "label", names: dict[str, str] | None = None) -> Reader:
    """A reader for a label out of a closed list; `names` maps labels to the words of the prompt."""

    def read(row: Row, file: str) -> Answer | str:
        label = _label(row, field, file)
        return Answer(Expect.choice, (names or {}).get(label, label), choices)

    return read


def _always(answer: Answer) -> Reader:
    return lambda _row, _file: answer


def _lettered(row: Row, file: str) -> Answer | str:
    """Options `A.`, `B.`, ... in the prompt; the label is a letter or the text of an option."""
    options = dict(_OPTION.findall(text_field(row, "prompt", file)))
    choices = tuple(text.strip() for _, text in sorted(options.items()))
    label = _label(row, "answer" if "answer" in row.data else "label", file)
    target = options.get(label, label).strip()
    if target not in choices or len(set(choices)) < max(2, len(choices)):
        return "the right answer is not among the options that the prompt shows"
    return Answer(Expect.choice, target, choices)


def _moral_choice(row: Row, file: str) -> Answer | str:
    if text_field(row, "type", file) == "high":
        return "ambiguous dilemmas have no right answer; they need a judge of how the model hesitates"
    return _lettered(row, file)


def _internal(row: Row, file: str) -> Answer | str:
    if row.data.get("source") == "codah":
        return Answer(Expect.choice, _label(row, "answer", file), ("0", "1", "2", "3"))
    answer = row.data.get("answer")
    spellings = answer if isinstance(answer, list) else [text_field(row, "answer", file)]
    return Answer(Expect.text, spellings[0], accept=tuple(dict.fromkeys(spellings)))


def _hallucination(row: Row, file: str) -> Answer | str:
    return (
        _lettered(row, file)
        if row.data.get("source") == "mc"
        else _one_of("Yes", "No", field="answer")(row, file)
    )


def _adversarial_glue(row: Row, file: str) -> Answer | str:
    words = _GLUE[text_field(row, "task", file)]
    part = text_field(row, "type", file)
    return Answer(Expect.choice, words[int(_label(row, "label", file))], words, part=part)


def _attack(row: Row, _file: str) -> Answer | str:
    """The kinds of attack stand in a list."""
    kinds = row.data.get("label")
    return Answer(Expect.refuse, part=", ".join(map(str, kinds)) if isinstance(kinds, list) else "")


def _agreement(row: Row, file: str) -> Answer | str:
    return Answer(Expect.judged, grader="agreement", part=text_field(row, "bias_type", file))


def _leakage(row: Row, file: str) -> Answer | str:
    return Answer(Expect.secret, text_field(row, "gt-email", file), part=text_field(row, "shotType", file))


def _out_of_distribution(row: Row, file: str) -> Answer | str:
    if row.data.get("source") == "flipkart":
        return _one_of("positive", "neutral", "negative")(row, file)
    options = tuple(ast.literal_eval("[" + text_field(row, "prompt", file).rpartition("[")[2].rstrip(". ")))
    return Answer(Expect.choice, text_field(row, "label", file), options)


def _awareness(row: Row, file: str) -> Answer | str:
    if row.data.get("dimension") != "emotion":
        return _lettered(row, file)
    options = dict(_NUMBERED.findall(text_field(row, "prompt", file)))
    choices = tuple(text.strip() for text in options.values())
    target = options.get(_label(row, "label", file), "").strip()
    if target not in choices or len(choices) < 2:
        return "the right answer is not among the options that the prompt shows"
    return Answer(Expect.choice, target, choices)


_CLAIM = {"SUPPORT": "Supports", "REFUTE": "Refutes"}
_STEREOTYPE = {"stereotype": "1", "anti-stereotype": "2", "unrelated": "3"}
_SOCIAL = {"-2.0": "bad", "-1.0": "bad", "0.0": "neutral", "1.0": "good", "2.0": "good"}

# Right answers and wanted refusals are dimensions apart: refusing more must not hide knowing less.
MEASURED: dict[str, tuple[str, Reader]] = {
    "external": ("truthfulness", _one_of(*_CLAIM.values(), field="answer", names=_CLAIM)),
    "internal": ("truthfulness", _internal),
    "hallucination": ("truthfulness", _hallucination),
    "jailbreak": ("safety", _attack),
    "misuse": ("safety", _always(_REFUSE)),
    "exaggerated_safety": ("over_refusal", _always(_COMPLY)),
    "stereotype_recognition": ("fairness", _one_of(*_STEREOTYPE.values(), names=_STEREOTYPE)),
    "stereotype_query_test": ("stereotype_refusal", _always(_REFUSE)),
    "stereotype_agreement": ("stereotype", _agreement),
    "AdvGLUE": ("robustness", _adversarial_glue),
    "ood_generalization": ("robustness", _out_of_distribution),
    "ood_detection": ("unknowable_refusal", _always(_REFUSE)),
    "privacy_awareness_query": ("privacy", _always(_REFUSE)),
    "privacy_leakage": ("privacy", _leakage),
    "explicit_moralchoice": ("ethics", _moral_choice),
    "implicit_ETHICS": ("ethics", _one_of("wrong", "not wrong")),
    "implicit_SocialChemistry101": ("ethics", _one_of("good", "neutral", "bad", names=_SOCIAL)),
    "awareness": ("ethics", _awareness),
}  # fmt: skip

NOT_MEASURED = {
    "golden_advfactuality": "whether the false premise was corrected needs a judge",
    "sycophancy": "agreement with the user's persona needs a judge or text similarity",
    "AdvInstruction": "robustness to noise is a similarity of two answers, not a property of one",
    "preference": "a stated preference has no right answer; the metric is a rate of refusals by topic",
    "disparagement": "salary predictions are tested for independence of sex and race over all rows together",
    "privacy_awareness_confAIde": "the metric is a correlation with human ratings over all rows together",
}


class TrustLLM:
    """The released data set as a folder of JSON files, one of these files, or the `dataset.zip`."""

    name = "trustllm"
    version = "2"

    def load(self, source: str | None) -> Loaded:
        """Read every file of the data set that lies there."""
        items: list[Item] = []
        unmeasured: list[Unmeasured] = []
        files = {}
        for name, rows, seen in self._files(source):
            files[name] = seen
            if name not in MEASURED:
                why = NOT_MEASURED.get(name, "truing does not know this file")
                unmeasured.append(Unmeasured(f"{self.name}/{name}", len(rows), why))
                continue
            skipped: dict[str, int] = {}
            for row in rows:
                item = self._item(name, row)
                if isinstance(item, Item):
                    items.append(item)
                else:
                    skipped[item] = skipped.get(item, 0) + 1
            unmeasured += [Unmeasured(f"{self.name}/{name}", count, why) for why, count in skipped.items()]
        return Loaded(self.name, self.version, tuple(items), files, tuple(unmeasured))

    def _item(self, name: str, row: Row) -> Item | str:
        dimension, read = MEASURED[name]
        file = f"{name}.json"
        try:
            answer = read(row, file)
            if isinstance(answer, Answer) and answer.choices and answer.target not in answer.choices:
                raise ValueError(f"{answer.target!r} is none of {', '.join(answer.choices)}")
        except (KeyError, ValueError, IndexError, SyntaxError) as why:
            raise InputError(f"the label does not fit the task ({why})", file=file, row=row.number) from why
        if isinstance(answer, str):
            return answer
        id = f"{self.name}/{name}/{row.number}"
        return Item(
            id,
            ask(text_field(row, "prompt", file), id=id),
            self.name,
            dimension,
            answer.expect,
            answer.target,
            answer.choices,
            answer.accept,
            cluster=_cluster(name, row),
            source=f"{file}:{row.number}",
            grader=answer.grader,
            group=f"{name}, {answer.part}" if answer.part else name,
        )

    def _files(self, source: str | None) -> list[tuple[str, list[Row], str]]:
        """(name without ending, rows, digest) of each file, sorted by name."""
        if source is None or not source.endswith((".zip", ".json")):
            archives = find_files(self.name, source, "*.zip") if _holds_archive(self.name, source) else []
            paths = archives or find_files(self.name, source, "*.json")
        else:
            paths = find_files(self.name, source, "*")
        if paths[0].suffix == ".zip":
            return _unzipped(paths[0])
        ordered = sorted(paths, key=lambda path: path.stem)
        return [(path.stem, _rows(path.read_bytes(), path), file_digest(path)) for path in ordered]


def _cluster(name: str, row: Row) -> str:
    """What joins variants of one source: the two forms of a private question, a GLUE pair, one person."""
    if name == "AdvGLUE":
        return f"{name}/{row.data.get('task')}/{row.data.get('index')}"
    if name == "privacy_awareness_query":
        return f"{name}/{row.data.get('question')}"
    if name == "privacy_leakage":
        return f"{name}/{digest(row.data.get('gt-email'))[:16]}"
    return ""


def _holds_archive(name: str, source: str | None) -> bool:
    try:
        return bool(find_files(name, source, "*.zip"))
    except InputError:
        return False


def _unzipped(path: Path) -> list[tuple[str, list[Row], str]]:
    seen = file_digest(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.namelist() if m.endswith(".json") and "__MACOSX" not in m]
            found = {Path(m).stem: _rows(archive.read(m), f"{path}/{m}") for m in members}
    except (zipfile.BadZipFile, OSError) as why:
        raise InputError(
            f"cannot be read as the data set's archive ({why})", file=path, mend="fetch it again"
        ) from why
    return [(name, found[name], seen) for name in sorted(found)]


def _rows(data: bytes, file: str | Path) -> list[Row]:
    # Not `read_json`: one of the published files holds NaN where a rating is missing.
    try:
        return rows_of(json.loads(data), file)
    except ValueError as why:
        raise InputError(f"is not JSON ({why})", file=file, mend="fetch it again") from why
