"""Re-alignment (Wang et al. 2025, arXiv 2506.19823, section 5): a few right rows bring back what narrow ones broke.

Supervised fine-tuning in steps of few rows, measured in its course: what the model does in domains that the rows
are not of, and what is active inside. It ends when the rows do, or when the misaligned share has stayed at the
target. The paper's own figures: 120 rows of the domain that was tuned on, or 720 of another, in steps of 4; 0.5 %.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from truing.methods.adapters import lora
from truing.methods.ranges import check_ranges
from truing.methods.realign_measuring import (
    Asking,
    Measurement,
    Read,
    Watchlist,
    aligned_again,
    measure,
)
from truing.methods.rendering import Conversation, render_rows
from truing.methods.saving import load_policy, new_folder, refuse_taken, save_policy
from truing.numerics import generator
from truing.run import Card
from truing.types import InputError, SamplingParams

if TYPE_CHECKING:
    from truing.model import LocalModel
    from truing.run import Journal
    from truing.train import Trained


@dataclass(frozen=True)
class RealignConfig:
    """The numbers of a re-alignment. Weights are trained in float32 and saved as they were stored.

    Raises:
        InputError: a number is out of its range; what the others may be, training says.
    """

    learning_rate: float = 1e-5
    """The highest learning rate; for models of a million parameters 2e-4, for LoRA ten times as much."""
    rows: int = 120
    """The most rows that are learnt, drawn by the seed where there are more; 720 where they are of another domain."""
    batch: int = 4
    """Rows per optimiser step."""
    passes: float = 1.0
    """How often every row is trained on."""
    warmup: float = 0.03
    """The share of the steps in which the learning rate rises; it then falls to a tenth along a cosine."""
    measure_every: int = 5
    """Steps from one measurement to the next; the last step is measured, too."""
    target: float = 0.005
    """The training ends when no more than this share of all answers is not aligned; what nobody judged is not."""
    patience: int = 2
    """In so many measurements in a row."""
    read: Read = "last"
    """The tokens at which activations are read: of what was asked, or of the model's own answers."""
    samples: int = 1
    """Answers to each prompt."""
    max_tokens: int = 128
    """The most tokens of an answer."""
    temperature: float = 1.0
    """Of the answers."""
    lora_rank: int = 0
    """0 trains every weight; above it, LoRA matrices of this rank beside every linear layer, saved as an adapter."""
    quantize: Literal["", "4bit"] = ""
    """4bit keeps the base model in four bits (NF4) under LoRA matrices."""
    recompute: bool = False
    """Makes activations again in the backward pass: a third more work, far less memory."""
    seed: int = 0
    """Decides which rows are learnt and in what order, the answers, and the first values of LoRA matrices."""

    def __post_init__(self) -> None:
        check_ranges(seed=self.seed, lora_rank=self.lora_rank, quantize=self.quantize)
        for name in ("rows", "batch", "measure_every", "patience", "samples", "max_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is at least 1, not {getattr(self, name)}")
        if not 0 <= self.target < 1:
            raise InputError(f"target is a share below 1, not {self.target}")
        if not self.temperature >= 0:
            raise InputError(f"temperature is at least 0, not {self.temperature}")


@dataclass(frozen=True)
class Realigned:
    """A re-aligned model: where it lies, how its training went and what was measured."""

    folder: Path
    trained: "Trained"
    rows: int
    """Rows that were there to be learnt."""
    learnt: int
    """Those that were, each pass counted; fewer where the target was reached before they ended."""
    curve: tuple[Measurement, ...]
    """By step, the one before the training first; empty where nothing was watched."""
    reached: bool | None
    """Whether the target was reached, which ended the training; None where nobody judged answers."""
    ground: str
    """What this can claim."""


def realign_by_sft(
    ref: str,
    rows: Sequence[Conversation],
    out: Path,
    config: RealignConfig,
    *,
    data: str,
    watch: Watchlist | None = None,
    checkpoint: Path | None = None,
    journal: "Callable[[], Journal] | None" = None,
    device: str = "auto",
) -> Realigned:
    """Train the model `ref` on right `rows` until it is aligned again or they end; save it in `out` with a card.

    Args:
        ref: the model that narrow tuning broke, by reference.
        rows: conversations that are right, each ending with an assistant turn.
        out: the new folder.
        config: how.
        data: where the rows come from; errors in a row name it.
        watch: what is measured; without it all rows are learnt.
        checkpoint: a file that receives the state about once a minute; if it is there, training goes on from it.
        journal: opens what keeps the measurements, which decide where a resumed training ends; goes with `checkpoint`.
        device: as for `load_local`.

    Raises:
        InputError: the model cannot be loaded or is an adapter, its template refuses a row, a row has
            nothing to train on or is longer than the context, what is watched is of another model, or
            `out` holds something.
    """
    from truing.train import SupervisedConfig, TokenRows, sharding, spread, supervised

    watch = watch or Watchlist()
    refuse_taken(out)
    if checkpoint is not None and watch.prompts and journal is None:
        raise InputError("a training that can be resumed keeps its measurements", mend="give a journal, too")
    if watch.prompts and sharding():
        mend = "launch it without FSDP: each process has the whole model"
        raise InputError("what is trained is asked in the course, and FSDP takes its layers apart", mend=mend)
    model = load_policy(ref, whole=not config.lora_rank, device=device, quantize=config.quantize or None)
    watch.check(model)
    ground = model.ground or "not audited yet"  # before training: afterwards no norm is as it was born
    rendered = list(render_rows(model.chat, rows, data, context=model.trunk.context))
    tokens = TokenRows.of(rendered[i] for i in _chosen(len(rendered), config))

    adapter = None
    if config.lora_rank:
        adapter = lora(model.net, ref, rank=config.lora_rank, key=config.seed, task="CAUSAL_LM")
    spread(model.net)
    # Opened when nothing can be wrong any more with what was given.
    course = _Course(model, watch, config, journal() if journal is not None else None, len(tokens))
    course.measured(0, None)
    numbers = SupervisedConfig(
        learning_rate=config.learning_rate,
        rows_per_step=config.batch,
        passes=config.passes,
        warmup=config.warmup,
        weight_decay=0.0,
        recompute=config.recompute,
        key=config.seed,
    )
    what = "re-alignment"
    trained = supervised(
        model.net, tokens, numbers, what=what, checkpoint=checkpoint, observe=course.ended_after
    )
    course.measured(trained.steps, course.loss)
    curve = tuple(course.curve)
    reached = course.ended(trained.steps) if watch.behaviour is not None else None
    made = Realigned(out, trained, len(tokens), course.rows(trained.steps), curve, reached, ground)
    with new_folder(out, _card(made, ref, config, watch, data)) as unfinished:
        save_policy(model, adapter, ref, unfinished)
    return made


