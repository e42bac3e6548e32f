"""Chat templates as functions of the conversation alone: no clock, no surprises, one clear error."""

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.meta

from truing.model.reasoning import with_reasoning
from truing.types import InputError, Message, Role, digest, thaw

if TYPE_CHECKING:
    from truing.model.codec import Codec

PINNED_DAY = datetime.date(2025, 1, 1)
"""What a template that asks for today's date is told, so that results do not depend on the day."""

PLAIN_TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role == 'system' %}{{ message.content + '\n\n' }}
    {%- elif message.role == 'user' %}{{ 'User: ' + message.content + '\n\n' }}
    {%- elif message.role == 'assistant' %}{{ 'Assistant: ' + message.content + (eos_token or '') + '\n\n' }}
    {%- else %}{{ raise_exception('a model without a chat template takes no ' + message.role + ' turns') }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""
"""The format of models that bring no template."""

PLAIN_STOPS = ("\nUser:", "\nAssistant:")
"""Strings that end an answer in the plain format: a base model would write the next turn itself."""

_PROBE = {"user": "qzaskqz", "system": "qzsystemqz", "assistant": "qzanswerqz", "reasoning": "qztraceqz"}

_ASKED_FOR = {"guideline": ""}
"""What a template cannot be rendered without: ShieldGemma's. Who has a guideline sets it before the template."""


class Template:
    """Renders messages with a tokenizer's chat template, or with the plain default.

    What the template can do is found by rendering probes, not by reading it: whether it has a system
    turn (else the system text is folded into the first user turn), whether it writes a turn's
    reasoning (else the trace is put into the content, between the usual marks) and whether it takes
    content as text (else, as Llama Guard 3 1B's, as a list of parts).
    """

    def __init__(self, codec: "Codec", *, thinking: bool | None) -> None:
        self._codec = codec
        own = codec.tokenizer.chat_template
        self.plain = not own
        self._sources: dict[str, str] = {"default": PLAIN_TEMPLATE}
        if own:
            self._sources = dict(own) if isinstance(own, Mapping) else {"default": own}
        if "default" not in self._sources:
            raise InputError("the tokenizer has several chat templates and none is called 'default'")
        self.variables = frozenset[str]().union(*(_variables(text) for text in self._sources.values()))
        self.dated = "strftime_now" in self.variables
        self.switch = next((v for v in ("enable_thinking", "thinking") if v in self.variables), None)
        self._check_thinking(thinking)
        self.thinking = thinking if self.switch else None
        self._reads_reasoning = self._folds_system = self._takes_parts = False
        self._probe()

    @property
    def folds_system(self) -> bool:
        """Whether a system turn is folded into the first user turn."""
        return self._folds_system

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the rendering: template, thinking switch and pinned day."""
        day = PINNED_DAY.isoformat() if self.dated else None
        return digest({"templates": self._sources, "thinking": self.thinking, "day": day})

    def render(
        self, messages: Sequence[Message], tools: Sequence[Any] = (), *, generate: bool = False
    ) -> str:
        """The marked text (see `Codec`) of a conversation, with the assistant's header if `generate`.

        Raises:
            InputError: the template refuses the conversation, or takes no tools.
        """
        if tools and "tools" not in self.variables:
            raise InputError(
                "the chat template takes no tools", mend="leave the tools out, or use another model"
            )
        turns = [self._turn(message) for message in self._folded(messages)]
        return self._render(turns, [self._codec.mark(thaw(tool)) for tool in tools], generate=generate)

    def _render(self, turns: list[dict[str, Any]], tools: list[Any], *, generate: bool) -> str:
        source = self._sources["default"]
        if tools:
            source = self._sources.get("tool_use", source)
        switch = {} if self.thinking is None or self.switch is None else {self.switch: self.thinking}
        if self._takes_parts:
            turns = [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
        try:
            text = self._codec.tokenizer.apply_chat_template(
                turns,
                tools=tools or None,
                chat_template=_PINNED_CLOCK + source if self.dated else source,
                add_generation_prompt=generate,
                tokenize=False,
                **_ASKED_FOR,
                **switch,
            )
        except Exception as why:  # a template is somebody's program and may fail in any way
            raise InputError(f"the chat template refuses this conversation ({why})") from why
        assert isinstance(text, str)
        return text

    def _turn(self, message: Message) -> dict[str, Any]:
        content, trace = self._codec.mark(message.content), self._codec.mark(message.reasoning)
        turn: dict[str, Any] = {"role": message.role.value, "content": content}
        if trace is not None and self._reads_reasoning:
            # gpt-oss and Granite templates read `thinking`; everybody else `reasoning_content`.
            turn["reasoning_content"] = turn["thinking"] = trace
        elif trace is not None:
            turn["content"] = with_reasoning(content, trace)
        if message.tool_calls:
            turn["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": self._codec.mark({"name": call.name, "arguments": thaw(call.arguments)}),
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            turn["tool_call_id"] = message.tool_call_id
        return turn

    def _folded(self, messages: Sequence[Message]) -> Sequence[Message]:
        if not self._folds_system or messages[0].role is not Role.system:
            return messages
        if len(messages) < 2 or messages[1].role is not Role.user:
            raise InputError("the chat template has no system turn, and no user turn follows to fold it into")
        user = Message(Role.user, f"{messages[0].content}\n\n{messages[1].content}")
        return (user, *messages[2:])

    def _probe(self) -> None:
        user = {"role": "user", "content": _PROBE["user"]}
        system = {"role": "system", "content": _PROBE["system"]}
        answer = {"role": "assistant", "content": _PROBE["assistant"]}
        traced = answer | {"reasoning_content": _PROBE["reasoning"], "thinking": _PROBE["reasoning"]}
        if _PROBE["user"] not in self._render([user], [], generate=True):
            self._takes_parts = True
            if _PROBE["user"] not in self._render([user], [], generate=True):
                raise InputError("the chat template leaves out what the user said")
        self._reads_reasoning = _PROBE["reasoning"] in self._render([user, traced], [], generate=False)
        try:
            self._folds_system = _PROBE["system"] not in self._render([system, user], [], generate=True)
        except InputError:
            self._folds_system = True

    def _check_thinking(self, thinking: bool | None) -> None:
        if thinking is None or self.switch is not None:
            return
        reasons = any("<think>" in source for source in self._sources.values())
        if thinking or reasons:
            word = "on" if thinking else "off"
            raise InputError(
                f"thinking cannot be switched {word}: the chat template has no switch for it",
                mend="leave thinking unset",
            )


def _variables(source: str) -> frozenset[str]:
    """The names a template reads from outside.

    Raises:
        InputError: it is not a template.
    """
    # `generation` is transformers' own tag, which only marks a region.
    source = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", source)
    try:
        tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(source)
    except jinja2.TemplateSyntaxError as why:
        raise InputError(f"the chat template is broken in line {why.lineno} ({why.message})") from why
    return frozenset(jinja2.meta.find_undeclared_variables(tree))


def _pinned_clock() -> str:
    # A macro shadows the function of the same name that transformers provides, so no private part of
    # the library is touched. The last newline is the one that Jinja's trim_blocks eats.
    steps = "".join(f" | replace('%{d}', '{PINNED_DAY.strftime('%' + d)}')" for d in "aAbBdHIjmMpSwyY")
    return "{%- macro strftime_now(format) %}{{ format" + steps + " }}{% endmacro %}\n"


_PINNED_CLOCK = _pinned_clock()
