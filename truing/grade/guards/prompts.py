"""Guards whose question is a text with two places to fill: what was asked, and what was answered."""

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from truing.grade.first_token import Meaning, Prefix, local_model, share, words_after
from truing.grade.guards.base import Exchange, Judge, answer_of, asked_of, dialogue, file_and_model
from truing.types import Completion, InputError, Message, Request, Role, Sampler, Shown, ask

if TYPE_CHECKING:
    from truing.model import ChatFormat, LocalModel


class PromptGuard(Judge):
    """A classifier that was trained on one text, with the two `slots` filled.

    Its sections, marks and answers are kept here, its sentences are our own. Somebody who has the
    published text puts it into a file and writes `PROMPT.txt@MODEL` (the slots in braces, as
    published); it is then used as it stands, the end of its last line included, and `spec` is another.

    A model in this process is given the text in its `frame` as it was trained, without a chat
    template, and control tokens spelt out in what is judged are plain characters. An endpoint is sent
    the text as one user turn, and its server must frame it.
    """

    slots: ClassVar[tuple[str, str]]
    frame: ClassVar[str]
    """Around the text of a model in this process: the marks of turns, and `{text}`."""
    text: ClassVar[str]
    marks: ClassVar[tuple[str, ...]]
    """What frames a text without being a control token everywhere: judged text cannot write it."""

    def __init__(self, ref: str | None = None, *, model: Sampler | None = None) -> None:
        file, given, ref = file_and_model(ref, ".txt")
        super().__init__(ref, model)
        for slot in self.slots if given is not None else ():
            if f"{{{slot}}}" not in str(given):
                raise InputError(
                    f"has no place {{{slot}}}", file=file, mend=f"write {{{slot}}} where it goes"
                )
        self._published = given

    def told(self) -> Any:
        """The published text, or ours in its frame."""
        return self._published or [self.frame, self.text]

    def whole(self) -> str:
        """The text for a model in this process."""
        return self._published or self.frame.replace("{text}", self.text)

    def prepared(self, model: Sampler) -> Sampler:
        """A model in this process reads the text alone; what its own template would add is left out."""
        local = local_model(model)
        if local is None:
            return model
        from truing.model import LocalModel

        chat = filled_by_template(local.chat, self.whole(), self.slots)
        fingerprint = replace(local.fingerprint, template=chat.template_digest)
        return LocalModel(local.net, chat, fingerprint, ref=local.ref)

    def request(self, shown: Shown, id: str) -> Request:
        """The question about one answer."""
        return question(shown, id, self.model, self._published or self.text, self.slots, self.marks)


def question(
    shown: Shown, id: str, model: Sampler, text: str, slots: tuple[str, str], marks: Sequence[str]
) -> Request:
    """The two turns that fill a template of `filled_by_template`; for an endpoint, the filled text."""
    asked = _without(asked_of(dialogue(shown.request)), marks)
    answered = _without(answer_of(shown), marks)
    if local_model(model):
        return Exchange(id, (Message(Role.user, asked), Message(Role.assistant, answered)))
    values = dict(zip(slots, (asked, answered), strict=True))
    return ask(re.sub(_slot(slots), lambda found: values[found[1]], text), id=id)


def filled_by_template(chat: "ChatFormat", text: str, slots: tuple[str, str]) -> "ChatFormat":
    """A format that writes `text` with an exchange's two turns in its slots, after a BOS if there is one."""
    turns = ("messages[0].content", "messages[1].content if messages|length > 1")
    values = dict(zip(slots, turns, strict=True))
    bos = chat.tokenizer.bos_token or ""
    pieces = re.split(_slot(slots), text if text.startswith(bos) else bos + text)
    written = [values[p] if i % 2 else json.dumps(p, ensure_ascii=False) for i, p in enumerate(pieces)]
    source = "".join(f"{{{{ {value} }}}}" for value in written)
    return with_template(chat, source)


def with_template(chat: "ChatFormat", source: str) -> "ChatFormat":
    """The same tokenizer, speaking by another chat template."""
    from truing.model import ChatFormat

    tokenizer = copy.copy(chat.tokenizer)
    tokenizer.chat_template = source
    return ChatFormat(tokenizer, eos_ids=chat.eos_ids)


def word_shares(
    model: Sampler, done: Sequence[Completion], meaning: Meaning[str], word: str
) -> list[float | None]:
    """How probable `word` was among the words of `meaning`, where the judge began each of its answers.

    The white space that some models write first is passed over. None where the model's distribution
    is out of reach or held little of these words.
    """
    local = local_model(model)
    if local is None:
        return [None for _ in done]
    return [share(read, word) for read in words_after(local, [_before_word(local, c) for c in done], meaning)]


def _before_word(model: "LocalModel", done: Completion) -> Prefix:
    if done.prompt_ids is None or done.token_ids is None:
        return "nothing was written"
    blank = 0
    while blank < len(done.token_ids) and not model.chat.decode(done.token_ids[: blank + 1]).strip():
        blank += 1
    return (*done.prompt_ids, *done.token_ids[:blank])


def _slot(slots: tuple[str, str]) -> str:
    return rf"\{{({'|'.join(slots)})\}}"


def _without(text: str, marks: Sequence[str]) -> str:
    for mark in marks:
        text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text
