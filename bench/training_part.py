"""What the benchmarks of training share: a model, rows of tokens, TRL's settings, the comparison.

Both sides get the same token ids, the same random Llama, AdamW with the same numbers, float32 and one thread,
whose seconds are the processor's: nothing here waits for anything else. For the rest TRL is as it comes,
gradient checkpointing and metrics included, but for its bfloat16, which is slow where it is emulated, and its
log. What it does without gradient checkpointing, which trades time for memory, is told besides.
"""

import contextlib
import io
import json
import logging
import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["TRUING_BFLOAT16_ON_CPU"] = "0"  # float32 on both sides, whatever the processor has

import datasets
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from bench.pairs import time_pairs
from truing.numerics import generator
from truing.train import ComparedRows

VOCABULARY = 4096
PAIRS = 4
BATCH = 8
"""Rows, or prompts, of an optimiser step: TRL's default."""
RATE = 1e-4
LONGEST = 256
CURVE_STEPS = 10
MOST_OFF = 1e-3
"""So far, relative to the loss, curves that are equal but for rounding may come to part."""
_EOS, _PAD = 1, 0


@dataclass(frozen=True)
class Row:
    """Token ids with a loss mask."""

    ids: tuple[int, ...]
    mask: tuple[bool, ...]


def config() -> transformers.LlamaConfig:
    """4 layers of width 256, 5.3 M parameters with the vocabulary."""
    return transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=1024, bos_token_id=None,
        eos_token_id=_EOS, pad_token_id=_PAD, tie_word_embeddings=False,
    )  # fmt: skip


def policy() -> transformers.PreTrainedModel:
    """The model with logits, the same one every time."""
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config())


def scalar() -> transformers.PreTrainedModel:
    """The model with one number out."""
    torch.manual_seed(0)
    made = config()
    made.num_labels = 1
    return transformers.LlamaForSequenceClassification(made)


def text(name: str, key: str, low: int, high: int) -> tuple[int, ...]:
    """Random token ids, of a length between the two whose logarithm is uniform."""
    rng = generator(0, name, key)
    length = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    return tuple(map(int, rng.integers(2, VOCABULARY, length)))


def answer(prompt: Sequence[int], ids: Sequence[int]) -> Row:
    """A row whose loss is on the answer and its end."""
    return Row((*prompt, *ids, _EOS), (False,) * len(prompt) + (True,) * (len(ids) + 1))


def compared(count: int) -> list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Prompts of 16 to 192 tokens, each with a better and a worse answer of 8 to 128."""
    names = ("prompt", 16, 192), ("better", 8, 128), ("worse", 8, 128)
    return [tuple(text(name, str(i), low, high) for name, low, high in names) for i in range(count)]  # type: ignore[misc]


def groups(count: int) -> ComparedRows:
    """The same as our rows."""
    return ComparedRows.of(
        ([answer(prompt, better), answer(prompt, worse)], [1, 2]) for prompt, better, worse in compared(count)
    )


def words(ids: Sequence[int]) -> str:
    """What the peer's tokenizer reads back as these ids and the end of the turn."""
    return "".join(f" w{id}" for id in ids) + " <end>"


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One that writes a token as its number."""
    vocabulary = {f"w{i}": i for i in range(2, VOCABULARY)} | {"<pad>": _PAD, "<end>": _EOS}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<end>", pad_token="<pad>", unk_token="<pad>"
    )


def settings(batch: int, passes: int, *, checkpointing: bool) -> dict[str, Any]:
    """Arguments of a TRL configuration: the optimiser as ours, the rest as it comes."""
    return {
        "output_dir": tempfile.mkdtemp(), "per_device_train_batch_size": batch, "num_train_epochs": passes,
        "learning_rate": RATE, "lr_scheduler_type": "constant", "warmup_steps": 0,
        "weight_decay": 0.0, "adam_beta1": 0.9, "adam_beta2": 0.95, "max_grad_norm": 1.0,
        "optim": "adamw_torch_fused", "bf16": False, "gradient_checkpointing": checkpointing, "use_cpu": True,
        "logging_steps": 1, "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
        "max_length": 1024, "dataloader_pin_memory": False,
    }  # fmt: skip


OURS = {"learning_rate": RATE, "warmup": 0.0, "final_rate": 1.0, "weight_decay": 0.0}
"""The same numbers for one of our configurations."""


def dataset(rows: Sequence[dict[str, Any]]) -> datasets.Dataset:
    """The peer's form of the rows."""
    return datasets.Dataset.from_list(list(rows))


@contextlib.contextmanager
def silence() -> Any:
    """No log of the peer's in the output."""
    with (
        warnings.catch_warnings(),
        io.StringIO() as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        transformers.utils.logging.set_verbosity_error()
        datasets.disable_progress_bars()
        yield
        logging.disable(logging.NOTSET)


def losses(trainer: Any) -> list[float]:
    """Train; the loss of every step."""
    with silence():
        trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@dataclass(frozen=True)
class Sides:
    """The two sides of a comparison; each function builds what it needs and gives back the training itself.

    Module-level functions and partials of them, so that another process can build them, too.
    """

    ours: Callable[[], Callable[[], list[float]]]
    peer: Callable[[], Callable[[], list[float]]]


def same_curve(curves: Sides) -> float:
    """Print the losses of both sides on the same steps; the greatest difference, relative to ours."""
    ours, theirs = (np.array(side()()) for side in (curves.ours, curves.peer))
    if len(ours) != len(theirs):
        raise RuntimeError(f"ours took {len(ours)} steps, the peer {len(theirs)}")
    off = float(np.abs(theirs / ours - 1).max())
    told = ", ".join(f"{loss:.5f}" for loss in ours)
    print(f"losses of {len(ours)} steps on the same rows: {told}; the peer's differ by at most {off:.1e}")
    return off


def compare(what: str, tokens: int, sides: Sides, *, pairs: int = PAIRS) -> dict[str, Any]:
    """What `time_pairs` gives in seconds of the processor, and the memory that each side adds; told first."""
    ours_mb, peer_mb = (peak(side) for side in (sides.ours, sides.peer))
    told = time_pairs(what, sides.ours(), sides.peer(), pairs=pairs, clock=time.process_time)
    print(
        f"{what}: {tokens / told['ours']:.0f} real tokens per CPU-second and {ours_mb:.0f} MB more at the peak, "
        f"the peer {tokens / told['peer']:.0f} and {peer_mb:.0f} MB; {told['ratio']:.2f} times as fast"
    )
    return told | {"ours_mb": round(ours_mb), "peer_mb": round(peer_mb)}


def finish(off: float, found: Sequence[tuple[dict[str, Any], float]]) -> int:
    """Print the comparisons as JSON, the last one last; 1 if a promised ratio is missed or the curves part."""
    kept = off < MOST_OFF
    for told, least in found:
        kept = kept and told["ratio"] >= least and told["ours_mb"] <= told["peer_mb"]
        print(json.dumps(told))
    return int(not kept)


def peak(side: Callable[[], Callable[[], object]]) -> float:
    """MB that a training adds, at its peak, to what its process had before; in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (side,))


def _peak(side: Callable[[], Callable[[], object]]) -> float:
    torch.set_num_threads(1)
    train = side()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _status("VmRSS")
    train()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    """KB of a line of Linux's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
