"""InstructGPT's third step (Ouyang et al. 2022, sections 3.5 and appendix C.4): PPO against a reward model, PPO-ptx.

In this order:

1. the start: the model, tuned for two passes on demonstrations with a tenth of pretraining text among them;
2. the value model, which begins as the reward model;
3. PPO: an answer is paid its reward at its last token and, at every token, minus beta times its
   log-probability over that of the start. A value model that is trained beside it tells what was expected;
4. in every step the gradient of pretraining text is added, weighed with gamma (PPO-ptx; 0 is plain PPO);
5. what is saved is the exponential mean of the weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from truing.data import place
from truing.methods.held_out import HeldOutMeasure
from truing.methods.policy_prompts import fitting
from truing.methods.policy_saving import Measures, PolicyRun, PolicyTuned, save_tuned
from truing.methods.pretraining import TextRow, text_rows
from truing.methods.ranges import check_ranges
from truing.methods.saving import load_policy, new_folder, refuse_taken, save_policy
from truing.model import ScalarModel, scalar_head
from truing.run import Card
from truing.types import InputError, Message, SamplingParams

if TYPE_CHECKING:
    from truing.model import LocalModel

Conversation = tuple[Message, ...]


@dataclass(frozen=True)
class PPOTuningConfig:
    """The numbers of PPO and PPO-ptx; the defaults are the published ones of the 1.3B model but for its scale.

    Weights are trained in float32 and saved as they were stored.

    Raises:
        InputError: the seed or a share is out of its range; what the others may be, training says.
    """

    updates: int = 500
    """How often answers are sampled and learnt from."""
    learning_rate: float = 8.05e-6
    """Of the policy, constant after the warm-up: the middle of the published sweep, 2.55e-6 to 2.55e-5."""
    value_learning_rate: float = 9e-6
    """Of the value model."""
    prompts_per_update: int = 512
    """Prompts that are asked in an update."""
    samples_per_prompt: int = 1
    """Answers to each."""
    minibatches: int = 8
    """Optimiser steps in which the answers of an update are gone through."""
    inner_epochs: int = 1
    """How often they are gone through."""
    max_new_tokens: int = 256
    """The longest answer; published 1,000."""
    temperature: float = 1.0
    """At which answers are sampled."""
    kl_coef: float = 0.02
    """Beta: what a nat of divergence from the start costs, in units of the reward; published best 0.01 to 0.02."""
    kl_target: float | None = None
    """Nats per answer to which beta is steered (Ziegler et al. 2019); without it, it stays."""
    clip: float = 0.2
    """How far a token's ratio to the policy that sampled, and a value, may move at a profit."""
    lam: float = 0.95
    """Lambda of the advantages (GAE): 0 trusts the values, 1 the rewards; nothing is discounted."""
    ptx_coef: float = 27.8
    """Gamma: what the mean loss of pretraining text weighs; 0 is plain PPO and needs no such text."""
    ptx_ratio: float = 8.0
    """Pretraining rows for each answer."""
    ema: float = 0.992
    """Decay of the mean of weights that is saved; 0 saves the last weights."""
    warmup: int = 10
    """Updates in which the learning rates rise from a tenth."""
    truncated: Literal["mask", "score", "penalty"] = "mask"
    """An answer that was cut off is not learnt from (mask), counts as any other (score), or is paid a penalty."""
    truncation_penalty: float = -1.0
    """The whole reward of an answer that was cut off, with --truncated penalty."""
    start_learning_rate: float = 5e-6
    """Of the start, falling to a tenth along a cosine."""
    start_passes: float = 2.0
    """How often the start reads the demonstrations."""
    start_tokens_per_step: int = 32 * 512
    """Tokens of its optimiser steps, about; published are 32 demonstrations."""
    start_pretraining: float = 0.1
    """The share of pretraining text among the tokens that the start reads."""
    held_out: float = 0.1
    """The share of the prompts of a file that is not learnt on, to measure on; 0 measures nothing."""
    measure_every: int = 25
    """Updates between two measures of --watch on the held-out prompts; 0 measures before and after alone."""
    recompute: bool = False
    """Makes activations again in the backward pass: a third more work, far less memory."""
    seed: int = 0
    """Decides everything that is drawn."""

    def __post_init__(self) -> None:
        check_ranges(seed=self.seed)
        if not 0 <= self.held_out < 1 or not 0 <= self.start_pretraining < 1:
            raise InputError("held_out and start_pretraining are shares below 1")
        if self.measure_every < 0:
            raise InputError(f"measure_every is at least 0, not {self.measure_every}")


