"""Supervised fine-tuning of a checkpoint on conversations, from a reference to an ordinary folder with a card."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truing.data import DatasetType, dataset_type, place, read_example, read_jsonl
from truing.run import Card, model_card
from truing.types import InputError, Message

if TYPE_CHECKING:
    from truing.model import ChatFormat, Rendered

Conversation = tuple[Message, ...]


@dataclass(frozen=True)
class Tuning:
    """The numbers of a fine-tuning; every weight is trained, in float32, and saved as it was stored.

    Raises:
        InputError: the seed is out of its range; what the others may be, training says.
    """

    learning_rate: float = 1e-5
    """The highest learning rate; for models of a million parameters 1e-4 is gentle."""
    tokens_per_step: int = 4096
    """Tokens per optimiser step, about."""
    passes: float = 1.0
    """How often every row is trained on."""
    seed: int = 0
    """Decides the order of the rows."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise InputError(f"a seed lies in [0, 2^64), not {self.seed}")


def read_conversations(path: str | Path) -> list[Conversation]:
    """Conversations to learn, from JSONL rows of TRL's types with `messages`, or `prompt` and `completion`.

    Raises:
        InputError: no such file, no row, or a row of another type; names the row.
    """
    rows = list(read_jsonl(path))
    if not rows:
        raise InputError("holds no row to train on", file=path, mend="give one conversation for each line")
    kind = dataset_type(rows[0].data)
    if kind not in (DatasetType.language_modeling, DatasetType.prompt_completion):
        raise InputError(f"is a {kind} data set", file=path, mend="give messages, or prompt and completion")
    found = []
    for row in rows:
        example = read_example(row, kind, file=str(path))
        parts = [getattr(example, name, ()) for name in ("prompt", "completion", "text")]
        if any(isinstance(part, str) for part in parts):
            raise InputError(
                "is plain text, not a conversation",
                file=path,
                row=row.number,
                mend="give messages with roles",
            )
        found.append(tuple(message for part in parts for message in part))
    return found


def finetune(
    ref: str,
    rows: Sequence[Conversation],
    out: Path,
    tuning: Tuning,
    *,
    what: str,
    data: str,
    device: str = "auto",
) -> Path:
    """Train the model `ref` on the assistant turns of `rows` and save it in `out` with a card.

    `what` names the method on the card and in the progress, `data` where the rows come from.

    Raises:
        InputError: the model cannot be loaded or is an adapter, its template refuses a row, or `out`
            holds something.
    """
    from transformers import AutoConfig
    from transformers.utils import logging

    from truing.model import find_folder, load_local
    from truing.train import SupervisedConfig, TokenRows, supervised

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        problem = "is not empty" if out.is_dir() else "is a file, not a folder"
        raise InputError(problem, file=out, mend="choose another --out")
    model = load_local(ref, device=device, dtype="float32")
    folder = find_folder(ref)
    if (folder / "adapter_config.json").is_file():
        raise InputError("is an adapter, not a whole model", file=folder, mend="merge it into its base model")
    stored = AutoConfig.from_pretrained(folder).dtype
    config = SupervisedConfig(
        learning_rate=tuning.learning_rate,
        tokens_per_step=tuning.tokens_per_step,
        passes=tuning.passes,
        weight_decay=0.0,
        key=tuning.seed,
    )
    trained = supervised(model.net, TokenRows.of(_rendered(model.chat, rows, data)), config, what=what)
    ground = model.ground
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a life that was killed
    logging.disable_progress_bar()  # of files that are written in a blink
    model.net.to(stored or model.net.dtype).save_pretrained(unfinished)
    model.chat.tokenizer.save_pretrained(unfinished)
    card = Card(
        name=out.name,
        base_model=ref,
        summary=f"{what} of {ref}",
        ground=ground or "not audited yet",
        method=f"{what}: {trained.tokens:,} tokens, learning rate {tuning.learning_rate:g}, seed {tuning.seed}",
        data=f"{len(rows):,} conversations from {data}",
        license="as the base model's",
        safety=(),
        untested=("everything: audit it against its base model",),
        reproduce=(f"truing audit {out} --baseline {ref} --suite ...",),
    )
    (unfinished / "README.md").write_text(model_card(card), encoding="utf-8")
    if out.exists():
        out.rmdir()
    unfinished.rename(out)
    return out


def _rendered(chat: "ChatFormat", rows: Sequence[Conversation], data: str) -> "Iterator[Rendered]":
    for number, row in enumerate(rows, start=1):
        with place(data, number):
            yield chat.training_example(row)
