"""What each architecture keeps, how thresholds learn, and what folding does."""

import math

import pytest
import torch
from probe.planted import planted

from truing.probe import SAE, BatchTopK, JumpReLU, TopK
from truing.probe.sae_architectures import jump

WIDTH, DIM, K = 40, 24, 4


def made(name: str) -> SAE:
    sae = {
        "topk": lambda: TopK(WIDTH, DIM, K),
        "batch_topk": lambda: BatchTopK(WIDTH, DIM, K),
        "jumprelu": lambda: JumpReLU(WIDTH, DIM, bandwidth=0.2),
    }[name]()
    sae.begin(torch.full((DIM,), 2.9), key=1)
    drawn = torch.Generator().manual_seed(2)
    with torch.no_grad():
        sae.encoder += 0.3 * torch.randn(WIDTH, DIM, generator=drawn)
        sae.encoder_bias += 0.3 * torch.randn(WIDTH, generator=drawn)
        if isinstance(sae, JumpReLU):
            sae.threshold.copy_(torch.rand(WIDTH, generator=drawn))
        if isinstance(sae, BatchTopK):
            sae.threshold.fill_(0.7)
    return sae


def pre(sae: SAE, row: torch.Tensor) -> list[float]:
    """The pre-activations of a row, in a loop."""
    encoder, bias, centre = (t.tolist() for t in (sae.encoder, sae.encoder_bias, sae.decoder_bias))
    centred = [a - b for a, b in zip(row.tolist(), centre, strict=True)]
    return [sum(a * b for a, b in zip(centred, encoder[j], strict=True)) + bias[j] for j in range(WIDTH)]


def latents(sae: SAE, row: torch.Tensor) -> list[float]:
    """A row's latents by the definition of the architecture."""
    values = pre(sae, row)
    if isinstance(sae, TopK):
        least = sorted(values)[-K]
        return [max(v, 0) if v >= least else 0.0 for v in values]
    thresholds = sae.threshold.expand(WIDTH).tolist()
    return [v if v > t else 0.0 for v, t in zip(values, thresholds, strict=True)]


NAMES = ["topk", "batch_topk", "jumprelu"]


@pytest.mark.parametrize("name", NAMES)
def test_latents_and_what_they_rebuild_are_those_of_the_definition(name):
    sae, (_, x) = made(name), planted(8)
    wanted = torch.tensor([latents(sae, row) for row in x])
    assert torch.allclose(sae.encode(x), wanted, atol=1e-5)
    assert 0 < (wanted > 0).double().mean() < 1
    assert torch.allclose(sae(x), wanted @ sae.decoder + sae.decoder_bias, atol=1e-5)
    assert torch.allclose(sae.decode(sae.encode(x)), sae(x), atol=1e-5)
    assert sae(x.view(2, 4, DIM)).shape == (2, 4, DIM)
    assert sae.encode(x.view(2, 4, DIM)).shape == (2, 4, WIDTH)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [0.05, 3.0])
def test_folded_on_raw_activations_is_unfolded_on_scaled_ones(name, scale):
    sae, (_, x) = made(name), planted(50)
    x = x / scale
    folded = sae.folded(scale)
    assert torch.allclose(folded.encode(x), sae.encode(scale * x) / scale, rtol=1e-4, atol=1e-4 / scale)
    assert torch.allclose(folded(x), sae(scale * x) / scale, rtol=1e-4, atol=1e-4 / scale)
    assert torch.equal(folded.decoder, sae.decoder), "rows of norm 1, before and after"


def test_the_first_decoder_has_rows_of_norm_one_read_as_they_are_written_around_the_centre():
    sae = TopK(WIDTH, DIM, K).begin(torch.arange(DIM).float(), key=3)
    assert torch.allclose(sae.decoder.norm(dim=-1), torch.ones(WIDTH))
    assert torch.equal(sae.encoder, sae.decoder)
    assert torch.equal(sae.decoder_bias, torch.arange(DIM).float())
    assert not torch.equal(sae.decoder, TopK(WIDTH, DIM, K).begin(torch.zeros(DIM), key=4).decoder)