PPO_PRESETS: Mapping[str, PPOTuningConfig] = {
    # Ouyang et al. 2022, appendix C, for the 1.3B policy: 256,000 episodes in batches of 512 and minibatches of 64.
    # Which learning rate of the sweep was chosen is not printed; above this one all diverged without ptx.
    "paper": PPOTuningConfig(max_new_tokens=1000),
    # Ours, for about a million parameters: on the proving ground they raise the reward and what answers are worth, on
    # each of three bases (evidence.instructgpt). Not searched.
    "small": PPOTuningConfig(
        updates=60,
        learning_rate=1e-4,
        value_learning_rate=4e-4,
        prompts_per_update=64,
        minibatches=2,
        max_new_tokens=64,
        ptx_coef=1.0,
        ptx_ratio=1.0,
        ema=0.9,
        warmup=0,
        start_learning_rate=1e-4,
        start_tokens_per_step=1024,
        measure_every=5,
    ),
}
"""Numbers by name; `paper` was not run on pretrained weights here."""


@dataclass(frozen=True)
class Mixed:
    """What PPO learns from besides rewards; each may be empty."""

    demonstrations: tuple[Conversation, ...] = ()
    """Conversations that end with an answer people wrote; without any the start is the model as it is."""
    pretraining: tuple[str, ...] = ()
    """Texts like those that the model was pretrained on."""
    value: str = ""
    """The reward model that the value model begins as; without it that is the start under a head of zeros."""


def tune_by_ppo(
    ref: str,
    run: PolicyRun,
    mixed: Mixed,
    out: Path,
    config: PPOTuningConfig,
    *,
    start: Path,
    checkpoint: Path | None = None,
    device: str = "auto",
) -> PolicyTuned:
    """Train the model `ref` as InstructGPT was, measure it on held-out prompts, save it in `out` with a card.

    Args:
        ref: the model, by reference; with demonstrations usually a base model.
        run: prompts, reward and what is told on the way.
        mixed: demonstrations, pretraining text and the value model.
        out: the new folder.
        config: how.
        start: the folder of the start, made if it is not there and there are demonstrations.
        checkpoint: a file that receives the state about once a minute, and where a reward fails; if it is there,
            training goes on from it.
        device: as for `load_local`.

    Raises:
        InputError: a model cannot be loaded, the value model has another tokenizer, there is no pretraining text
            where it is needed, no prompt fits into the context, a reward fails, or `out` holds something.
    """
    from truing.train import PolicyConfig, TokenRows, policy_learning

    refuse_taken(out)
    if config.ptx_coef and not mixed.pretraining:
        mend = "give --pretraining FILE.jsonl, or --ptx-coef 0 for plain PPO"
        raise InputError("the pretraining gradient has no text", mend=mend)
    ground = load_policy(ref, whole=True, device=device).ground or "not audited yet"
    begun = ref
    if mixed.demonstrations:
        if not start.exists():
            make_start(ref, mixed, start, config, data=run.data, checkpoint=checkpoint, device=device)
        begun = str(start)
    model = load_policy(begun, whole=True, device=device)
    value = _value_model(mixed.value, begun, model, config, device)
    prompts = fitting(
        run.prompts, model.chat, context=model.trunk.context, room=config.max_new_tokens, data=run.data
    )
    numbers = PolicyConfig(
        learning_rate=config.learning_rate,
        value_learning_rate=config.value_learning_rate,
        updates=config.updates,
        prompts_per_update=config.prompts_per_update,
        samples_per_prompt=config.samples_per_prompt,
        minibatches=config.minibatches,
        inner_epochs=config.inner_epochs,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        clip_low=config.clip,
        clip_high=config.clip,
        value_clip=config.clip,
        kl_coef=config.kl_coef,
        kl_in="reward",
        kl_target=config.kl_target,
        advantage="gae",
        gamma=1.0,
        lam=config.lam,
        whiten=True,
        aggregation="token",
        truncated=config.truncated,
        truncation_penalty=config.truncation_penalty,
        ema=config.ema,
        warmup=config.warmup,
        ptx_coef=config.ptx_coef,
        ptx_ratio=config.ptx_ratio,
        recompute=config.recompute,
        key=config.seed,
    )
    ptx = text_rows(mixed.pretraining, model.chat, context=model.trunk.context) if config.ptx_coef else []
    params = SamplingParams(temperature=config.temperature, max_tokens=config.max_new_tokens)
    measure = HeldOutMeasure(prompts.held_out, run.reward, run.watched, params, key=config.seed)
    measures = Measures(run, measure, model, updates=config.updates, every=config.measure_every)
    trained = policy_learning(
        model,
        prompts.train,
        run.reward.mixed,
        numbers,
        reference=load_policy(begun, whole=True, device=device),
        value=value,
        ptx=TokenRows.of(ptx) if ptx else None,
        what="PPO-ptx" if ptx else "PPO",
        checkpoint=checkpoint,
        engine=run.engine(None),
        observe=run.observe,
        measure=measures.before,
    )
    held_out = measures.at_the_end(len(trained.updates))
    tuned = PolicyTuned(out, trained, held_out, prompts, ground)
    what = {
        "summary": f"{ref}, tuned by {'PPO-ptx' if ptx else 'PPO'} as InstructGPT was",
        "method": _how(config, mixed, len(trained.updates), trained.tokens),
        "paper": "Ouyang et al. 2022, arXiv 2203.02155, section 3.5",
    }
    save_tuned(tuned, model, None, ref, run, what)
    return tuned


