"""A checkpoint folder to a transformers model and its tokenizer, every failure one clear sentence."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from truing.model.files import has_tokenizer, read_json, weight_files
from truing.types import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def read_config(folder: Path) -> Any:
    """The transformers configuration of a causal language model.

    Raises:
        InputError: there is none, it is broken, unknown to this transformers, or of another kind of model.
    """
    config, file = any_config(folder)
    name = architecture(config)
    generates = name.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"))
    if getattr(config, "is_encoder_decoder", False) or not generates:
        raise InputError(f"a {name} does not continue text", file=file, mend="give a causal language model")
    return config


def any_config(folder: Path) -> tuple[Any, Path]:
    """The transformers configuration of any model, and its file.

    Raises:
        InputError: there is none, it is broken, or unknown to this transformers.
    """
    import transformers

    file = folder / "config.json"
    if not file.is_file():
        raise InputError(
            "holds no config.json", file=folder, mend="give the folder of a Hugging Face checkpoint"
        )
    raw = read_json(file)
    try:
        config = transformers.AutoConfig.from_pretrained(folder)
    except Exception as why:
        kind = raw.get("model_type")
        known = kind in transformers.CONFIG_MAPPING
        problem = f"cannot be read as a {kind} model ({_brief(why)})"
        if not known:
            problem = f"this transformers ({transformers.__version__}) knows no architecture {kind!r}"
        raise InputError(problem, file=file, mend="" if known else "update transformers") from why
    name = architecture(config)
    if not hasattr(transformers, name):
        own_code = " and runs code of its own, which is not run here" if "auto_map" in raw else ""
        raise InputError(f"this transformers knows no {name}{own_code}", file=file)
    return config, file


def checkpoint_dtype(folder: Path, config: Any) -> torch.dtype:
    """The type the checkpoint says it has, or else that of its first weight."""
    for place in (config, config.get_text_config(decoder=True)):
        if isinstance(place.dtype, torch.dtype):
            return place.dtype
    first = weight_files(folder)[0]
    if first.suffix != ".safetensors":
        return torch.float32
    from safetensors import safe_open

    with safe_open(first, framework="pt") as tensors:
        name = tensors.get_slice(next(iter(tensors.keys()))).get_dtype()
    return {"BF16": torch.bfloat16, "F16": torch.float16}.get(name, torch.float32)


def load_net(folder: Path, config: Any, *, device_map: Any, **options: Any) -> "PreTrainedModel":
    """The model with all its weights, in evaluation mode.

    Raises:
        InputError: the weights do not fit the configuration or the memory, or are incomplete.
    """
    import transformers

    kind = getattr(transformers, architecture(config))
    try:
        net, info = kind.from_pretrained(
            folder,
            config=config,
            device_map=device_map,
            output_loading_info=True,
            local_files_only=True,
            **options,
        )
    except torch.OutOfMemoryError as why:
        mend = "load it with quantize='4bit', or on more devices"
        raise InputError("the model does not fit into the device's memory", file=folder, mend=mend) from why
    except Exception as why:  # transformers raises anything, from KeyError to RuntimeError
        raise InputError(f"the model cannot be loaded ({_brief(why)})", file=folder) from why
    missing = sorted(info["missing_keys"])
    if missing:
        # transformers would go on with random numbers in their place
        raise InputError(f"{len(missing)} weights are missing, the first is {missing[0]}", file=folder)
    return net.eval()


def with_adapter(net: "PreTrainedModel", folder: Path) -> "PreTrainedModel":
    """`net` with the adapter's layers inside.

    Raises:
        InputError: peft is not installed, or the adapter does not fit this model.
    """
    inner: PreTrainedModel = peft_model(net, folder).get_base_model()
    return inner.eval()


def peft_model(net: "PreTrainedModel", folder: Path) -> Any:
    """The `PeftModel` of an adapter on `net`, its layers not merged.

    Raises:
        InputError: peft is not installed, or the adapter does not fit this model.
    """
    try:
        from peft import PeftConfig, PeftModel, get_peft_model_state_dict
    except ImportError as why:
        raise InputError("an adapter needs peft", mend="install truing[local]") from why

    weight_files(folder, "adapter_model")
    try:
        config = PeftConfig.from_pretrained(str(folder))
        if config.is_prompt_learning:
            raise InputError(f"an adapter of the type {config.peft_type} cannot be used", file=folder)
        model = PeftModel(net, config)
        told = model.load_adapter(str(folder), adapter_name="default", is_trainable=False)
        expected = get_peft_model_state_dict(model)
    except InputError:
        raise
    except Exception as why:
        raise InputError(f"the adapter does not fit its base model ({_brief(why)})", file=folder) from why
    if told.missing_keys or told.unexpected_keys or not expected:
        odd = [*told.missing_keys, *told.unexpected_keys, "none at all"][0]
        raise InputError(f"the adapter's weights do not fit its base model (the first is {odd})", file=folder)
    return model


def text_model(net: "PreTrainedModel", folder: Path) -> "PreTrainedModel":
    """The language model inside a wrapper with further parts (vision); `net` itself where it has none.

    Raises:
        InputError: the wrapper is built in an unknown way.
    """
    import transformers

    config = net.config.get_text_config(decoder=True)
    if config is net.config:
        return net
    wrapper = type(net).__name__
    try:
        with torch.device("meta"):
            text = transformers.AutoModelForCausalLM.from_config(config, dtype=net.dtype)
        setattr(text, text.base_model_prefix, net.get_decoder())
        text.set_output_embeddings(net.get_output_embeddings())
    except Exception as why:
        raise InputError(
            f"the text model of {wrapper} cannot be taken out ({_brief(why)})", file=folder
        ) from why
    if any(p.is_meta for p in text.parameters()):
        raise InputError(f"the text model of {wrapper} has parts of its own", file=folder)
    text.generation_config = net.generation_config
    inner: PreTrainedModel = text.eval()
    return inner


def load_tokenizer(folder: Path, base: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer saved in `folder`, else in `base`.

    Raises:
        InputError: there is none in either, or it is broken.
    """
    import transformers

    place = folder if has_tokenizer(folder) else base
    if not has_tokenizer(place):
        raise InputError("holds no tokenizer", file=place, mend="save the tokenizer beside the model")
    try:
        return transformers.AutoTokenizer.from_pretrained(place, local_files_only=True)
    except Exception as why:
        raise InputError(f"the tokenizer cannot be loaded ({_brief(why)})", file=place) from why


def eos_ids(net: "PreTrainedModel") -> frozenset[int]:
    """Every end id that the generation config and the model's own config name."""
    found: set[int] = set()
    for config in (
        getattr(net, "generation_config", None),
        net.config,
        net.config.get_text_config(decoder=True),
    ):
        ids = getattr(config, "eos_token_id", None)
        found.update(ids if isinstance(ids, (list, tuple)) else () if ids is None else (ids,))
    return frozenset(found)


def architecture(config: Any) -> str:
    """The name of the class that the checkpoint was saved from."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    named = getattr(config, "architectures", None) or [
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    ]
    return str(named[0])


def _brief(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
