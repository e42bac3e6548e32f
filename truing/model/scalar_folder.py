"""What a `ScalarModel` is made of: its head, its folder, and its numbers."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from truing.model import checkpoint
from truing.model.batching import halving, length_buckets
from truing.model.chat import ChatFormat
from truing.model.files import weight_files
from truing.model.fingerprint import fingerprint_folder
from truing.model.loading import dtype_of, place_of, quietly
from truing.model.packing import PackedForward
from truing.model.refs import base_and_adapter
from truing.model.trunk import context_length, evaluating, unwrapped
from truing.numerics import generator
from truing.types import Fingerprint, InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOKENS, _ROWS = 4096, 256


def scalar_head(net: "PreTrainedModel") -> nn.Module:
    """What makes one number [..., 1] of a hidden state [..., D].

    Raises:
        InputError: the model has no such head.
    """
    head = getattr(unwrapped(net), "score", None)
    if not isinstance(head, nn.Module) or net.config.num_labels != 1:
        problem = f"a {type(unwrapped(net)).__name__} has no single number out"
        raise InputError(problem, mend="give AutoModelForSequenceClassification with num_labels=1")
    return head


def with_scalar_head(net: "PreTrainedModel", key: int, folder: Path) -> "PreTrainedModel":
    """The body of a causal language model under a new head; the body is shared with `net`.

    Raises:
        InputError: transformers has no model of this kind with a scalar head.
    """
    import transformers

    config = copy.deepcopy(net.config)
    config.num_labels = 1
    try:
        with torch.device("meta"):
            scalar = transformers.AutoModelForSequenceClassification.from_config(config, dtype=net.dtype)
    except ValueError as why:
        raise InputError(
            f"transformers has no form of {type(net).__name__} with a scalar head", file=folder
        ) from why
    width = scalar.score.in_features
    normal = generator(key, "scalar head").standard_normal((1, width)) / np.sqrt(width + 1)
    setattr(scalar, scalar.base_model_prefix, net.base_model)
    # Empty at first: what is initialised draws from the global generator.
    scalar.score = nn.Linear(width, 1, bias=False, device="meta", dtype=net.dtype).to_empty(device=net.device)
    with torch.no_grad():
        scalar.score.weight.copy_(torch.from_numpy(normal))
    if any(p.is_meta for p in scalar.parameters()):
        raise InputError(f"{type(scalar).__name__} has parts that {type(net).__name__} has not", file=folder)
    inner: PreTrainedModel = scalar.eval()
    return inner


def padded_chat(chat: ChatFormat, net: "PreTrainedModel") -> ChatFormat:
    """The chat format with padding that ends no row, on the right; the model's config is told of it.

    transformers reads the number at the last token that is not padding. Were padding the end of a
    turn, as it often is, it would read one token too early.
    """
    tokenizer = copy.deepcopy(chat.tokenizer)
    ends = chat.eos_ids | set(tokenizer.convert_tokens_to_ids([t for t in [chat.end_of_turn] if t]))
    special = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id)
    # The last tokens of a vocabulary are the rarest, should there be no other.
    candidates = (*special, *sorted(tokenizer.all_special_ids), *range(len(tokenizer) - 1, -1, -1))
    pad = next(id for id in candidates if id is not None and id not in ends)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    tokenizer.padding_side = "right"
    net.config.get_text_config(decoder=True).pad_token_id = pad
    return ChatFormat(tokenizer, eos_ids=chat.eos_ids)


def open_scalar(folder: Path, device: str, dtype: str) -> tuple["PreTrainedModel", ChatFormat, Fingerprint]:
    """The model of a folder, or of an adapter with a head, on its base model.

    Raises:
        InputError: in one sentence, what is missing or broken and how to mend it.
    """
    with quietly(), torch.random.fork_rng(devices=[]):
        base, adapter = base_and_adapter(folder)
        config, file = checkpoint.any_config(base)
        weight_files(base)
        tokenizer = checkpoint.load_tokenizer(adapter or base, base)
        place = place_of(device)
        number = dtype_of(dtype, checkpoint.checkpoint_dtype(base, config), place)
        name = checkpoint.architecture(config)
        has_head = name.endswith("ForSequenceClassification") and config.num_labels == 1
        if not has_head and not adapter:
            mend = (
                "train one with truing align rm, or give AutoModelForSequenceClassification with num_labels=1"
            )
            raise InputError(f"a {name} has no single number out", file=file, mend=mend)
        net = checkpoint.load_net(base, config, device_map=place, dtype=number)
        ends = checkpoint.eos_ids(net)
        if adapter:
            if not has_head:
                net = with_scalar_head(net, 0, base)
            net = checkpoint.peft_model(net, adapter).eval()
            if not has_head and isinstance(scalar_head(net), nn.Linear):
                mend = "train it with the head in modules_to_save"
                raise InputError("the adapter has no head for its base model", file=adapter, mend=mend)
        chat = ChatFormat(tokenizer, eos_ids=ends)
        told = str(number).removeprefix("torch.")
        print_ = fingerprint_folder(base, adapter=adapter, template=chat.template_digest, dtype=told)
    return net, chat, print_


def scores(net: "PreTrainedModel", rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """The head's number at the last token of each row [N], without dropout.

    Raises:
        ValueError: a row is empty, longer than the model's context or has a token that the model has not.
    """
    if not rows:
        return np.empty(0)
    inner, head = unwrapped(net), scalar_head(net)
    _check(inner, rows)
    by_length = sorted(rows, key=len)
    with evaluating(inner), torch.no_grad():
        sample = [torch.tensor(row, device=inner.device) for row in (by_length[0], by_length[-1])]
        forward = PackedForward(inner, sample)

        def run(some: Sequence[int]) -> list[float]:
            lengths = [len(rows[i]) for i in some]
            ids = torch.tensor([token for i in some for token in rows[i]], device=inner.device)
            last = torch.tensor(lengths, device=inner.device).cumsum(0) - 1
            numbers: list[float] = head(forward(ids, lengths)[last]).squeeze(-1).float().tolist()
            return numbers

        found = np.empty(len(rows))
        with forward.attending():
            for bucket in length_buckets([len(row) for row in rows], tokens=_TOKENS, rows=_ROWS):
                found[bucket] = halving(run, bucket)
    return found


def _check(net: "PreTrainedModel", rows: Sequence[Sequence[int]]) -> None:
    context, vocabulary = context_length(net), net.get_input_embeddings().weight.shape[0]
    for number, row in enumerate(rows):
        if not row:
            raise ValueError(f"row {number} is empty")
        if context is not None and len(row) > context:
            raise ValueError(f"row {number} has {len(row)} tokens, the model's context is {context}")
        if not 0 <= min(row) <= max(row) < vocabulary:
            raise ValueError(f"row {number} has a token outside the model's vocabulary of {vocabulary}")
