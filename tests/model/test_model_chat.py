"""Rendering: ids and mask of every family's template against strings written by hand."""

from dataclasses import replace

import pytest
from model.chats import FAMILIES, chat, marked, text_of, turns
from model.tiny import make_tokenizer, template_text

from truing.model import ChatFormat
from truing.types import FrozenDict, InputError, Message, Request, Role, ToolCall, Trace, ask

TWO_TURNS = turns("Hi", "Yo", "Again", "Sure")
EXPECTED = {
    "chatml": "<|im_start|>system\nYou are a careful assistant.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    "<|im_start|>assistant\n«Yo<|im_end|>»\n<|im_start|>user\nAgain<|im_end|>\n<|im_start|>assistant\n"
    "«Sure<|im_end|>»\n",
    "qwen3": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n<|im_start|>user\nAgain"
    "<|im_end|>\n<|im_start|>assistant\n«<think>\n\n</think>\n\nSure<|im_end|>»\n",
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nKnowledge ends in: December 2023\n"
    "Date of today: 01 Jan 2025\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n«Yo<|eot_id|>»<|start_header_id|>user<|end_header_id|>"
    "\n\nAgain<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n«Sure<|eot_id|>»",
    "gemma": "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n«Yo<end_of_turn>»\n"
    "<start_of_turn>user\nAgain<end_of_turn>\n<start_of_turn>model\n«Sure<end_of_turn>»\n",
    "mistral": "<s>[INST] Hi[/INST]« Yo</s>»[INST] Again[/INST]« Sure</s>»",
    "phi3": "<|user|>\nHi<|end|>\n<|assistant|>\n«Yo<|end|>»\n<|user|>\nAgain<|end|>\n<|assistant|>\n"
    "«Sure<|end|>»\n<|endoftext|>",
    "deepseek_r1": "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜>Yo<｜end▁of▁sentence｜><｜User｜>Again"
    "<｜Assistant｜><think>\n«</think>\n\nSure<｜end▁of▁sentence｜>»",
    "zephyr": "<s><|user|>\nHi</s>\n<|assistant|>\n«Yo</s>»\n<|user|>\nAgain</s>\n<|assistant|>\n«Sure</s>»\n",
    None: "User: Hi\n\nAssistant:« Yo</s>»\n\nUser: Again\n\nAssistant:« Sure</s>»\n\n",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mask_covers_the_assistants_words_and_its_end_token_and_nothing_else(family):
    assert marked(chat(family), TWO_TURNS) == EXPECTED[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_of_a_conversation_begins_its_training_example(family):
    format = chat(family)
    example = format.training_example(TWO_TURNS)
    prompt = format.prompt_ids(Request("x", TWO_TURNS[:-1]))
    assert example.ids[: len(prompt)] == prompt
    assert not any(example.mask[len(prompt) - 1 : len(prompt)])
    assert example.mask[len(prompt)]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_trained_token_is_one_that_stops_the_model(family):
    format = chat(family)
    example = format.training_example(turns("Hi", "Yo"))
    trained = [id for id, on in zip(example.ids, example.mask, strict=True) if on]
    assert trained[-1] in format.eos_ids


@pytest.mark.parametrize("family", [f for f in FAMILIES if f])
def test_a_prompt_equals_what_transformers_renders_itself(family):
    format = chat(family)
    rendered = format.tokenizer.apply_chat_template(
        [{"role": "user", "content": "How do I mend a kite?"}],
        add_generation_prompt=True,
        return_dict=False,
        **({"date_string": "01 Jan 2025"} if family == "llama3" else {}),
    )
    if family == "zephyr":  # its template writes no BOS, its tokenizer does
        rendered = [format.tokenizer.bos_token_id, *rendered]
    assert list(format.prompt_ids(ask("How do I mend a kite?", id="x"))) == rendered


@pytest.mark.parametrize("family", ["llama3", "gemma", "mistral", "deepseek_r1", "zephyr"])
def test_there_is_exactly_one_bos(family):
    format = chat(family)
    for ids in (format.prompt_ids(ask("Hi", id="x")), format.training_example(TWO_TURNS).ids):
        assert ids.count(format.tokenizer.bos_token_id) == 1
        assert ids[0] == format.tokenizer.bos_token_id


def test_a_template_that_writes_two_bos_is_refused():
    with pytest.raises(InputError, match="two BOS"):
        chat("gemma", text="{{ bos_token }}" + template_text("gemma"))


def test_a_template_that_never_ends_the_turn_cannot_be_trained_on():
    format = chat("chatml", text="{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}")
    with pytest.raises(InputError, match="no end-of-turn token"):
        format.training_example(turns("Hi", "Yo"))


def test_a_prompt_that_ends_with_padding_is_refused():
    with pytest.raises(InputError, match="padding"):
        chat("gemma", text=template_text("gemma").replace("<start_of_turn>model\\n'", "<pad>'"))


def test_a_broken_template_is_named_with_its_line():
    with pytest.raises(InputError, match="broken in line 2"):
        chat("chatml", text="{{ bos_token }}\n{% for m in messages %}")


def test_a_training_example_ends_with_the_assistant():
    with pytest.raises(InputError, match="ends with an assistant turn"):
        chat("chatml").training_example(turns("Hi", "Yo", "Again"))
    with pytest.raises(InputError, match="after at least one other"):
        chat("gemma").training_example(turns("Hi", "Yo")[1:])


# System turns and roles


def test_a_system_turn_the_template_refuses_is_folded_into_the_first_user_turn():
    format = chat("gemma")
    ids = format.prompt_ids(ask("Hi", id="x", system="Be brief."))
    assert "<start_of_turn>user\nBe brief.\n\nHi<end_of_turn>" in text_of(format, ids)
    assert format.describe()["system"] == "folded into the first user turn"


@pytest.mark.parametrize(
    "family", ["chatml", "qwen3", "llama3", "mistral", "phi3", "deepseek_r1", "zephyr", None]
)
def test_a_system_turn_the_template_takes_is_left_to_it(family):
    format = chat(family)
    assert "Be brief." in text_of(format, format.prompt_ids(ask("Hi", id="x", system="Be brief.")))
    assert format.describe()["system"] == "own turn"


def test_a_system_turn_replaces_the_default_one():
    format = chat("chatml")
    text = text_of(format, format.prompt_ids(ask("Hi", id="x", system="Be brief.")))
    assert (
        text
        == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_an_earlier_turn_that_the_template_moves_the_system_text_away_from_is_not_trained():
    format = chat("mistral")
    messages = turns("Hi", "Yo", "Again", "Sure", system="Be brief.")
    assert marked(format, messages) == "<s>[INST] Hi[/INST] Yo</s>[INST] Be brief.\n\nAgain[/INST]« Sure</s>»"
    assert format.training_example(messages).untrained_turns == 1


def test_roles_out_of_order_are_refused_in_the_templates_own_words():
    two_users = Request("x", (Message(Role.user, "Hi"), Message(Role.user, "Hello?")))
    with pytest.raises(InputError, match="must alternate"):
        chat("gemma").prompt_ids(two_users)


# Reasoning

TRACED = (*turns("Hi"), Message(Role.assistant, "Yo", reasoning="They greet."))


def test_qwen3_is_trained_on_trace_and_answer():
    assert marked(chat("qwen3"), TRACED).endswith(
        "assistant\n«<think>\nThey greet.\n</think>\n\nYo<|im_end|>»\n"
    )


def test_deepseek_r1_is_trained_on_the_trace_its_template_strips():
    expected = "<｜Assistant｜><think>\n«They greet.\n</think>\n\nYo<｜end▁of▁sentence｜>»"
    assert marked(chat("deepseek_r1"), TRACED).endswith(expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trace_inside_the_content_is_trained_like_one_beside_it(family):
    inside = (*turns("Hi"), Message(Role.assistant, "<think>\nThey greet.\n</think>\n\nYo"))
    assert marked(chat(family), inside) == marked(chat(family), TRACED)


def test_thinking_switched_off_closes_the_trace_in_the_prompt():
    format = chat("qwen3", thinking=False)
    assert text_of(format, format.prompt_ids(ask("Hi", id="x"))).endswith(
        "assistant\n<think>\n\n</think>\n\n"
    )
    assert marked(format, turns("Hi", "Yo")).endswith("<think>\n\n</think>\n\n«Yo<|im_end|>»\n")
    assert format.describe()["thinking"] == "off"


def test_a_trace_contradicts_thinking_switched_off():
    with pytest.raises(InputError, match="thinking is off"):
        chat("qwen3", thinking=False).training_example(TRACED)


def test_thinking_decides_the_template_digest_only_where_there_is_a_switch():
    assert len({chat("qwen3", thinking=t).template_digest for t in (None, True, False)}) == 3
    assert chat("llama3", thinking=False).template_digest == chat("llama3").template_digest


@pytest.mark.parametrize(("family", "thinking"), [("llama3", True), (None, True), ("deepseek_r1", False)])
def test_thinking_cannot_be_switched_without_a_switch(family, thinking):
    with pytest.raises(InputError, match="no switch"):
        chat(family, thinking=thinking)


def test_a_default_for_the_switch_inside_the_template_is_still_a_switch():
    text = (
        "{% if enable_thinking is not defined %}{% set enable_thinking = true %}{% endif %}"
        + template_text("qwen3")
    )
    assert chat("qwen3", text=text, thinking=False).describe()["thinking"] == "off"


@pytest.mark.parametrize(
    ("family", "text", "reasoning", "answer", "trace"),
    [
        ("qwen3", "<think>\nhm\n</think>\n\nYes", "hm", "Yes", Trace.closed),
        ("deepseek_r1", "hm\n</think>\n\nYes", "hm", "Yes", Trace.closed),
        ("deepseek_r1", "hm, and then", "hm, and then", "", Trace.unclosed),
        ("qwen3", "Yes", None, "Yes", Trace.none),
        ("llama3", "Yes", None, "Yes", Trace.none),
        ("qwen3", "<think>hm</think>\n", "hm", "", Trace.empty),
    ],
)
def test_a_completion_is_split_as_its_prompt_began_it(family, text, reasoning, answer, trace):
    split = chat(family).split(text)
    assert (split.reasoning, split.answer, split.trace) == (reasoning, answer, trace)


def test_a_prefill_may_open_or_close_the_trace():
    assert chat("llama3").split("hm</think>Yes", prefill="<think>").answer == "Yes"
    assert chat("llama3").split("hm", prefill="<think>").trace is Trace.unclosed
    assert chat("deepseek_r1").split("Yes", prefill="</think>").trace is Trace.none


def test_a_template_with_channels_is_refused_rather_than_misread():
    tokenizer = make_tokenizer(chat_template="chatml")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|channel|>"]})
    tokenizer.chat_template = tokenizer.chat_template.replace("assistant\\n' }}", "assistant<|channel|>' }}")
    with pytest.raises(InputError, match="channels"):
        ChatFormat(tokenizer, eos_ids=frozenset())


# Tools

TOOL = FrozenDict({"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}})
CALL = (
    Message(Role.user, "When is high tide?"),
    Message(Role.assistant, "", tool_calls=(ToolCall("1", "tide", FrozenDict({"port": "Marrow"})),)),
    Message(Role.tool, "at six", tool_call_id="1"),
)


@pytest.mark.parametrize("family", ["chatml", "qwen3", "llama3"])
def test_tools_calls_and_results_reach_the_template(family):
    format = chat(family)
    text = text_of(format, format.prompt_ids(Request("x", CALL, tools=(TOOL,))))
    assert '"name": "tide"' in text and '{"port": "Marrow"}' in text and "at six" in text


@pytest.mark.parametrize("family", ["chatml", "llama3"])
def test_a_tool_call_and_the_answer_after_it_are_both_trained(family):
    text = marked(chat(family), (*CALL, Message(Role.assistant, "At six.")))
    assert text.count("«") == 2
    assert '"port": "Marrow"' in text[text.index("«") : text.index("»")]


def test_a_call_whose_trace_the_template_keeps_is_trained_and_one_it_rewrites_is_not():
    user, call, result = CALL
    answer = Message(Role.assistant, "At six.")
    format = chat("qwen3")
    assert format.training_example((user, call, result, answer)).untrained_turns == 1
    traced = replace(call, reasoning="The table knows.")
    assert format.training_example((user, traced, result, answer)).untrained_turns == 0


@pytest.mark.parametrize("family", ["gemma", "mistral", None])
def test_a_template_without_tools_refuses_them(family):
    with pytest.raises(InputError, match="takes no tools"):
        chat(family).prompt_ids(Request("x", turns("Hi"), tools=(TOOL,)))
