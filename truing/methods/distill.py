"""Distillation: a student learns to write as its teacher, in its own texts or from the teacher's.

On-policy (Agarwal et al. 2024): the student answers, both models read the same token ids, and the student moves
towards the teacher's next-token distribution after each of them. Sequence-level (Kim and Rush 2016): the teacher
answers, and the student learns its texts, as in supervised fine-tuning; the teacher may be an endpoint.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from truing.methods.adapters import lora
from truing.methods.policy_prompts import PolicyPrompts, fitting
from truing.methods.ranges import check_ranges
from truing.methods.saving import load_policy, new_folder, refuse_taken, save_policy
from truing.numerics import ratio_of_sums, student_interval
from truing.run import Card
from truing.types import Completion, InputError, Record, Request, SamplingParams, Stop

if TYPE_CHECKING:
    from truing.model import LocalModel
    from truing.train import DistillationUpdate, Distilled, PromptRow

_PROBE = "Say 12 things,\n\tin naïve “words” – {or: not}!"


@dataclass(frozen=True)
class DistillConfig:
    """The numbers of a distillation. Weights are trained in float32 and saved as they were stored.

    Raises:
        InputError: the seed, the rank or a share is out of its range, or beta has no meaning; what the
            others may be, training says.
    """

    samples_of: Literal["student", "teacher"] = "student"
    """Whose answers are learnt from: the student's own (on-policy), or the teacher's (sequence-level)."""
    beta: float = 1.0
    """Of samples_of student: 1 is the reverse divergence KL(student || teacher), 0 the forward one, between them the
    generalised Jensen-Shannon divergence."""
    learning_rate: float = 1e-5
    """The highest learning rate; it falls to a tenth along a cosine. For a million parameters 3e-4, for LoRA 1e-4."""
    prompts_per_update: int = 32
    """Prompts whose answers are learnt in one optimiser step."""
    samples_per_prompt: int = 4
    """Answers to each prompt."""
    passes: float = 1.0
    """How often every prompt is learnt on."""
    warmup: float = 0.03
    """The share of the updates in which the learning rate rises."""
    max_new_tokens: int = 256
    """The longest answer."""
    temperature: float = 1.0
    """At which answers are sampled; on-policy, both distributions are compared at it."""
    template: Literal["same", "teacher", "student"] = "same"
    """Of samples_of student: how both are spoken to. same refuses two chat templates that differ; with teacher the
    student learns the teacher's and keeps it."""
    held_out: float = 0.1
    """The share of the prompts that is not learnt on, to measure on; 0 measures nothing."""
    lora_rank: int = 0
    """0 trains every weight; above it, LoRA matrices of this rank beside every linear layer, saved as an adapter."""
    seed: int = 0
    """Decides what is held out, the order of the prompts, the samples, and the first values of LoRA matrices."""

    def __post_init__(self) -> None:
        check_ranges(seed=self.seed, lora_rank=self.lora_rank)
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is a share below 1, not {self.held_out}")
        if self.samples_of == "teacher" and (self.beta, self.template) != (1.0, "same"):
            raise InputError(
                "the teacher's answers are learnt as they are, in the student's own template",
                mend="leave beta and template out",
            )


@dataclass(frozen=True, slots=True)
class Distance(Record):
    """KL(student || teacher) over answers that the student wrote at temperature 1 to held-out prompts."""

    value: float
    """Nats per token, exact over the vocabulary."""
    low: float | None
    """95 % over prompts; None for a single one."""
    high: float | None
    per_answer: float
    """Nats per answer."""
    answers: int
    tokens: int
    cut_off: int
    """Answers that reached the longest length: all of their tokens count."""
    missing: int
    """Prompts that could not be answered."""


@dataclass(frozen=True)
class DistilledOnPolicy:
    """A student that learnt in its own texts."""

    folder: Path
    trained: "Distilled"
    before: Distance | None
    """None where nothing was held out."""
    after: Distance | None
    prompts: PolicyPrompts
    ground: str
    """What this can claim."""


def distill_on_policy(
    ref: str,
    teacher_ref: str,
    prompts: PolicyPrompts,
    out: Path,
    config: DistillConfig,
    *,
    data: str,
    checkpoint: Path | None = None,
    observe: "Callable[[DistillationUpdate, Sequence[Completion]], None]" = lambda _update, _written: None,
    device: str = "auto",
) -> DistilledOnPolicy:
    """Train the model `ref` towards a teacher in this process, measure it, save it in `out` with a card.

    Both are loaded in the same numbers, so that a student that is its teacher diverges by exactly 0.

    Args:
        ref: the student, by reference.
        teacher_ref: the teacher, by reference: a whole model or an adapter, with the student's tokenizer.
        prompts: what the student is asked.
        out: the new folder.
        config: how.
        data: where the prompts come from; errors and the card name it.
        checkpoint: a file that receives the state about once a minute; if it is there, training goes on from it.
        observe: is told of every update and what the student wrote for it.
        device: as for `load_local`.

    Raises:
        InputError: a model cannot be loaded, the student is an adapter, the teacher is an endpoint, has
            another tokenizer or is spoken to otherwise, no prompt fits, or `out` holds something.
    """
    from truing.model import load_local
    from truing.train import DistillationConfig, on_policy_distillation

    refuse_taken(out)
    model = load_policy(ref, whole=not config.lora_rank, device=device)
    ground = model.ground or "not audited yet"  # before training: afterwards no norm is as it was born
    teacher = load_local(teacher_ref, device=device, dtype="auto" if config.lora_rank else "float32")
    model = spoken_to(model, teacher, config.template)
    contexts = [one.trunk.context for one in (model, teacher) if one.trunk.context is not None]
    prompts = fitting(
        prompts, model.chat, context=min(contexts, default=None), room=config.max_new_tokens, data=data
    )
    adapter = None
    if config.lora_rank:
        adapter = lora(model.net, ref, rank=config.lora_rank, key=config.seed, task="CAUSAL_LM")

    def measured() -> Distance | None:
        return distance(model, teacher, prompts.held_out, config)

    before = measured()
    numbers = DistillationConfig(
        learning_rate=config.learning_rate,
        beta=config.beta,
        prompts_per_update=config.prompts_per_update,
        samples_per_prompt=config.samples_per_prompt,
        passes=config.passes,
        warmup=config.warmup,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        weight_decay=0.0,
        key=config.seed,
    )
    trained = on_policy_distillation(
        model,
        teacher,
        prompts.train,
        numbers,
        what="on-policy distillation",
        checkpoint=checkpoint,
        observe=observe,
    )
    made = DistilledOnPolicy(out, trained, before, measured(), prompts, ground)
    with new_folder(out, _card(made, ref, teacher_ref, config, data)) as unfinished:
        save_policy(model, adapter, ref, unfinished)
    return made


