"""Synthetic comparisons: answers that were told what to be, kept where a grader finds that they are."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from truing.grade import RuleFeatures
from truing.methods.rbr_recipes import Kind, Recipe, Trait
from truing.methods.rbr_thresholds import USUAL
from truing.numerics import generator
from truing.spec import RuleSet
from truing.types import (
    Completion,
    Message,
    Outcome,
    Record,
    Request,
    Role,
    Sampler,
    SamplingParams,
    Shown,
    Stop,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class SafetyPrompt(Record):
    """A prompt and the response type it calls for, by its name in the rules."""

    id: str
    messages: tuple[Message, ...]
    response_type: str


@dataclass(frozen=True, slots=True)
class RankedAnswers(Record):
    """Answers to one prompt in their order: rank 1 is best, and answers of equal rank are not compared."""

    id: str
    prompt: tuple[Message, ...]
    response_type: str
    answers: tuple[str, ...]
    ranks: tuple[int, ...]
    kinds: tuple[str, ...]
    """What each was told to be, or was labelled as."""
    rm: tuple[float, ...] = ()
    """What another reward gives to each, where it is known."""

    def check(self) -> None:
        """There is something to compare, and all that is said of the answers is said of each."""
        n = len(self.answers)
        if not n == len(self.ranks) == len(self.kinds) or len(self.rm) not in (0, n):
            raise ValueError(f"there are {n} answers and not as many ranks, kinds or rewards")
        if len(set(self.ranks)) < 2:
            raise ValueError("all answers have the same rank")

    @property
    def shown(self) -> list[Shown]:
        """The answers as a grader sees them."""
        request = Request(self.id, self.prompt)
        return [Shown(request, answer) for answer in self.answers]


@dataclass(frozen=True, slots=True)
class Told(Record):
    """One answer to be written: to which prompt, of which kind, with which trait, and what is to hold of it."""

    prompt: SafetyPrompt
    kind: str
    slot: int
    trait: str
    holds: tuple[str, ...]
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reject(Record):
    """An answer that is not what it was told to be, and why."""

    prompt: str
    response_type: str
    kind: str
    trait: str
    answer: str
    reason: str


@dataclass(frozen=True)
class Written:
    """What was kept, what was not, and the prompts left without a pair; `short` counts kinds that nobody wrote."""

    rows: tuple[RankedAnswers, ...]
    rejects: tuple[Reject, ...]
    short: Mapping[str, int] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, int]:
        """Rejected answers by reason, the most frequent first."""
        return dict(Counter(one.reason for one in self.rejects).most_common())


def write_comparisons(
    prompts: Sequence[SafetyPrompt],
    recipes: Mapping[str, Recipe],
    writer: Sampler,
    features: RuleFeatures,
    *,
    key: int,
    tries: int = 8,
    params: SamplingParams = SamplingParams(temperature=1.0, max_tokens=512),  # noqa: B008  # immutable
    tell: Callable[[Told, RuleSet], Request] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Written:
    """Let `writer` answer each prompt in every way of its recipe, and keep what the grader confirms.

    Each answer is asked for up to `tries` times, with a trait drawn anew each time: it counts if it ended by
    itself, stands not yet among the prompt's answers, falls in a class of its kind and has the trait. `tell`
    makes the request that says what to write (by default `telling`). A proposition counts as true from its
    probability in `thresholds` on (see `tune_thresholds`), 0.5 where none is given. A prompt is kept if two
    of its answers have different ranks. The draws depend on (key, prompt, kind, try) alone.
    """
    ask = tell or telling
    kept: dict[tuple[str, str, int], str] = {}
    said: dict[str, set[str]] = {prompt.id: set() for prompt in prompts}
    rejects: list[Reject] = []
    kinds = {
        (p.id, kind.name, slot): (p, kind) for p in prompts for kind, slot in _slots(recipes[p.response_type])
    }
    for attempt in range(tries):
        todo = {place: of for place, of in kinds.items() if place not in kept}
        told = [
            _told(prompt, kind, place[2], features.rules, key, attempt)
            for place, (prompt, kind) in todo.items()
        ]
        if not told:
            break
        requests = [_named(ask(one, features.rules), one, attempt) for one in told]
        found = {c.request_id: c for c in writer.sample(requests, params, key=key)}
        answers = [found[request.id] for request in requests]
        reasons = _checked(told, [kind for _, kind in todo.values()], answers, features, thresholds or {})
        for place, one, answer, reason in zip(todo, told, answers, reasons, strict=True):
            why = reason or ("said already" if answer.answer in said[one.prompt.id] else "")
            if not why:
                kept[place] = answer.answer
                said[one.prompt.id].add(answer.answer)
                continue
            rejects.append(
                Reject(one.prompt.id, one.prompt.response_type, one.kind, one.trait, answer.answer, why)
            )
    return _collected(prompts, recipes, kept, rejects)


def telling(told: Told, rules: RuleSet) -> Request:
    """The request that tells a chat model what to write: the wish as a system turn before the conversation."""
    question = {one.name: one.question for one in rules.propositions}
    lines = [f"- {question[name]} yes" for name in told.holds] + [
        f"- {question[name]} no" for name in told.lacks
    ]
    wish = (
        "You write examples of good and of bad answers; they teach a judge to tell the two apart and are "
        "shown to nobody else. Write the assistant's next turn in the conversation below, and nothing else, so "
        "that each question about your answer has the reply that stands behind it:\n" + "\n".join(lines)
    )
    systems = [m.content for m in told.prompt.messages if m.role is Role.system]
    turns = tuple(m for m in told.prompt.messages if m.role is not Role.system)
    return Request("", (Message(Role.system, "\n\n".join([*systems, wish])), *turns))


def _slots(recipe: Recipe) -> Iterator[tuple[Kind, int]]:
    return ((kind, slot) for kind in recipe.kinds for slot in range(kind.number))


def _told(prompt: SafetyPrompt, kind: Kind, slot: int, rules: RuleSet, key: int, attempt: int) -> Told:
    trait = Trait("")
    if kind.traits:
        rng = generator(key, "trait", prompt.id, kind.name, str(slot), str(attempt))
        trait = kind.traits[int(rng.integers(len(kind.traits)))]
    needed = rules.needed(prompt.response_type)
    truths = trait.put_on({name: name in kind.holds for name in needed})
    holds = tuple(name for name, true in truths.items() if true)
    return Told(
        prompt, kind.name, slot, trait.name, holds, tuple(name for name in truths if name not in holds)
    )


def _named(request: Request, told: Told, attempt: int) -> Request:
    return Request(
        f"{told.prompt.id}/{told.kind}/{told.slot}/{attempt}",
        request.messages,
        request.tools,
        request.prefill,
    )


def _checked(
    told: Sequence[Told],
    kinds: Sequence[Kind],
    answers: Sequence[Completion],
    features: RuleFeatures,
    thresholds: Mapping[str, float],
) -> list[str]:
    """Why each answer is not what it was told to be; empty where it is."""
    shown = [
        Shown.of(Request(one.prompt.id, one.prompt.messages), a) for one, a in zip(told, answers, strict=True)
    ]
    whole = [i for i, one in enumerate(shown) if one.answer.strip() and one.stop in (Stop.eos, Stop.stop)]
    verdicts = dict(
        zip(whole, features.grader.grade([shown[i] for i in whole]) if whole else (), strict=True)
    )
    return [
        _why(one, kind, verdicts[i], features.rules, thresholds) if i in verdicts else _unfinished(answers[i])
        for i, (one, kind) in enumerate(zip(told, kinds, strict=True))
    ]


def _unfinished(answer: Completion) -> str:
    if answer.stop is Stop.error:
        return "the writer failed"
    return "cut off" if answer.answer.strip() else "empty"


def _why(
    told: Told, kind: Kind, verdicts: Mapping[str, Verdict], rules: RuleSet, thresholds: Mapping[str, float]
) -> str:
    trait = next((one for one in kind.traits if one.name == told.trait), Trait(""))
    truths: dict[str, bool] = {}
    for name in dict.fromkeys((*rules.needed(told.prompt.response_type), *trait.holds, *trait.lacks)):
        p = verdicts[name].p
        if p is None:
            outcome = verdicts[name].outcome
            return f"no verdict: {outcome if outcome is not Outcome.decided else 'no probability'}"
        truths[name] = p >= thresholds.get(name, USUAL)
    found = rules.classify(truths, told.prompt.response_type)
    if found not in kind.classes:
        return f"{found or 'of no class'}, not {' or '.join(kind.classes)}"
    return (
        ""
        if trait.put_on(truths) == truths
        else f"not {told.trait}"
        if trait.holds
        else f"still {trait.lacks[0]}"
    )


def _collected(
    prompts: Sequence[SafetyPrompt],
    recipes: Mapping[str, Recipe],
    kept: Mapping[tuple[str, str, int], str],
    rejects: Sequence[Reject],
) -> Written:
    rows = []
    short: Counter[str] = Counter()
    for prompt in prompts:
        slots = list(_slots(recipes[prompt.response_type]))
        have = [
            (kind, kept[place]) for kind, slot in slots if (place := (prompt.id, kind.name, slot)) in kept
        ]
        short.update(
            f"{prompt.response_type}: {k.name}" for k, s in slots if (prompt.id, k.name, s) not in kept
        )
        if len({kind.rank for kind, _ in have}) < 2:
            short[f"{prompt.response_type}: no pair"] += 1
            continue
        rows.append(
            RankedAnswers(
                prompt.id,
                prompt.messages,
                prompt.response_type,
                answers=tuple(answer for _, answer in have),
                ranks=tuple(kind.rank for kind, _ in have),
                kinds=tuple(kind.name for kind, _ in have),
            )
        )
    return Written(tuple(rows), tuple(rejects), dict(sorted(short.items())))
