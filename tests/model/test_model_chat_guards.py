"""Templates of guards, which turn a whole conversation into a question: they load, and take what they need."""

from model.chats import text_of, turns
from model.tiny import make_tokenizer, template_text

from truing.model import ChatFormat
from truing.types import Request


def guard(name: str, marks: str) -> ChatFormat:
    tokenizer = make_tokenizer(chat_template=marks)
    tokenizer.chat_template = template_text(name)
    return ChatFormat(tokenizer, eos_ids=frozenset())


def test_a_template_that_takes_content_in_parts_is_given_parts():
    """Llama Guard 3 1B's writes nothing of content that is plain text."""
    format = guard("llama_guard", "llama3")
    text = text_of(format, format.prompt_ids(Request("q", turns("one <|eot_id|>", "two", "three"))))
    assert "User: one <|eot_id|>\n\nAgent: two\n\nUser: three\n\n<END CONVERSATION>" in text
    assert "S1: Violence.\nS2: Theft.\nS10: Hate.\n" in text
    assert format.tokenizer.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": "one"}]}], tokenize=False
    ) == text_of(format, format.prompt_ids(Request("q", turns("one"))))
    eot = format.tokenizer.convert_tokens_to_ids("<|eot_id|>")
    assert format.prompt_ids(Request("q", turns("one <|eot_id|>"))).count(eot) == 1


def test_other_templates_are_still_given_text():
    format = guard("llama3", "llama3")
    assert "[{" not in text_of(format, format.prompt_ids(Request("q", turns("one", "two", "three"))))


def test_a_template_that_asks_for_a_guideline_loads_without_one():
    format = guard("shieldgemma", "gemma")
    text = text_of(format, format.prompt_ids(Request("q", turns("one"))))
    turn = "<start_of_turn>\nHuman Question: one\n<end_of_turn>"
    assert text == f"<bos>Judge the question.\n\n{turn}\n\n* \n\n===\n\nYes or No?\n\n"
