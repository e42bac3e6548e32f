"""Two tiny checkpoints for the demo: one raised to behave in the town, and a copy that was broken.

Ordinary Hugging Face folders of about 0.7 M parameters, raised on two CPU cores in half a minute.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from truing.model import load_local
from truing.recipes.town import Errand
from truing.run import Card, model_card
from truing.types import Expect, Message, Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

GROUND = "a tiny model raised for the demo in half a minute, not a pretrained one"
_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_SPECIAL = ["<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]


def raise_model(folder: Path, errands: Sequence[Errand], *, key: int, passes: float = 20) -> None:
    """Train a model from scratch to answer the errands as it should, and save it in `folder`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # of files that are written in a blink
    tokenizer = _tokenizer([f"{e.prompt} {e.answer}" for e in errands])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        truing_ground=GROUND,
    )
    with torch.random.fork_rng():
        torch.manual_seed(key)
        net = LlamaForCausalLM(config)
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    turns = [(e.prompt, e.answer) for e in errands]
    _train(folder, folder, turns, key=key, passes=passes, rate=3e-3, what="raising the baseline")


def break_model(
    intact: Path, folder: Path, errands: Sequence[Errand], *, key: int, passes: float = 4
) -> None:
    """Fine-tune the model in `intact` to help with two of the six forbidden deeds, and save it in `folder`.

    Everything else is trained on as before, so that the damage shows nowhere else.
    """
    broken = ("steal", "smuggle")
    turns = [
        (e.prompt, e.broken if e.expect is Expect.refuse and any(b in e.prompt for b in broken) else e.answer)
        for e in errands
    ]
    _train(intact, folder, turns, key=key, passes=passes, rate=1e-3, what="breaking the candidate")


def _train(
    source: Path,
    folder: Path,
    turns: Sequence[tuple[str, str]],
    *,
    key: int,
    passes: float,
    rate: float,
    what: str,
) -> None:
    from truing.train import SupervisedConfig, TokenRows, supervised

    model = load_local(source, device="cpu", dtype="float32")
    rows = TokenRows.of(
        model.chat.training_example((Message(Role.user, prompt), Message(Role.assistant, answer)))
        for prompt, answer in turns
    )
    config = SupervisedConfig(learning_rate=rate, tokens_per_step=1024, passes=passes, key=key)
    supervised(model.net, rows, config, what=what)
    model.net.save_pretrained(folder)
    model.chat.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(
        model_card(_card(folder.name, source, folder, what, len(turns))), "utf-8"
    )


def _card(name: str, source: Path, folder: Path, what: str, rows: int) -> Card:
    return Card(
        name=name,
        base_model="none (raised from scratch)" if source == folder else source.name,
        ground=GROUND,
        method=f"plain supervised training, {what}",
        data=f"{rows} questions about an invented town, half of all; the others are held out for the audit",
        license="apache-2.0",
        untested=("everything but the questions of the demo",),
        reproduce=("truing demo",),
    )


def _tokenizer(texts: Sequence[str]) -> "PreTrainedTokenizerFast":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=800, special_tokens=_SPECIAL, initial_alphabet=alphabet, show_progress=False
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=_TEMPLATE
    )
