"""Sequence-level distillation (Kim and Rush 2016): the student learns the teacher's answers as they are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from truing.methods.adapters import lora
from truing.methods.distill import DistillConfig
from truing.methods.saving import load_policy, new_folder, refuse_taken, save_policy
from truing.run import Card
from truing.types import Completion, InputError, Message, Role, Stop, Trace

if TYPE_CHECKING:
    from truing.model import LocalModel, Rendered
    from truing.train import PromptRow, TokenRows, Trained

_STOPS = {
    Stop.length: "the answer was cut off",
    Stop.error: "the teacher failed",
    Stop.filtered: "the answer was withheld by a filter",
    Stop.tool: "the answer calls a tool",
}
_TRACES = {Trace.unclosed: "the reasoning never ended", Trace.empty: "the answer is empty"}
_EMPTY, _TOO_LONG, _REFUSED = (
    "the answer is empty",
    "longer than the student's context",
    "the student's chat template refuses it",
)


@dataclass(frozen=True)
class TeacherAnswers:
    """What a teacher answered: conversations to learn from, and others to measure on."""

    train: tuple[tuple[Message, ...], ...]
    held_out: tuple[tuple[Message, ...], ...]
    skipped: Mapping[str, int]
    """Why answers are left out -> how many."""

    @classmethod
    def of(
        cls,
        train: "Iterable[tuple[PromptRow, Completion]]",
        held_out: "Iterable[tuple[PromptRow, Completion]]",
    ) -> "TeacherAnswers":
        """Whole answers alone: one that was cut off, failed or never came to its answer would teach just that."""
        left: Counter[str] = Counter()

        def kept(answers: "Iterable[tuple[PromptRow, Completion]]") -> tuple[tuple[Message, ...], ...]:
            out = []
            for prompt, one in answers:
                why = _why_not(one)
                if why:
                    left[why] += 1
                else:
                    turn = Message(Role.assistant, one.answer, reasoning=one.reasoning)
                    out.append((*prompt.messages, turn))
            return tuple(out)

        return cls(kept(train), kept(held_out), left)


@dataclass(frozen=True)
class DistilledAnswers:
    """A student that learnt its teacher's answers."""

    folder: Path
    trained: "Trained"
    before: float | None
    """Loss on answers to held-out prompts, in nats per token; None where nothing was held out."""
    after: float | None
    answers: int
    """Those that were learnt from."""
    held_out: int
    """Those that were measured on."""
    skipped: Mapping[str, int]
    """Why answers were left out -> how many."""
    ground: str
    """What this can claim."""


def distill_answers(
    ref: str,
    teacher: str,
    answers: TeacherAnswers,
    out: Path,
    config: DistillConfig,
    *,
    data: str,
    checkpoint: Path | None = None,
    device: str = "auto",
) -> DistilledAnswers:
    """Train the model `ref` on a teacher's answers, in its own chat template; save it in `out` with a card.

    Args:
        ref: the student, by reference.
        teacher: the teacher's reference, for the card.
        answers: what it wrote.
        out: the new folder.
        config: how.
        data: where the prompts come from, for the card.
        checkpoint: a file that receives the state about once a minute; if it is there, training goes on from it.
        device: as for `load_local`.

    Raises:
        InputError: the student cannot be loaded or is an adapter, no answer can be learnt from, or `out` holds
            something.
    """
    from truing.train import SupervisedConfig, TokenRows, sequence_logprobs, supervised

    refuse_taken(out)
    model = load_policy(ref, whole=not config.lora_rank, device=device)
    ground = model.ground or "not audited yet"  # before training: afterwards no norm is as it was born
    left = Counter(answers.skipped)
    rendered, unseen = (_rendered(model, rows, left) for rows in (answers.train, answers.held_out))
    if not rendered:
        why = ", ".join(f"{reason}: {n}" for reason, n in left.most_common(3))
        raise InputError(f"no answer of the teacher can be learnt from ({why})", mend="look at them")
    rows = TokenRows.of(rendered)
    tested = TokenRows.of(unseen) if unseen else None

    def loss(rows: "TokenRows | None") -> float | None:
        if rows is None:
            return None
        nats = sequence_logprobs(model.net, rows, what="held-out loss")
        return -float(nats.sum() / rows.trained.sum())

    adapter = None
    if config.lora_rank:
        adapter = lora(model.net, ref, rank=config.lora_rank, key=config.seed, task="CAUSAL_LM")
    before = loss(tested)
    each = config.prompts_per_update * config.samples_per_prompt
    numbers = SupervisedConfig(
        learning_rate=config.learning_rate,
        tokens_per_step=max(1, round(float(rows.lengths.mean()) * each)),
        passes=config.passes,
        warmup=config.warmup,
        weight_decay=0.0,
        key=config.seed,
    )
    trained = supervised(model.net, rows, numbers, what="distillation from answers", checkpoint=checkpoint)
    held_out = len(tested) if tested is not None else 0
    made = DistilledAnswers(
        out, trained, before, loss(tested), len(rows), held_out, dict(left.most_common()), ground
    )
    with new_folder(out, _card(made, ref, teacher, config, data)) as unfinished:
        save_policy(model, adapter, ref, unfinished)
    return made


def _why_not(one: Completion) -> str:
    """Why an answer is not learnt from; empty where it is."""
    return _STOPS.get(one.stop) or _TRACES.get(one.trace) or ("" if one.answer.strip() else _EMPTY)


def _rendered(
    model: "LocalModel", rows: Sequence[tuple[Message, ...]], left: Counter[str]
) -> "list[Rendered]":
    out = []
    for row in rows:
        try:
            shown = model.chat.training_example(row)
        except InputError:
            left[_REFUSED] += 1
            continue
        if model.trunk.context is not None and len(shown.ids) > model.trunk.context:
            left[_TOO_LONG] += 1
        else:
            out.append(shown)
    return out


def _card(made: DistilledAnswers, ref: str, teacher: str, config: DistillConfig, data: str) -> Card:
    how = f"LoRA of rank {config.lora_rank}" if config.lora_rank else "all weights"
    told = ""
    if made.before is not None and made.after is not None:
        told = f"; loss on {made.held_out:,} held-out answers {made.before:.3g} -> {made.after:.3g} nats per token"
    lost = ", ".join(f"{n:,} left out ({why})" for why, n in made.skipped.items())
    return Card(
        name=made.folder.name,
        base_model=ref,
        summary=f"{ref}, which learnt the answers of {teacher}{told}",
        ground=made.ground,
        method=(
            f"sequence-level distillation from {teacher}: {how}; {made.trained.steps:,} steps, "
            f"{made.trained.tokens:,} tokens, learning rate {config.learning_rate:g}, seed {config.seed}"
        ),
        paper="Kim and Rush 2016, arXiv 1606.07947",
        data="; ".join(filter(None, [f"{made.answers:,} answers of {teacher} to prompts from {data}", lost])),
        license="as the base model's, and whatever the teacher's says of its answers",
        failures=("a student takes over what its teacher does wrong, where the prompts touch it",),
        untested=("everything: audit it against its base model and against its teacher",),
        reproduce=(f"truing audit {made.folder} --baseline {ref} --suite ...",),
    )
