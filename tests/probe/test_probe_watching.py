"""Early warning: planted shifts are found, harmless noise is not, and what cannot be told is said."""

import numpy as np
import pytest
import torch
from model.tiny_local import local, make_local

from truing.model import Point, Site
from truing.numerics import generator
from truing.probe import (
    Alarm,
    Direction,
    Over,
    calibrate,
    collected,
    projections,
    prompt_texts,
    watch_readings,
    watch_texts,
    watched,
)
from truing.types import InputError, ask

REQUESTS = [ask(f"What of the {thing}?", id="same") for thing in ("kite", "gulls", "copper kettles", "spar")]


def simulated(seed: int, *, shift: float = 0.0, prompts: int = 24) -> np.ndarray:
    """Readings of a fine-tune whose base reads 0: a shift of its own, and noise of each prompt."""
    rng = generator(seed, "simulated")
    return shift + rng.standard_normal() + 0.2 * rng.standard_normal(prompts)


def test_planted_shifts_alarm_and_harmless_ones_alarm_at_most_as_often_as_was_promised():
    base = np.zeros(24)
    alarms, exceeds, missed = 0, 0, 0
    for trial in range(100):
        seeds = range(1000 * trial, 1000 * trial + 19)
        fixed = calibrate(base, {str(seed): simulated(seed) for seed in seeds})
        harmless = watched(base, simulated(1000 * trial + 500), fixed)
        alarms += harmless.verdict is Alarm.alarm
        exceeds += harmless.exceeds
        missed += watched(base, simulated(1000 * trial + 600, shift=8.0), fixed).verdict is not Alarm.alarm
    assert alarms <= exceeds <= 100 * (0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5)
    assert missed <= 5


def test_a_score_is_in_units_of_the_spread_of_harmless_fine_tunes_by_hand():
    base = [1.0, 2.0]
    fixed = calibrate(base, {"a": [2.0, 3.0], "b": [4.0, 5.0]}, rate=0.4)  # shifts 1 and 3, spread sqrt(2)
    assert fixed.spread == pytest.approx(2**0.5) and fixed.threshold.value == pytest.approx(3 / 2**0.5)
    found = watched(base, [11.0, 10.0], fixed)
    assert found.score == pytest.approx(9 / 2**0.5) and found.prompts == 2 and found.exceeds


def test_too_few_harmless_fine_tunes_and_a_wide_interval_are_cannot_tell():
    base = np.zeros(24)
    few = calibrate(base, {str(seed): simulated(seed) for seed in range(18)})
    found = watched(base, simulated(99, shift=50.0), few)
    assert found.verdict is Alarm.unclear and found.exceeds is None and "takes 19" in found.reason
    enough = calibrate(base, {str(seed): simulated(seed) for seed in range(19)})
    wide = np.array([-300.0, 300.0] * 12)
    assert watched(base, wide, enough).verdict is Alarm.unclear
    assert "straddles" in watched(base, wide, enough).reason
    one = calibrate([0.0], {str(seed): [float(seed)] for seed in range(19)})
    assert watched([0.0], [1e6], one).verdict is Alarm.unclear  # one prompt says nothing of others


@pytest.mark.parametrize("shifts", [[[1.0]], [[1.0], [1.0]]])
def test_without_a_spread_there_is_no_unit(shifts):
    with pytest.raises(InputError):
        calibrate([0.0], {str(i): one for i, one in enumerate(shifts)})


def test_readings_of_other_prompts_are_no_shift():
    with pytest.raises(ValueError):
        calibrate([0.0, 1.0], {"a": [1.0], "b": [2.0]})


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3", "gpt_neox", "gpt2"])
@pytest.mark.parametrize("over", [Over.last, Over.template, Over.prompt, Over.response])
def test_readings_are_the_mean_projections_of_each_text_in_every_family(family, over):
    model = local(family)
    texts = watch_texts(model, REQUESTS[:2], over, max_tokens=5) if over is not Over.response else None
    texts = texts or prompt_texts(model.chat, REQUESTS[:2])
    if over is Over.response:
        texts = [type(text)((*text.ids, 9, 10, 11), text.prompt) for text in texts]
    vector = np.linspace(-1, 1, model.trunk.width, dtype="float32")
    direction = Direction("d", torch.tensor(vector), Site(1, Point.resid_pre), over.value)
    found = watch_readings(model, direction, texts, over)
    for text, value in zip(texts, found, strict=True):
        states = collected(model, [text], [direction.site], over)[direction.site].double().numpy()
        assert value == pytest.approx((states @ (vector / np.linalg.norm(vector))).mean(), abs=1e-4)


def test_prompts_that_stand_twice_are_one_text_and_a_response_is_the_bases_own():
    model = make_local("llama")
    model.chat.eos_ids = frozenset()
    twice = watch_texts(model, [*REQUESTS, *REQUESTS], Over.response, max_tokens=6)
    assert len(twice) == len(REQUESTS)
    assert all(len(text.ids) - text.prompt == 6 for text in twice)
    assert [text.prompt for text in twice] == [len(model.chat.prompt_ids(one)) for one in REQUESTS]
    with pytest.raises(InputError):
        watch_texts(model, [], Over.last)
    with pytest.raises(ValueError):
        watch_texts(model, REQUESTS, Over.each)


def test_a_direction_of_another_model_is_one_sentence():
    model = local("llama")
    texts = prompt_texts(model.chat, REQUESTS)
    for direction in (
        Direction("narrow", torch.ones(3), Site(0), "last"),
        Direction("deep", torch.ones(model.trunk.width), Site(99), "last"),
    ):
        with pytest.raises(InputError, match="give directions of this model"):
            watch_readings(model, direction, texts, Over.last)


def test_several_directions_are_read_in_one_go():
    model = local("llama")
    texts = prompt_texts(model.chat, REQUESTS)
    some = [Direction(f"d{i}", torch.eye(model.trunk.width)[i], Site(i % 2), "last") for i in range(3)]
    together = projections(model, texts, some, Over.last)
    for one in some:
        assert np.allclose(
            together[one.name], projections(model, texts, [one], Over.last)[one.name], atol=1e-5
        )
