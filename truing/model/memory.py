"""How much memory a job takes, from a model's configuration alone: nothing is downloaded or loaded."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from truing.model.refs import base_and_adapter, find_folder
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Mode = Literal["sample", "score", "train"]

SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number."""
BATCH_TOKENS, BATCH_ROWS = 32768, 64
"""The most padded tokens (prompt and new) and rows in a batch of sampling."""
NF4 = 0.5 + 4 / 64
"""Bytes of a 4-bit weight: half a byte, and a float32 scale for each block of 64."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """The estimated peak on each device, in bytes, by what it is spent on."""

    parameters: int
    """Of the whole model, tied weights counted once."""
    weights: int
    cache: int
    """Keys and values of all rows at full length."""
    activations: int
    logits: int
    gradients: int
    optimizer: int
    setting: str
    """What was estimated, for people."""

    @property
    def total(self) -> int:
        """The peak on a device, in bytes."""
        parts = (self.weights, self.cache, self.activations, self.logits, self.gradients, self.optimizer)
        return sum(parts)

    def lines(self) -> list[str]:
        """A table in GiB for the terminal, without the parts that are 0."""
        names = ("weights", "cache", "activations", "logits", "gradients", "optimizer", "total")
        table = [(name, getattr(self, name)) for name in names]
        head = f"estimated peak per device: {self.setting}, {self.parameters / 1e9:.2f} billion parameters"
        return [head, *(f"  {name:<12}{size / 2**30:9.2f} GiB" for name, size in table if size)]


def estimate(
    model: "str | Path | PreTrainedConfig",
    *,
    mode: Mode,
    rows: int,
    tokens: int,
    dtype: str = "bfloat16",
    quantize: Literal["4bit"] | None = None,
    devices: int | None = None,
    chunk: int = 256,
) -> MemoryEstimate:
    """The peak memory of one batch.

    Parameters are counted exactly, on a model without storage. Activations are counted for one
    decoder layer in inference and for all of them in training (no activation checkpointing, and an
    attention kernel that does not store its scores); what comes on top of the weights was within
    35 % of the measured peak for tiny models of eight families. Training keeps gradients and the two moments of
    AdamW for every parameter, in the type of the parameters. What the library, the allocator's
    fragmentation and CUDA itself take (about 1 GiB) is not included.

    Args:
        model: a model reference, of which only the configuration is read, or a configuration.
        mode: `sample` with a KV cache, `score` (teacher-forced, no gradients), or `train`.
        rows: sequences in a batch, on each device in training.
        tokens: the length of each, prompt and answer.
        dtype: type of weights and activations: float32, bfloat16, float16, or `auto`, which is the
            checkpoint's (a CPU that does not compute in bfloat16 takes float32 instead: twice as much).
        quantize: `4bit` as in `load`; not for training all parameters.
        devices: how many, by default all visible GPUs; the layers are spread over them (sampling,
            scoring), or weights, gradients and moments are sharded over them (training).
        chunk: rows of logits that exist at once; see `numerics.chunked_logprobs`.

    Raises:
        InputError: the reference has no configuration, or an option is impossible.
    """
    config = text_config(model)
    if dtype == "auto":
        dtype = str(config.dtype or "float32").removeprefix("torch.")
    if devices is None:
        devices = _visible_devices()
    if dtype not in SIZES:
        raise InputError(f"there is no dtype {dtype!r} for a model", mend=f"write {', '.join(SIZES)}")
    if mode == "train" and quantize:
        raise InputError("quantized weights cannot be trained", mend="leave quantize out")
    if min(rows, tokens, devices, chunk) < 1:
        raise InputError("rows, tokens, devices and chunk are at least 1")
    net = hollow(config)
    parameters = parameter_count(net)
    embeddings = parameter_count(net.get_input_embeddings(), net.get_output_embeddings())
    size, layers = SIZES[dtype], config.num_hidden_layers
    weights = parameters * size
    if quantize:
        weights = int(embeddings * size + (parameters - embeddings) * NF4)
    training = mode == "train"
    gathered = (weights - embeddings * size) / layers if training and devices > 1 else 0
    shape = Shape.of(config, net, size)
    saved = layers * shape.saved if training else 0
    setting = f"{mode}, {rows} x {tokens} tokens, {quantize or dtype}, {devices} device{'s' * (devices > 1)}"
    return MemoryEstimate(
        parameters=parameters,
        weights=ceil(weights / devices + gathered),
        cache=ceil(cache_bytes(config, shape, rows, tokens) / devices) if mode == "sample" else 0,
        activations=rows * tokens * (saved + shape.transient),
        logits=logit_bytes(mode, config.vocab_size, rows, min(chunk, rows * tokens), size),
        gradients=ceil(parameters * size / devices) if training else 0,
        optimizer=ceil(2 * parameters * size / devices) if training else 0,
        setting=setting,
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """Bytes per token and layer."""

    keys_values: int
    saved: int
    """What the backward pass of a layer needs."""
    transient: int
    """The most that lives at once inside a layer."""

    @classmethod
    def of(cls, config: Any, net: Any, size: int) -> "Shape":
        """Of a model without storage, with activations of `size` bytes a number."""
        hidden, heads = config.hidden_size, config.num_attention_heads
        head = getattr(config, "head_dim", None) or hidden // heads
        queries, keys = heads * head, (getattr(config, "num_key_value_heads", None) or heads) * head
        inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden
        inner *= getattr(config, "num_experts_per_tok", None) or 1
        gated = any("gate" in name for name, _ in net.named_modules())
        # A norm keeps its input and its normalised value, both in float32, beside its result.
        normed = (2 * 4 + size) * _norm_width(net, queries, keys) / config.num_hidden_layers
        # Rotated queries and keys, values, attention's result, and the feed-forward's inner tensors.
        saved = normed + size * (2 * queries + 2 * keys) + size * (4 if gated else 2) * inner
        transient = max(
            size * 2 * hidden + 3 * 4 * hidden,  # a norm beside the residual stream
            size * (2 * hidden + 3 * queries + 4 * keys),  # attention
            size * (2 * hidden + (4 if gated else 3) * inner),  # the feed-forward
        )
        return cls(2 * keys * size, int(saved), transient)


def _norm_width(net: Any, queries: int, keys: int) -> int:
    """Values per token that all norms of the model read."""
    widths = {"q_norm": queries, "k_norm": keys}
    norms = [(name, module) for name, module in net.named_modules() if "Norm" in type(module).__name__]
    return sum(widths.get(name.rpartition(".")[2], module.weight.numel()) for name, module in norms)


def cache_bytes(config: Any, shape: Shape, rows: int, tokens: int) -> int:
    """Bytes of keys and values; a layer with a sliding window keeps only the window.

    One layer's worth comes on top: a growing cache is copied layer by layer.
    """
    window = getattr(config, "sliding_window", None) or tokens
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    kept = [min(tokens, window) if kind == "sliding_attention" else tokens for kind in kinds]
    return rows * shape.keys_values * (sum(kept) + max(kept))


def logit_bytes(mode: Mode, vocabulary: int, rows: int, chunk: int, size: int) -> int:
    """Bytes of the logits in float32, of what they were made from, and of their copies."""
    if mode == "sample":
        return rows * vocabulary * 4 * 4
    narrow = size if size < 4 else 0
    return chunk * vocabulary * (4 * (3 if mode == "train" else 2) + narrow)


def hollow(config: Any) -> Any:
    """The model without storage for its weights."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except Exception as why:
        raise InputError(f"no model can be built from this configuration ({why})") from why


def _visible_devices() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def parameter_count(*modules: Any) -> int:
    """Parameters of the modules, shared ones counted once."""
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def text_config(model: "str | Path | PreTrainedConfig") -> Any:
    """The configuration of the language model that a reference names, or inside a configuration."""
    if isinstance(model, (str, Path)):
        from truing.model.checkpoint import read_config

        folder, _ = base_and_adapter(find_folder(str(model), weights=False))
        return read_config(folder).get_text_config(decoder=True)
    return model.get_text_config(decoder=True)
