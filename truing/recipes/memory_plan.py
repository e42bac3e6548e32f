"""What a training would take, told before it is begun: peak memory for each way to train, on one device or many."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from truing.model import BATCH_ROWS, TrainingSetup, training_memory
from truing.types import InputError

CARDS = (24, 80)
"""GB of the cards that are told of."""
_MANY = (1, 8, 64)
_ANSWERS = {"sft": 1, "rm": 2, "dpo": 2, "grpo": 1, "ppo": 1}
_NEVER = {"rm": ("qlora",), "ppo": ("lora", "qlora")}
"""What is not there: an adapter merged into four bits, a start that is tuned under an adapter."""
_TOKENS = 2048
_RANK = 16


@dataclass(frozen=True)
class DryMethod:
    """What of a method decides on its memory."""

    name: str
    recompute: bool = False
    lora_rank: int = 0
    writes: int = 0
    """Completions of an update that are written in the same process; 0 where an endpoint writes them, or none."""


def dry_run(model: str, method: DryMethod) -> dict[str, Any]:
    """The peak on each device for all weights, LoRA and QLoRA on 1, 8 and 64 devices; nothing is loaded.

    One device is taken as it is, several as FSDP shards over them (QLoRA: as data-parallel copies).

    Args:
        model: a model reference; only its configuration is read.
        method: what is trained and how.

    Raises:
        InputError: the reference has no configuration, or it is an endpoint.
    """
    if model.startswith("endpoint:"):
        raise InputError(f"{model} has no configuration here", mend="give a folder or hub:ID")
    rows = [_row(model, setup, method) for setup in _setups(method)]
    return {
        "method": method.name,
        "model": model,
        "parameters": rows[0]["parameters"],
        "tokens": _TOKENS * _ANSWERS[method.name],
        "recompute": method.recompute,
        "peaks": rows,
    }


def dry_table(found: dict[str, Any]) -> str:
    """The table for people."""
    again = (
        "activations made again" if found["recompute"] else "activations kept (--recompute makes them again)"
    )
    lines = [
        f"{found['method']} of {found['model']}: {found['parameters'] / 1e9:.2f} billion parameters, "
        f"{found['tokens']:,} tokens at once, {again}",
        "peak GiB per device, by arithmetic from the configuration; nothing was loaded, and nothing run on a GPU here",
        f"{'trained':<22}{'devices':>8}{'GiB':>10}   fits",
    ]
    for row in found["peaks"]:
        cards = (
            ", ".join(f"{card} GB" for card in CARDS if row["fits"][str(card)])
            or f"neither {CARDS[0]} nor {CARDS[1]} GB"
        )
        lines.append(f"{row['trains']:<22}{row['devices']:>8}{row['gib']:>10.1f}   {cards}")
    return "\n".join(lines)


def _setups(method: DryMethod) -> Iterator[tuple[str, TrainingSetup]]:
    rank = method.lora_rank or _RANK
    policy = method.name in ("grpo", "ppo")
    for trains, name in (
        ("all", "all weights"),
        ("lora", f"LoRA of rank {rank}"),
        ("qlora", f"QLoRA of rank {rank}"),
    ):
        if trains in _NEVER.get(method.name, ()):
            continue
        for devices in _MANY:
            yield (
                name,
                TrainingSetup(
                    trains=trains,  # type: ignore[arg-type]
                    rank=rank,
                    recompute=method.recompute,
                    devices=devices,
                    sharded=devices > 1 and trains != "qlora" and not policy,
                    tokens=_TOKENS * _ANSWERS[method.name],
                    copies=int(policy and trains == "all"),
                    value_models=int(method.name == "ppo"),
                    rollout_rows=min(method.writes, BATCH_ROWS),
                    rollout_tokens=_TOKENS if method.writes else 0,
                ),
            )


def _row(model: str, named: tuple[str, TrainingSetup], method: DryMethod) -> dict[str, Any]:
    name, setup = named
    found = training_memory(model, setup)
    return {
        "trains": name,
        "devices": setup.devices,
        "sharded": setup.sharded,
        "chosen": (setup.trains != "all") == bool(method.lora_rank),
        "parameters": found.parameters,
        "gib": round(found.total / 2**30, 2),
        "fits": {str(card): found.fits(card) for card in CARDS},
    }
