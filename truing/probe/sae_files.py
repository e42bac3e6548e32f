"""Autoencoders on disk in SAELens' layout: a folder with `cfg.json` and `sae_weights.safetensors`.

Written as SAELens 6 writes what it uses for inference, so that its `SAE.load_from_disk` opens it. Read are
its architectures standard, topk and jumprelu; what it would do at run time, or what a configuration asks
for that is not known here, is folded into the weights or refused, never ignored.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import Tensor

from truing.data import read_json
from truing.model import Point, Site
from truing.probe.sae import SAE
from truing.probe.sae_architectures import JumpReLU, TopK
from truing.run import replace_file
from truing.types import InputError

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
LAYOUT = "6.54.12"
"""The version of SAELens whose layout is written; below 6 it would guess what a configuration leaves out."""
_HOOKS = {
    Point.resid_pre: "hook_resid_pre",
    Point.resid_post: "hook_resid_post",
    Point.attention: "hook_attn_out",
    Point.mlp: "hook_mlp_out",
}
"""What TransformerLens calls the sites."""
_SITE = re.compile(rf"blocks\.(\d+)\.({'|'.join(_HOOKS.values())})")


@dataclass(frozen=True, eq=False)
class SavedSAE:
    """An autoencoder with what is known of where it belongs."""

    sae: SAE
    """In evaluation, without gradients, float32."""
    model: str = ""
    """The reference of the model whose activations it is of."""
    site: Site | None = None
    """Where in the model."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Whatever else the file tells."""

    @property
    def options(self) -> dict[str, Any]:
        """How its tokens were chosen, as in `DocumentsConfig`; empty where `truing probe sae` did not train it."""
        told = self.metadata.get("truing")
        options = told.get("options") if isinstance(told, dict) else None
        return options if isinstance(options, dict) else {}


def save_sae(folder: Path, saved: SavedSAE) -> None:
    """Write the folder; a file that is there is replaced.

    Raises:
        StorageError: the disk refuses.
    """
    sae = saved.sae.inference()
    weights = {
        "W_enc": sae.encoder.T,
        "b_enc": sae.encoder_bias,
        "W_dec": sae.decoder,
        "b_dec": sae.decoder_bias,
    }
    metadata = {**saved.metadata, "sae_lens_version": LAYOUT, "model_name": saved.model}
    if saved.site is not None:
        metadata["hook_name"] = f"blocks.{saved.site.layer}.{_HOOKS[saved.site.point]}"
    config: dict[str, Any] = {
        "d_in": sae.dim,
        "d_sae": sae.width,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
    }
    if isinstance(sae, TopK):
        config |= {"architecture": "topk", "k": sae.k, "rescale_acts_by_decoder_norm": False}
    else:
        assert isinstance(sae, JumpReLU)
        config |= {"architecture": "jumprelu"}
        weights["threshold"] = sae.threshold
    plain = {name: weight.detach().float().cpu().contiguous() for name, weight in weights.items()}
    replace_file(folder / WEIGHTS, packed(plain))
    replace_file(folder / CONFIG, json.dumps(config, indent=1).encode())


