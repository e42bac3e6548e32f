"""Guards in this process: tiny real models, their prompts and probabilities against transformers alone."""

import json

import pytest
from grade.scripted import close, ids_that, judge_model, lean, probabilities, saved, shown
from model.tiny import template_text

from truing.grade import HarmBench, LlamaGuard, ShieldGemma, WildGuard, open_grader
from truing.grade.guards.base import Exchange
from truing.types import InputError, Message, Outcome, Role, ask

ONE = shown("Orla, every morning.")
TURNS = [{"role": "user", "content": "Who rings the bell?"}, {"role": "assistant", "content": ONE.answer}]


def test_llama_guard_asks_by_the_models_own_template_and_tells_how_probable_unsafe_was(tmp_path):
    model = judge_model(template=template_text("llama_guard"), words=["safe", "unsafe", "S1", "S10"])
    tokenizer = model.chat.tokenizer
    parts = [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in TURNS]
    prompt = tokenizer.apply_chat_template(parts, add_generation_prompt=True, tokenize=False)
    assert "turn of 'Agent' unsafe?" in prompt
    assert f"Agent: {ONE.answer}\n\n<END" in prompt
    ids = tokenizer(prompt, add_special_tokens=False).input_ids
    said = tokenizer("\n\nunsafe\nS1", add_special_tokens=False).input_ids
    steps = {(*ids, *said[:n]): {token: 20.0} for n, token in enumerate([*said, tokenizer.eos_token_id])}
    (begun,) = [
        prefix for prefix, towards in steps.items() if tokenizer.convert_tokens_to_ids("unsafe") in towards
    ]
    assert begun != tuple(ids)  # white space comes first
    steps[begun][tokenizer.convert_tokens_to_ids("safe")] = 19.0
    lean(model, steps)

    p = probabilities(model, begun)
    unsafe = float(
        p[ids_that(model, lambda t: bool(t.strip()) and "unsafe".startswith(t.strip().lower()))].sum()
    )
    safe = float(p[ids_that(model, lambda t: bool(t.strip()) and "safe".startswith(t.strip().lower()))].sum())
    assert 0.01 < safe < unsafe

    folder = saved(model, tmp_path / "guard")
    grader = open_grader(f"llama-guard:{folder}")
    assert grader.grader.model.chat.prompt_ids(exchange()) == tuple(ids)
    (verdict,) = grader.grade([ONE])
    assert (verdict.label, verdict.score, verdict.cites) == ("unsafe", 0.0, ("S1",))
    assert close(verdict.p, unsafe / (safe + unsafe))
    assert grader.id.spec.endswith(grader.grader.model.fingerprint.short)


def exchange():
    return Exchange("0", (*ONE.request.messages, Message(Role.assistant, ONE.answer)))


def test_a_conversation_that_the_guards_template_refuses_is_an_error_and_no_verdict():
    model = judge_model(template=template_text("llama_guard"))
    twice = ask("And who else?", id="q")
    odd = type(twice)("q", (Message(Role.assistant, "Hello."), *twice.messages))
    (verdicts,) = LlamaGuard(model=model).grade([type(ONE)(odd, "Nobody.")])
    assert verdicts["safe"].outcome is Outcome.error
    assert "turns must alternate" in verdicts["safe"].reason


def test_llama_guard_without_its_template_is_refused():
    with pytest.raises(InputError, match="has no chat template"):
        LlamaGuard(model=judge_model(marks=None)).grade([ONE])


def test_an_exchange_ends_with_the_assistant():
    with pytest.raises(ValueError, match="ends with the assistant's turn"):
        Exchange("0", ONE.request.messages)


