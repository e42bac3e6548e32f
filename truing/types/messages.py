"""What is said to a model: messages and requests."""

from dataclasses import dataclass
from enum import StrEnum

from truing.types.frozen import FrozenDict
from truing.types.record import Record, digest


class Role(StrEnum):
    """Who speaks."""

    system = "system"
    user = "user"
    assistant = "assistant"
    tool = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall(Record):
    """A call an assistant turn made; `arguments` are the decoded JSON arguments."""

    id: str
    name: str
    arguments: FrozenDict = FrozenDict()


@dataclass(frozen=True, slots=True)
class Message(Record):
    """One turn. `reasoning` is an assistant turn's trace, kept apart from what it said."""

    role: Role
    content: str
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def check(self) -> None:
        """Only an assistant reasons or calls tools."""
        if self.role is not Role.assistant and (self.reasoning is not None or self.tool_calls):
            raise ValueError(f"a {self.role} turn has no reasoning and calls no tools")


@dataclass(frozen=True, slots=True)
class Request(Record):
    """A conversation that waits for the assistant's next turn.

    `tools` are JSON schemas as chat templates take them; `prefill` is the start of the assistant's
    turn, put into its mouth.
    """

    id: str
    messages: tuple[Message, ...]
    tools: tuple[FrozenDict, ...] = ()
    prefill: str = ""

    def check(self) -> None:
        """There is a last turn, and it is the user's or a tool's."""
        if not self.messages:
            raise ValueError("a request needs at least one message")
        if self.messages[-1].role not in (Role.user, Role.tool):
            role = self.messages[-1].role
            raise ValueError(f"the last turn of a request is the user's or a tool's, not the {role}'s")

    @property
    def prompt_digest(self) -> str:
        """SHA-256 of what is asked, whatever the request is called: equal prompts, equal digests."""
        data = self.to_json()
        del data["id"]
        return digest(data)

    @property
    def last(self) -> str:
        """The text of the last turn."""
        return self.messages[-1].content


def ask(prompt: str, *, id: str, system: str | None = None) -> Request:
    """The request of one user turn, after an optional system turn."""
    turns = (Message(Role.system, system),) if system is not None else ()
    return Request(id, (*turns, Message(Role.user, prompt)))
