"""How much memory a training takes on each device, from a model's configuration alone: nothing is loaded."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from truing.model.memory import (
    NF4,
    SIZES,
    Shape,
    cache_bytes,
    hollow,
    logit_bytes,
    parameter_count,
    text_config,
)
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Trains = Literal["all", "lora", "qlora"]
RESERVE = 2**30
"""Bytes that the device's own context and the allocator's gaps take, about."""
_BUCKETS = 2 * 2**23 * 4
"""Bytes of gradients on their way between data-parallel processes."""


@dataclass(frozen=True)
class TrainingSetup:
    """What a training's memory depends on, besides the model.

    Raises:
        InputError: a number is out of its range.
    """

    trains: Trains = "all"
    """All weights; LoRA matrices on a base as it is stored, or on one in four bits."""
    rank: int = 16
    """Of the LoRA matrices beside every linear layer."""
    recompute: bool = False
    """Activations are made again in the backward pass."""
    devices: int = 1
    """Processes with a device each."""
    sharded: bool = False
    """FSDP2: each has a part of the decoder layers; else each has all of the model."""
    tokens: int = 2048
    """Tokens that go through the model at once: a micro-batch, or the longest unit if that is longer."""
    logit_rows: int = 512
    """Rows of logits that exist at once."""
    compute: str = "bfloat16"
    """What matrix products are made in."""
    copies: int = 0
    """Further models of the same size that only read (a reference in float32, where all weights are trained)."""
    value_models: int = 0
    """Further models of the same size that are trained as well (PPO's value model)."""
    rollout_rows: int = 0
    """Completions that are written at once in the same process."""
    rollout_tokens: int = 0
    """The length of each, prompt included."""

    def __post_init__(self) -> None:
        if self.compute not in SIZES:
            raise InputError(
                f"there is no dtype {self.compute!r} for a model", mend=f"write {', '.join(SIZES)}"
            )
        if min(self.rank, self.devices, self.tokens, self.logit_rows) < 1:
            raise InputError("rank, devices, tokens and logit_rows are at least 1")
        if self.trains == "qlora" and self.sharded:
            raise InputError("a model in four bits is not sharded here")


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """The estimated peak on each device, in bytes, by what it is spent on."""

    parameters: int
    """Of the whole model, tied weights counted once."""
    trained: int
    """Parameters that are trained."""
    weights: int
    gradients: int
    optimizer: int
    gathered: int
    """Whole layers while they are worked on (FSDP), or gradients on their way (data-parallel)."""
    narrow: int
    """Copies of float32 weights in the type of the matrix products, until they are gone back through."""
    others: int
    """Models besides the policy."""
    activations: int
    logits: int
    rollouts: int
    """Keys, values and logits while completions are written, so far as that is more than training takes."""

    @property
    def total(self) -> int:
        """The peak in bytes, without `RESERVE`."""
        kept = self.weights + self.gradients + self.optimizer + self.others
        return kept + self.gathered + self.narrow + self.activations + self.logits + self.rollouts

    def fits(self, gigabytes: int) -> bool:
        """Whether a card of so many GB holds it, with `RESERVE`: such a card has about as many GiB."""
        return self.total + RESERVE <= gigabytes * 2**30 * 0.97

    def lines(self) -> list[str]:
        """A table in GiB, without the parts that are 0."""
        names = ("weights", "gradients", "optimizer", "gathered", "narrow", "others")
        names += ("activations", "logits", "rollouts", "total")
        sizes = [(name, getattr(self, name)) for name in names]
        return [f"  {name:<12}{size / 2**30:9.2f} GiB" for name, size in sizes if size]


def training_memory(model: "str | Path | PreTrainedConfig", setup: TrainingSetup) -> TrainingMemory:
    """The peak memory of a training step of the loops in `truing.train`, on each device.

    With N parameters, of which n are trained: weights 4N bytes (all) or as stored (LoRA) or about N/2
    (QLoRA); gradients 4n; AdamW's moments 8n; copies of float32 weights in bfloat16 2N. FSDP divides what
    belongs to decoder layers by the devices and gathers two layers at a time; embeddings and head stay
    whole. Parameters are counted exactly, on a model without storage. Activations are those of `estimate`,
    for the tokens of a micro-batch.

    Args:
        model: a model reference, of which only the configuration is read, or a configuration.
        setup: how it is trained.

    Raises:
        InputError: the reference has no configuration.
    """
    from truing.model.trunk import decoder_layers

    config = text_config(model)
    net = hollow(config)
    layers = decoder_layers(net)
    size = SIZES[setup.compute]
    parameters, inside = parameter_count(net), parameter_count(layers)
    ends = parameters - inside
    parts = setup.devices if setup.sharded else 1
    full = setup.trains == "all"
    low_rank = sum(setup.rank * sum(w.shape) for w in _matrices(layers))

    stored = 4 if full else SIZES.get(str(config.dtype or "float32").removeprefix("torch."), 4)
    each = NF4 if setup.trains == "qlora" else stored
    weights = inside * each / parts + ends * stored
    trained = parameters if full else low_rank
    mine = inside / parts + ends if full else low_rank / parts
    weights += 0 if full else 4 * mine
    # FSDP2 gathers a layer in the narrow type while the one before is worked on, and its gradient beside.
    layer = inside / len(layers)
    gathered = layer * (2 * min(size, each) + (size + 4 if full else 0)) if parts > 1 else 0.0
    if setup.devices > 1 and parts == 1:
        gathered = min(_BUCKETS, 2 * 4 * trained)
    copied = (inside if parts == 1 else 0) + parameter_count(net.get_output_embeddings())
    narrow = copied * size if size < each and setup.trains != "qlora" else 0
    if setup.recompute:
        narrow = narrow // len(layers)

    shape = Shape.of(config, net, size)
    kept = len(layers) * shape.saved
    if setup.recompute:
        kept = len(layers) * 4 * config.hidden_size + shape.saved
    activations = setup.tokens * (kept + shape.transient + 2 * 4 * config.hidden_size)
    chunk = min(setup.logit_rows, setup.tokens)
    logits = logit_bytes("train", config.vocab_size, 1, chunk, size)
    another = (weights + 12 * mine) * setup.value_models + 4 * (inside / parts + ends) * setup.copies
    written = 0
    if setup.rollout_rows:
        written = cache_bytes(config, shape, setup.rollout_rows, setup.rollout_tokens)
        written += logit_bytes("sample", config.vocab_size, setup.rollout_rows, 1, size)
    return TrainingMemory(
        parameters=parameters,
        trained=trained,
        weights=ceil(weights),
        gradients=ceil(4 * mine),
        optimizer=ceil(8 * mine),
        gathered=ceil(gathered),
        narrow=narrow,
        others=ceil(another),
        activations=activations,
        logits=logits,
        rollouts=max(0, written - activations - logits),
    )


def _matrices(layers: Any) -> list[Any]:
    """The weights of the linear layers inside, beside which LoRA puts its own."""
    return [
        module.weight
        for module in layers.modules()
        if getattr(module, "weight", None) is not None and module.weight.ndim == 2
    ]