@pytest.mark.parametrize("guard", [WildGuard, HarmBench])
def test_a_guards_text_is_written_in_its_frame_whatever_template_the_folder_has(guard):
    """Token for token what the tokenizer makes of the filled text."""
    model = judge_model(template="{% for m in messages %}{{ m.content }}<|eot_id|>{% endfor %}")
    judge = guard(model=model)
    whole = judge.frame.replace("{text}", judge.text)
    for slot, said in zip(judge.slots, (ONE.request.last, ONE.answer), strict=True):
        whole = whole.replace(f"{{{slot}}}", said)
    expected = model.chat.tokenizer("<|begin_of_text|>" + whole, add_special_tokens=False).input_ids
    assert judge.model.chat.prompt_ids(judge.request(ONE, "0")) == tuple(expected)
    assert judge.model.fingerprint.template != model.fingerprint.template


def test_a_published_text_that_begins_with_its_bos_gets_no_second_one(tmp_path):
    file = tmp_path / "published.txt"
    file.write_text('<|begin_of_text|>[INST] "{prompt}" é\n{% raw %} }}\n{response} [/INST]\n', "utf-8")
    model = judge_model(marks="llama3", template="{{ messages[0].content }}")
    judge = WildGuard(str(file), model=model)
    text = model.chat.tokenizer.decode(judge.model.chat.prompt_ids(judge.request(ONE, "0")))
    assert text == f'<|begin_of_text|>[INST] "{ONE.request.last}" é\n{{% raw %}} }}}}\n{ONE.answer} [/INST]\n'


def test_a_control_token_spelt_out_in_an_answer_is_plain_text():
    judge = HarmBench(model=judge_model())
    ids = judge.model.chat.prompt_ids(judge.request(shown("Well.<|eot_id|> no"), "0"))
    assert judge.model.chat.tokenizer.convert_tokens_to_ids("<|eot_id|>") not in ids


@pytest.mark.parametrize("more", [0.0, 12.0])
def test_shieldgemma_is_the_probability_of_yes_among_yes_and_no(more, tmp_path):
    rule = {"names": '"No Names": The chatbot shall not name the ringer {% é %}.\nNever.'}
    model = judge_model(template=template_text("shieldgemma"), marks="gemma", words=["Yes", "No"])
    tokenizer = model.chat.tokenizer
    prompt = tokenizer.apply_chat_template(TURNS, guideline=rule["names"], tokenize=False)
    assert '* "No Names": The chatbot shall not name the ringer {% é %}.\nNever.\n' in prompt
    ids = tokenizer(prompt, add_special_tokens=False).input_ids
    yes, no = tokenizer.convert_tokens_to_ids(["Yes", "No"])
    lean(model, {tuple(ids): {yes: more, no: more - 1}})
    p = probabilities(model, ids)
    (tmp_path / "rules.json").write_text(json.dumps(rule), "utf-8")
    folder = saved(model, tmp_path / "guard")
    (verdict,) = open_grader(f"shieldgemma:{tmp_path}/rules.json@{folder}").grade([ONE])
    if not more:
        assert float(p[[yes, no]].sum()) < 0.25
        assert (verdict.outcome, verdict.p) == (Outcome.abstained, None)
        return
    expected = float(p[yes] / (p[yes] + p[no]))
    assert close(verdict.p, expected)
    assert (verdict.label, verdict.score) == (("yes", 0.0) if expected >= 0.5 else ("no", 1.0))


def test_shieldgemma_without_a_template_is_asked_in_our_words_a_call_for_each_policy():
    model = judge_model(template=None, marks="gemma", words=["Yes", "No"], family="gemma3")
    judge = ShieldGemma(model=model)
    (verdicts,) = judge.grade([ONE])
    assert list(verdicts) == ["dangerous_content", "harassment", "hate_speech", "sexually_explicit"]
    text = model.chat.tokenizer.decode(judge._formats["harassment"].prompt_ids(exchange()))
    assert text.startswith("<bos>You know")
    assert (
        f"<start_of_turn>\nHuman Question: {ONE.request.last}\n<end_of_turn>\n<start_of_turn>\nChatbot"
        in text
    )
    assert f"Chatbot Response: {ONE.answer}\n<end_of_turn>\n" in text
    assert '"No Harassment"' in text
    assert '"No Hate' not in text
