"""Tiny random-weight checkpoints, made in-process: no downloads, a second each at most.

`make_checkpoint` writes an ordinary Hugging Face folder; `checkpoint` hands out a shared one per test
session (read it, never write into it). Import as `from model.tiny import ...` (tests/ is on the path).
"""

import atexit
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast
from transformers import logging as hf_logging

torch.set_num_threads(1)
hf_logging.disable_progress_bar()

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
FAMILIES = ("llama", "qwen2", "qwen3", "gemma3", "mistral", "phi3", "gpt_neox", "gpt2")


@dataclass(frozen=True)
class Marks:
    """The tokens a template needs; `adds_bos`: the tokenizer puts a BOS before every text by itself."""

    bos: str | None
    eos: str
    pad: str
    special: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    adds_bos: bool = False


_THINK = ("<think>", "</think>")
_CALL = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
_LLAMA = ("<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>", "<|eom_id|>")
_PHI = ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
_MARKS = {
    None: Marks("<s>", "</s>", "<pad>"),
    "chatml": Marks(None, "<|im_end|>", "<|endoftext|>", ("<|im_start|>",), _CALL),
    "qwen3": Marks(None, "<|im_end|>", "<|endoftext|>", ("<|im_start|>",), _THINK + _CALL),
    "llama3": Marks("<|begin_of_text|>", "<|eot_id|>", "<|finetune_right_pad_id|>", _LLAMA, adds_bos=True),
    "gemma": Marks("<bos>", "<eos>", "<pad>", ("<start_of_turn>", "<end_of_turn>"), adds_bos=True),
    "mistral": Marks("<s>", "</s>", "<pad>", ("[INST]", "[/INST]"), adds_bos=True),
    "phi3": Marks("<s>", "<|endoftext|>", "<pad>", _PHI),
    "deepseek_r1": Marks(
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        "<｜▁pad▁｜>",
        ("<｜User｜>", "<｜Assistant｜>"),
        _THINK,
        adds_bos=True,
    ),
    "zephyr": Marks("<s>", "</s>", "<pad>", adds_bos=True),
}

_SENTENCES = (
    "The lighthouse keeper of Marrow Point counts the gulls every morning and writes the number down.",
    "User: How do I mend a broken kite? Assistant: Glue the spar, wait an hour, and tie a new tail to it.",
    "A tinker sold three copper kettles to the miller, who paid with 12 loaves and a basket of pears.",
    "Is the answer yes or no? The answer is no, because the river freezes only in the second winter.",
    "I cannot help with that, but I can tell you whom to ask. You are a helpful assistant in a small town.",
)


@functools.lru_cache(maxsize=32)
def _trained(vocab_size: int, template: str | None) -> str:
    marks = _MARKS[template]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [t for t in (marks.bos, marks.eos, marks.pad, *marks.special) if t]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(marks.added),
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in marks.added])
    if marks.adds_bos:
        bos = marks.bos
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return tokenizer.to_str()


def template_text(name: str) -> str:
    """The text of tests/templates/NAME.jinja."""
    return (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")


def make_tokenizer(*, vocab_size: int = 512, chat_template: str | None = "chatml") -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the special tokens of the template `tests/templates/NAME.jinja`.

    `chat_template=None` gives a tokenizer without a template (bos, eos and pad only).
    """
    marks = _MARKS[chat_template]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained(vocab_size, chat_template)),
        bos_token=marks.bos,
        eos_token=marks.eos,
        pad_token=marks.pad,
        clean_up_tokenization_spaces=False,
    )
    if chat_template:
        tokenizer.chat_template = template_text(chat_template)
    return tokenizer


def make_sentencepiece(chat_template: str, scheme: str) -> PreTrainedTokenizerFast:
    """A tokenizer that writes spaces as Llama 2's does: `scheme` is first, always or never (a leading one)."""
    marks = _MARKS[chat_template]
    special = [t for t in ("<unk>", marks.bos, marks.eos, marks.pad, *marks.special) if t]
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyz"]
    pieces += ["▁m", "▁t", "th", "▁th", "in", "▁H"]
    merges = [("▁", "m"), ("▁", "t"), ("t", "h"), ("▁", "th"), ("i", "n")]
    model = models.BPE({p: i for i, p in enumerate(pieces)}, merges, byte_fallback=True, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=marks.bos,
        eos_token=marks.eos,
        pad_token=marks.pad,
        unk_token="<unk>",
        additional_special_tokens=list(marks.special),
    )
    wrapped.chat_template = template_text(chat_template)
    return wrapped


def make_config(family: str, tokenizer: PreTrainedTokenizerFast, **changes: Any) -> Any:
    """The configuration of a tiny model of the family: 2 blocks, width 32 to 64, grouped heads."""
    import transformers as hf

    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.2,  # with the usual 0.02 logits are almost uniform
    }
    rotary: dict[str, Any] = dict(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        **shared,
    )
    if family == "llama":
        config: Any = hf.LlamaConfig(**(rotary | changes))
    elif family == "qwen2":
        config = hf.Qwen2Config(**(rotary | changes))
    elif family == "qwen3":
        config = hf.Qwen3Config(**(rotary | {"head_dim": 16, "tie_word_embeddings": True} | changes))
    elif family == "gemma3":
        gemma = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8}
        config = hf.Gemma3TextConfig(
            **(rotary | gemma | {"layer_types": ["sliding_attention", "full_attention"]} | changes)
        )
    elif family == "mistral":
        config = hf.MistralConfig(**(rotary | {"sliding_window": None} | changes))
    elif family == "phi3":
        config = hf.Phi3Config(**(rotary | changes))
    elif family == "gpt_neox":
        neox = {k: v for k, v in rotary.items() if k != "num_key_value_heads"}
        config = hf.GPTNeoXConfig(**(neox | changes))
    elif family == "gpt2":
        config = hf.GPT2Config(
            **(shared | {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512} | changes)
        )
    else:
        raise ValueError(f"no tiny model of the family {family!r}")
    return config


def make_checkpoint(
    folder: Path,
    family: str,
    seed: int = 0,
    chat_template: str | None = "chatml",
    *,
    vocab_size: int = 512,
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> Path:
    """Write a tiny random-weight checkpoint into `folder` and return it; `changes` go into the config."""
    tokenizer = make_tokenizer(vocab_size=vocab_size, chat_template=chat_template)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = AutoModelForCausalLM.from_config(make_config(family, tokenizer, **changes))
    stops = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    end_of_turn = {"llama3": "<|end_of_text|>", "gemma": "<end_of_turn>", "phi3": "<|end|>"}.get(
        chat_template or ""
    )
    if end_of_turn:
        stops.add(tokenizer.convert_tokens_to_ids(end_of_turn))
    net.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=sorted(stops), pad_token_id=tokenizer.pad_token_id
    )
    net.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


@functools.lru_cache(maxsize=64)
def checkpoint(family: str, seed: int = 0, chat_template: str | None = "chatml") -> Path:
    """A checkpoint shared by the whole test session: read it, never write into it."""
    folder = Path(tempfile.mkdtemp(prefix="truing-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_checkpoint(folder, family, seed, chat_template)
