"""What a model answered, and which model it was."""

from dataclasses import dataclass
from enum import StrEnum

from truing.types.record import Record, digest


class Trace(StrEnum):
    """What became of the reasoning trace."""

    closed = "closed"
    """A trace, then an answer (possibly empty text after the closing mark is `empty`)."""
    unclosed = "unclosed"
    """The trace never ended: there is no answer to judge."""
    none = "none"
    """No trace: the whole text is the answer."""
    empty = "empty"
    """A trace that ended, and nothing after it."""


class Stop(StrEnum):
    """Why the text ended."""

    eos = "eos"
    stop = "stop"
    length = "length"
    tool = "tool"
    filtered = "filtered"
    error = "error"


@dataclass(frozen=True, slots=True)
class SamplingParams(Record):
    """How completions are drawn. `temperature=0` is greedy; `top_k=0` and `top_p=1` are off.

    `stop` are strings that end the text (and are cut from it). `max_tokens` counts new tokens.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 512
    n: int = 1
    stop: tuple[str, ...] = ()

    def check(self) -> None:
        """Every value lies in its range."""
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature is at least 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p lies in (0, 1], not {self.top_p}")
        if self.top_k < 0 or self.max_tokens < 1 or self.n < 1:
            raise ValueError("top_k is at least 0, max_tokens and n at least 1")
        if "" in self.stop:
            raise ValueError("a stop string is not empty")


@dataclass(frozen=True, slots=True)
class Usage(Record):
    """Tokens read and written."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Fingerprint(Record):
    """Which model answered: hashes of what determines its answers.

    `verified` is False for an endpoint, whose weights nobody here can hash: `weights` then holds
    its URL and model name.
    """

    weights: str
    adapter: str = ""
    template: str = ""
    dtype: str = ""
    verified: bool = True

    @property
    def short(self) -> str:
        """Twelve hex digits for people."""
        return digest(self)[:12]


@dataclass(frozen=True, slots=True)
class Completion(Record):
    """One sampled turn.

    `text` is everything written after the prompt (and prefill), special end tokens left out;
    `reasoning` and `answer` are its two parts. `logprobs` are in nats, one per entry of
    `token_ids`, under the distribution that was sampled from (temperature, top-k and top-p
    included). `error` is set iff `stop` is `error`.
    """

    request_id: str
    sample: int
    text: str
    answer: str
    stop: Stop
    model: Fingerprint
    reasoning: str | None = None
    trace: Trace = Trace.none
    prompt_ids: tuple[int, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    usage: Usage = Usage()
    error: str | None = None

    def check(self) -> None:
        """An error has a reason, and log-probabilities belong to tokens."""
        if (self.error is not None) != (self.stop is Stop.error):
            raise ValueError("a completion has an error text if and only if it stopped with `error`")
        if self.logprobs is not None and (
            self.token_ids is None or len(self.token_ids) != len(self.logprobs)
        ):
            raise ValueError("there is one log-probability for each token id")

    @classmethod
    def failed(cls, request_id: str, error: str, model: Fingerprint, *, sample: int = 0) -> "Completion":
        """The row of a request that could not be answered."""
        return cls(request_id, sample, "", "", Stop.error, model, error=error)