def spoken_to(model: "LocalModel", teacher: "LocalModel", template: str) -> "LocalModel":
    """The student as it is to be asked, so that the ids it reads mean to its teacher what they mean to it.

    Raises:
        InputError: the teacher has another tokenizer, or another chat template and none was chosen.
    """
    from truing.model import LocalModel

    ours, theirs = model.chat.tokenizer, teacher.chat.tokenizer
    alike = ours.get_vocab() == theirs.get_vocab()
    if not alike or ours(_PROBE)["input_ids"] != theirs(_PROBE)["input_ids"]:
        raise InputError(
            f"the teacher {teacher.ref} has another tokenizer than {model.ref}, so it cannot read the same token ids",
            mend="take a teacher of the same family, or learn from its answers with --samples-of teacher",
        )
    if model.chat.template_digest == teacher.chat.template_digest or template == "student":
        return model
    if template == "same":
        raise InputError(
            f"the chat template of the teacher {teacher.ref} is not that of {model.ref}: one of them would be read in "
            "a format it never learnt, which biases what it teaches",
            mend="say --template teacher or --template student, in which both are then read",
        )
    ends = sorted(teacher.chat.eos_ids)
    if model.net.generation_config is not None:
        model.net.generation_config.eos_token_id = ends  # what the saved folder stops at
    return LocalModel(model.net, teacher.chat, model.fingerprint, ref=model.ref)


def distance(
    model: "LocalModel", teacher: "LocalModel", prompts: "Sequence[PromptRow]", config: DistillConfig
) -> Distance | None:
    """Let the student answer each prompt once, always with the same random numbers; None without prompts."""
    from truing.model import paired_kl

    if not prompts:
        return None
    requests = [Request(row.id, row.messages) for row in prompts]
    params = SamplingParams(max_tokens=config.max_new_tokens)
    written = [one for one in model.sample(requests, params, key=config.seed) if one.stop is not Stop.error]
    if not written:
        raise InputError("the student could answer no held-out prompt")
    ids = [[(one.prompt_ids or ()), (one.token_ids or ())] for one in written]
    scores = paired_kl(model.trunk, teacher.trunk, [p for p, _ in ids], [c for _, c in ids])
    totals = np.array([sum(one.kl) for one in scores])
    sizes = np.array([len(one.kl) for one in scores])
    value, error = ratio_of_sums(totals, sizes)
    ends = student_interval(value, error, len(sizes) - 1) if len(sizes) > 1 else None
    return Distance(
        value=value,
        low=None if ends is None else ends.low,
        high=None if ends is None else ends.high,
        per_answer=float(totals.mean()),
        answers=len(written),
        tokens=int(sizes.sum()),
        cut_off=sum(one.stop is Stop.length for one in written),
        missing=len(requests) - len(written),
    )


def _card(made: DistilledOnPolicy, ref: str, teacher: str, config: DistillConfig, data: str) -> Card:
    updates = made.trained.updates
    how = f"LoRA of rank {config.lora_rank}" if config.lora_rank else "all weights"
    told = ""
    if made.before is not None and made.after is not None:
        told = (
            f"; KL(student || teacher) on {len(made.prompts.held_out)} held-out prompts "
            f"{made.before.value:.3g} -> {made.after.value:.3g} nats per token"
        )
    return Card(
        name=made.folder.name,
        base_model=ref,
        summary=f"{ref}, which learnt in its own texts what {teacher} would have written next{told}",
        ground=made.ground,
        method=(
            f"on-policy distillation from {teacher}: {how}; beta {config.beta:g}, {len(updates):,} updates of "
            f"{config.prompts_per_update} prompts with {config.samples_per_prompt} answers each, "
            f"{made.trained.tokens:,} tokens at temperature {config.temperature:g}, learning rate "
            f"{config.learning_rate:g}, seed {config.seed}"
        ),
        paper="Agarwal et al. 2024, arXiv 2306.13649",
        data=f"{len(made.prompts.train):,} prompts from {data}",
        license="as the base model's and the teacher's",
        failures=("a student takes over what its teacher does wrong, where the prompts touch it",),
        untested=("everything: audit it against its base model and against its teacher",),
        reproduce=(f"truing audit {made.folder} --baseline {ref} --suite ...",),
    )
