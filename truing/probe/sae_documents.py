"""From a file of documents to autoencoders of a model's activations on them, with a report on held-out ones."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, get_args

import numpy as np

from truing.data import DatasetType, LanguageModeling, dataset_type, place, read_example, read_jsonl
from truing.numerics import generator
from truing.probe.sae_config import SAEConfig
from truing.probe.sae_files import SavedSAE, save_sae
from truing.probe.sae_measure import SAEFigures, measure_sae
from truing.probe.sae_training import BATCH, TrainedSAE, train_saes
from truing.probe.stream import BUFFER, TokenActivations
from truing.run import replace_file
from truing.types import FrozenDict, InputError, Message

if TYPE_CHECKING:
    from truing.model import ChatFormat, LocalModel, Site

Tokens: TypeAlias = Literal["all", "starts"]
"""Every token of a document, or those alone from which an assistant turn begins."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a model reads: token ids, and the places among them from which an assistant turn begins."""

    ids: tuple[int, ...]
    """[T]."""
    starts: tuple[int, ...] = ()
    """The last position before each assistant turn that would be trained on: there a model decides who answers."""

    @classmethod
    def of(cls, chat: "ChatFormat", said: str | Sequence[Message], tools: Sequence[FrozenDict] = ()) -> Self:
        """A text as the tokenizer encodes it by itself, or a conversation as the chat template renders it.

        Raises:
            InputError: see `ChatFormat.training_example`; a conversation ends with an assistant turn.
        """
        if isinstance(said, str):
            return cls(tuple(chat.tokenizer(said)["input_ids"]))
        rendered = chat.training_example(said, tools)
        edges = enumerate(pairwise(rendered.mask))
        return cls(rendered.ids, tuple(at for at, (trained, after) in edges if after and not trained))


@dataclass(frozen=True)
class DocumentsConfig:
    """Which tokens of the documents are trained on, and which are held out.

    Raises:
        InputError: a number is out of its range, or `first` or `special` is given for "starts".
    """

    tokens: Tokens = "all"
    """Which tokens count: all, or those from which an assistant turn begins, special or not."""
    passes: int = 1
    """How often every document is read."""
    first: int = 1
    """The first position that counts, of all: at position 0, BOS or not, most models park attention."""
    special: bool = False
    """Whether the tokenizer's special tokens count, of all."""
    held_out: float = 0.1
    """The share of the documents that is not trained on."""
    batch: int = BATCH
    """Tokens of a step."""
    buffer: int = BUFFER
    """Activations in memory at once, within which they are shuffled; of held-out ones at most so many count."""
    key: int = 0
    """Draws what is held out, and the order."""

    def __post_init__(self) -> None:
        if min(self.passes, self.batch, self.buffer) < 1 or self.first < 0:
            raise InputError("passes, batch and buffer are at least 1, and first at least 0")
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out is a share of the documents, not {self.held_out}")
        if self.tokens not in get_args(Tokens):
            raise InputError(f"tokens are all or starts, not {self.tokens!r}")
        if self.tokens == "starts" and (self.first != 1 or self.special):
            raise InputError(
                "first and special choose among all tokens, not among starts", mend="leave them out"
            )


def read_documents(path: str | Path, chat: "ChatFormat", tokens: Tokens = "all") -> list[Document]:
    """JSONL rows with `text` or `messages`, as TRL's language modeling type has them: see `Document.of`.

    Raises:
        InputError: no such file, no row, a row of another type, that the template refuses, or in which no
            assistant turn starts though starts are to be read; names the row.
    """
    found = []
    for row in read_jsonl(path):
        with place(path, row.number):
            if dataset_type(row.data) is not DatasetType.language_modeling:
                raise InputError("is no document", mend='give {"text": ...} or {"messages": [...]}')
        read = read_example(row, DatasetType.language_modeling, file=str(path))
        assert isinstance(read, LanguageModeling)
        with place(path, row.number):
            document = Document.of(chat, read.text, read.tools)
            if tokens == "starts" and not document.starts:
                raise InputError("has no assistant turn", mend='give {"messages": [...]} that end with one')
        found.append(document)
    if not found:
        raise InputError("holds no document", file=path, mend='give one {"text": ...} on each line')
    return found


