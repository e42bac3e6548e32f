"""Both ways between our files of autoencoders and SAELens', which is done before their speeds are compared.

Each side opens what the other wrote and finds the same latents and the same reconstruction, up to 1e-5 of
the greatest.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from truing.model import Site
from truing.probe import SAE, BatchTopK, JumpReLU, SavedSAE, TopK, load_sae, save_sae

WIDTH, DIM, K = 64, 24, 5
_CLOSE = 1e-5


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ours() -> Iterator[SAE]:
    """One of each architecture, with weights that leave nothing at its default."""
    for sae in (TopK(WIDTH, DIM, K), BatchTopK(WIDTH, DIM, K), JumpReLU(WIDTH, DIM)):
        sae.begin(drawn(DIM), key=1)
        with torch.no_grad():
            sae.encoder += 0.2 * drawn(WIDTH, DIM, seed=2)
            sae.encoder_bias += 0.2 * drawn(WIDTH, seed=3)
            if not isinstance(sae, TopK):
                sae.threshold += (
                    1 + drawn(WIDTH, seed=4).abs().clamp(max=1) if isinstance(sae, JumpReLU) else 1.7
                )
        yield sae


def theirs(folder: Path) -> Iterator[tuple[str, Any, Path]]:
    """Autoencoders of SAELens, as it saves what was trained and what is used, with their folders."""
    from sae_lens import saes

    rows = {"d_in": DIM, "d_sae": WIDTH}
    makers: dict[str, Callable[[], Any]] = {
        "topk": lambda: saes.TopKSAE(saes.TopKSAEConfig(**rows, k=K)),
        "topk, rescaled": lambda: saes.TopKSAE(
            saes.TopKSAEConfig(**rows, k=K, rescale_acts_by_decoder_norm=True)
        ),
        "jumprelu": lambda: saes.JumpReLUSAE(saes.JumpReLUSAEConfig(**rows)),
        "jumprelu, input as it is": lambda: saes.JumpReLUSAE(
            saes.JumpReLUSAEConfig(**rows, apply_b_dec_to_input=False)
        ),
        "standard": lambda: saes.StandardSAE(saes.StandardSAEConfig(**rows)),
    }
    for name, make in makers.items():
        sae = make()
        _fill(sae)
        sae.save_model(folder / name)
        yield name, sae, folder / name
    trained = {
        "trained topk": saes.TopKTrainingSAE(saes.TopKTrainingSAEConfig(**rows, k=K)),
        "trained batchtopk": saes.BatchTopKTrainingSAE(saes.BatchTopKTrainingSAEConfig(**rows, k=K)),
        "trained jumprelu": saes.JumpReLUTrainingSAE(saes.JumpReLUTrainingSAEConfig(**rows)),
    }
    for name, sae in trained.items():
        _fill(sae)
        sae.save_inference_model(folder / name)
        yield name, saes.SAE.load_from_disk(folder / name), folder / name


def _fill(sae: Any) -> None:
    with torch.no_grad():
        for seed, weight in enumerate([sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec]):
            weight += 0.3 * drawn(*weight.shape, seed=seed)
        if hasattr(sae, "threshold"):
            sae.threshold += drawn(WIDTH, seed=9).abs()
        if hasattr(sae, "topk_threshold"):
            sae.topk_threshold += 0.8


def _off(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def exchanged() -> bool:
    """Print how far both sides are apart; whether that is next to nothing."""
    from sae_lens import SAE as Theirs

    x, worst = drawn(200, DIM, seed=7) * 1.5, 0.0
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        for sae in ours():
            folder = Path(place) / type(sae).__name__
            save_sae(folder, SavedSAE(sae, "a model", Site(3)))
            other = Theirs.load_from_disk(folder)
            assert other.cfg.metadata.hook_name == "blocks.3.hook_resid_post"
            latents = other.encode(x)
            found = _off(sae.encode(x), latents), _off(sae(x), other(x))
            print(
                f"ours in SAELens, {type(sae).__name__}: {found[0]:.1e} {found[1]:.1e}, L0 {_l0(latents):.1f}"
            )
            worst = max(worst, *found)
        for name, other, folder in theirs(Path(place)):
            sae = load_sae(folder).sae
            latents = other.encode(x)
            found = _off(sae.encode(x), latents), _off(sae(x), other(x))
            print(f"SAELens' in ours, {name}: {found[0]:.1e} {found[1]:.1e}, L0 {_l0(latents):.1f}")
            worst = max(worst, *found)
    return worst <= _CLOSE


def _l0(latents: Tensor) -> float:
    return float((latents > 0).sum() / len(latents))