def load_sae(folder: str | Path) -> SavedSAE:
    """Open a folder. The decoder's rows have the norms that they have in the file.

    Raises:
        InputError: a file is missing or broken, or asks for what is not known here.
    """
    config_file, weights_file = Path(folder) / CONFIG, Path(folder) / WEIGHTS
    config = read_json(config_file)
    if not isinstance(config, dict):
        raise InputError("is no configuration of an autoencoder", file=config_file)
    try:
        weights = {name: weight.float() for name, weight in load_file(weights_file).items()}
    except FileNotFoundError:
        raise InputError(
            "there is no such file", file=weights_file, mend="give the folder that holds it"
        ) from None
    except (SafetensorError, OSError) as why:
        raise InputError(f"cannot be read ({why})", file=weights_file) from why
    try:
        sae = _built(config, weights)
    except InputError as why:
        raise InputError(why.problem, file=config_file, mend=why.mend) from None
    except (KeyError, RuntimeError, TypeError, ValueError) as why:
        reason = " ".join(str(why).split())
        raise InputError(f"does not go together with {WEIGHTS}: {reason}", file=config_file) from why
    broken = [name for name, w in sae.state_dict().items() if name != "threshold" and not w.isfinite().all()]
    if broken:  # no latent would be active, and all would look well
        problem = f"not all numbers of the {broken[0].replace('_', ' ')} are finite"
        raise InputError(problem, file=weights_file, mend="make it anew")
    told = config.get("metadata") or {}
    if not isinstance(told, dict):
        raise InputError("the metadata is no object", file=config_file, mend="mend or remove it")
    # Before SAELens 6 these stood outside.
    told = {name: config[name] for name in ("hook_name", "model_name") if name in config} | told
    hook = str(told.get("hook_name") or "")
    place = _SITE.fullmatch(hook)
    points = {name: point for point, name in _HOOKS.items()}
    site = Site(int(place[1]), points[place[2]]) if place else None
    return SavedSAE(sae.eval().requires_grad_(False), str(told.get("model_name") or ""), site, told)


def _built(config: dict[str, Any], weights: dict[str, Tensor]) -> SAE:
    """The autoencoder that these are.

    Raises:
        InputError: the configuration asks for what is not known here.
        KeyError, RuntimeError, TypeError, ValueError: the weights are not those of the configuration.
    """
    _check(config)
    encoder, bias = weights.pop("W_enc").T.contiguous(), weights.pop("b_enc")
    decoder, centre = weights.pop("W_dec"), weights.pop("b_dec")
    width, dim = decoder.shape
    for key, size in (("d_in", dim), ("d_sae", width)):
        if config.get(key, size) != size:
            raise InputError(f"{key} is {config[key]!r}, and the weights have {size}")
    sae: SAE
    if config["architecture"] == "topk":
        k = config["k"]
        if isinstance(k, bool) or not isinstance(k, int) or not 0 < k <= width:
            raise InputError(f"k is {k!r}, for {width} latents")
        sae = TopK(width, dim, k)
        if config.get("rescale_acts_by_decoder_norm", False):
            # There pre-activations are multiplied with the norm of what they write, which is then divided by it.
            # A latent that writes nothing is 0, and so is what it reads.
            norm = decoder.norm(dim=-1)
            written = norm.clamp(min=torch.finfo(norm.dtype).tiny)
            encoder, bias, decoder = encoder * norm[:, None], bias * norm, decoder / written[:, None]
    else:
        sae = JumpReLU(width, dim)
        if config["architecture"] == "jumprelu":
            threshold = weights.pop("threshold")
            if not bool((threshold >= 0).all()):
                raise InputError("a threshold is not at least 0, so negative numbers would be latents")
            weights["threshold"] = threshold
    if not config.get("apply_b_dec_to_input", True):
        bias = bias + encoder @ centre  # here the bias is taken from every input
    state = {"encoder": encoder, "encoder_bias": bias, "decoder": decoder, "decoder_bias": centre}
    first = {name: t for name, t in sae.state_dict().items() if name not in state}
    sae.load_state_dict(first | state | weights)
    return sae


def _check(config: dict[str, Any]) -> None:
    """Raise InputError where the configuration asks for what is not known here."""
    found = config.get("architecture")
    if found not in ("standard", "topk", "jumprelu"):
        mend = (
            "save it with save_inference_model, which makes a jumprelu of it" if found == "batchtopk" else ""
        )
        raise InputError(f"the architecture {found!r} is not known here", mend=mend)
    for key in ("activation_fn", "activation_fn_str"):  # of layouts before SAELens 6
        if config.get(key, "relu") not in ("relu", None) and found == "standard":
            raise InputError(
                f"the activation function {config[key]!r} is not known here", mend="save it with SAELens 6"
            )
    norm = config.get("normalize_activations", "none")
    if norm not in ("none", None):
        raise InputError(
            f"activations would have to be normalised ({norm})", mend="fold that into the weights"
        )
    if config.get("reshape_activations", "none") not in ("none", None):
        raise InputError(
            "it is of the heads of an attention layer, and only the residual stream is known here"
        )
