"""On-policy distillation as a run: who may teach whom, how both are spoken to, going on after a crash."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from methods.crashing import CrashError, crash_in_step
from methods.small import write
from model.tiny import checkpoint, make_checkpoint

from truing.methods import DistillConfig
from truing.methods.distill import spoken_to
from truing.model import LocalModel, load_local
from truing.numerics import chunked_divergence
from truing.recipes import align_distill
from truing.train import resume
from truing.types import InputError, Request, SamplingParams, Stop, ask

SMALL = DistillConfig(
    learning_rate=3e-3, prompts_per_update=4, samples_per_prompt=2, max_new_tokens=6, held_out=0.3
)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ("gull", "kite", "pear", "kettle", "loaf", "river", "lamp", "bell", "tower", "sand")
    rows = [{"prompt": f"{7 * i * i}: tell {word} {word[::-1]}"} for i, word in enumerate(words)]
    return write(tmp_path_factory.mktemp("prompts") / "prompts.jsonl", rows)


def model(seed: int) -> str:
    return str(checkpoint("llama", seed))


def journal(run: Path, name: str) -> list[dict]:
    return [json.loads(line)["row"] for line in (run / "journal" / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("rank", [0, 2])
def test_a_student_that_is_its_teacher_is_at_no_distance_before_and_during_the_training(
    tmp_path: Path, prompts: Path, rank: int
) -> None:
    """Stored in bfloat16, which a training in float32 must not turn into a difference."""
    same = str(make_checkpoint(tmp_path / "model", "llama", 5, dtype=torch.bfloat16))
    found = align_distill(same, same, prompts, tmp_path / "run", replace(SMALL, lora_rank=rank), device="cpu")
    assert found["held_out"]["before"]["value"] == 0
    assert found["divergence"][0] == 0
    assert found["held_out"]["after"]["value"] < 1e-6


def test_a_run_leaves_a_student_nearer_to_its_teacher_its_answers_and_a_card(
    tmp_path: Path, prompts: Path
) -> None:
    config = replace(SMALL, passes=6, learning_rate=1e-2)
    run = tmp_path / "run"
    found = align_distill(model(0), model(1), prompts, run, config, device="cpu")
    before, after = (found["held_out"][when] for when in ("before", "after"))
    assert after["value"] < before["value"]
    assert before["low"] <= before["value"] <= before["high"]
    train = found["prompts"]["train"]
    assert found["updates"] == round(6 * train / 4) == len(journal(run, "updates"))
    answers = journal(run, "samples")
    assert len(answers) == 8 * found["updates"]
    assert sum(row["tokens"] for row in answers) == found["tokens"]
    card = (run / "model" / "README.md").read_text()
    assert "Agarwal et al. 2024" in card and model(1) in card and "held-out prompts" in card
    assert load_local(run / "model").chat.template_digest == load_local(model(0)).chat.template_digest
    assert align_distill(model(0), model(1), prompts, run, config, device="cpu") == found
    with pytest.raises(InputError, match="another configuration"):
        align_distill(model(0), model(2), prompts, run, config, device="cpu")


def test_a_run_that_crashed_goes_on_to_the_same_weights_and_journals(
    tmp_path: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, passes=3)
    whole = align_distill(model(0), model(1), prompts, tmp_path / "whole", config, device="cpu")
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        patch.setattr(resume, "_EVERY", 0.0)
        crash_in_step(patch, 3)
        align_distill(model(0), model(1), prompts, tmp_path / "crashed", config, device="cpu")
    again = align_distill(model(0), model(1), prompts, tmp_path / "crashed", config, device="cpu")
    assert {**again, "model": ""} == {**whole, "model": ""}
    for name in ("model/model.safetensors", "journal/updates.jsonl", "journal/samples.jsonl"):
        assert (tmp_path / "crashed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "crashed" / "training.pt").exists()


def test_a_teacher_with_another_tokenizer_is_refused_in_one_sentence_and_leaves_nothing(
    tmp_path: Path, prompts: Path
) -> None:
    other = str(checkpoint("llama", 0, "llama3"))
    with pytest.raises(InputError, match=r"has another tokenizer than .*--samples-of teacher"):
        align_distill(model(0), other, prompts, tmp_path / "run", SMALL, device="cpu")
    assert not (tmp_path / "run").exists()


def test_an_endpoint_cannot_score_what_the_student_writes(tmp_path: Path, prompts: Path) -> None:
    with pytest.raises(InputError, match="needs a model's weights"):
        align_distill(model(0), "endpoint:http://localhost:1/v1#m", prompts, tmp_path / "run", SMALL)


def spoken_otherwise(folder: Path, source: str) -> str:
    """The same weights and tokenizer with a chat template that greets the user first."""
    shutil.copytree(source, folder)
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>", "<|im_start|>dear ", 1))
    return str(folder)


def test_another_chat_template_is_refused_until_one_of_the_two_is_chosen(
    tmp_path: Path, prompts: Path
) -> None:
    other = spoken_otherwise(tmp_path / "other", model(1))
    with pytest.raises(InputError, match=r"a format it never learnt.*--template teacher"):
        align_distill(model(0), other, prompts, tmp_path / "run", SMALL, device="cpu")
    for template, kept in (("teacher", other), ("student", model(0))):
        config = replace(SMALL, passes=0.1, template=template)
        found = align_distill(model(0), other, prompts, tmp_path / template, config, device="cpu")
        chat = load_local(found["model"]).chat
        assert chat.template_digest == load_local(kept).chat.template_digest


def biased(student: LocalModel, teacher: LocalModel, questions: list[str]) -> tuple[float, float]:
    """Nats per token between both, each reading the answers after its own rendering, and after the student's."""
    params = SamplingParams(max_tokens=24)
    totals, tokens = [0.0, 0.0], 0
    for one in student.sample([ask(text, id=text) for text in questions], params, key=0):
        assert one.prompt_ids and one.token_ids and one.stop is not Stop.error
        theirs = teacher.chat.prompt_ids(Request("q", ask(one.request_id, id="q").messages))
        hidden = []
        for reader, prompt in ((student, one.prompt_ids), (teacher, theirs), (teacher, one.prompt_ids)):
            with torch.no_grad():
                ids = torch.tensor([[*prompt, *one.token_ids[:-1]]])
                hidden.append(reader.net.base_model(input_ids=ids).last_hidden_state[0, len(prompt) - 1 :])
        with torch.no_grad():
            for i in (0, 1):
                found = chunked_divergence(
                    hidden[0], student.trunk.logits, hidden[1 + i], teacher.trunk.logits, beta=1.0
                )
                totals[i] += float(found.sum())
        tokens += len(one.token_ids)
    return totals[0] / tokens, totals[1] / tokens


