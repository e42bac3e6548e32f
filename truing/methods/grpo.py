"""Policy learning without a value model: each answer is compared with others to the same prompt.

Of a prompt's K answers with rewards r_1 .. r_K answer i has the advantage (Shao et al. 2024; Liu et al. 2025;
Ahmadian et al. 2024)

    grpo     (r_i - mean r) / std r
    dr_grpo  r_i - mean r
    rloo     r_i - mean of the other rewards

and so have all of its tokens. Answers that are paid alike teach nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from truing.methods.adapters import lora
from truing.methods.held_out import HeldOutMeasure
from truing.methods.policy_prompts import fitting
from truing.methods.policy_saving import Measures, PolicyRun, PolicyTuned, save_tuned
from truing.methods.ranges import check_ranges
from truing.methods.saving import load_policy, refuse_taken
from truing.types import InputError, SamplingParams

Estimator = Literal["grpo", "rloo", "dr_grpo"]

ESTIMATORS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "grpo": ("Shao et al. 2024, arXiv 2402.03300", {"aggregation": "sequence", "kl_in": "loss"}),
    # Without the two divisions that favour short answers and easy prompts.
    "dr_grpo": ("Liu et al. 2025, arXiv 2503.20783", {"aggregation": "fixed", "kl_in": "loss"}),
    # The reward that is compared has the answer's divergence taken off.
    "rloo": ("Ahmadian et al. 2024, arXiv 2402.14740", {"aggregation": "fixed", "kl_in": "reward"}),
}
"""Estimator -> where it was published, and what it is besides its advantage, in the words of `PolicyConfig`."""


@dataclass(frozen=True)
class GRPOTuningConfig:
    """The numbers of GRPO and RLOO. Weights are trained in float32 and saved as they were stored.

    Raises:
        InputError: the seed, the rank or a share is out of its range; what the others may be, training says.
    """

    estimator: Estimator = "grpo"
    """What an answer is compared with: the mean of its group, scaled (grpo) or not (dr_grpo), or the others (rloo)."""
    updates: int = 200
    """How often answers are sampled and learnt from."""
    learning_rate: float = 1e-6
    """Constant after the warm-up. For a million parameters see --preset small, for LoRA 1e-5."""
    prompts_per_update: int = 16
    """Prompts that are asked in an update."""
    samples_per_prompt: int = 8
    """Answers to each: the group."""
    max_new_tokens: int = 256
    """The longest answer."""
    temperature: float = 1.0
    """At which answers are sampled."""
    kl_coef: float = 0.04
    """What a nat of divergence from the model begun with costs, in units of the reward; 0 costs nothing."""
    clip_low: float = 0.2
    """How far below 1 a token's ratio to the policy that sampled still counts; needs several steps per update."""
    clip_high: float = 0.2
    """How far above 1."""
    minibatches: int = 1
    """Optimiser steps in which the answers of an update are gone through."""
    inner_epochs: int = 1
    """How often they are gone through."""
    truncated: Literal["mask", "score", "penalty"] = "mask"
    """An answer that was cut off is not learnt from (mask), counts as any other (score), or is paid a penalty."""
    truncation_penalty: float = -1.0
    """The whole reward of an answer that was cut off, with --truncated penalty."""
    warmup: int = 0
    """Updates in which the learning rate rises from a tenth."""
    lora_rank: int = 0
    """0 trains every weight; above it, LoRA matrices of this rank beside every linear layer, saved as an adapter."""
    quantize: Literal["", "4bit"] = ""
    """4bit keeps the base model in four bits (NF4) under LoRA matrices: QLoRA (Dettmers et al. 2023)."""
    recompute: bool = False
    """Makes activations again in the backward pass: a third more work, far less memory."""
    held_out: float = 0.1
    """The share of the prompts of a file that is not learnt on, to measure on; 0 measures nothing."""
    measure_every: int = 5
    """Updates between two measures of --watch on the held-out prompts; 0 measures before and after alone."""
    seed: int = 0
    """Decides everything that is drawn: the split, the prompts, the answers, the first values of LoRA matrices."""

    def __post_init__(self) -> None:
        check_ranges(seed=self.seed, lora_rank=self.lora_rank, quantize=self.quantize)
        if self.estimator not in ESTIMATORS:
            known = ", ".join(ESTIMATORS)
            raise InputError(f"there is no estimator {self.estimator!r}", mend=f"choose from {known}")
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is a share below 1, not {self.held_out}")
        if self.measure_every < 0:
            raise InputError(f"measure_every is at least 0, not {self.measure_every}")


