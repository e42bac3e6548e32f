"""What the first token of a model's answer may say, with its probability: numbers and words, read without sampling."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from truing.types import InputError, Outcome, Request, Sampler, TruingError

if TYPE_CHECKING:
    from truing.model import ChatFormat, LocalModel

MIN_MASS = 0.25
"""Below this probability of all that can be read, the model wanted to say something else (Betley et al. 2025)."""

NEGLIGIBLE = 1e-4
"""Probability of the beginning of a number or word below which the rest of it is not looked up."""

K = TypeVar("K", str, int)
Meaning = Callable[[str], K | None]
"""What the text of a token means; None: nothing that is asked for."""
Prefix = tuple[int, ...] | str
"""Token ids of a prompt, or why there are none."""


@dataclass(frozen=True, slots=True)
class Read(Generic[K]):
    """Probability of each meaning; or the outcome and the reason where nothing could be read."""

    mass: Mapping[K, float] = field(default_factory=dict)
    outcome: Outcome = Outcome.decided
    why: str = ""

    @property
    def total(self) -> float:
        """Probability of all meanings together."""
        return sum(self.mass.values())


def local_model(model: Sampler) -> "LocalModel | None":
    """The model itself if its next-token distribution is at hand; an endpoint's is not."""
    # Its class would have to be imported, and torch with it, where an endpoint needs neither.
    here = hasattr(model, "next_token") and hasattr(model, "chat")
    return cast("LocalModel", model) if here else None


def prefixes(model: "LocalModel", chat: "ChatFormat", requests: Sequence[Request]) -> list[Prefix]:
    """The prompt of each request as `chat` writes it, or why there is none."""
    return [_prefix(model, chat, request) for request in requests]


def first_words(model: Sampler, requests: Sequence[Request], meaning: Meaning[str]) -> list[Read[str]]:
    """What the first token of the answer to each request means."""
    if local := local_model(model):
        return words_after(local, prefixes(local, local.chat, requests), meaning)
    return from_tops(model, requests, meaning)


def words_after(model: "LocalModel", begun: Sequence[Prefix], meaning: Meaning[str]) -> list[Read[str]]:
    """What the token after each prefix means."""
    texts = vocabulary(model.chat)
    meant = {id: word for id, text in enumerate(texts) if (word := meaning(text)) is not None}

    def walk(rows: Sequence[tuple[int, ...]]) -> list[Mapping[str, float]]:
        masses: list[Mapping[str, float]] = []
        for dist in model.next_token(rows, list(meant)):
            mass: dict[str, float] = defaultdict(float)
            for id, logprob in zip(dist.token_ids, dist.logprobs, strict=True):
                mass[meant[id]] += math.exp(logprob) if dist.covered else 0.0
            masses.append(mass)
        return masses

    return each(begun, walk, lacking="" if meant else "no token of this model says one of the words")


def first_integers(model: Sampler, requests: Sequence[Request]) -> list[Read[int]]:
    """The probability of each whole number from 0 to 100 as the answer to each request.

    Most judges have a token for each of these numbers, and the first token is read (Betley et al.
    2025, arXiv 2502.17424). A model in this process that writes numbers digit by digit is asked for
    the digits that follow. An endpoint that seems to do so is not read, since its first token says too little.
    """
    local = local_model(model)
    if local is None:
        return [_whole(read) for read in from_tops(model, requests, integer)]
    texts = vocabulary(local.chat)
    known = any(integer(text) is not None for text in texts)
    walk = _Numerals(local, texts).walk
    lacking = "" if known else "no token of this model is a number"
    return each(prefixes(local, local.chat, requests), walk, lacking=lacking)


def integer(text: str) -> int | None:
    """The number from 0 to 100 that a token is, white space around it not counted."""
    said = text.strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 3 and int(said) <= 100 else None


def begins(*words: str) -> Meaning[str]:
    """Of words that begin differently, the one that a token begins or is, whatever its case."""

    def meaning(text: str) -> str | None:
        said = text.strip().lower()
        found = [word for word in words if said and word.startswith(said)]
        return found[0] if len(found) == 1 else None

    return meaning


def share(read: Read[str], word: str) -> float | None:
    """The probability of `word` among all words that were read; None where they have too little together."""
    return read.mass.get(word, 0.0) / read.total if read.total >= MIN_MASS else None