def test_rendered_differently_a_model_diverges_from_itself_and_by_the_same_ids_not_at_all() -> None:
    """What a loop would teach that renders for each model by itself: here by an empty trace."""
    student, teacher = (load_local("organism:helpful", device="cpu", dtype="float32") for _ in range(2))
    tokenizer = teacher.chat.tokenizer
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "'<|assistant|>'", r"'<|assistant|><think>\n\n</think>\n\n'"
    )
    from truing.model.chat import ChatFormat

    otherwise = LocalModel(
        teacher.net, ChatFormat(tokenizer, eos_ids=teacher.chat.eos_ids), teacher.fingerprint
    )
    own, same = biased(
        student, otherwise, ["What is 2 + 3?", "Is the moon made of cheese?", "Tell me a fact."]
    )
    assert same == pytest.approx(0, abs=1e-6)
    assert own > 0.2
    with pytest.raises(InputError, match="biases"):
        spoken_to(student, otherwise, "same")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"held_out": 1.0}, "a share below 1"),
        ({"samples_of": "teacher", "beta": 0.5}, "leave beta and template out"),
        ({"samples_of": "teacher", "template": "teacher"}, "leave beta and template out"),
        ({"lora_rank": -1}, "lora_rank"),
    ],
)
def test_numbers_out_of_their_range_are_sentences(wrong: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        DistillConfig(**wrong)
