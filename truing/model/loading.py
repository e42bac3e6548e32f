"""`load`: from a reference to a model that can be asked."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from truing.model.files import weight_files
from truing.model.refs import base_and_adapter, find_folder
from truing.run import local_rank, world_size
from truing.types import InputError

if TYPE_CHECKING:
    import torch

    from truing.model.endpoint import EndpointModel
    from truing.model.local import LocalModel

_DTYPES = ("float32", "bfloat16", "float16")


def load(
    ref: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    thinking: bool | None = None,
    quantize: Literal["4bit"] | None = None,
) -> "LocalModel | EndpointModel":
    """The model that `ref` names.

    An adapter's layers are put inside the base model and not merged. Of a model with a vision part
    only the text model is kept. No global state is changed: random numbers, default types and the
    verbosity of libraries are afterwards what they were.

    Args:
        ref: a folder (checkpoint or PEFT adapter), `hub:ID`, `endpoint:URL#MODEL`, or `SCHEME:NAME`
            for a scheme registered as an entry point `truing.schemes`.
        device: `auto` is the GPU if there is one (all of them, layer by layer, if there are several),
            else the CPU; or `cpu`, `cuda`, `cuda:1`, `mps`. Of several processes launched together
            each has one GPU.
        dtype: `auto` is the checkpoint's own, except on a CPU: float16 becomes float32 there, and so
            does bfloat16 unless the processor computes in it. Or `float32`, `bfloat16`, `float16`.
        revision: branch, tag or commit of a Hub model.
        thinking: the reasoning switch of the chat template; None is the template's default.
        quantize: `4bit` loads linear layers as NF4 with bitsandbytes (Dettmers et al. 2023).

    Raises:
        InputError: in one sentence, what is missing or broken and how to mend it.
    """
    if str(ref).startswith("endpoint:"):
        if (device, dtype, revision, thinking, quantize) != ("auto", "auto", None, None, None):
            raise InputError("an endpoint decides itself on device, dtype, revision, thinking and quantize")
        from truing.model.endpoint import EndpointModel

        return EndpointModel.from_ref(str(ref))
    return load_local(
        ref, device=device, dtype=dtype, revision=revision, thinking=thinking, quantize=quantize
    )


def load_local(
    ref: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    thinking: bool | None = None,
    quantize: Literal["4bit"] | None = None,
) -> "LocalModel":
    """As `load`, for those who need the weights: an endpoint is refused.

    Raises:
        InputError: as `load`; or `ref` is an endpoint.
    """
    if str(ref).startswith("endpoint:"):
        raise InputError(
            f"this needs a model's weights, and {ref} has none here", mend="give a folder or hub:ID"
        )
    folder = find_folder(str(ref), revision=revision)
    check_installed()
    import torch

    with quietly(), torch.random.fork_rng(devices=[]):
        return _load_local(folder, str(ref), device, dtype, thinking, quantize)


def check_installed() -> None:
    """Raise InputError where a library is missing that a model in this process needs."""
    missing = [name for name in ("torch", "transformers", "accelerate") if find_spec(name) is None]
    if missing:
        raise InputError(f"a model in this process needs {missing[0]}", mend="install truing[local]")


def _load_local(
    folder: Path, ref: str, device: str, dtype: str, thinking: bool | None, quantize: str | None
) -> "LocalModel":
    from truing.model import checkpoint
    from truing.model.chat import ChatFormat
    from truing.model.fingerprint import fingerprint_folder
    from truing.model.local import LocalModel

    base, adapter = base_and_adapter(folder)
    config = checkpoint.read_config(base)
    weight_files(base)
    tokenizer = checkpoint.load_tokenizer(adapter or base, base)
    place = place_of(device)
    number = dtype_of(dtype, checkpoint.checkpoint_dtype(base, config), place)
    options, name = _precision(number, quantize, getattr(config, "quantization_config", None))

    net = checkpoint.load_net(base, config, device_map=place, **options)
    ends = checkpoint.eos_ids(net)
    if adapter:
        net = checkpoint.with_adapter(net, adapter)
    net = checkpoint.text_model(net, base)
    chat = ChatFormat(tokenizer, eos_ids=ends, thinking=thinking)
    fingerprint = fingerprint_folder(base, adapter=adapter, template=chat.template_digest, dtype=name)
    return LocalModel(net, chat, fingerprint, ref=ref)


def place_of(device: str) -> Any:
    """What transformers calls a device map: see `load`."""
    import torch

    gpus = torch.cuda.device_count()
    if device == "auto" and gpus and world_size() > 1:
        return {"": f"cuda:{local_rank()}"}
    if device == "auto":
        return "auto" if gpus > 1 else {"": "cuda:0" if gpus else "cpu"}
    try:
        found = torch.device(device)
    except RuntimeError as why:
        raise InputError(
            f"there is no kind of device {device!r}", mend="write auto, cpu, cuda or cuda:1"
        ) from why
    if found.type == "cuda" and (found.index or 0) >= gpus:
        raise InputError(f"there is no device {device} here ({gpus} GPUs are visible)")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("there is no device mps here")
    return {"": device}


def dtype_of(dtype: str, own: "torch.dtype", place: Any) -> "torch.dtype":
    """What the weights are loaded as: see `load`; `own` is the checkpoint's, `place` of `place_of`."""
    import torch

    if dtype != "auto":
        if dtype not in _DTYPES:
            raise InputError(
                f"there is no dtype {dtype!r} for a model", mend=f"write auto, {', '.join(_DTYPES)}"
            )
        chosen: torch.dtype = getattr(torch, dtype)
        return chosen
    if place != {"": "cpu"} or (own is torch.bfloat16 and computes_bfloat16(torch.device("cpu"))):
        return own
    return torch.float32


def computes_bfloat16(device: "torch.device") -> bool:
    """Whether a CPU or a GPU multiplies bfloat16 itself; emulated, it is slower than float32.

    `TRUING_BFLOAT16_ON_CPU=0` says no for CPUs: then those that have it compute the same as those that do not.
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or os.environ.get("TRUING_BFLOAT16_ON_CPU") == "0":
        return False
    tests = (getattr(torch.cpu, f"_is_{what}_supported", None) for what in ("avx512_bf16", "amx_tile"))
    return any(test() for test in tests if test)


def _precision(
    number: "torch.dtype", quantize: str | None, own: dict[str, Any] | None
) -> tuple[dict[str, Any], str]:
    """Options for transformers, and the name under which the fingerprint knows the precision."""
    name = str(number).removeprefix("torch.")
    if own is not None:
        if quantize:
            raise InputError("the checkpoint is quantized already", mend="leave quantize out")
        return {"dtype": number}, f"{own.get('quant_method', 'quantized')}/{name}"
    if quantize is None:
        return {"dtype": number}, name
    if quantize != "4bit":
        raise InputError(f"there is no quantization {quantize!r}", mend="write 4bit")
    if find_spec("bitsandbytes") is None:
        raise InputError(
            "4-bit loading needs bitsandbytes", mend="install bitsandbytes, or leave quantize out"
        )
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=number)
    return {"dtype": number, "quantization_config": settings}, f"nf4/{name}"


@contextmanager
def quietly() -> Iterator[None]:
    """No progress bars and no advice from transformers and peft: what matters is raised."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
