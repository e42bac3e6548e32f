"""SAELens' layout: what is in the files, that they come back, and what is refused."""

import json

import pytest
import torch
from probe.planted import planted
from safetensors.torch import load_file, save_file

from truing.model import Point, Site
from truing.probe import SAE, BatchTopK, JumpReLU, SavedSAE, TopK, load_sae, save_sae
from truing.types import InputError

WIDTH, DIM, K = 40, 24, 4
_, ROWS = planted(64)


def made(kind: type[SAE]) -> SAE:
    sae = (kind(WIDTH, DIM) if kind is JumpReLU else kind(WIDTH, DIM, K)).begin(ROWS.mean(0), key=1)
    with torch.no_grad():
        sae.encoder += 0.2 * torch.randn(WIDTH, DIM, generator=torch.Generator().manual_seed(1))
        sae.encoder_bias += 0.1
        if kind is not TopK:
            sae.threshold += 1.5
    return sae


@pytest.mark.parametrize("kind", [TopK, BatchTopK, JumpReLU])
def test_what_is_saved_comes_back_with_where_it_belongs(kind, tmp_path):
    sae = made(kind)
    save_sae(tmp_path, SavedSAE(sae, "organism:xs/1/base", Site(2, Point.resid_pre), {"tokens": 7}))
    found = load_sae(tmp_path)
    assert torch.equal(found.sae.encode(ROWS), sae.encode(ROWS))
    assert torch.equal(found.sae(ROWS), sae(ROWS))
    assert (found.model, found.site) == ("organism:xs/1/base", Site(2, Point.resid_pre))
    assert found.metadata["tokens"] == 7
    assert not any(p.requires_grad for p in found.sae.parameters())
    assert type(found.sae) is (TopK if kind is TopK else JumpReLU), "a batch decides in training alone"


@pytest.mark.parametrize(
    ("point", "hook"),
    [(Point.resid_pre, "resid_pre"), (Point.attention, "attn_out"), (Point.mlp, "mlp_out")],
)
def test_a_site_has_the_name_that_transformerlens_gives_it(point, hook, tmp_path):
    save_sae(tmp_path, SavedSAE(made(TopK), "m", Site(3, point)))
    told = json.loads((tmp_path / "cfg.json").read_text())
    assert told["metadata"]["hook_name"] == f"blocks.3.hook_{hook}"
    assert load_sae(tmp_path).site == Site(3, point)


def test_the_files_are_those_of_the_layout(tmp_path):
    """The fields that SAELens 6 needs to open a folder without guessing, and its shapes."""
    sae = made(TopK)
    save_sae(tmp_path / "topk", SavedSAE(sae, "m", Site(0)))
    config = json.loads((tmp_path / "topk/cfg.json").read_text())
    assert config["architecture"] == "topk"
    assert (config["d_in"], config["d_sae"], config["k"]) == (DIM, WIDTH, K)
    assert config["apply_b_dec_to_input"] is True
    assert config["rescale_acts_by_decoder_norm"] is False
    assert config["normalize_activations"] == config["reshape_activations"] == "none"
    assert config["metadata"]["sae_lens_version"].startswith("6.")
    assert config["metadata"]["hook_name"] == "blocks.0.hook_resid_post"
    weights = load_file(tmp_path / "topk/sae_weights.safetensors")
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    assert shapes == {"W_enc": (DIM, WIDTH), "b_enc": (WIDTH,), "W_dec": (WIDTH, DIM), "b_dec": (DIM,)}
    by_hand = (ROWS - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]
    kept = by_hand.topk(K, dim=-1)
    wanted = torch.zeros_like(by_hand).scatter(-1, kept.indices, kept.values.relu())
    assert torch.allclose(sae.encode(ROWS), wanted, atol=1e-5)
    assert torch.allclose(sae(ROWS), wanted @ weights["W_dec"] + weights["b_dec"], atol=1e-5)
    save_sae(tmp_path / "jump", SavedSAE(made(JumpReLU)))
    assert json.loads((tmp_path / "jump/cfg.json").read_text())["architecture"] == "jumprelu"
    assert load_file(tmp_path / "jump/sae_weights.safetensors")["threshold"].shape == (WIDTH,)


def foreign(folder, *, change=None, without=(), **config):
    """A folder as SAELens writes it, with decoder rows of any norm."""
    drawn = torch.Generator().manual_seed(3)
    shapes = {"W_enc": (DIM, WIDTH), "b_enc": (WIDTH,), "W_dec": (WIDTH, DIM), "b_dec": (DIM,)}
    weights = {name: torch.randn(*shape, generator=drawn) for name, shape in shapes.items()} | (change or {})
    folder.mkdir(exist_ok=True)
    save_file(
        {name: w for name, w in weights.items() if name not in without}, folder / "sae_weights.safetensors"
    )
    base = {"architecture": "topk", "k": K, "d_in": DIM, "d_sae": WIDTH}
    (folder / "cfg.json").write_text(json.dumps(base | config))
    return weights


