"""Direct preference optimisation: begins at the reference, orders what it was shown, tells what fell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from methods.crashing import CrashError, crash_in_step
from methods.small import preference_rows, ranking_rows, write
from model.tiny import checkpoint
from safetensors.torch import load_file

from truing.data import Comparisons, read_comparisons, split_comparisons
from truing.methods import DPOTuned, DPOTuningConfig, Shift, tune_by_dpo
from truing.model import load_local
from truing.recipes import align_dpo
from truing.recipes.preference_page import preference_page
from truing.train import resume
from truing.types import InputError


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Comparisons:
    return read_comparisons(write(tmp_path_factory.mktemp("data") / "c.jsonl", preference_rows(40)))


def tuned(comparisons: Comparisons, out: Path, family: str = "llama", **numbers: object) -> DPOTuned:
    config = DPOTuningConfig(
        **{"learning_rate": 3e-3, "prompts_per_step": 8, "passes": 2, "held_out": 0.3, **numbers}
    )
    return tune_by_dpo(str(checkpoint(family)), comparisons, out, config, data="c", device="cpu")


@pytest.mark.parametrize(
    ("family", "rank"), [("llama", 0), ("qwen3", 4), ("gemma3", 4), ("gpt_neox", 0), ("gpt2", 0)]
)
def test_at_the_first_step_the_policy_is_the_reference(
    tmp_path: Path, comparisons: Comparisons, family: str, rank: int
) -> None:
    """Every margin is 0, so the loss is log 2; GPT-2's dropout would show here."""
    made = tuned(comparisons, tmp_path / "out", family, lora_rank=rank, prompts_per_step=64, passes=1)
    assert made.trained.steps == 1
    assert made.trained.curve[0][1] == pytest.approx(np.log(2), abs=1e-6)


@pytest.mark.parametrize("rank", [0, 8])
def test_held_out_answers_are_ordered_and_the_figures_are_those_of_the_saved_model(
    tmp_path: Path, comparisons: Comparisons, rank: int
) -> None:
    made = tuned(comparisons, tmp_path / "out", lora_rank=rank, learning_rate=1e-2 if rank else 3e-3)
    found = made.figures
    assert found.rewards.accuracy.value > 0.9 and found.margin.low is not None and found.margin.low > 0
    assert found.better_shift.value > found.worse_shift.value

    # The same numbers by the scorer of the models on disk, on the same held-out side.
    _, held_out = split_comparisons(comparisons.rows, by="prompt", held_out=0.3, key=0)
    old, new = load_local(checkpoint("llama"), device="cpu"), load_local(made.folder, device="cpu")
    shifts = []
    for row in held_out.rows:
        for answer in row.answers:
            ids, mask = (lambda r: (r.ids, r.mask))(old.chat.training_example((*row.prompt, *answer)))
            at = mask.index(True)
            each = [sum(model.score([ids[:at]], [ids[at:]])[0]) for model in (new, old)]
            shifts.append(each[0] - each[1])
    better, worse = np.array(shifts).reshape(-1, 2).T
    assert found.margin.value == pytest.approx(0.1 * float((better - worse).mean()), rel=0.02)  # bf16 or not
    assert found.rewards.accuracy.value == pytest.approx(float((better > worse).mean()))


def test_better_answers_that_became_less_likely_are_a_warning(
    tmp_path: Path, comparisons: Comparisons
) -> None:
    found = tuned(comparisons, tmp_path / "rose").figures
    assert found.better_shift.value > 0 and not found.warning
    fell = replace(found, better_shift=Shift(-3.0, -4.0, -2.0))
    assert "became less likely themselves, by 3.00 nats each" in fell.warning
    assert not replace(found, better_shift=Shift(-3.0, -7.0, 1.0)).warning
    page = preference_page(
        {"method": "dpo", "base": "m", "comparisons": 28, "skipped": {}},
        figures=fell.rewards,
        ground="a test",
        settings={"by": "prompt"},
        moved=fell,
    )
    assert "Better answers became less likely" in page


def test_rankings_count_all_their_pairs(tmp_path: Path) -> None:
    rows = read_comparisons(write(tmp_path / "r.jsonl", ranking_rows(20)))
    made = tuned(rows, tmp_path / "out", prompts_per_step=4)
    assert made.figures.rewards.accuracy.pairs == 5 * made.figures.rewards.accuracy.prompts
    assert made.trained.curve[0][1] == pytest.approx(np.log(2), abs=1e-5)


def test_a_run_leaves_a_page_an_adapter_and_an_untouched_base(tmp_path: Path) -> None:
    model = checkpoint("llama")
    before = (model / "model.safetensors").read_bytes()
    data = write(tmp_path / "c.jsonl", preference_rows(20))
    config = DPOTuningConfig(learning_rate=1e-3, held_out=0.3, lora_rank=2)
    result = align_dpo(str(model), data, tmp_path / "run", config, device="cpu")
    assert (model / "model.safetensors").read_bytes() == before
    assert {"adapter_model.safetensors", "adapter_config.json"} <= {
        p.name for p in Path(result["model"]).iterdir()
    }
    page = (tmp_path / "run" / "report.html").read_text()
    assert "How far the policy moved" in page and "truing align dpo" in page
    assert align_dpo(str(model), data, tmp_path / "run", config, device="cpu") == result


def test_whole_weights_move_and_keep_their_type(tmp_path: Path, comparisons: Comparisons) -> None:
    made = tuned(comparisons, tmp_path / "out", passes=1)
    old, new = (load_file(folder / "model.safetensors") for folder in (checkpoint("llama"), made.folder))
    assert old.keys() == new.keys() and {t.dtype for t in new.values()} == {torch.float32}
    assert any(not old[name].equal(new[name]) for name in old)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [({"lora_rank": -1}, "lora_rank"), ({"held_out": 1.0}, "between 0 and 1"), ({"seed": -1}, "a seed")],
)
def test_numbers_out_of_their_range_are_sentences(wrong: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        DPOTuningConfig(**wrong)


def test_a_run_that_crashed_goes_on_to_the_same_weights_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data = str(checkpoint("llama")), write(tmp_path / "c.jsonl", preference_rows(24))
    config = DPOTuningConfig(learning_rate=1e-2, prompts_per_step=4, passes=1, held_out=0.3, lora_rank=4)

    def run(name: str) -> bytes:
        folder = Path(align_dpo(model, data, tmp_path / name, config, device="cpu")["model"])
        return (folder / "adapter_model.safetensors").read_bytes()

    whole = run("whole")
    monkeypatch.setattr(resume, "_EVERY", 0.0)
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        crash_in_step(patch, 3)
        run("crashed")
    assert (tmp_path / "crashed" / "training.pt").exists()
    assert run("crashed") == whole
