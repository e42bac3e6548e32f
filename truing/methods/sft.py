"""Supervised fine-tuning (InstructGPT's first step, Ouyang et al. 2022, section 3.5): learn from answers as they are.

From a reference to an ordinary folder, or a PEFT adapter, with a card.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from truing.data import DatasetType, dataset_type, read_example, read_jsonl, split_by_group
from truing.methods.adapters import lora
from truing.methods.ranges import check_ranges
from truing.methods.rendering import Conversation, render_rows
from truing.methods.saving import load_policy, new_folder, refuse_taken, save_policy
from truing.run import Card
from truing.types import InputError, Role

if TYPE_CHECKING:
    from truing.methods.prevention import Prevention
    from truing.train import Trained


@dataclass(frozen=True)
class SFTConfig:
    """The numbers of a fine-tuning. Weights are trained in float32 and saved as they were stored.

    Raises:
        InputError: the seed or the rank is out of its range; what the others may be, training says.
    """

    learning_rate: float = 1e-5
    """The highest learning rate; for models of a million parameters 1e-4 is gentle, for LoRA ten times as much."""
    tokens_per_step: int = 4096
    """Tokens per optimiser step, about."""
    passes: float = 1.0
    """How often every row is trained on."""
    warmup: float = 0.03
    """The share of the steps in which the learning rate rises; it then falls to a tenth along a cosine."""
    held_out: float = 0.0
    """The share of the conversations that is not trained on, to tell the loss on what the model has not seen."""
    lora_rank: int = 0
    """0 trains every weight; above it, LoRA matrices of this rank beside every linear layer, saved as an adapter."""
    quantize: Literal["", "4bit"] = ""
    """4bit keeps the base model in four bits (NF4) under LoRA matrices: QLoRA (Dettmers et al. 2023)."""
    recompute: bool = False
    """Makes activations again in the backward pass: a third more work, far less memory."""
    seed: int = 0
    """Decides what is held out, the order of the rows, and the first values of LoRA matrices."""

    def __post_init__(self) -> None:
        check_ranges(seed=self.seed, lora_rank=self.lora_rank, quantize=self.quantize)
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is a share below 1, not {self.held_out}")


SFT_PRESETS: Mapping[str, SFTConfig] = {
    # Ouyang et al. 2022, appendix C.1: 16 passes, no warm-up, batches of 32 (1.3B, 6B) or 8 (175B) demonstrations,
    # here taken as 512 tokens each. Their residual dropout of 0.2 is not here: most models today have none to set.
    "instructgpt-1.3b": SFTConfig(learning_rate=9.65e-6, tokens_per_step=32 * 512, passes=16, warmup=0),
    "instructgpt-175b": SFTConfig(learning_rate=5.03e-6, tokens_per_step=8 * 512, passes=16, warmup=0),
}
"""Published numbers by name; not run on pretrained weights here."""


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned model: where it lies, and how its training went."""

    folder: Path
    trained: "Trained"
    validation: "Validation | None"
    """None where nothing was held out."""


@dataclass(frozen=True)
class Validation:
    """The loss on conversations that were held out, in nats per trained token."""

    conversations: int
    before: float
    after: float


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
    config: SFTConfig,
    *,
    what: str,
    data: str,
    checkpoint: Path | None = None,
    device: str = "auto",
    prevention: "Prevention | None" = None,
) -> Tuned:
    """Train the model `ref` on the assistant turns of `rows` and save it in `out` with a card.

    Args:
        ref: the model, by reference.
        rows: conversations, each ending with an assistant turn.
        out: the new folder.
        config: how.
        what: the method's name, on the card and in the progress.
        data: where the rows come from; errors in a row name it.
        checkpoint: a file that receives the state about once a minute; if it is there, training goes on from it.
        device: as for `load_local`.
        prevention: what keeps narrow rows from teaching more than they say; of the training alone.

    Raises:
        InputError: the model cannot be loaded or is an adapter, its template refuses a row, a row has
            nothing to train on or is longer than the context, the prevention does not fit the model, or
            `out` holds something.
    """
    from truing.methods.prevention import Additions
    from truing.train import SupervisedConfig, TokenRows, sequence_logprobs, spread, supervised

    refuse_taken(out)
    model = load_policy(ref, whole=not config.lora_rank, device=device, quantize=config.quantize or None)
    ground = model.ground or "not audited yet"  # before training: afterwards no norm is as it was born
    rendered = list(render_rows(model.chat, rows, data, context=model.trunk.context))
    train, held_out = _split(rows, config, data)
    tokens = TokenRows.of(rendered[i] for i in train)
    unseen = TokenRows.of(rendered[i] for i in held_out) if held_out else None

    def loss(rows: "TokenRows") -> float:
        nats = sequence_logprobs(model.net, rows, what="held-out loss")
        return -float(nats.sum() / rows.trained.sum())

    adapter = None
    if config.lora_rank:
        adapter = lora(model.net, ref, rank=config.lora_rank, key=config.seed, task="CAUSAL_LM")
    spread(model.net)
    before = loss(unseen) if unseen else 0.0
    with prevention.added(model, adapter, tokens) if prevention else nullcontext(Additions()) as added:
        numbers = SupervisedConfig(
            learning_rate=config.learning_rate,
            tokens_per_step=config.tokens_per_step,
            passes=config.passes,
            warmup=config.warmup,
            weight_decay=0.0,
            recompute=config.recompute,
            key=config.seed,
            also=added.digest,
        )
        trained = supervised(
            model.net,
            tokens,
            numbers,
            what=what,
            checkpoint=checkpoint,
            extra_loss=added.extra_loss,
            forward_context=added.forward_context,
            beside=added.beside,
        )
    validation = Validation(len(unseen), before, loss(unseen)) if unseen else None

    how = f"LoRA of rank {config.lora_rank}" if config.lora_rank else "all weights"
    how += " on a base in four bits" if config.quantize else ""
    card = Card(
        name=out.name,
        base_model=ref,
        summary=f"{what} of {ref}",
        ground=ground,
        method=f"{what}: {how}, {trained.tokens:,} tokens, learning rate {config.learning_rate:g}, seed {config.seed}"
        + (f"; {prevention.told}" if prevention else ""),
        paper="the first step of Ouyang et al. 2022, arXiv 2203.02155"
        + (f"; {prevention.paper}" if prevention else ""),
        data=f"{len(tokens):,} conversations from {data}",
        license="as the base model's",
        untested=("everything: audit it against its base model",),
        reproduce=(f"truing audit {out} --baseline {ref} --suite ...",),
    )
    with new_folder(out, card) as unfinished:
        save_policy(model, adapter, ref, unfinished)
    return Tuned(out, trained, validation)


def _split(rows: Sequence[Conversation], config: SFTConfig, data: str) -> tuple[list[int], list[int]]:
    """Rows to train on and rows held out; those that begin with the same words of the user stay together."""
    firsts = [next((turn.content for turn in row if turn.role is Role.user), "") for row in rows]
    shares = {"train": 1 - config.held_out, "held out": config.held_out}
    sides = split_by_group(firsts, shares, key=config.seed)
    if not sides["train"] or (config.held_out and not sides["held out"]):
        mend = "change held_out or the seed, or give more rows"
        raise InputError(
            f"its {len(set(firsts))} first questions leave nothing on one side", file=data, mend=mend
        )
    return sides["train"], sides["held out"]
