"""Training: planted directions are found, none where there are none; nothing dies; what was killed goes on."""

from dataclasses import dataclass, replace

import pytest
import torch
from probe.planted import ACTIVE, DIM, planted, shuffled

from truing.numerics import dead_share, explained_variance, mean_active, mean_max_cosine
from truing.probe import (
    SAE,
    BatchTopKConfig,
    HeldActivations,
    JumpReLU,
    JumpReLUConfig,
    SAEConfig,
    TopKConfig,
    TrainedSAE,
    train_saes,
)
from truing.probe.sae_training import Scaling
from truing.types import InputError

WIDTH = 48
_COMMON = {"width": WIDTH, "k": ACTIVE, "learning_rate": 1e-2, "dead_after": 4096}
CONFIGS: dict[str, SAEConfig] = {
    "topk": TopKConfig(**_COMMON),
    "batch_topk": BatchTopKConfig(**_COMMON),
    "jumprelu": JumpReLUConfig(**_COMMON, bandwidth=0.1),
}
DIRECTIONS, ROWS = planted(5000)
SEEN, UNSEEN = ROWS[:4096], ROWS[4096:]
STEPS = 160


def train(rows: torch.Tensor, *configs: SAEConfig, batch: int = 256, passes: int = 10) -> list[TrainedSAE]:
    return train_saes(HeldActivations(rows.repeat(passes, 1), buffer=2048), configs, batch=batch)


@pytest.fixture(scope="module")
def trained() -> dict[str, TrainedSAE]:
    return dict(zip(CONFIGS, train(SEEN, *CONFIGS.values()), strict=True))


@pytest.mark.parametrize("name", CONFIGS)
def test_planted_directions_are_found(trained, name):
    sae = trained[name].sae
    fired = (sae.encode(UNSEEN) > 0).sum(0)
    assert mean_max_cosine(sae.decoder, DIRECTIONS) > 0.9
    assert explained_variance(UNSEEN, sae(UNSEEN)) > 0.7
    assert mean_active(fired, len(UNSEEN)) == pytest.approx(ACTIVE, rel=0.15)
    assert torch.allclose(sae.decoder.norm(dim=-1), torch.ones(WIDTH), atol=1e-5)


def test_no_directions_are_found_where_there_are_none(trained):
    without = train(shuffled(SEEN), CONFIGS["topk"])[0].sae
    chance = torch.randn(WIDTH, DIM, generator=torch.Generator().manual_seed(5))
    by_chance = mean_max_cosine(chance, DIRECTIONS)
    assert mean_max_cosine(without.decoder, DIRECTIONS) < by_chance + 0.15 < 0.7


def test_trained_together_or_alone_is_the_same(trained):
    alone = train(SEEN, CONFIGS["topk"])[0]
    assert weights(alone) == weights(trained["topk"])
    assert alone.curve == trained["topk"].curve
    assert isinstance(trained["batch_topk"].sae, JumpReLU), "what is used afterwards decides row by row"


def test_the_curve_tells_how_it_went(trained):
    curve = trained["topk"].curve
    assert trained["topk"].steps == curve[-1].step == STEPS
    assert trained["topk"].tokens == STEPS * 256
    assert curve[0].unexplained > 0.5 > curve[-1].unexplained
    held = 1 - explained_variance(UNSEEN, trained["topk"].sae(UNSEEN))
    assert curve[-1].unexplained == pytest.approx(held, abs=0.05), "a share of the variance about the mean"


@dataclass(frozen=True)
class _Quiet(TopKConfig):
    """Every second latent begins too quiet to be among the greatest."""

    def build(self, centre, sample):
        sae = super().build(centre, sample)
        with torch.no_grad():
            sae.encoder[::2] *= 0.05
        return sae


def test_latents_that_are_dead_come_back_by_the_auxiliary_loss_and_only_by_it():
    of = {**_COMMON, "dead_after": 2048}
    revived, left = train(SEEN, _Quiet(**of), _Quiet(**of, auxiliary=0.0))
    dead = [dead_share((one.sae.encode(UNSEEN) > 0).sum(0)) for one in (revived, left)]
    explained = [explained_variance(UNSEEN, one.sae(UNSEEN)) for one in (revived, left)]
    assert dead[0] < 0.1 < 0.45 < dead[1]
    assert explained[0] > explained[1] + 0.05
    assert left.curve[-1].dead == pytest.approx(0.5, abs=0.05)
    assert mean_max_cosine(revived.sae.decoder, DIRECTIONS) > 0.95


