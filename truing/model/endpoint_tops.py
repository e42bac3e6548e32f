"""The likeliest first tokens of an endpoint's answer, with their log-probabilities."""

import math
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from truing.model.endpoint_retry import RequestFailed
from truing.model.endpoint_wire import misshapen, read_json, request_body
from truing.types import Record, Request, SamplingParams

TOPS = 20
"""How many tokens are asked for: the most that OpenAI and vLLM show."""


@dataclass(frozen=True, slots=True)
class TopTokens(Record):
    """Text and log-probability (nats) of the likeliest first tokens; without any, `error` says why."""

    tokens: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    error: str = ""

    def check(self) -> None:
        """There is one log-probability for each token, and either tokens or an error."""
        if len(self.tokens) != len(self.logprobs) or bool(self.tokens) == bool(self.error):
            raise ValueError("top tokens have a log-probability each, or else there is an error")


class _Top(BaseModel):
    token: str
    logprob: float


class _Place(BaseModel):
    top_logprobs: list[_Top] = []


class _Logprobs(BaseModel):
    content: list[_Place] | None = None


class _Choice(BaseModel):
    logprobs: _Logprobs | None = None


class _Reply(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


def tops_body(model: str, request: Request) -> dict[str, Any]:
    """The JSON body that asks for one token and the likeliest ones in its place.

    At temperature 1, for some servers report the distribution that they sampled from.
    """
    return request_body(model, request, SamplingParams(max_tokens=1)) | {
        "logprobs": True,
        "top_logprobs": TOPS,
    }


def read_tops(body: bytes) -> TopTokens:
    """The top tokens of a reply.

    Raises:
        RequestFailed: it has another shape, or holds no top log-probabilities that could be true:
            many servers ignore what was asked for and answer 200 nevertheless.
    """
    try:
        reply = _Reply.model_validate(read_json(body))
    except ValidationError as why:
        raise misshapen(why) from None
    logprobs = reply.choices[0].logprobs
    tops = logprobs.content[0].top_logprobs if logprobs and logprobs.content else []
    if not tops:
        raise RequestFailed("the endpoint sent no top log-probabilities")
    total = sum(math.exp(min(top.logprob, 1.0)) for top in tops)
    if not total <= 1.001 or len(tops) > TOPS:
        raise RequestFailed("the endpoint's top log-probabilities are no probabilities")
    return TopTokens(tuple(top.token for top in tops), tuple(top.logprob for top in tops))
