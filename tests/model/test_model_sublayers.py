"""What attention and MLP add, and a direction that is kept out of all of it."""

import copy

import pytest
import torch
from model.tiny import FAMILIES
from model.tiny_local import local, make_local, requests

from truing.model import Add, LocalModel, Point, Site, ablation
from truing.model.sublayers import writers
from truing.types import InputError, SamplingParams

TEXTS = [[5, 9, 200, 3], [7] * 11, [300]]
PLACES = [range(len(text)) for text in TEXTS]
NAMES = {
    "gpt_neox": ("attention", "mlp"),
    "gpt2": ("attn", "mlp"),
    "gemma3": ("post_attention_layernorm", "post_feedforward_layernorm"),
}


def vector(seed: int = 0) -> torch.Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_modules_that_add_to_the_residual_stream_are_those_of_the_family(family, dtype):
    model = make_local(family, dtype=dtype)
    wanted = NAMES.get(family, ("self_attn", "mlp"))
    for layer, found in zip(model.trunk.layers, writers(model.trunk), strict=True):
        assert found == tuple(layer.get_submodule(name) for name in wanted)


def test_they_are_found_while_the_stream_is_steered():
    model = make_local("llama")
    with model.steered([Add(Site(0), vector(), 3.0), Add(Site(1, Point.resid_pre), vector(1))]):
        assert writers(model.trunk)[1] == (model.trunk.layers[1].self_attn, model.trunk.layers[1].mlp)
        model.next_logits([[1, 2]])


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt_neox"])
def test_an_edit_of_what_a_sublayer_adds_is_that_change_of_the_sum(family):
    model, pre, post = local(family), Site(1, Point.resid_pre), Site(1)
    parts = [Site(1, Point.attention), Site(1, Point.mlp)]
    plain = model.capture(TEXTS, [pre, *parts, post], PLACES)
    assert torch.allclose(plain[pre] + plain[parts[0]] + plain[parts[1]], plain[post], atol=1e-5)
    with model.steered([Add(parts[1], vector(), 2.0)]):
        steered = model.capture(TEXTS, [post], PLACES)[post]
    assert torch.allclose(steered, plain[post] + 2 * vector(), atol=1e-5)


def orthogonalised(model: LocalModel, direction: torch.Tensor) -> torch.nn.Module:
    """A Llama none of whose weights can write along the direction (Arditi et al. 2024, equation 5)."""
    unit = direction / direction.norm()
    net = copy.deepcopy(model.net)
    with torch.no_grad():
        rows = net.model.embed_tokens.weight
        rows -= (rows @ unit)[:, None] * unit
        for layer in net.model.layers:
            for weight in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
                weight -= unit[:, None] * (unit @ weight)
    return net


def test_ablation_is_the_model_whose_weights_cannot_write_the_direction():
    model = local("llama")
    net = orthogonalised(model, vector())
    with model.steered(ablation(vector(), 2)):
        found = model.next_logits(TEXTS)
    with torch.no_grad():
        wanted = torch.stack([net(torch.tensor([text]), use_cache=False).logits[0, -1] for text in TEXTS])
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(model.next_logits(TEXTS), wanted, atol=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_after_ablation_nothing_reads_the_direction_anywhere(family):
    model, unit = local(family), vector() / vector().norm()
    sites = [Site(layer, point) for layer in range(2) for point in (Point.resid_pre, Point.resid_post)]
    plain = model.capture(TEXTS, sites, PLACES)
    with model.steered(ablation(vector(), 2)):
        found = model.capture(TEXTS, sites, PLACES)
    for site in sites:
        assert (plain[site] @ unit).abs().max() > 0.01
        assert (found[site] @ unit).abs().max() < 1e-4 * found[site].norm(dim=-1).max()


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "gpt_neox", "gpt2"])
def test_ablated_sampling_on_the_cache_equals_ablated_scoring_without_one(family):
    model = local(family)
    with model.steered(ablation(vector(), 2)):
        rows = list(model.sample(requests(4), SamplingParams(max_tokens=5), key=3))
        again = model.score([row.prompt_ids for row in rows], [row.token_ids for row in rows])
        alone = [
            next(model.sample([request], SamplingParams(max_tokens=5), key=3)) for request in requests(4)
        ]
    for row, values in zip(rows, again, strict=True):
        assert row.logprobs == pytest.approx(values, abs=1e-4)
    assert {row.request_id: row.token_ids for row in rows} == {row.request_id: row.token_ids for row in alone}


def test_a_model_that_scales_what_its_sublayers_add_is_refused():
    import transformers

    from truing.model import Trunk

    config = transformers.GraniteConfig(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, initializer_range=0.5, residual_multiplier=0.5,
    )  # fmt: skip
    with pytest.raises(InputError, match="sublayers of GraniteForCausalLM"):
        writers(Trunk(transformers.GraniteForCausalLM(config).eval()))


def test_the_logits_after_each_prefix_are_those_of_a_plain_forward_pass():
    model = local("gemma3")
    with torch.no_grad():
        wanted = torch.stack(
            [model.net(torch.tensor([text]), use_cache=False).logits[0, -1] for text in TEXTS]
        )
    assert torch.allclose(model.next_logits(TEXTS), wanted, atol=1e-4)
    with pytest.raises(ValueError, match="no prefix"):
        model.next_logits([])