def test_pre_activations_that_would_be_rescaled_at_run_time_are_so_in_the_weights(tmp_path):
    w = foreign(tmp_path, rescale_acts_by_decoder_norm=True)
    norm = w["W_dec"].norm(dim=-1)
    pre = ((ROWS - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * norm
    kept = pre.topk(K, dim=-1)
    latents = torch.zeros_like(pre).scatter(-1, kept.indices, kept.values.relu())
    sae = load_sae(tmp_path).sae
    assert torch.allclose(sae.encode(ROWS), latents, rtol=1e-4, atol=1e-4)
    assert torch.allclose(sae(ROWS), latents / norm @ w["W_dec"] + w["b_dec"], rtol=1e-4, atol=1e-4)


def test_inputs_from_which_nothing_is_subtracted_are_so_by_the_bias(tmp_path):
    w = foreign(tmp_path, architecture="standard", apply_b_dec_to_input=False)
    wanted = (ROWS @ w["W_enc"] + w["b_enc"]).relu()
    assert torch.allclose(load_sae(tmp_path).sae.encode(ROWS), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"architecture": "batchtopk"}, "'batchtopk' is not known here; save it with save_inference_model"),
        ({"architecture": "gated"}, "'gated' is not known here"),
        ({"normalize_activations": "layer_norm"}, "normalised .layer_norm.; fold that"),
        ({"normalize_activations": "expected_average_only_in"}, "normalised .expected"),
        ({"reshape_activations": "hook_z"}, "heads of an attention layer"),
        ({"k": 0}, "k is 0, for 40 latents"),
        ({"k": True}, "k is True, for 40 latents"),
        ({"d_in": 99}, "d_in is 99, and the weights have 24"),
        ({"architecture": "standard", "activation_fn_str": "topk"}, "function 'topk' is not known here"),
        ({"architecture": "jumprelu"}, "does not go together with sae_weights.safetensors: 'threshold'"),
    ],
)
def test_what_would_be_done_at_run_time_is_refused_not_ignored(config, sentence, tmp_path):
    foreign(tmp_path, **config)
    with pytest.raises(InputError, match=sentence):
        load_sae(tmp_path)


def test_a_latent_that_writes_nothing_is_zero_where_norms_are_taken(tmp_path):
    drawn = torch.randn(WIDTH, DIM, generator=torch.Generator().manual_seed(4))
    drawn[3] = 0
    foreign(tmp_path, change={"W_dec": drawn}, rescale_acts_by_decoder_norm=True, k=WIDTH)
    sae = load_sae(tmp_path).sae
    assert bool(sae(ROWS).isfinite().all()) and not bool(sae.encode(ROWS)[:, 3].any())


def test_weights_that_are_no_numbers_are_told_as_is_what_metadata_cannot_be(tmp_path):
    """All comparisons with NaN are false: no latent would be active, and the figures would be of the bias alone."""
    foreign(tmp_path, change={"W_enc": torch.full((DIM, WIDTH), torch.nan)}, architecture="standard")
    with pytest.raises(InputError, match=r"weights\.safetensors: not all numbers of the encoder are finite"):
        load_sae(tmp_path)
    foreign(tmp_path, change={"threshold": torch.full((WIDTH,), torch.nan)}, architecture="jumprelu")
    with pytest.raises(InputError, match="threshold is not at least 0"):
        load_sae(tmp_path)
    for metadata in ([1], "of layer 3"):
        foreign(tmp_path, metadata=metadata)
        with pytest.raises(InputError, match=r"cfg\.json: the metadata is no object"):
            load_sae(tmp_path)


def test_broken_folders_are_told_with_their_file(tmp_path):
    with pytest.raises(InputError, match=r"cfg\.json"):
        load_sae(tmp_path)
    foreign(tmp_path, without=("b_dec",))
    with pytest.raises(InputError, match=r"cfg\.json: does not go together .*b_dec"):
        load_sae(tmp_path)
    foreign(tmp_path, change={"b_enc": torch.zeros(3)})
    with pytest.raises(InputError, match=r"cfg\.json: does not go together [^\n\t]+$"):
        load_sae(tmp_path)
    foreign(tmp_path, change={"surprise": torch.zeros(3)})
    with pytest.raises(InputError, match="surprise"):
        load_sae(tmp_path)
    (tmp_path / "sae_weights.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match=r"sae_weights\.safetensors: cannot be read"):
        load_sae(tmp_path)
    (tmp_path / "sae_weights.safetensors").unlink()
    with pytest.raises(InputError, match="no such file"):
        load_sae(tmp_path)


def test_saelens_opens_our_files_and_we_open_its():
    """Where SAELens is installed; `make bench NAME=sae` does it in any case."""
    pytest.importorskip("sae_lens")
    from bench.sae_exchange import exchanged

    assert exchanged()


def test_a_layout_from_before_version_6_names_its_model_and_hook_outside_the_metadata(tmp_path):
    save_sae(tmp_path, SavedSAE(made(JumpReLU), "m", Site(2, Point.mlp)))
    config = json.loads((tmp_path / "cfg.json").read_text())
    old = config | {name: config["metadata"][name] for name in ("hook_name", "model_name")}
    del old["metadata"]
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    found = load_sae(tmp_path)
    assert (found.model, found.site) == ("m", Site(2, Point.mlp))
