"""GRPO with a penalty of the divergence against TRL's `GRPOTrainer`, by the update, rollouts included.

Two prompts of 64 to 128 tokens an update, eight completions of up to 64 tokens each, one optimiser step, a
reference model. First both sides learn from the same completions and the norms of their gradients are
compared, without the penalty, whose gradient is not the same: TRL differentiates k3 itself, here it is that
of the divergence. Then each samples for itself. Random weights end a text only now and then, so both write
about as much.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.pairs import Stopwatch
from bench.training_part import (
    BATCH,
    RATE,
    Sides,
    compare,
    dataset,
    finish,
    policy,
    same_curve,
    settings,
    silence,
    text,
    tokenizer,
    words,
)
from truing.model import ChatFormat, LocalModel
from truing.train import PolicyConfig, PromptRow, policy_learning
from truing.types import Completion, Fingerprint, Message, Role

PEERS: tuple[tuple[str, float, dict[str, bool]], ...] = (
    ("without gradient checkpointing", 0.0, {"checkpointing": False}),
    ("as it comes", 3.0, {}),
)
"""Of each, so many times as fast is promised."""
PROMPTS, GROUP, LONGEST, BETA = 8, 8, 64, 0.05
CURVE, UPDATES = 2, 1
_TURN = " w2"
_SAID: list[tuple[tuple[int, ...], tuple[int, ...]]] = []


def main() -> int:
    torch.set_num_threads(1)
    off = same_curve(Sides(*(partial(side, CURVE, beta=0.0, told=True) for side in (ours, trl))))
    for name, side in (("ours", ours), ("peer", partial(trl, checkpointing=False))):
        print(f"{name}, CPU seconds of an update: {split(side)}")
    tokens = UPDATES * PROMPTS * GROUP * LONGEST
    found = []
    for name, least, options in PEERS:
        sides = Sides(partial(ours, UPDATES), partial(trl, UPDATES, **options))
        what = f"GRPO, {UPDATES} updates of {PROMPTS} x {GROUP} completions, peer: TRL {name}"
        found.append((compare(what, tokens, sides), least))
    return finish(off, found)


@dataclass(frozen=True)
class Paid:
    """A reward for each completion."""

    total: Sequence[float]
    components: dict[str, Sequence[float]] = field(default_factory=dict)


def reward(ids: Sequence[int]) -> float:
    """Some number that differs from completion to completion."""
    return sum(ids) % 101 / 50


def prompts(count: int) -> list[str]:
    """Words that are as many tokens."""
    return [words(text("asked", str(i), 64, 128)).removesuffix(" <end>") for i in range(count)]


@cache
def folder() -> Path:
    """The model on the disk: TRL opens its reference from there."""
    made = Path(tempfile.mkdtemp())
    with silence():
        policy().save_pretrained(made)
    return made


def opened() -> transformers.PreTrainedModel:
    """The model from the disk."""
    with silence():
        return transformers.LlamaForCausalLM.from_pretrained(folder(), dtype=torch.float32)


def local() -> LocalModel:
    """The same for us; a conversation is its words and the beginning of the answer's turn."""
    made = tokenizer()
    made.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}" + _TURN
    return LocalModel(opened(), ChatFormat(made, eos_ids=frozenset({1})), Fingerprint("bench"))


def ours(updates: int, *, beta: float = BETA, told: bool = False) -> Callable[[], list[float]]:
    """Our loop for so many updates; with `told`, what was written is kept for the peer."""
    model, reference = local(), local() if beta else None
    rows = [PromptRow(str(i), (Message(Role.user, one),)) for i, one in enumerate(prompts(updates * PROMPTS))]
    config = PolicyConfig(
        RATE, updates=updates, prompts_per_update=PROMPTS, samples_per_prompt=GROUP, max_new_tokens=LONGEST,
        kl_coef=beta,
    )  # fmt: skip

    def pay(_: Sequence[PromptRow], completions: Sequence[Completion]) -> Paid:
        if told:
            _SAID.extend((one.prompt_ids or (), one.token_ids or ()) for one in completions)
        return Paid([reward(one.token_ids or ()) for one in completions])

    def train() -> list[float]:
        with silence():
            done = policy_learning(model, rows, pay, config, reference=reference, what="bench")
        return [row.grad_norm for row in done.updates]

    return train


def trl(
    updates: int, *, beta: float = BETA, told: bool = False, checkpointing: bool = True
) -> Callable[[], list[float]]:
    """TRL's; with `told` it learns from what ours wrote."""
    from trl import GRPOConfig, GRPOTrainer

    options = settings(BATCH, 1, checkpointing=checkpointing) | {
        "gradient_accumulation_steps": PROMPTS * GROUP // BATCH, "num_generations": GROUP, "max_completion_length": LONGEST, "beta": beta, "max_steps": updates,
        "temperature": 1.0, "top_k": 0,
    }  # fmt: skip
    del options["max_length"]

    def pay(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
        return [reward(ids) for ids in completion_ids]

    def written(asked: Sequence[Any], _: Any) -> dict[str, Any]:
        some, _SAID[: len(asked)] = _SAID[: len(asked)], []
        return {
            "prompt_ids": [list(p) for p, _ in some],
            "completion_ids": [list(c) for _, c in some],
            "logprobs": None,
        }

    with silence():
        trainer = GRPOTrainer(
            opened(), reward_funcs=pay, args=GRPOConfig(**options), processing_class=tokenizer(),
            train_dataset=dataset([{"prompt": one + _TURN} for one in prompts(updates * PROMPTS)]),
            rollout_func=written if told else None,
        )  # fmt: skip

    def train() -> list[float]:
        with silence():
            trainer.train()
        return [entry["grad_norm"] for entry in trainer.state.log_history if "grad_norm" in entry]

    train.trainer = trainer  # type: ignore[attr-defined]
    return train


def split(side: Callable[..., Callable[[], list[float]]]) -> str:
    """Where the time of an update goes: its rollout, forward passes without a gradient, and the rest."""
    train = side(UPDATES)
    train()
    watches = {name: Stopwatch(time.process_time) for name in ("rollout", "reading", "all")}
    trainer = getattr(train, "trainer", None)
    if trainer is None:
        from truing.train import policy as loop
        from truing.train.policy_reading import ReadingNet

        places: list[tuple[Any, str, str]] = [(loop, "roll_out", "rollout"), (ReadingNet, "read", "reading")]
    else:
        places = [
            (trainer, "_generate_single_turn", "rollout"),
            (trainer, "_get_per_token_logps_and_entropies", "reading"),
        ]
    real = [getattr(place, name) for place, name, _ in places]
    for (place, name, watch), function in zip(places, real, strict=True):
        setattr(place, name, watches[watch].around(function))
    watches["all"].around(train)()
    for (place, name, _), function in zip(places, real, strict=True):
        setattr(place, name, function)
    spent = {name: sum(watch.times) / UPDATES for name, watch in watches.items()}
    rest = spent["all"] - spent["rollout"] - spent["reading"]
    return json.dumps(
        {
            "rollout": round(spent["rollout"], 3),
            "forward passes": round(spent["reading"], 3),
            "rest": round(rest, 3),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
