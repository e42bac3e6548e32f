"""`ChatFormat`: conversations to token ids, for sampling and for training alike, and answers back."""

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from truing.model.codec import Codec
from truing.model.reasoning import CLOSE, Split, leaves_open, split_reasoning, with_reasoning
from truing.model.template import PINNED_DAY, PLAIN_STOPS, Template
from truing.types import FrozenDict, InputError, Message, Request, Role, Trace

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation to train on: `ids` and, for each, whether it carries loss (`mask`).

    `untrained_turns` counts the earlier assistant turns without loss because the template writes
    them otherwise than the model would have (Qwen 3 drops old traces).
    """

    ids: tuple[int, ...]
    mask: tuple[bool, ...]
    untrained_turns: int = 0


class ChatFormat:
    """How a model is spoken to: the chat template, its tokens, and the marks of its reasoning.

    `stop` holds strings at which sampling must stop besides `eos_ids` (only the plain default has
    any). `pad_id` may equal an EOS id: lengths come from masks, never from it.
    """

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", *, eos_ids: frozenset[int], thinking: bool | None = None
    ) -> None:
        """Probe the template.

        Args:
            tokenizer: a transformers tokenizer, with or without a chat template.
            eos_ids: every end id that the checkpoint's generation config names.
            thinking: the template's reasoning switch; None leaves it at the template's default.

        Raises:
            InputError: the template cannot be rendered, writes two BOS, writes channels that cannot
                be split, or has no switch where `thinking` asks for one.
        """
        self.tokenizer = tokenizer
        self._codec = Codec(tokenizer)
        self._template = Template(self._codec, thinking=thinking)
        self.has_template = not self._template.plain
        self.stop: tuple[str, ...] = PLAIN_STOPS if self._template.plain else ()
        self.template_digest = self._template.digest
        self.end_of_turn = self._find_end_of_turn()
        ends = {tokenizer.eos_token_id, self._codec.special.get(self.end_of_turn or "")}
        self.eos_ids: frozenset[int] = eos_ids | {id for id in ends if id is not None}
        pad = tokenizer.pad_token_id
        self.pad_id: int = pad if pad is not None else min(self.eos_ids, default=0)
        self._check_prompt()

    def prompt_ids(self, request: Request) -> tuple[int, ...]:
        """Token ids of the conversation, the assistant's header and the prefill.

        Earlier assistant turns are encoded as in `training_example`, so a prompt is a prefix of the
        training example of the same conversation.

        Raises:
            InputError: the template refuses the conversation (roles, order, tools).
        """
        text = self._template.render(request.messages, request.tools, generate=True)
        spans = self._turn_spans(text, request.messages, request.tools)
        segments = _cut(text, [border for span in spans for border in span])
        if request.prefill:
            segments.append(self._codec.mark(request.prefill))
        ids = tuple(id for part in self._codec.encode(segments) for id in part)
        if not ids:
            raise InputError("the chat template renders this conversation to nothing")
        if ids[-1] == self.pad_id != self.tokenizer.eos_token_id:
            raise InputError("the rendered prompt ends with padding", mend="mend the chat template")
        return ids

    def training_example(self, messages: Sequence[Message], tools: Sequence[FrozenDict] = ()) -> Rendered:
        """Ids and loss mask of a conversation that ends with an assistant turn.

        Trained is what the model would have generated: each assistant turn after its header, its
        end-of-turn token included. A turn counts only if the whole begins with the rendering up to
        its end, as it was when the model wrote it. The last turn always counts: where the template
        strips its trace, it is written as the model writes it.

        Raises:
            InputError: the last turn is not the assistant's, the template refuses the conversation,
                never writes an end-of-turn token, or contradicts the thinking switch.
        """
        if len(messages) < 2 or messages[-1].role is not Role.assistant:
            raise InputError("a training example ends with an assistant turn, after at least one other")
        if self.end_of_turn is None:
            problem = "the chat template writes no end-of-turn token, so stopping could not be learnt"
            raise InputError(problem, mend="mend the template")
        text, last = self._last_turn(messages, tools)
        spans = [*self._turn_spans(text, messages[:-1], tools), last]
        parts = self._codec.encode(_cut(text, [border for span in spans for border in span]))
        ids = tuple(id for part in parts for id in part)
        mask = tuple(i % 2 == 1 for i, part in enumerate(parts) for _ in part)
        turns = sum(message.role is Role.assistant for message in messages)
        return Rendered(ids, mask, untrained_turns=turns - len(spans))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`: special tokens skipped, spaces not cleaned up."""
        return self._codec.decode(ids)

    def split(self, text: str, *, prefill: str = "") -> Split:
        """Reasoning and answer of a completion whose prompt ended with `prefill`."""
        return split_reasoning(text, opened=leaves_open(self._header + prefill))

    def answer_start(self, ids: Sequence[int], *, prefill: str = "") -> int:
        """How many of a completion's tokens `ids` are its trace, up to the one that completes its closing mark.

        None without a trace, all of them where it never ends. A later trace is counted to the answer.
        """
        trace = self.split(self.decode(ids), prefill=prefill).trace
        if trace in (Trace.none, Trace.unclosed):
            return 0 if trace is Trace.none else len(ids)
        # The first closing mark always ends a trace, and a longer beginning of the text still holds it.
        return bisect_left(range(len(ids) + 1), True, key=lambda n: CLOSE in self.decode(ids[:n]))

    def describe(self) -> dict[str, Any]:
        """What a run records about the format: JSON values only."""
        template = self._template
        states = {None: "template's default", True: "on", False: "off"}
        return {
            "template": self.template_digest,
            "plain_default": template.plain,
            "thinking": states[template.thinking] if template.switch else "no switch",
            "system": "folded into the first user turn" if template.folds_system else "own turn",
            "pinned_date": PINNED_DAY.isoformat() if template.dated else None,
            "bos": "tokenizer" if self._adds_bos else "template" if self._writes_bos else "none",
            "end_of_turn": self.end_of_turn,
            "eos_ids": sorted(self.eos_ids),
            "stop": list(self.stop),
        }

    @cached_property
    def _header(self) -> str:
        """What the template writes after the user's last word to make the assistant speak."""
        text = self._template.render([Message(Role.user, _ASK)], generate=True)
        return text[text.rfind(_ASK) + len(_ASK) :]

    @cached_property
    def _lead(self) -> str:
        """The white space a template puts before an answer (Mistral's one space)."""
        prompt = self._template.render([Message(Role.user, _ASK)], generate=True)
        text = self._template.render([Message(Role.user, _ASK), Message(Role.assistant, _ANSWER)])
        lead = text[len(prompt) : text.rfind(_ANSWER)]
        return lead if text.startswith(prompt) and lead.isspace() else ""

    def _find_end_of_turn(self) -> str | None:
        turns = [Message(Role.user, _ASK), Message(Role.assistant, _ANSWER)]
        text = self._template.render(turns)
        after = self._codec.control_tokens(text[text.rfind(_ANSWER) :])
        return after[0][0] if after else None

    def _turn_spans(
        self, text: str, messages: Sequence[Message], tools: Sequence[FrozenDict]
    ) -> list[tuple[int, int]]:
        """(start, end) in `text` of every assistant turn that stands there as the model wrote it."""
        spans = []
        for i, message in enumerate(messages):
            if message.role is Role.assistant and i > 0:
                try:
                    turn, (start, end) = self._last_turn(messages[: i + 1], tools)
                except InputError:  # a template may refuse what is only the beginning of a conversation
                    continue
                if text.startswith(turn[:end]):
                    spans.append((start, end))
        return spans

    def _last_turn(
        self, messages: Sequence[Message], tools: Sequence[FrozenDict]
    ) -> tuple[str, tuple[int, int]]:
        """The rendering of a conversation that ends with an assistant turn, and where that turn lies."""
        prompt = self._template.render(messages[:-1], tools, generate=True)
        text = self._template.render(messages, tools)
        if not text.startswith(prompt):
            text = prompt + self._as_written(messages[-1], prompt) + (self.end_of_turn or "")
        ends = [m.end() for m in self._codec.control_tokens(text) if m[0] == self.end_of_turn]
        end = ends[-1] if ends else 0
        if end <= len(prompt):
            problem = "the chat template leaves the assistant's last turn open"
            raise InputError(problem, mend="mend the template")
        return text, (len(prompt), end)

    def _as_written(self, message: Message, prompt: str) -> str:
        if message.reasoning and self._template.thinking is False:
            raise InputError("thinking is off, and the turn to train on has a reasoning trace")
        if message.tool_calls:
            raise InputError("the chat template rewrites a turn with tool calls, so it cannot be trained on")
        content, trace = message.content, message.reasoning
        if trace is None:  # data sets often keep the trace in the content
            parts = split_reasoning(content)
            if parts.trace is Trace.closed:
                content, trace = parts.answer, parts.reasoning
        mark = self._codec.mark
        return self._lead + with_reasoning(mark(content), mark(trace), opened=leaves_open(prompt))

    @property
    def _writes_bos(self) -> bool:
        bos = self.tokenizer.bos_token
        return bool(bos) and self._template.render([Message(Role.user, _ASK)], generate=True).startswith(bos)

    @property
    def _adds_bos(self) -> bool:
        return self._codec.adds_bos and not self._writes_bos

    def _check_prompt(self) -> None:
        ids = self.prompt_ids(Request("probe", (Message(Role.user, _ASK),)))
        if self._codec.bos_id is not None and ids[:2] == (self._codec.bos_id,) * 2:
            raise InputError("the chat template writes two BOS tokens", mend="mend the template")
        if "<|channel|>" in self._codec.special and "<|channel|>" in str(self.tokenizer.chat_template):
            raise InputError(
                "the chat template writes channels, whose reasoning cannot be told from the answer here",
                mend="serve the model and use endpoint:URL#MODEL",
            )


_ASK, _ANSWER = "qzaskqz", "qzanswerqz"


def _cut(text: str, borders: Sequence[int]) -> list[str]:
    edges = [0, *borders, len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]
