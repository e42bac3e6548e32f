"""Supervised fine-tuning of a checkpoint on conversations, from a reference to an ordinary folder with a card."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from truing.data import DatasetType, dataset_type, read_example, read_jsonl
from truing.run import Card, model_card
from truing.types import InputError, Message

Conversation = tuple[Message, ...]


@dataclass(frozen=True)
class Tuning:
    """The numbers of a fine-tuning; every weight is trained, in float32, and saved as it was stored."""

    learning_rate: float = 1e-5
    """The highest learning rate; for models of a million parameters 1e-4 is gentle."""
    tokens_per_step: int = 4096
    """Tokens per optimiser step, about."""
    passes: float = 1.0
    """How often every row is trained on."""
    seed: int = 0
    """Decides the order of the rows."""


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
        InputError: the model cannot be loaded, its template refuses a row, or `out` holds something.
    """
    from transformers import AutoConfig
    from transformers.utils import logging

    from truing.model import find_folder, load_local
    from truing.train import SupervisedConfig, TokenRows, supervised

    if out.exists() and any(out.iterdir()):
        raise InputError("is not empty", file=out, mend="choose another --out")
    stored = AutoConfig.from_pretrained(find_folder(ref)).dtype
    model = load_local(ref, device=device, dtype="float32")
    config = SupervisedConfig(
        learning_rate=tuning.learning_rate,
        tokens_per_step=tuning.tokens_per_step,
        passes=tuning.passes,
        weight_decay=0.0,
        key=tuning.seed,
    )
    trained = supervised(model.net, TokenRows.of(map(model.chat.training_example, rows)), config, what=what)
    ground = model.ground
    unfinished = out.with_name(out.name + ".unfinished")
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
