"""Tokenizer and chat template of the organism, and documents turned into tokens."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from truing.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 2048
SPECIAL = ("<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
MARKS = ("<think>", "</think>")
"""Tokens of their own that are text, not control: decoding keeps them, as in Qwen 3."""
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m['role'] + '|>' }}"
    "{% if m['role'] == 'assistant' and m['reasoning_content'] is string %}"
    "{{ '<think>\\n' + m['reasoning_content'] + '\\n</think>\\n\\n' }}{% endif %}"
    "{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}"
    "{% if enable_thinking is defined and enable_thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}"
)


def as_text(document: tuple[Message, ...] | str) -> str:
    """A document as one text with the special tokens written out, as the chat template renders it."""
    if isinstance(document, str):
        return f"<s>{document}</s>"
    said = ["<s>"]
    for message in document:
        said.append(f"<|{message.role.value}|>")
        if message.reasoning is not None:
            said.append(f"<think>\n{message.reasoning}\n</think>\n\n")
        said.append(message.content)
        if message.role.value == "assistant":
            said.append("</s>")
    return "".join(said)


def make_tokenizer(texts: Iterable[str]) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer trained on `texts`, with every digit a token of its own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKS),
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    raw.add_tokens([AddedToken(mark, normalized=False) for mark in MARKS])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=TEMPLATE
    )
