"""What an endpoint was seen to do with what it was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from truing.types import Completion, Record


@dataclass(frozen=True, slots=True)
class Capabilities(Record):
    """Observations of an endpoint's answers; None: not seen yet.

    A server that ignores a setting answers 200 like one that honours it, so nothing is taken from
    documentation or status codes.
    """

    n: bool | None = None
    """Answered every request for `n` completions with that many. If not, each is asked for alone."""
    logprobs: bool | None = None
    """Sent log-probabilities with token ids every time. Where it did not, completions have none."""
    max_tokens: bool | None = None
    """Never counted more tokens in an answer than were allowed."""
    samples_differ: bool | None = None
    """Gave two different answers to one request, once at least, at a temperature above 0."""
    answered_as: tuple[str, ...] = ()
    """Names, other than the one asked for, under which it answered."""

    def statements(self) -> list[str]:
        """What a reader of the run has to know, a sentence each."""
        ignored = {
            "The endpoint ignored `n`: every completion was asked for alone.": self.n,
            "The endpoint sent no log-probabilities with token ids: completions have none.": self.logprobs,
            "The endpoint wrote more tokens than `max_tokens` allows.": self.max_tokens,
            "The endpoint gave equal answers whenever a request was sampled more than once: "
            "it may ignore `temperature`.": self.samples_differ,
        }
        names = [f"The endpoint answered as {name!r}." for name in self.answered_as]
        return [sentence for sentence, honoured in ignored.items() if honoured is False] + names

    def saw_n(self, honoured: bool) -> Self:
        """With one more request for several completions."""
        return replace(self, n=self.n is not False and honoured)

    def saw_logprobs(self, honoured: bool) -> Self:
        """With one more request for log-probabilities."""
        return replace(self, logprobs=self.logprobs is not False and honoured)

    def saw_length(self, tokens: int, allowed: int) -> Self:
        """With one more answer of known length."""
        return replace(self, max_tokens=self.max_tokens is not False and tokens <= allowed)

    def saw_samples(self, samples: Sequence[Completion]) -> Self:
        """With the answers to one more request that was sampled more than once."""
        texts = [sample.text for sample in samples if sample.error is None]
        if len(texts) < 2:
            return self
        return replace(self, samples_differ=bool(self.samples_differ) or len(set(texts)) > 1)

    def saw_name(self, name: str) -> Self:
        """With one more name under which it answered."""
        return replace(self, answered_as=tuple(sorted({*self.answered_as, name})))
