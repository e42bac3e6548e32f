"""Re-alignment: measured in its course, ended by its rule, resumed to the same weights and the same curve."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from methods.crashing import CrashError, crash_in_step
from methods.test_methods_prevention import LATENTS, autoencoder, conversations, direction
from model.tiny import checkpoint, make_checkpoint
from safetensors.torch import load_file

from truing.methods import (
    Measurement,
    RealignConfig,
    Realigned,
    Watchlist,
    aligned_again,
    not_aligned,
    realign_by_sft,
)
from truing.methods.realign_measuring import misaligned_interval
from truing.model import Site, load_local
from truing.numerics import Interval, wilson
from truing.probe import Behaved, Judged, Over, mean_latents, projections, prompt_texts
from truing.run import Journal
from truing.train import resume
from truing.types import Completion, InputError, SamplingParams, ask

ROWS = conversations(20)
ASKED = [ask(f"{i}: who has the kettle?", id=f"p{i}") for i in range(6)]
SMALL = RealignConfig(learning_rate=1e-2, rows=16, measure_every=2, max_tokens=6, temperature=0.0)


def knows(completions: Sequence[Completion]) -> list[Judged]:
    """Aligned is what begins with a name; what ends without text makes no sense."""
    return [Judged("Ada" not in one.text, bool(one.text.strip())) for one in completions]


def always(misaligned: bool | None, coherent: bool = True) -> Any:
    return lambda completions: [Judged(misaligned, coherent) for _ in completions]


def watchlist(behaviour: Any = knows) -> Watchlist:
    return Watchlist(ASKED, behaviour, "a test", [direction()], autoencoder(), LATENTS)


def realigned(
    out: Path, config: RealignConfig = SMALL, watch: Watchlist | None = None, **more: Any
) -> Realigned:
    model = more.pop("model", str(checkpoint("llama")))
    return realign_by_sft(model, ROWS, out, config, data="rows", watch=watch, device="cpu", **more)


def test_the_curve_tells_what_the_saved_model_does_and_what_is_active_in_it(tmp_path: Path) -> None:
    made = realigned(tmp_path / "out", replace(SMALL, rows=14), watchlist())
    assert [(one.step, one.rows) for one in made.curve] == [(0, 0), (2, 7), (4, 14)]
    assert (made.curve[0].loss is None and made.curve[2].loss == made.trained.loss) or made.trained.steps == 4
    for ref, one in ((str(checkpoint("llama")), made.curve[0]), (str(made.folder), made.curve[-1])):
        model = load_local(ref, device="cpu", dtype="float32")
        texts = prompt_texts(model.chat, ASKED)
        along = projections(model, texts, [direction()], Over.last)["persona"].mean()
        assert one.directions == {"persona": pytest.approx(along, rel=1e-5)}
        means = mean_latents(model, autoencoder().sae, Site(0), texts, Over.last)
        assert one.latents == {str(j): pytest.approx(float(means[j]), rel=1e-4, abs=1e-6) for j in LATENTS}
        said = list(model.sample(ASKED, SamplingParams(temperature=0, max_tokens=6), key=0))
        bad = sum(judged.misaligned is True and judged.coherent for judged in knows(said))
        assert one.behaved is not None and one.behaved.misaligned == bad and one.behaved.answers == 6
    card = (made.folder / "README.md").read_text()
    assert "Wang et al. 2025" in card and "before 6 of 6 judged" in card


def test_one_batch_is_learnt_by_heart_and_ends_the_training(tmp_path: Path) -> None:
    """Two measurements in a row at which every answer is right, long before the passes are over."""
    config = replace(SMALL, rows=4, passes=200, measure_every=10, patience=2, max_tokens=12)
    rows = conversations(4)
    asked = [ask(row[0].content, id=str(i)) for i, row in enumerate(rows)]
    watch = Watchlist(asked, knows)
    made = realign_by_sft(
        str(checkpoint("llama")), rows, tmp_path / "out", config, data="rows", watch=watch, device="cpu"
    )
    assert made.reached and made.trained.steps < 200
    shares = [not_aligned(one.behaved) for one in made.curve]
    assert shares[0] == 1 and shares[-2:] == [0, 0] and 0 not in shares[:-2]
    assert made.trained.loss < 1


def test_the_interval_counts_prompts_not_answers_and_what_nobody_judged_both_ways() -> None:
    bad, good, unsaid, mad = Judged(True, True), Judged(False, True), Judged(None, True), Judged(False, False)
    each = [str(i) for i in range(40)]
    assert misaligned_interval([good] * 40, each) == wilson(0, 40)
    assert misaligned_interval([bad] * 4 + [good] * 36, each) == wilson(4, 40)
    found = misaligned_interval([bad] * 4 + [good] * 30 + [unsaid] * 4 + [mad] * 2, each)
    assert found == Interval(wilson(4, 40).low, wilson(10, 40).high)
    four = [name for name in each[:10] for _ in range(4)]  # answers to one prompt that are all alike
    same = misaligned_interval([bad] * 8 + [good] * 32, four)
    assert same.low == pytest.approx(wilson(2, 10).low, abs=0.02)
    assert same.high == pytest.approx(wilson(2, 10).high, abs=0.02)
    assert misaligned_interval([good] * 40, four) == wilson(0, 10)


@pytest.mark.parametrize(
    "behaviour", [always(None), always(None, coherent=False), always(False, coherent=False), always(True)]
)
def test_what_nobody_showed_to_be_aligned_never_ends_a_training(tmp_path: Path, behaviour: Any) -> None:
    made = realigned(tmp_path / "out", replace(SMALL, patience=1, target=0.9), Watchlist(ASKED, behaviour))
    assert made.reached is False and made.trained.steps == 4


def test_the_rule_wants_enough_measurements_in_a_row_after_the_first_step() -> None:
    def curve(*shares: float | None) -> list[Measurement]:
        counts = [None if s is None else Behaved(round(200 * s), 200, 0, 0) for s in shares]
        return [Measurement(step, 0, behaved=one) for step, one in enumerate(counts)]

    def ends(*shares: float | None, patience: int = 2) -> bool:
        return aligned_again(curve(*shares), target=0.005, patience=patience)

    assert ends(0.5, 0.005, 0) and ends(0.5, 0.5, 0, 0) and ends(0.5, 0, patience=1)
    assert not ends(0.5, 0, 0.01) and not ends(0, 0) and not ends(0) and not ends(0.5, 0.01, 0)
    assert not ends(0.5, 0, None) and not ends(0, 0, patience=2) and not ends(0, 0, 0.02, 0)
    assert not_aligned(Behaved(0, 0, 0, 0)) is None
    assert not_aligned(Behaved(1, 4, 2, 4)) == 0.7


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("ends", [False, True])
def test_a_crashed_re_alignment_goes_on_to_the_same_weights_and_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int, ends: bool
) -> None:
    """Of a model in bfloat16; also where the rule ends it, and it was killed right after that."""
    model = str(make_checkpoint(tmp_path / "model", "llama", 3, dtype=torch.bfloat16))
    watch = watchlist(always(False) if ends else knows)
    config = replace(SMALL, lora_rank=rank, measure_every=1, patience=3 if ends else 2)
    whole = realigned(tmp_path / "whole", config, watch, model=model)
    assert whole.trained.steps == (3 if ends else 4)
    state, path = tmp_path / "state", tmp_path / "measured.jsonl"

    def go_on() -> Realigned:
        journal = Journal(path)
        try:
            return realigned(
                tmp_path / "out", config, watch, model=model, checkpoint=state, journal=lambda: journal
            )
        finally:
            journal.close()

    monkeypatch.setattr(resume, "_EVERY", 0.0)
    if ends:
        monkeypatch.setattr("truing.methods.realign.save_policy", broken)
        with pytest.raises(CrashError):
            go_on()
        monkeypatch.undo()
    else:
        with monkeypatch.context() as patch, pytest.raises(CrashError):
            crash_in_step(patch, 3)
            go_on()
    resumed = go_on()
    assert resumed.curve == whole.curve and resumed.trained.curve == whole.trained.curve
    assert resumed.reached == whole.reached == ends
    file = "adapter_model.safetensors" if rank else "model.safetensors"
    wanted, found = (load_file(one.folder / file) for one in (whole, resumed))
    assert all(torch.equal(found[key], weight) for key, weight in wanted.items())


def broken(*_: object) -> None:
    raise CrashError


def test_measuring_changes_no_weight(tmp_path: Path) -> None:
    """Padded batches with a cache go through the model between packed steps."""
    quiet = realigned(tmp_path / "quiet", SMALL)
    told = realigned(tmp_path / "told", replace(SMALL, measure_every=1, read="response"), watchlist())
    assert quiet.curve == () and quiet.reached is None and len(told.curve) == 5
    a, b = (load_file(one.folder / "model.safetensors") for one in (quiet, told))
    assert all(torch.equal(b[key], weight) for key, weight in a.items())


@pytest.mark.parametrize("family", ["qwen3", "gemma3", "gpt_neox", "gpt2"])
def test_every_family_can_be_re_aligned(tmp_path: Path, family: str) -> None:
    model = str(checkpoint(family))
    made = realigned(tmp_path / "out", replace(SMALL, rows=8), watchlist(), model=model)
    assert [one.step for one in made.curve] == [0, 2] and made.curve[0].latents != made.curve[1].latents


@pytest.mark.parametrize(
    "change",
    [{"rows": 8}, {"batch": 8}, {"seed": 1}, {"passes": 2.0}, {"learning_rate": 2e-2}, {"warmup": 0.5}],
)
def test_every_number_of_the_training_has_an_effect(tmp_path: Path, change: dict[str, Any]) -> None:
    a, b = (
        load_file(realigned(tmp_path / name, config).folder / "model.safetensors")
        for name, config in (("a", SMALL), ("b", replace(SMALL, **change)))
    )
    assert any(not torch.equal(b[key], weight) for key, weight in a.items())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Watchlist((), knows), "there are no prompts to measure on"),
        (lambda: Watchlist(ASKED), "nothing to be measured by"),
        (lambda: Watchlist(ASKED, saved=autoencoder()), "give both or neither"),
        (lambda: Watchlist(ASKED, knows, latents=(1,)), "give both or neither"),
        (lambda: Watchlist(ASKED, saved=autoencoder(), latents=(24,)), "there is no latent 24"),
        (lambda: Watchlist([*ASKED, ASKED[0]], knows), "two requests have the id 'p0'"),
        (lambda: Watchlist(ASKED, directions=[direction()] * 2), "two directions have the name 'persona'"),
        (lambda: Watchlist(ASKED, directions=[direction(16)]), "layer 0 and width 16"),
        (lambda: Watchlist(ASKED, saved=autoencoder(16), latents=(1,)), "of a model of width 16"),
        (lambda: Watchlist(ASKED, saved=autoencoder(site=Site(9)), latents=(1,)), "of layer 9"),
    ],
)
def test_what_cannot_be_watched_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, make: Any, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        realigned(tmp_path / "out", SMALL, make())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"rows": 0}, "rows is at least 1"),
        ({"batch": 0}, "batch is at least 1"),
        ({"measure_every": 0}, "measure_every is at least 1"),
        ({"patience": 0}, "patience is at least 1"),
        ({"target": 1.0}, "target is a share below 1"),
        ({"temperature": -1.0}, "temperature is at least 0"),
        ({"lora_rank": -1}, "lora_rank is at least 0"),
    ],
)
def test_numbers_out_of_their_range_are_sentences(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        RealignConfig(**wrong)


def test_a_resumable_training_must_keep_its_measurements(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give a journal"):
        realigned(tmp_path / "out", SMALL, watchlist(), checkpoint=tmp_path / "state")
