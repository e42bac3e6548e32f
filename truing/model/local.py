"""`LocalModel`: a language model in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from truing.model.batching import halving, length_buckets
from truing.model.capturing import Captured, capture, captured
from truing.model.chat import ChatFormat
from truing.model.continued import packs_after
from truing.model.decode import Ends, Row, Written, decode
from truing.model.forked import forks
from truing.model.ground import ground
from truing.model.hooks import Edit, Site, edits_digest, steering
from truing.model.memory import BATCH_ROWS, BATCH_TOKENS
from truing.model.next_token import next_logits, next_token
from truing.model.score import score
from truing.model.trunk import Trunk, evaluating
from truing.types import Completion, Dist, Fingerprint, InputError, Request, SamplingParams, Stop, Usage

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LocalModel:
    """Samples and scores with a transformers model; a `Sampler`, a `Scorer` and a `NextToken`.

    `net` is put in eval mode. Should training change that later, dropout is still off in everything
    done here, and `net` gets its mode back.
    Results do not depend on what else is in a batch, up to the rounding of the model's type.

    Raises:
        InputError: `net` is built in a way that is not known here.
    """

    def __init__(
        self, net: "PreTrainedModel", chat: ChatFormat, fingerprint: Fingerprint, *, ref: str = ""
    ) -> None:
        self.net = net.eval()
        self.chat = chat
        self.ref = ref
        self.trunk = Trunk(net)
        packs_after(self.trunk)  # measured now, while nothing is steered
        forks(self.trunk)
        self._fingerprint = fingerprint
        self._edits: tuple[Edit, ...] = ()

    def __repr__(self) -> str:
        return f"LocalModel({self.ref or type(self.net).__name__!r}, {self.fingerprint.short})"

    @property
    def fingerprint(self) -> Fingerprint:
        """Which model this is; while it is steered, another one."""
        edits = edits_digest(self._edits)
        if not edits:
            return self._fingerprint
        return replace(self._fingerprint, adapter=f"{self._fingerprint.adapter}+edits:{edits}")

    @property
    def ground(self) -> str:
        """What a result on this model can claim: see `truing.model.ground.ground`."""
        return ground(self.net)

    def describe(self) -> dict[str, Any]:
        """For the record of a run, as JSON data: how the model is spoken to and computed."""
        return {**self.chat.describe(), "dtype": str(self.net.dtype).removeprefix("torch.")}

    def plan(self, requests: Sequence[Request], params: SamplingParams) -> list[list[int]]:
        """Length buckets: see `Sampler.plan`. A batch, planned on its own, is one batch again."""
        return self._plan([self._prompt(request, params) for request in requests], params)

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """Write `params.n` completions for each request, batch by batch: see `Sampler.sample`.

        A request that cannot be rendered, or that leaves no room for `max_tokens` in the model's
        context, becomes rows with an error. `token_ids` include the sampled end token, and for a stop
        string all tokens up to the one that completed it, with their log-probabilities: with
        temperature 0 these are under the full softmax at temperature 1.
        """
        prompts = [self._prompt(request, params) for request in requests]
        return self._sample(list(requests), prompts, params, key, self.fingerprint)

    def score(
        self,
        prompt_ids: Sequence[Sequence[int]],
        completion_ids: Sequence[Sequence[int]],
        *,
        temperature: float = 1.0,
    ) -> list[list[float]]:
        """Log-probability (nats) of each completion token after its prompt: see `Scorer.score`."""
        with evaluating(self.net), torch.inference_mode():
            return score(self.trunk, prompt_ids, completion_ids, temperature=temperature)

    def next_token(self, prefixes: Sequence[Sequence[int]], candidates: Sequence[int]) -> list[Dist]:
        """The distribution over `candidates` after each prefix: see `NextToken.next_token`.

        What several prefixes begin with in common is read once (see `truing.model.next_token`).
        """
        with evaluating(self.net), torch.inference_mode():
            return next_token(self.trunk, prefixes, candidates)

    def next_logits(self, prefixes: Sequence[Sequence[int]]) -> Tensor:
        """All logits of the token after each prefix [N, V]: see `truing.model.next_token.next_logits`."""
        with evaluating(self.net), torch.inference_mode():
            return next_logits(self.trunk, prefixes)

    def capture(
        self, sequences: Sequence[Sequence[int]], sites: Sequence[Site], positions: Sequence[Sequence[int]]
    ) -> dict[Site, Tensor]:
        """Activations [M, D] of each site: see `truing.model.capturing.capture`."""
        return capture(self.trunk, sequences, sites, positions)

    def captured(
        self, sequences: Sequence[Sequence[int]], sites: Sequence[Site], positions: Sequence[Sequence[int]]
    ) -> Iterator[Captured]:
        """The same, a batch at a time: see `truing.model.capturing.captured`."""
        return captured(self.trunk, sequences, sites, positions)

    @contextmanager
    def steered(self, edits: Sequence[Edit]) -> Iterator[None]:
        """Apply `edits` to all that the model does inside; the fingerprint says so. Contexts nest.

        Raises:
            InputError: an edit changed nothing by the end of the context.
        """
        outer = self._edits
        with steering(self.trunk, edits):
            self._edits = (*outer, *edits)
            try:
                yield
            finally:
                self._edits = outer

    def _prompt(self, request: Request, params: SamplingParams) -> tuple[int, ...] | str:
        """Token ids of the request, or why it cannot be answered."""
        try:
            prompt = self.chat.prompt_ids(request)
        except InputError as error:
            return str(error)
        context = self.trunk.context
        if context is not None and len(prompt) + params.max_tokens > context:
            return (
                f"the prompt has {len(prompt)} tokens and {params.max_tokens} more are asked for, "
                f"but the model's context is {context} tokens."
            )
        return prompt

    def _plan(self, prompts: Sequence[tuple[int, ...] | str], params: SamplingParams) -> list[list[int]]:
        lengths = [0 if isinstance(p, str) else len(p) + params.max_tokens for p in prompts]
        return length_buckets(lengths, tokens=BATCH_TOKENS // params.n, rows=max(1, BATCH_ROWS // params.n))

    def _sample(
        self,
        requests: Sequence[Request],
        prompts: Sequence[tuple[int, ...] | str],
        params: SamplingParams,
        key: int,
        fingerprint: Fingerprint,
    ) -> Iterator[Completion]:
        ends = Ends(self.chat.eos_ids, (*params.stop, *self.chat.stop), self.chat.decode)
        for bucket in self._plan(prompts, params):
            if self.fingerprint != fingerprint:
                raise RuntimeError("the model is no longer the one that this sampling was begun with")
            tasks = [(requests[i], prompts[i], sample) for i in bucket for sample in range(params.n)]
            rows = [Row(p, request.id, sample) for request, p, sample in tasks if not isinstance(p, str)]
            written = iter(self._decode(rows, params, ends, key))
            for request, prompt, sample in tasks:
                if isinstance(prompt, str):
                    yield Completion.failed(request.id, prompt, fingerprint, sample=sample)
                else:
                    yield self._completion(request, prompt, sample, next(written), ends)

    def _decode(self, rows: Sequence[Row], params: SamplingParams, ends: Ends, key: int) -> list[Written]:
        """Write the rows in passes of bounded size: many samples of one prompt are one batch, too."""

        def run(some: Sequence[Row]) -> list[Written]:
            return decode(self.trunk, some, params, ends, key=key)

        longest = max((len(row.prompt) for row in rows), default=0) + params.max_tokens
        size = max(1, min(BATCH_ROWS, BATCH_TOKENS // longest))
        with evaluating(self.net), torch.inference_mode():
            parts = [halving(run, rows[i : i + size], alone=_too_large) for i in range(0, len(rows), size)]
        return [row for part in parts for row in part]

    def _completion(
        self, request: Request, prompt: tuple[int, ...], sample: int, written: Written, ends: Ends
    ) -> Completion:
        if written.stop is Stop.error:
            return Completion.failed(request.id, written.error, self.fingerprint, sample=sample)
        ids = written.token_ids
        text = ends.text(ids, written.stop)
        split = self.chat.split(text, prefill=request.prefill)
        return Completion(
            request_id=request.id,
            sample=sample,
            text=text,
            answer=split.answer,
            stop=written.stop,
            model=self.fingerprint,
            reasoning=split.reasoning,
            trace=split.trace,
            prompt_ids=prompt,
            token_ids=tuple(ids),
            logprobs=tuple(written.logprobs),
            usage=Usage(len(prompt), len(ids)),
        )


def _too_large(_: Row) -> Written:
    return Written(stop=Stop.error, error="The device's memory does not suffice for this request alone.")
