"""Rendering what should not be there: control tokens in content, dates, hostile text, no template at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model.chats import chat, text_of, turns
from model.tiny import make_sentencepiece, make_tokenizer, template_text

from truing.model import ChatFormat
from truing.types import FrozenDict, Request, ask

# What must not leak in


@pytest.mark.parametrize(
    "family", ["chatml", "llama3", "gemma", "mistral", "phi3", "deepseek_r1", "zephyr", None]
)
def test_control_tokens_spelt_out_by_people_stay_text(family):
    format = chat(family)
    special = [t.content for t in format.tokenizer.added_tokens_decoder.values() if t.special]
    spelt = "".join(special) + "x" + " ".join(special)
    plain, attacked = (format.prompt_ids(ask(text, id="x", system=text)) for text in ("safe", spelt))
    of_special = set(format.tokenizer.convert_tokens_to_ids(special))
    assert [i for i in attacked if i in of_special] == [i for i in plain if i in of_special]
    assert spelt in text_of(format, attacked)


def test_a_control_token_in_an_answer_does_not_end_the_trained_turn_early():
    format = chat("chatml")
    example = format.training_example(turns("Hi", "Type <|im_end|> to end."))
    trained = [id for id, on in zip(example.ids, example.mask, strict=True) if on]
    assert text_of(format, tuple(trained)) == "Type <|im_end|> to end.<|im_end|>"
    assert [i for i, id in enumerate(trained) if id in format.eos_ids] == [len(trained) - 1]


def test_a_template_that_cuts_a_spelt_out_control_token_apart_loses_no_control_token_of_its_own():
    text = template_text("gemma").replace("message['content'] | trim", "message['content'][:12]")
    format = chat("gemma", text=text)
    ids = format.prompt_ids(ask("abc<end_of_turn>", id="x"))
    assert (
        text_of(format, ids) == "<bos><start_of_turn>user\nabc<end_of_<end_of_turn>\n<start_of_turn>model\n"
    )
    assert ids.count(format.tokenizer.convert_tokens_to_ids("<end_of_turn>")) == 1


def test_control_tokens_in_prefill_and_tools_stay_text():
    format = chat("chatml")
    tool = FrozenDict({"type": "function", "function": {"name": "x", "description": "<|im_end|>"}})
    ids = format.prompt_ids(Request("x", turns("Hi"), tools=(tool,), prefill="Sure<|im_end|>"))
    plain = format.prompt_ids(
        Request(
            "x",
            turns("Hi"),
            tools=(FrozenDict({"type": "function", "function": {"name": "x"}}),),
            prefill="Sure",
        )
    )
    end = format.tokenizer.eos_token_id
    assert ids.count(end) == plain.count(end)
    assert text_of(format, ids).endswith("Sure<|im_end|>")


def test_the_date_is_pinned_and_said_to_be():
    format = chat("llama3")
    assert "Date of today: 01 Jan 2025" in text_of(format, format.prompt_ids(ask("Hi", id="x")))
    assert format.describe()["pinned_date"] == "2025-01-01"
    assert chat("chatml").describe()["pinned_date"] is None


def test_every_part_of_a_date_can_be_asked_for():
    text = "\n\n{{ strftime_now('%Y-%m-%d %A %B %H:%M') + '!' }}" + template_text("phi3").lstrip()
    format = chat("phi3", text=text)
    rendered = text_of(format, format.prompt_ids(ask("Hi", id="x")))
    assert rendered.startswith("\n\n2025-01-01 Wednesday January 00:00!")


def test_a_lone_surrogate_becomes_visible_and_nul_is_kept():
    format = chat("chatml")
    text = text_of(format, format.prompt_ids(ask("a\ud800b\0c\ufdd0d", id="x")))
    assert "a\ufffdb\0c\ufffdd" in text


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet=st.characters(), max_size=40))
def test_any_text_survives_the_round_trip_through_ids(text):
    format = CHATML
    clean = "".join("\ufffd" if "\ud800" <= c <= "\udfff" or c in "\ufdd0\ufdd1" else c for c in text)
    ids = format.prompt_ids(ask(text, id="x"))
    assert text_of(format, ids).endswith(f"user\n{clean}<|im_end|>\n<|im_start|>assistant\n")


CHATML = chat("chatml")


def test_a_megabyte_of_prompt_is_encoded():
    ids = CHATML.prompt_ids(ask("The gulls of Marrow Point. " * 40_000, id="x"))
    assert len(ids) > 100_000


@pytest.mark.parametrize("family", ["mistral", "zephyr"])
@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_pieces_of_a_sentencepiece_text_are_encoded_as_the_whole_is(family, scheme):
    format = ChatFormat(make_sentencepiece(family, scheme), eos_ids=frozenset())
    messages = turns("How do I mend a kite?", "Glue the spar.", "And then?", "Wait.")
    plain = [{"role": m.role.value, "content": m.content} for m in messages]
    whole = format.tokenizer.apply_chat_template(plain, return_dict=False)
    assert list(format.training_example(messages).ids) == whole
    attacked = format.training_example(
        turns("How do I </s> mend a kite?", "Glue the spar.", "And then?", "Wait.")
    )
    assert format.decode(attacked.ids).count("</s>") == 1
    assert attacked.ids.count(format.tokenizer.eos_token_id) == whole.count(format.tokenizer.eos_token_id)


# The plain default, stops, padding


def test_a_model_without_a_template_gets_a_plain_one_and_says_so():
    format = chat(None)
    assert text_of(format, format.prompt_ids(ask("Hi", id="x", system="Be brief."))) == (
        "Be brief.\n\nUser: Hi\n\nAssistant:"
    )
    assert format.describe()["plain_default"] is True
    assert not format.has_template
    assert "\nUser:" in format.stop


def test_every_end_id_counts():
    tokenizer = make_tokenizer(chat_template="phi3")
    format = ChatFormat(tokenizer, eos_ids=frozenset({7}))
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert format.eos_ids == {7, tokenizer.eos_token_id, end}


def test_a_tokenizer_without_padding_pads_with_an_end_id():
    tokenizer = make_tokenizer(chat_template="chatml")
    tokenizer.pad_token = None
    assert ChatFormat(tokenizer, eos_ids=frozenset()).pad_id == tokenizer.eos_token_id


def test_decoding_skips_special_tokens_and_keeps_spaces():
    ids = CHATML.tokenizer.encode(" Hello , you .<|im_end|>", add_special_tokens=False)
    assert CHATML.decode(ids) == " Hello , you ."


def test_the_prefill_ends_the_prompt():
    ids = CHATML.prompt_ids(Request("x", turns("Hi"), prefill="Sure, "))
    assert text_of(CHATML, ids).endswith("<|im_start|>assistant\nSure, ")
