"""A model behind an OpenAI-compatible server: asked in parallel, retried, and not taken at its word."""

import copy
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from queue import SimpleQueue
from typing import Any, NoReturn, Self

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from truing.model.endpoint_capabilities import Capabilities
from truing.model.endpoint_http import Line
from truing.model.endpoint_retry import RequestFailed
from truing.model.endpoint_stream import deltas, event_lines
from truing.model.endpoint_tops import TopTokens, read_tops, tops_body
from truing.model.endpoint_wire import Reply, read_choice, read_reply, request_body
from truing.numerics import uniforms
from truing.types import (
    Completion,
    Delta,
    EndpointError,
    Fingerprint,
    FrozenDict,
    InputError,
    Request,
    SamplingParams,
    Stop,
    digest,
    thaw,
)

BATCH = 64
"""Requests that are asked, and journaled, together."""

_NO_PREFILL = "an endpoint cannot be shown to continue a prefilled turn"
_OWN_FIELDS = {"model", "messages", "tools", "temperature", "top_p", "max_tokens", "max_completion_tokens",
               "stop", "n", "seed", "logprobs", "stream"}  # fmt: skip


@dataclass(frozen=True)
class _Session:
    """An open connection pool, and how what is asked through it is drawn."""

    client: httpx.AsyncClient
    slots: anyio.CapacityLimiter
    params: SamplingParams
    key: int