def saes_of_documents(
    model: "LocalModel",
    documents: Sequence[Document],
    site: "Site",
    configs: Sequence[SAEConfig],
    out: Path,
    options: DocumentsConfig = DocumentsConfig(),
) -> list[SAEFigures]:
    """Train autoencoders on a site of the model, measure them on held-out documents, and write all to `out`.

    One goes to the folder itself, several to the folders 0, 1, ... in it: SAELens' layout, `report.json`,
    and `timing.json`, which alone holds seconds. `training.pt` is what a killed run goes on from.

    Args:
        model: the model.
        documents: what it reads.
        site: where.
        configs: what is trained.
        out: the folder.
        options: what counts and what is held out.

    Raises:
        InputError: see `train_saes` and `measure_sae`; or there are too few documents to hold some out.
        StorageError: the disk refuses.
    """
    started = time.monotonic()
    order = generator(options.key, "held out").permutation(len(documents))
    apart = round(options.held_out * len(documents))
    if not 0 < apart < len(documents):
        raise InputError(
            f"of {len(documents)} documents {options.held_out:g} cannot be held out", mend="give more"
        )
    seen, unseen = ([documents[i] for i in sorted(part)] for part in np.split(order, [len(order) - apart]))
    stream = document_activations(model, seen, site, options)
    held = document_activations(model, unseen, site, replace(options, passes=1))
    if held.sizes[0] < 2:  # told before the training, not after it
        raise InputError(
            f"of the {apart} documents that are held out one token counts, which has no variance to explain",
            mend="give more documents, or hold out more",
        )
    trained = train_saes(
        stream, configs, batch=options.batch, key=options.key, checkpoint=out / "training.pt"
    )
    measured = held.block(0)
    found = [measure_sae(one.sae, measured) for one in trained]
    for number, (one, figures) in enumerate(zip(trained, found, strict=True)):
        folder = out if len(trained) == 1 else out / str(number)
        report = _report(model, site, options, one, figures) | {"documents": len(seen), "held_out": apart}
        save_sae(folder, SavedSAE(one.sae, model.ref, site, {"truing": report}))
        replace_file(folder / "report.json", json.dumps(report, indent=1).encode())
        timing = {"cpu_seconds": one.cpu_seconds, "seconds": time.monotonic() - started}
        replace_file(folder / "timing.json", json.dumps(timing, indent=1).encode())
    return found


def document_activations(
    model: "LocalModel", documents: Sequence[Document], site: "Site", options: DocumentsConfig
) -> TokenActivations:
    """The activations of the tokens that count. A start behind the end of the model's context does not.

    Raises:
        InputError: no token counts.
    """
    return TokenActivations(
        model,
        [document.ids for document in documents],
        site,
        first=options.first,
        without=() if options.special else model.chat.tokenizer.all_special_ids,
        places=[document.starts for document in documents] if options.tokens == "starts" else None,
        passes=options.passes,
        buffer=options.buffer,
        key=options.key,
    )


def _report(
    model: "LocalModel", site: "Site", options: DocumentsConfig, one: TrainedSAE, figures: SAEFigures
) -> dict[str, Any]:
    return {
        "model": model.ref,
        "fingerprint": model.fingerprint.short,
        "ground": model.ground,
        "layer": site.layer,
        "point": str(site.point),
        "architecture": type(one.config).__name__.removesuffix("Config").lower(),
        "config": vars(one.config) | {"learning_rate": one.config.highest_rate},
        "options": vars(options),
        "steps": one.steps,
        "tokens": one.tokens,
        "unseen": figures.to_json(),
        "curve": [[p.step, p.unexplained, p.active, p.dead] for p in one.curve],
    }
