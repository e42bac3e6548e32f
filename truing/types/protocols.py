"""What a model can do, as the rooms above see it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from truing.types.completions import Completion, Fingerprint, SamplingParams, Stop
from truing.types.messages import Request
from truing.types.record import Record


@dataclass(frozen=True, slots=True)
class Dist(Record):
    """Next-token log-probabilities (nats) of some candidate token ids, and the mass they cover.

    `covered` is the probability of all candidates together: little cover means that the model
    wanted to say something else, and the reader abstains.
    """

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    covered: float


@dataclass(frozen=True, slots=True)
class Delta(Record):
    """A piece of a streamed answer; the last piece carries the stop reason."""

    text: str
    stop: Stop | None = None


class Sampler(Protocol):
    """Writes completions."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Which model this is."""
        ...

    def plan(self, requests: Sequence[Request], params: SamplingParams) -> list[list[int]]:
        """The batches (indices into `requests`) that `sample` would run, in order.

        A function of the requests alone, so that a resumed run repeats the same batches.
        """
        ...

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """Yield `params.n` completions for each request, as they are done.

        A request that cannot be answered yields a completion with `stop=error`; nothing is raised
        over a row. The draw of a completion depends on (key, request id, sample) alone.
        """
        ...


class Scorer(Protocol):
    """Scores given tokens."""

    def score(
        self,
        prompt_ids: Sequence[Sequence[int]],
        completion_ids: Sequence[Sequence[int]],
        *,
        temperature: float = 1.0,
    ) -> list[list[float]]:
        """Log-probability (nats) of each completion token after its prompt: `[N][T_n]`."""
        ...


class NextToken(Protocol):
    """Reads the next-token distribution."""

    def next_token(self, prefixes: Sequence[Sequence[int]], candidates: Sequence[int]) -> list[Dist]:
        """The distribution over `candidates` (token ids) after each prefix of token ids."""
        ...


class AsyncSampler(Protocol):
    """Streams one answer; the gateway's view of a model."""

    def stream(self, request: Request, params: SamplingParams) -> AsyncIterator[Delta]:
        """Pieces of the answer as they come; the last one has a stop reason."""
        ...