class EndpointModel:
    """Samples from a chat-completions endpoint; the model itself is out of reach.

    `url` is what comes before `/chat/completions`, as in `http://localhost:8000/v1`. The key is
    `api_key`, or else the variable TRUING_API_KEY or OPENAI_API_KEY. `timeout` and `deadline` are
    seconds, for one try and for a request with all its tries (one more than `retries`, with growing
    pauses). At most `concurrency` requests are in flight.

    Each request carries a seed, a function of (key, request id, sample); whether a server honours
    it cannot be proved from here. Nor can what it fills in for settings that are not sent (top-k
    when it is off, min-p, penalties): name them in `extra`, which goes into every request body. A
    prefilled turn is refused, for most servers begin a new turn after it and do not say so.

    With `logprobs=True` log-probabilities are asked for, and kept where they come with token ids, as
    vLLM sends them for `extra={"return_token_ids": True}`. They are those of the unscaled
    distribution, so such a model samples at temperature 1 without top-p and top-k only.

    Raises:
        InputError: the URL, the model's name, the key or a setting cannot be used.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 600.0,
        deadline: float = 1800.0,
        retries: int = 5,
        concurrency: int = 16,
        logprobs: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if not model:
            raise InputError("an endpoint needs the name of a model", mend="write endpoint:URL#MODEL")
        if concurrency < 1:
            raise InputError(f"at least 1 request is in flight, not {concurrency}")
        self.model, self.extra = model, FrozenDict(extra)
        if taken := sorted(self.extra.keys() & _OWN_FIELDS):
            raise InputError(f"`extra` cannot hold {taken[0]!r}, which has an argument of its own")
        key = api_key or os.environ.get("TRUING_API_KEY") or os.environ.get("OPENAI_API_KEY") or ""
        self._line = Line(url, key, timeout=timeout, deadline=deadline, retries=retries)
        self._concurrency, self._logprobs = concurrency, logprobs
        self.capabilities = Capabilities()
        # Which weights answer, nobody here can verify.
        weights, settings = f"endpoint:{self._line.url}#{model}", digest(self.extra) if self.extra else ""
        self.fingerprint = Fingerprint(weights, template=settings, verified=False)

    @classmethod
    def from_ref(cls, ref: str, *, logprobs: bool = False, extra: Mapping[str, Any] | None = None) -> Self:
        """The model of a reference `endpoint:URL#MODEL`.

        Raises:
            InputError: the reference has another form, or its URL cannot be used.
        """
        url, mark, model = ref.removeprefix("endpoint:").partition("#")
        if not mark or not ref.startswith("endpoint:"):
            raise InputError("this reference is no endpoint", mend="write endpoint:URL#MODEL")
        return cls(url, model, logprobs=logprobs, extra=extra)

    @property
    def asks_logprobs(self) -> bool:
        """Whether log-probabilities are asked for."""
        return self._logprobs

    def renamed(self, model: str, fingerprint: Fingerprint) -> "EndpointModel":
        """Another model, or another version of it, behind the same URL and with the same settings."""
        other = copy.copy(self)
        other.model, other.fingerprint = model, fingerprint
        return other

    def command(self, path: str, body: Mapping[str, Any] | None, *, hint: str) -> None:
        """Tell the server itself to do something: POST `path` below its root, waiting until it is done.

        Raises:
            EndpointError: it cannot be reached or refuses; `hint` says what may be missing.
        """
        self._line.command(path, body, hint=hint)

    def __repr__(self) -> str:
        return f"EndpointModel({self._line.url!r}, {self.model!r})"

    ground = ""
    """Nothing is known of the weights behind an endpoint."""

    def describe(self) -> dict[str, Any]:
        """For the record of a run, as JSON data: what the endpoint was seen to do so far."""
        return {
            "url": self._line.url,
            "model": self.model,
            "extra": thaw(self.extra),
            "capabilities": self.capabilities.to_json(),
            "statements": self.capabilities.statements(),
        }

    def plan(self, requests: Sequence[Request], params: SamplingParams) -> list[list[int]]:  # noqa: ARG002
        """Batches of neighbours: nothing is padded here, so one order is as good as another."""
        starts = range(0, len(requests), BATCH)
        return [list(range(start, min(start + BATCH, len(requests)))) for start in starts]

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """Yield `params.n` completions for each request, in the order of the requests, as they are done.

        Works inside a running event loop too. Leaving the iterator cancels what is in flight.

        Raises:
            InputError: log-probabilities were asked for under scaled or truncated sampling.
            EndpointError: wrong URL, key or model, or the endpoint is down. What was yielded is good.
        """
        self._check(params)
        done: SimpleQueue[Completion | None] = SimpleQueue()
        with start_blocking_portal() as portal:
            work = portal.start_task_soon(self._answer_all, requests, params, key, done.put)
            work.add_done_callback(lambda _: done.put(None))
            while (completion := done.get()) is not None:
                yield completion
            work.result()

    async def stream(self, request: Request, params: SamplingParams) -> AsyncIterator[Delta]:
        """Pieces of the answer as they come; the last one has a stop reason.

        Reasoning that the server keeps apart is no part of the answer. Tries are repeated until an
        answer begins; one that breaks off later ends with `Stop.error`.

        Raises:
            InputError: log-probabilities were asked for under scaled or truncated sampling.
            EndpointError: wrong URL, key or model, or the endpoint is down.
        """
        self._check(params)
        try:
            if request.prefill:
                raise RequestFailed(_NO_PREFILL)
            body = self._body(request, params) | {"stream": True}
            async with self._line.client(1) as client:
                response = await self._line.insist(
                    lambda: self._line.open(client, body), key=0, id=request.id, sample=0
                )
                lines = event_lines(response.aiter_bytes(), largest=_largest(params))
                async for delta in deltas(lines, params.stop):
                    yield delta
        except httpx.HTTPError as why:
            getLogger(__name__).warning("request %r: the stream broke off (%r)", request.id, why)
            yield Delta("", Stop.error)
        except RequestFailed as why:
            getLogger(__name__).warning("request %r: %s", request.id, self._line.sentence(why))
            yield Delta("", Stop.error)

    def top_tokens(self, requests: Sequence[Request]) -> list[TopTokens]:
        """The likeliest first tokens of the answer to each request, in order; a failed one says why.

        Raises:
            EndpointError: wrong URL, key or model, or the endpoint is down.
        """
        found: dict[int, TopTokens] = {}

        async def ask(client: httpx.AsyncClient, slots: anyio.CapacityLimiter, i: int) -> None:
            request = requests[i]
            body = {**thaw(self.extra), **tops_body(self.model, request)}

            async def once() -> TopTokens:
                return read_tops(await self._line.post(client, body, largest=_largest(SamplingParams())))

            try:
                if request.prefill:
                    raise RequestFailed(_NO_PREFILL)
                async with slots:
                    found[i] = await self._line.insist(once, key=0, id=request.id, sample=0)
            except RequestFailed as why:
                found[i] = TopTokens(error=self._line.sentence(why))

        async def ask_all() -> None:
            slots = anyio.CapacityLimiter(self._concurrency)
            async with self._line.client(self._concurrency) as client:
                await _at_once(lambda i: ask(client, slots, i), range(len(requests)))

        with start_blocking_portal() as portal:
            portal.call(ask_all)
        return [found[i] for i in range(len(requests))]

    def score(self, *_: object, **__: object) -> NoReturn:
        """An endpoint takes no token ids.

        Raises:
            EndpointError: always.
        """
        raise EndpointError(f"{self!r} cannot score given tokens; that takes the model's own folder")

    def next_token(self, *_: object, **__: object) -> NoReturn:
        """An endpoint shows no next-token distribution.

        Raises:
            EndpointError: always.
        """
        raise EndpointError(f"{self!r} shows no next-token distribution; that takes the model's own folder")

    async def _answer_all(
        self,
        requests: Sequence[Request],
        params: SamplingParams,
        key: int,
        emit: Callable[[Completion], None],
    ) -> None:
        """Answer all requests at once, and emit their completions in order."""
        waiting: dict[int, list[Completion]] = {}
        upcoming = 0

        async def answer(i: int) -> None:
            nonlocal upcoming
            waiting[i] = await self._answer(session, requests[i])
            while upcoming in waiting:
                for completion in waiting.pop(upcoming):
                    emit(completion)
                upcoming += 1

        async with self._line.client(self._concurrency) as client:
            session = _Session(client, anyio.CapacityLimiter(self._concurrency), params, key)
            try:
                await _at_once(answer, range(len(requests)))
            finally:  # what was answered behind a request that never was
                for i in sorted(waiting):
                    for completion in waiting[i]:
                        emit(completion)

    async def _answer(self, session: _Session, request: Request) -> list[Completion]:
        """The `n` completions of a request: asked for together, and alone where fewer came."""
        n = session.params.n
        if request.prefill:
            return [self._lost(request, i, RequestFailed(_NO_PREFILL)) for i in range(n)]
        together: list[Completion] = []
        if n > 1 and self.capabilities.n is not False:
            try:
                together = await self._draw(session, request, 0, n)
            except RequestFailed as why:
                if why.status not in (400, 422):  # with these a server may refuse the row, or only `n`
                    return [self._lost(request, i, why) for i in range(n)]
        drawn = {completion.sample: completion for completion in together}

        async def alone(i: int) -> None:
            try:
                (drawn[i],) = await self._draw(session, request, i, 1)
            except RequestFailed as why:
                drawn[i] = self._lost(request, i, why)

        await _at_once(alone, range(len(together), n))
        completions = [drawn[i] for i in range(n)]
        if n > 1 and any(c.error is None for c in completions):
            self.capabilities = self.capabilities.saw_n(len(together) == n)
            if session.params.temperature > 0:
                self.capabilities = self.capabilities.saw_samples(completions)
        return completions

    async def _draw(self, session: _Session, request: Request, sample: int, n: int) -> list[Completion]:
        """One request for `n` completions, numbered from `sample`. At most `n` come back."""
        params = session.params
        body = self._body(request, params)
        if n > 1:
            body["n"] = n
        if params.temperature > 0:
            uniform = float(uniforms(session.key, f"seed/{request.id}", sample, 0))
            body["seed"] = int(uniform * 2**31)  # more bits than 31 do not fit everywhere

        async def ask() -> tuple[Reply, list[Completion]]:
            reply = read_reply(await self._line.post(session.client, body, largest=_largest(params, n)))
            choices = range(min(n, len(reply.choices)))
            return reply, [
                read_choice(reply, i, request.id, sample + i, params, self.fingerprint) for i in choices
            ]

        async with session.slots:
            reply, drawn = await self._line.insist(ask, key=session.key, id=request.id, sample=sample)
        self._observe(reply, drawn, params)
        return drawn

    def _body(self, request: Request, params: SamplingParams) -> dict[str, Any]:
        asked = {"logprobs": True} if self._logprobs else {}
        return {**thaw(self.extra), **request_body(self.model, request, params), **asked}

    def _observe(self, reply: Reply, drawn: Sequence[Completion], params: SamplingParams) -> None:
        seen = self.capabilities
        if reply.model is not None and reply.model != self.model:
            seen = seen.saw_name(reply.model)
        if self._logprobs:
            seen = seen.saw_logprobs(all(completion.logprobs is not None for completion in drawn))
        if reply.usage is not None and len(reply.choices) == 1:
            seen = seen.saw_length(reply.usage.completion_tokens, params.max_tokens)
        self.capabilities = seen

    def _lost(self, request: Request, sample: int, why: RequestFailed) -> Completion:
        return Completion.failed(request.id, self._line.sentence(why), self.fingerprint, sample=sample)

    def _check(self, params: SamplingParams) -> None:
        if self._logprobs and (params.temperature != 1 or params.top_p != 1 or params.top_k != 0):
            raise InputError(
                "an endpoint's log-probabilities are those of the unscaled distribution",
                mend="sample with temperature 1, top_p 1 and top_k 0, or without logprobs",
            )


async def _at_once(call: Callable[[int], Awaitable[None]], places: Iterable[int]) -> None:
    """Call for all places at once. The first error cancels the others, and is raised bare."""
    errors: list[Exception] = []

    async def guarded(place: int) -> None:
        try:
            await call(place)
        except Exception as error:
            errors.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for place in places:
            group.start_soon(guarded, place)
    if errors:
        raise errors[0]


def _largest(params: SamplingParams, n: int = 1) -> int:
    """Bytes that an honest answer stays under: escaped text, log-probabilities and echoed prompt ids."""
    return 2**23 + 512 * n * params.max_tokens
