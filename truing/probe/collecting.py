"""Activations of a model's residual stream on texts: where they are read, and what is made of a text's tokens.

Layers count from 0. `resid_pre` of layer l is what enters it, which transformers calls
`hidden_states[l]`: the output of block l - 1. What block l puts out is its `resid_post`, and of the
last block no `hidden_states` holds that: the last of them has gone through the final norm.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from truing.types import Completion, InputError, Message, Request, ask

if TYPE_CHECKING:
    from truing.model import ChatFormat, LocalModel, Site

_ENDINGS = ("cat", "What is this?", "7", "no.", 'so "so"', "(x)")
"""Ends of an instruction of every kind: what follows all of them alike is the template's."""


@dataclass(frozen=True, slots=True)
class Text:
    """Token ids, of which the first `prompt` are what was asked and the others the response."""

    ids: tuple[int, ...]
    prompt: int


class Over(StrEnum):
    """Which tokens of a text are read, and whether their mean is taken."""

    last = "last"
    """The last token of the prompt, which decides the first one of the response."""
    template = "template"
    """Each token that the template writes after the instruction, up to the last of the prompt."""
    prompt = "prompt"
    """The mean over the prompt."""
    response = "response"
    """The mean over the response."""
    each = "each"
    """Every token of the response."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What was read of some texts: those of a text lie together, texts in the order of `rows`."""

    rows: tuple[int, ...]
    """Which texts, by their index in what was given."""
    counts: tuple[int, ...]
    """How many states of each: 1, but for `Over.template` and `Over.each`."""
    states: "dict[Site, Tensor]"
    """For each site [M, D], M being the sum of `counts`; means are float32, others in the model's type."""


def prompt_texts(chat: "ChatFormat", prompts: "Sequence[str | Request]") -> list[Text]:
    """What is asked, with the assistant's header, and no response yet.

    Raises:
        InputError: a prompt cannot be rendered; names the row.
    """
    texts = []
    for row, prompt in enumerate(prompts, start=1):
        try:
            ids = chat.prompt_ids(ask(prompt, id=str(row)) if isinstance(prompt, str) else prompt)
        except InputError as why:
            raise InputError(why.problem, row=row, mend=why.mend) from None
        texts.append(Text(ids, len(ids)))
    return texts


def conversation_texts(chat: "ChatFormat", conversations: Sequence[Sequence[Message]]) -> list[Text]:
    """Conversations that end with an assistant turn, which is the response, without its end-of-turn token.

    Raises:
        InputError: a conversation cannot be rendered or has no response; names the row.
    """
    texts = []
    for row, messages in enumerate(conversations, start=1):
        try:
            rendered = chat.training_example(messages)
        except InputError as why:
            raise InputError(why.problem, row=row, mend=why.mend) from None
        end = len(rendered.mask) - rendered.mask[::-1].index(True)
        start = end
        while start and rendered.mask[start - 1]:
            start -= 1
        texts.append(_without_end(chat, rendered.ids[:end], start, row))
    return texts


def completion_texts(chat: "ChatFormat", completions: Sequence[Completion]) -> list[Text]:
    """What a model in this process wrote, after what it was asked, without the end token.

    Raises:
        InputError: a completion is an error, has no token ids, or nothing but an end; names the row.
    """
    texts = []
    for row, done in enumerate(completions, start=1):
        if done.prompt_ids is None or done.token_ids is None:
            raise InputError(
                f"the completion has no token ids ({done.error or 'it came from an endpoint'})", row=row
            )
        texts.append(_without_end(chat, (*done.prompt_ids, *done.token_ids), len(done.prompt_ids), row))
    return texts


def template_tokens(chat: "ChatFormat") -> int:
    """How many tokens the template writes after the instruction: the positions -1, -2 ... that tell no words of it.

    Raises:
        InputError: it writes none.
    """
    prompts = [chat.prompt_ids(ask(ending, id="ending")) for ending in _ENDINGS]
    backwards = zip(*(ids[::-1] for ids in prompts), strict=False)
    count = next((n for n, tokens in enumerate(backwards) if len(set(tokens)) > 1), 0)
    if not count:
        raise InputError("the chat template writes nothing after the user's turn", mend="mend the template")
    return count