@pytest.mark.parametrize("name", CONFIGS)
def test_a_killed_training_goes_on_to_the_same_bits(name, tmp_path, monkeypatch):
    monkeypatch.setattr("truing.probe.sae_state._EVERY", 0)
    config, stream = CONFIGS[name], HeldActivations(SEEN, buffer=1000)
    whole = train_saes(stream, [config], batch=128)[0]

    class Killed(HeldActivations):
        def block(self, number):
            if number == 2:
                raise KeyboardInterrupt
            return super().block(number)

    file = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        train_saes(Killed(SEEN, buffer=1000), [config], batch=128, checkpoint=file)
    assert 0 < torch.load(file)["step"] < 16
    resumed = train_saes(stream, [config], batch=128, checkpoint=file)[0]
    assert weights(resumed) == weights(whole)
    assert resumed.curve == whole.curve
    again = train_saes(stream, [config], batch=128, checkpoint=file)[0]
    assert weights(again) == weights(whole), "of a finished one nothing is left to do"


def test_a_state_of_something_else_is_refused(tmp_path):
    file, stream = tmp_path / "state.pt", HeldActivations(SEEN[:512])
    train_saes(stream, [CONFIGS["topk"]], batch=128, checkpoint=file)
    with pytest.raises(InputError, match="other activations or other numbers; delete it"):
        train_saes(stream, [replace(CONFIGS["topk"], k=2)], batch=128, checkpoint=file)
    with pytest.raises(InputError, match="other activations"):
        train_saes(HeldActivations(SEEN[:512] + 1), [CONFIGS["topk"]], batch=128, checkpoint=file)
    file.write_bytes(b"x")
    with pytest.raises(InputError, match="is no state of a training"):
        train_saes(stream, [CONFIGS["topk"]], batch=128, checkpoint=file)


def test_activations_are_scaled_to_a_variance_of_one_around_their_geometric_median():
    found = Scaling.of(ROWS)
    scaled = ROWS * found.scale
    assert float((scaled - scaled.mean(0)).square().sum(-1).mean()) == pytest.approx(1, abs=1e-4)
    assert float((found.centre - ROWS.mean(0)).norm()) < 0.3 < float(ROWS.mean(0).norm())
    with pytest.raises(InputError, match="all equal"):
        Scaling.of(torch.ones(4, 3))
    with pytest.raises(InputError, match="not finite"):
        Scaling.of(torch.tensor([[1.0], [float("nan")]]))


def test_learning_rates_rise_stay_and_fall_to_almost_nothing():
    config = TopKConfig(64, 4, learning_rate=1.0, warmup=0.1, decay=0.2)
    rates = [config.rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10:80] == [1.0] * 70
    assert rates[-1] == pytest.approx(1 / 21)
    assert TopKConfig(2**14, 4).highest_rate == pytest.approx(2e-4)
    assert TopKConfig(2**12, 4).highest_rate == pytest.approx(4e-4)
    penalties = [JumpReLUConfig(64, 4, sparsity=2.0).penalty(step, 100) for step in range(100)]
    assert penalties[0] == pytest.approx(2 / 11)
    assert penalties[10:] == [2.0] * 90


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"k": 0}, "k lies in 1 to the width"),
        ({"k": 65}, "k lies in 1 to the width"),
        ({"warmup": 0.9}, "sum to 1 at most"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"clip": 0.0}, "above 0"),
        ({"dead_after": 0}, "above 0"),
    ],
)
def test_a_number_out_of_its_range_is_told(options, sentence):
    with pytest.raises(InputError, match=sentence):
        TopKConfig(**({"width": 64, "k": 4} | options))


def test_too_few_activations_are_told():
    with pytest.raises(InputError, match="512 activations make no batch of 4096"):
        train_saes(HeldActivations(SEEN[:512]), [CONFIGS["topk"]])
    with pytest.raises(InputError, match="nothing is to be trained"):
        train_saes(HeldActivations(SEEN), [])


def test_a_loss_that_is_no_number_ends_the_training():
    with pytest.raises(InputError, match=r"loss of step \d+ is not finite; lower the learning rate"):
        train(SEEN, replace(CONFIGS["topk"], learning_rate=1e30), passes=1)


def weights(one: TrainedSAE) -> list[list[float]]:
    sae: SAE = one.sae
    return [tensor.flatten().tolist() for tensor in sae.state_dict().values()]
