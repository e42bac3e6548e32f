"""Asking one URL: bounded bodies, tries with pauses, and knowing when to give up."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from itertools import count
from typing import Any, TypeVar

import anyio
import httpx

from truing.model.endpoint_retry import RequestFailed, pause, retry_after
from truing.model.endpoint_wire import told
from truing.types import EndpointError, InputError, dumps

GIVE_UP_AFTER = 8
"""Requests lost in a row, each with all its tries, after which an endpoint counts as down."""

_HINTS = {
    401: "; set the right key in TRUING_API_KEY or OPENAI_API_KEY",
    404: "; check that the URL ends as the server wants it (often in /v1), and the name of the model",
    405: "; check that the URL ends as the server wants it (often in /v1)",
}

T = TypeVar("T")


class Line:
    """A line to a chat-completions URL. It remembers whether anything was ever answered.

    `timeout` and `deadline` are seconds, for one try and for all tries of a request.

    Raises:
        InputError: the URL or the key cannot be used, or a number is out of range.
    """

    def __init__(self, url: str, key: str, *, timeout: float, deadline: float, retries: int) -> None:
        if not (key.isascii() and key.isprintable()):
            raise InputError("the API key holds characters that no HTTP header can carry")
        if timeout <= 0 or deadline <= 0 or retries < 0:
            raise InputError("an endpoint needs a timeout and a deadline above 0, and retries of at least 0")
        self.url = _checked(url)
        self._key, self._timeout, self._deadline, self._retries = key, timeout, deadline, retries
        self._answered = False
        self._lost_in_a_row = 0
        self._renames_max_tokens = False

    def command(self, path: str, body: Mapping[str, Any] | None, *, hint: str) -> None:
        """POST to a path below the server's root; see `EndpointModel.command`."""
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        url = self.url.removesuffix("/v1") + path
        try:
            answer = httpx.post(url, json=body, headers=headers, timeout=self._timeout, verify=_tls())
        except httpx.HTTPError as why:
            said = self.sentence(RequestFailed(f"{type(why).__name__}: {why}"))
            raise EndpointError(f"{url} cannot be reached ({said})") from None
        if answer.status_code != 200:
            said = self.sentence(RequestFailed(told(answer.content[: 2**20])))
            raise EndpointError(f"{url} answered {answer.status_code}: {said}; {hint}")

    def client(self, connections: int) -> httpx.AsyncClient:
        """A connection pool; entered and left by the caller."""
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        limits = httpx.Limits(max_connections=connections)
        timeout = httpx.Timeout(self._timeout, connect=min(self._timeout, 10.0))
        return httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits, verify=_tls())

    async def insist(self, ask: Callable[[], Awaitable[T]], *, key: int, id: str, sample: int) -> T:
        """What `ask` returns, tried until it does, the failure is final, or tries or time are used up.

        Raises:
            RequestFailed: this request is lost.
            EndpointError: and so are all others.
        """
        end = anyio.current_time() + self._deadline
        for attempt in count():
            try:
                with anyio.fail_after(min(self._timeout, end - anyio.current_time())):
                    answer = await ask()
            except TimeoutError:
                why = RequestFailed("the endpoint gave no answer in time", again=True, down=True)
            except httpx.TransportError as error:
                sentence = f"the connection to the endpoint failed ({type(error).__name__}: {error})"
                why = RequestFailed(sentence, again=True, down=True)
            except httpx.HTTPError as error:
                sentence = f"the endpoint's answer cannot be read ({type(error).__name__}: {error})"
                why = RequestFailed(sentence, again=True)
            except RequestFailed as error:
                why = error
            else:
                self._answered, self._lost_in_a_row = True, 0
                return answer
            wait = max(pause(key, id, sample, attempt), why.wait)
            if not why.again or attempt >= self._retries or anyio.current_time() + wait >= end:
                self._give_up_if_down(why)
                raise why
            await anyio.sleep(wait)
        raise AssertionError("unreachable: `count` does not end")

    async def post(self, client: httpx.AsyncClient, body: dict[str, Any], *, largest: int) -> bytes:
        """One try: the whole body of the answer, of at most `largest` bytes."""
        response = await self.open(client, body)
        try:
            return await _whole(response, largest)
        finally:
            await response.aclose()

    async def open(self, client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
        """One try: an answer with status 200 whose body the caller reads."""
        if self._renames_max_tokens:
            body = {"max_completion_tokens" if k == "max_tokens" else k: v for k, v in body.items()}
        url, sent = f"{self.url}/chat/completions", dumps(body).encode("ascii")
        response = await client.send(client.build_request("POST", url, content=sent), stream=True)
        if response.status_code == 200:
            return response
        try:
            said = told(await _whole(response, 2**20))
        finally:
            await response.aclose()
        raise self._refusal(response, said, body)

    def sentence(self, why: RequestFailed) -> str:
        """What went wrong, in one short line without the key: some servers repeat it."""
        text = " ".join(str(why).split())
        # A placeholder of a few letters, as for servers without keys, may be an ordinary word.
        return (text.replace(self._key, "[key]") if len(self._key) > 7 else text)[:400]

    def _refusal(self, response: httpx.Response, said: str, body: dict[str, Any]) -> RequestFailed:
        status = response.status_code
        # OpenAI's newer models refuse `max_tokens`, and most other servers know nothing else.
        if status == 400 and "max_completion_tokens" in said and "max_tokens" in body:
            self._renames_max_tokens = True
            return RequestFailed(said, again=True, status=status)
        if 300 <= status < 400:
            said = f"it points to {response.headers.get('Location', 'nowhere')}; name that URL instead"
        busy = status in (408, 429) or status >= 500
        return RequestFailed(
            f"the endpoint answered {status}: {said}",
            again=busy,
            # A filter may answer 403 to one row; to the first rows it is a key without the right.
            down=busy or status in (401, 404) or (status == 403 and not self._answered),
            status=status,
            wait=retry_after(response.headers.get("Retry-After")),
        )

    def _give_up_if_down(self, why: RequestFailed) -> None:
        wrong_address = why.status is not None and (why.status in _HINTS or 300 <= why.status < 400)
        if wrong_address and not self._answered:
            hint = _HINTS.get(why.status or 0, "")
            raise EndpointError(f"{self.url} cannot be used: {self.sentence(why)}{hint}")
        self._lost_in_a_row = self._lost_in_a_row + 1 if why.down else 0
        if self._lost_in_a_row >= GIVE_UP_AFTER:
            self._lost_in_a_row = 0
            raise EndpointError(
                f"{self.url} seems to be down: {GIVE_UP_AFTER} requests in a row were lost, and of the last "
                f"one {self.sentence(why)}; what is finished is kept, and the run can be resumed"
            )


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes 50 ms, and there is a pool for each batch."""
    return httpx.create_ssl_context()


async def _whole(response: httpx.Response, largest: int) -> bytes:
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > largest:
            raise RequestFailed(f"the endpoint's answer is longer than {largest} bytes")
    return bytes(body)


def _checked(url: str) -> str:
    """The URL without what follows the version: a path, but no credentials, query or fragment."""
    mend = "write it as http://HOST:PORT/v1"
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise InputError(f"{url!r} is no URL", mend=mend) from None
    if parsed.userinfo or parsed.query:
        # Not shown: it would stand in every journal as part of the model's fingerprint.
        raise InputError(
            "the URL of an endpoint holds credentials or a query",
            mend="put the key in TRUING_API_KEY instead",
        )
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.fragment:
        raise InputError(f"{url!r} is no URL of an endpoint", mend=mend)
    return url.rstrip("/").removesuffix("/chat/completions")