def make_start(
    ref: str,
    mixed: Mixed,
    start: Path,
    config: PPOTuningConfig,
    *,
    data: str,
    checkpoint: Path | None = None,
    device: str = "auto",
) -> None:
    """Tune `ref` on demonstrations with pretraining text among them (appendix C.3), and save it in `start`.

    What makes it are the numbers of `config` whose names begin with `start_`, and its seed; `data` says in the
    card where the prompts come from, and a file beside `checkpoint` receives the state.

    Raises:
        InputError: the model cannot be loaded, no demonstration fits into its context, or `start` holds something.
    """
    from truing.train import SupervisedConfig, TokenRows, supervised

    model = load_policy(ref, whole=True, device=device)
    context = model.trunk.context
    shown = []
    for number, row in enumerate(mixed.demonstrations, start=1):
        with place("the demonstrations", number):
            rendered = model.chat.training_example(row)
        if context is None or len(rendered.ids) <= context:
            shown.append(rendered)
    if not shown:
        raise InputError("no demonstration fits into the model's context", mend="shorten them")
    taught = sum(len(row.ids) for row in shown)
    texts = text_rows(mixed.pretraining, model.chat, context=context)
    share = config.start_pretraining if texts else 0.0
    among = _so_many(texts, round(taught * share / (1 - share)))
    numbers = SupervisedConfig(
        learning_rate=config.start_learning_rate,
        tokens_per_step=config.start_tokens_per_step,
        passes=config.start_passes,
        warmup=0.0,
        weight_decay=0.0,
        key=config.seed,
    )
    state = checkpoint.with_name(f"start-{checkpoint.name}") if checkpoint is not None else None
    rows = TokenRows.of([*shown, *among])
    trained = supervised(model.net, rows, numbers, what="start of PPO", checkpoint=state)
    card = Card(
        name=start.name,
        base_model=ref,
        summary=f"What PPO of {ref} begins with and is kept near to",
        ground=model.ground,
        method=f"supervised fine-tuning, {trained.tokens:,} tokens, learning rate {config.start_learning_rate:g}",
        data=f"{len(shown):,} demonstrations, and {len(among):,} pieces of pretraining text; prompts of {data}",
    )
    with new_folder(start, card) as unfinished:
        save_policy(model, None, ref, unfinished)
    if state is not None:
        state.unlink(missing_ok=True)


def _so_many(rows: Sequence[TextRow], tokens: int) -> list[TextRow]:
    """The first rows that hold so many tokens, or all of them."""
    out: list[TextRow] = []
    for row in rows:
        if tokens <= 0:
            break
        out.append(row)
        tokens -= len(row.ids)
    return out


def _value_model(
    value: str, begun: str, model: "LocalModel", config: PPOTuningConfig, device: str
) -> ScalarModel:
    """The reward model `value`, or the start with a head that expects nothing."""
    if not value:
        fresh = ScalarModel.from_base(begun, config.seed, device=device)
        for weight in scalar_head(fresh.net).parameters():
            weight.data.zero_()
        return fresh
    found = ScalarModel.load(value, device=device, dtype="float32")
    if found.chat.tokenizer.get_vocab() != model.chat.tokenizer.get_vocab():
        mend = "give --value a reward model that began as a model of the policy's family, or leave it out"
        raise InputError(f"the value model {value} reads other tokens than the policy", mend=mend)
    return found


def _how(config: PPOTuningConfig, mixed: Mixed, updates: int, tokens: int) -> str:
    start = "the model as it is"
    if mixed.demonstrations:
        start = f"{config.start_passes:g} passes over {len(mixed.demonstrations):,} demonstrations"
    value = mixed.value or "the start under a head of zeros"
    return (
        f"start: {start}; value model: {value}; {updates} updates of {config.prompts_per_update} prompts with "
        f"{config.samples_per_prompt} answers each, {tokens:,} tokens, KL coefficient {config.kl_coef:g}, pretraining "
        f"gradient {config.ptx_coef:g}, learning rate {config.learning_rate:g}, mean of weights {config.ema:g}, "
        f"truncated: {config.truncated}, seed {config.seed}"
    )