def collect(
    model: "LocalModel", texts: Sequence[Text], sites: "Sequence[Site]", over: Over
) -> Iterator[Batch]:
    """Read the activations of `texts` at `sites`, a batch at a time: no more than one is in memory.

    Batches hold texts of about the same length, so not in the order given. A forward pass ends after the
    last site. What is read does not depend on the batch, up to the rounding of the model's type.

    Raises:
        InputError: a text has no response to read, or is longer than the model's context; names the row.
        ValueError: there is no such site.
    """
    tokens = template_tokens(model.chat) if over is Over.template else 0
    places = [_places(text, over, tokens, row) for row, text in enumerate(texts, start=1)]
    context = model.trunk.context
    for row, text in enumerate(texts, start=1):
        if context is not None and len(text.ids) > context:
            raise InputError(
                f"the text has {len(text.ids)} tokens, and the model's context is {context}", row=row
            )
    mean = over in (Over.prompt, Over.response)
    for found in model.captured([text.ids for text in texts], sites, places):
        if mean:
            states = {site: _means(table, found.counts) for site, table in found.states.items()}
            yield Batch(found.rows, (1,) * len(found.rows), states)
        else:
            yield Batch(found.rows, found.counts, found.states)


def collected(
    model: "LocalModel", texts: Sequence[Text], sites: "Sequence[Site]", over: Over
) -> "dict[Site, Tensor]":
    """All of `collect` on the CPU, in the order of the texts: [M, D] for each site."""
    parts: list[dict[Site, Tensor]] = [{} for _ in texts]
    for batch in collect(model, texts, sites, over):
        for site, states in batch.states.items():
            for row, part in zip(batch.rows, torch.split(states.cpu(), list(batch.counts)), strict=True):
                parts[row][site] = part
    return {site: torch.cat([part[site] for part in parts]) for site in sites}


def mean_activations(
    model: "LocalModel", texts: Sequence[Text], sites: "Sequence[Site]", over: Over
) -> "dict[Site, Tensor]":
    """The mean over texts (for `each`: over tokens) of what `collect` reads, summed in float64: [K, D] on the CPU.

    K is 1, and for `template` the number of its tokens, in their order: the last is position -1.
    """
    if not texts:
        raise ValueError("there is no text to read")
    sums: dict[Site, Tensor] = {}
    count = 0
    for batch in collect(model, texts, sites, over):
        each = batch.counts[0] if over is Over.template else 1
        for site, states in batch.states.items():
            total = states.cpu().double().view(-1, each, states.shape[-1]).sum(0)
            sums[site] = sums[site] + total if site in sums else total
        count += sum(batch.counts) // each
    return {site: sums[site] / count for site in sites}


def _without_end(chat: "ChatFormat", ids: tuple[int, ...], prompt: int, row: int) -> Text:
    end = len(ids)
    while end > prompt and ids[end - 1] in chat.eos_ids:
        end -= 1
    if end == prompt:
        raise InputError("the response is empty", row=row, mend="leave it out")
    return Text(ids[:end], prompt)


def _places(text: Text, over: Over, tokens: int, row: int) -> Sequence[int]:
    if over in (Over.response, Over.each) and len(text.ids) <= text.prompt:
        raise InputError("the text has no response to read", row=row, mend="leave it out")
    if over is Over.template and text.prompt < tokens:
        raise InputError("the prompt is not one of the model's template", row=row)
    return {
        Over.last: range(text.prompt - 1, text.prompt),
        Over.template: range(text.prompt - tokens, text.prompt),
        Over.prompt: range(text.prompt),
        Over.response: range(text.prompt, len(text.ids)),
        Over.each: range(text.prompt, len(text.ids)),
    }[over]


def _means(states: Tensor, counts: Sequence[int]) -> Tensor:
    return torch.stack([part.float().mean(0) for part in torch.split(states, list(counts))])
