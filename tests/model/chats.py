"""Chat formats and conversations for the rendering tests."""

from model.tiny import make_tokenizer

from truing.model import ChatFormat
from truing.types import Message, Role

FAMILIES = ("chatml", "qwen3", "llama3", "gemma", "mistral", "phi3", "deepseek_r1", "zephyr", None)


def chat(template: str | None, *, thinking: bool | None = None, text: str | None = None) -> ChatFormat:
    tokenizer = make_tokenizer(chat_template=template)
    if text is not None:
        tokenizer.chat_template = text
    return ChatFormat(tokenizer, eos_ids=frozenset(), thinking=thinking)


def turns(*contents: str, system: str | None = None) -> tuple[Message, ...]:
    said = [Message((Role.user, Role.assistant)[i % 2], text) for i, text in enumerate(contents)]
    return (*([Message(Role.system, system)] if system is not None else []), *said)


def text_of(format: ChatFormat, ids: tuple[int, ...]) -> str:
    return format.tokenizer.decode(ids)


def marked(format: ChatFormat, messages: tuple[Message, ...]) -> str:
    """The training example as text, what is trained in «quotes»."""
    example = format.training_example(messages)
    out, on = "", False
    for id, trained in zip(example.ids, example.mask, strict=True):
        out += ("«" if trained else "»") * (trained != on) + text_of(format, (id,))
        on = trained
    return out + "»" * on