class _Numerals:
    """Probabilities of numbers, over as many tokens as the model needs to write them."""

    def __init__(self, model: "LocalModel", texts: Sequence[str]) -> None:
        self.model = model
        self.first = {id: text.strip() for id, text in enumerate(texts) if integer(text) is not None}
        self.digits = {id: text for id, text in enumerate(texts) if text.isascii() and text.isdigit()}
        self.whole = {int(text) for text in self.first.values()} == set(range(101))

    def walk(self, rows: Sequence[tuple[int, ...]]) -> list[Mapping[int, float]]:
        masses: list[dict[int, float]] = [defaultdict(float) for _ in rows]
        begun: list[tuple[int, tuple[int, ...], str, float]] = []

        def put(row: int, ids: tuple[int, ...], numeral: str, p: float) -> None:
            # After more than 10, and after 0, a further digit leads to no number up to 100.
            if self.whole or not 0 < int(numeral) <= 10:
                masses[row][int(numeral)] += p
            elif p > NEGLIGIBLE:
                begun.append((row, ids, numeral, p))

        for row, dist in enumerate(self.model.next_token(rows, list(self.first))):
            for id, logprob in zip(dist.token_ids, dist.logprobs, strict=True):
                if dist.covered:
                    put(row, (*rows[row], id), self.first[id], math.exp(logprob))
        while begun:
            now, begun = begun, []
            dists = self.model.next_token([ids for _, ids, _, _ in now], list(self.digits))
            for (row, ids, numeral, p), dist in zip(now, dists, strict=True):
                masses[row][int(numeral)] += p * (1 - dist.covered)
                for id, logprob in zip(dist.token_ids, dist.logprobs, strict=True):
                    longer = numeral + self.digits[id]
                    if dist.covered and int(longer) <= 100:
                        put(row, (*ids, id), longer, p * math.exp(logprob))
        return list(masses)


def _prefix(model: "LocalModel", chat: "ChatFormat", request: Request) -> Prefix:
    try:
        ids = chat.prompt_ids(request)
    except InputError as why:
        return str(why)
    context = model.trunk.context
    if context is not None and len(ids) + 3 > context:  # three tokens write any number
        return f"the prompt has {len(ids)} tokens, and the judge's context is {context} tokens"
    return ids


def each(
    begun: Sequence[Prefix],
    walk: Callable[[Sequence[tuple[int, ...]]], list[Mapping[K, float]]],
    *,
    lacking: str,
) -> list[Read[K]]:
    """What `walk` reads after the prefixes that are there; the others are errors, with their reasons."""
    if lacking:
        return [Read(outcome=Outcome.abstained, why=lacking) for _ in begun]
    rows = [prefix for prefix in begun if not isinstance(prefix, str)]
    try:
        masses = iter(walk(rows) if rows else ())
    except TruingError:
        raise
    except Exception as error:  # out of memory, say: no answer is judged, and none is lost
        why = f"the judge failed: {type(error).__name__}: {error}"
        return [Read(outcome=Outcome.error, why=why) for _ in begun]
    return [
        Read(outcome=Outcome.error, why=f"the judge failed: {prefix}")
        if isinstance(prefix, str)
        else Read(next(masses))
        for prefix in begun
    ]


def from_tops(model: Sampler, requests: Sequence[Request], meaning: Meaning[K]) -> list[Read[K]]:
    """What the likeliest tokens mean that an endpoint sends."""
    if not hasattr(model, "top_tokens"):
        why = "the judge shows no next-token distribution"
        return [Read(outcome=Outcome.abstained, why=why) for _ in requests]
    reads: list[Read[K]] = []
    for tops in model.top_tokens(requests):
        if tops.error:
            reads.append(Read(outcome=Outcome.error, why=f"the judge failed: {tops.error}"))
            continue
        mass: dict[K, float] = defaultdict(float)
        for token, logprob in zip(tops.tokens, tops.logprobs, strict=True):
            if (meant := meaning(token)) is not None:
                mass[meant] += math.exp(logprob)
        reads.append(Read(mass))
    return reads


def _whole(read: Read[int]) -> Read[int]:
    if not read.mass or max(read.mass) > 9:
        return read
    why = "the judge's likeliest tokens hold digits alone: it seems to write numbers digit by digit"
    return Read(outcome=Outcome.abstained, why=why)


_VOCABULARIES: "WeakKeyDictionary[ChatFormat, tuple[str, ...]]" = WeakKeyDictionary()


def vocabulary(chat: "ChatFormat") -> tuple[str, ...]:
    """The text of every token, special ones empty; decoded once, for there may be 200,000."""
    if chat not in _VOCABULARIES:
        _VOCABULARIES[chat] = tuple(chat.decode([id]) for id in range(len(chat.tokenizer)))
    return _VOCABULARIES[chat]