GRPO_PRESETS: Mapping[str, GRPOTuningConfig] = {
    # Ours, from three trials on the proving ground: in 20 updates 1e-4 taught nothing, 4e-4 what was paid for, and 1e-3
    # as much in half the time, with the answers in ruins.
    "small": GRPOTuningConfig(updates=20, learning_rate=4e-4, max_new_tokens=64),
}
"""Numbers by name."""


def tune_by_grpo(
    ref: str,
    run: PolicyRun,
    out: Path,
    config: GRPOTuningConfig,
    *,
    checkpoint: Path | None = None,
    device: str = "auto",
) -> PolicyTuned:
    """Train the model `ref` on rewards for its own answers, measure it on held-out prompts, save it in `out`.

    What it is kept near to is the model as it is given: with LoRA the policy without its adapter, else a
    second copy that is not trained.

    Args:
        ref: the model, by reference; usually one that learnt to answer by supervised fine-tuning.
        run: prompts, reward and what is told on the way.
        out: the new folder.
        config: how.
        checkpoint: a file that receives the state about once a minute, and where a reward fails; if it is there,
            training goes on from it.
        device: as for `load_local`.

    Raises:
        InputError: the model cannot be loaded or is an adapter, no prompt fits into the context, a reward fails,
            or `out` holds something.
    """
    from truing.train import PolicyConfig, policy_learning

    refuse_taken(out)
    paper, parts = ESTIMATORS[config.estimator]
    numbers = PolicyConfig(
        learning_rate=config.learning_rate,
        updates=config.updates,
        prompts_per_update=config.prompts_per_update,
        samples_per_prompt=config.samples_per_prompt,
        minibatches=config.minibatches,
        inner_epochs=config.inner_epochs,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        clip_low=config.clip_low,
        clip_high=config.clip_high,
        kl_coef=config.kl_coef,
        advantage=config.estimator,
        truncated=config.truncated,
        truncation_penalty=config.truncation_penalty,
        warmup=config.warmup,
        recompute=config.recompute,
        key=config.seed,
        **parts,
    )
    model = load_policy(ref, whole=not config.lora_rank, device=device, quantize=config.quantize or None)
    ground = model.ground or "not audited yet"  # before training: afterwards no norm is as it was born
    prompts = fitting(
        run.prompts, model.chat, context=model.trunk.context, room=config.max_new_tokens, data=run.data
    )
    adapter = None
    if config.lora_rank:
        adapter = lora(model.net, ref, rank=config.lora_rank, key=config.seed, task="CAUSAL_LM")
    params = SamplingParams(temperature=config.temperature, max_tokens=config.max_new_tokens)
    measure = HeldOutMeasure(prompts.held_out, run.reward, run.watched, params, key=config.seed)
    measures = Measures(run, measure, model, updates=config.updates, every=config.measure_every)
    trained = policy_learning(
        model,
        prompts.train,
        run.reward.mixed,
        numbers,
        reference="adapter off" if adapter is not None else load_policy(ref, whole=True, device=device),
        what=config.estimator.upper().replace("_", " "),
        checkpoint=checkpoint,
        engine=run.engine(adapter),
        observe=run.observe,
        measure=measures.before,
    )
    held_out = measures.at_the_end(len(trained.updates))
    how = f"LoRA of rank {config.lora_rank}" if config.lora_rank else "all weights"
    how += " on a base in four bits" if config.quantize else ""
    what = {
        "summary": f"{ref}, tuned on rewards for its own answers",
        "method": (
            f"{config.estimator}: {how}; {len(trained.updates)} updates of {config.prompts_per_update} prompts with "
            f"{config.samples_per_prompt} answers each, {trained.tokens:,} tokens, KL coefficient {config.kl_coef:g}, "
            f"learning rate {config.learning_rate:g}, truncated: {config.truncated}, seed {config.seed}"
        ),
        "paper": paper,
    }
    tuned = PolicyTuned(out, trained, held_out, prompts, ground)
    save_tuned(tuned, model, adapter, ref, run, what)
    return tuned