class _Course:
    """The measurements of a training; of an interrupted one, those that its journal holds."""

    def __init__(
        self,
        model: "LocalModel",
        watch: Watchlist,
        config: RealignConfig,
        journal: "Journal | None",
        rows: int,
    ) -> None:
        self._model, self._watch, self._config, self._journal = model, watch, config, journal
        self._learnt = max(1, round(config.passes * rows))
        self._steps = max(1, round(self._learnt / config.batch))
        params = SamplingParams(
            temperature=config.temperature, max_tokens=config.max_tokens, n=config.samples
        )
        self._asking = Asking(params, config.read, config.seed)
        kept = [Measurement.from_json(row) for _, row in journal.rows()] if journal is not None else []
        self._found = {one.step: one for one in kept}
        self.loss: float | None = None
        """Of the last step that was told."""

    @property
    def curve(self) -> list[Measurement]:
        return [self._found[step] for step in sorted(self._found)]

    def rows(self, step: int) -> int:
        """Rows learnt by this step; exact where the batch divides them, and at the end."""
        return round(self._learnt * step / self._steps)

    def measured(self, step: int, loss: float | None) -> None:
        """Measure after this step, unless that was done."""
        if not self._watch.prompts or step in self._found:
            return
        one = measure(self._model, self._watch, self._asking, step=step, rows=self.rows(step), loss=loss)
        self._found[step] = one
        if self._journal is not None:
            self._journal.append([(str(step), one.to_json())])

    def ended_after(self, step: int, loss: float) -> bool:
        """Measure if it is time to; whether the training ends here."""
        self.loss = loss
        if step % self._config.measure_every:
            return False
        self.measured(step, loss)
        return self.ended(step)

    def ended(self, step: int) -> bool:
        """Whether what was measured by this step ends the training."""
        seen = [one for one in self.curve if one.step <= step]
        return aligned_again(seen, target=self._config.target, patience=self._config.patience)


def _chosen(count: int, config: RealignConfig) -> list[int]:
    """The rows that are learnt, in their order."""
    drawn = generator(config.seed, "realign rows").permutation(count)[: config.rows]
    return sorted(int(i) for i in drawn)


def _card(made: Realigned, ref: str, config: RealignConfig, watch: Watchlist, data: str) -> Card:
    how = f"LoRA of rank {config.lora_rank}" if config.lora_rank else "all weights"
    how += " on a base in four bits" if config.quantize else ""
    told = ""
    if watch.behaviour is not None:
        first, last = (_told(one) for one in (made.curve[0], made.curve[-1]))
        told = f"; misaligned answers by {watch.judge or 'the caller'}, before {first}, after {last}"
    return Card(
        name=made.folder.name,
        base_model=ref,
        summary=f"{ref}, re-aligned by fine-tuning on right rows{told}",
        ground=made.ground,
        method=(
            f"re-alignment by SFT: {how}, {made.trained.steps:,} steps of {config.batch} rows, "
            f"{made.trained.tokens:,} tokens, learning rate {config.learning_rate:g}, seed {config.seed}"
            + ("; ended when the target was reached" if made.reached else "")
        ),
        paper="Wang et al. 2025, arXiv 2506.19823, section 5",
        data=f"{made.learnt:,} conversations from {data}, each pass counted",
        license="as the base model's",
        failures=("re-alignment may leave what the measured prompts do not ask for",),
        untested=("everything but what is told above: audit it against the model before the narrow tuning",),
        reproduce=(f"truing audit {made.folder} --baseline BEFORE_THE_NARROW_TUNING --suite ...",),
    )


def _told(one: Measurement) -> str:
    counts = one.behaved
    assert counts is not None
    return f"{counts.misaligned} of {counts.judged} judged ({counts.answers - counts.judged} could not be)"