def test_a_batch_shares_its_latents_out_among_its_rows():
    sae, (_, x) = made("batch_topk"), planted(50)
    codes, active = sae.training_codes(x)
    values = sorted((v for row in x for v in pre(sae, row)), reverse=True)[: 50 * K]
    assert codes.values.sort(descending=True).values.tolist() == pytest.approx(values, abs=1e-5)
    assert float(active) == pytest.approx(K)
    assert len(set(codes.pattern.starts.diff().tolist())) > 1, "rows have different numbers of latents"


def test_the_learnt_threshold_keeps_as_many_latents_of_fresh_rows_as_a_batch_does():
    sae = made("batch_topk")
    sae.threshold.fill_(-1)
    *seen, x = planted(60 * 256 + 2000)[1].split([256] * 60 + [2000])
    for batch in seen:
        sae.after_step(sae.training_codes(batch)[0])
    kept = (sae.encode(x) > 0).sum() / len(x)
    assert float(kept) == pytest.approx(K, rel=0.1)
    one = sae.inference()
    assert isinstance(one, JumpReLU)
    assert torch.allclose(one.encode(x), sae.encode(x), atol=1e-6)
    assert torch.allclose(one.encode(x[:1]), sae.encode(x)[:1], atol=1e-6), "no row depends on another"


def test_straight_through_gradients_are_those_of_the_mean_over_a_density():
    """E[z] and E[active] of pre-activations with density p have the slopes -t p(t) and -p(t) in a threshold t."""
    drawn = torch.Generator().manual_seed(0)
    values = torch.randn(400_000, generator=drawn, dtype=torch.float64)
    for t in (0.3, 1.0):
        density = math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
        threshold = torch.tensor(t, dtype=torch.float64, requires_grad=True)
        z, active = jump(values, threshold.expand_as(values), 0.1)
        of_z = torch.autograd.grad(z.mean(), threshold, retain_graph=True)[0]
        of_active = torch.autograd.grad(active.mean(), threshold)[0]
        assert float(of_z) == pytest.approx(-t * density, rel=0.03)
        assert float(of_active) == pytest.approx(-density, rel=0.03)


def test_the_gradients_of_a_jump_are_those_of_the_published_equations():
    values = torch.tensor([0.2, 0.46, 0.52, 0.9], requires_grad=True)
    threshold = torch.full((4,), 0.5, requires_grad=True)
    z, active = jump(values, threshold, 0.1)
    assert z.tolist() == pytest.approx([0, 0, 0.52, 0.9])
    assert active.tolist() == [0, 0, 1, 1]
    (2 * z + 3 * active).sum().backward()
    assert values.grad.tolist() == [0, 0, 2, 2]
    near = -(2 * 0.5 + 3) / 0.1
    assert threshold.grad.tolist() == pytest.approx([0, near, near, 0])


def test_training_latents_of_a_jumprelu_have_the_gradients_of_the_dense_form():
    sae, (_, x) = made("jumprelu"), planted(30)
    codes, active = sae.training_codes(x)
    loss = (codes.dense() @ sae.decoder).square().mean() + 0.1 * active
    found = torch.autograd.grad(loss, list(sae.parameters()), allow_unused=True)
    dense_pre = (x - sae.decoder_bias) @ sae.encoder.T + sae.encoder_bias
    z, on = jump(dense_pre, sae.threshold.expand_as(dense_pre), sae.bandwidth)
    dense = (z @ sae.decoder).square().mean() + 0.1 * on.sum() / len(x)
    wanted = torch.autograd.grad(dense, list(sae.parameters()), allow_unused=True)
    assert active.item() == pytest.approx(on.sum().item() / len(x))
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_a_loss_on_latents_reaches_the_activations():
    sae, (_, x) = made("topk"), planted(10)
    x.requires_grad_()
    sae.encode(x).square().sum().backward()
    wanted = 2 * sae.encode(x).detach() @ sae.encoder
    assert torch.allclose(x.grad, wanted, atol=1e-4)
