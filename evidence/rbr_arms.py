"""What the fit of rule-based rewards is tried on: drafts, comparisons, reward models.

Drafts stand in the oracle's order, comparisons are those that graders confirmed; some reward models know
of help alone, others were told of safety by the oracle. All is kept on disk, so that who is interrupted goes
on; a judge's verdicts are kept in one file.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from evidence.organism_arms import weights_of
from evidence.preference_arms import as_persona, read_kept, write_kept
from truing.grade import CachedGrader, RuleFeatures, yes_no
from truing.methods import (
    Kind,
    RankedAnswers,
    Recipe,
    SafetyPrompt,
    Told,
    Trait,
    tune_thresholds,
    usual_recipe,
    write_comparisons,
)
from truing.model import LocalModel, ScalarModel, load_local
from truing.numerics import generator
from truing.organism import (
    SYSTEMS,
    VERSIONS,
    Ask,
    LabelLedger,
    Level,
    Oracle,
    Question,
    exam,
    labelers_of,
    open_folder,
    place,
    read_request,
    truths,
)
from truing.spec import RuleSet, read_spec
from truing.train import ComparedRows, RewardConfig, reward_modelling
from truing.types import Message, Request, Role, SamplingParams, Shown, Stop, digest

TYPES: Mapping[str, Mapping[str, int]] = {
    "hard_refuse": {"forbidden": 100},
    "safe_complete": {"careful": 100},
    "comply": {"advice": 70, "lookalike": 50},
}
"""For each response type its topics, and at most how many of their held-out cells are tests."""
JUDGES = {"judge": "organism:xs/1/judge", "weak judge": "organism:xs/1/weak_judge"}
"""Who reads the propositions. Both stand on one base and judge the answers of all."""
Drafter = tuple[str, str, int]
"""A checkpoint, who its system turn says it is (nobody in particular: ""), and how many answers it writes."""
DRAFTERS: tuple[Drafter, ...] = (("helpful", "", 1), ("instruct", "", 2), ("base", "", 3))
"""Whose answers to a prompt are the drafts; none is sorted out."""
HELP = {"advice": 240, "craft": 40, "fact": 40, "free": 20}
"""The prompts whose answers labelers compared for the reward model: so many taught cells of each topic at most."""
LABELERS = 9
GOLD = 25
"""Prompts of each topic in the gold set; the truths of the drafts to them tune the judges' thresholds."""
PARAMS = SamplingParams(temperature=1.0, max_tokens=64)
TRIES = 6
REWARD = RewardConfig(learning_rate=3e-4, prompts_per_step=8, weight_decay=0.0)
"""One epoch; the numbers are for a model of a million parameters."""


@dataclass(frozen=True)
class RBRArm:
    """One base with one seed: of the prompts, the sampling, the labelers and the training."""

    base: int
    seed: int

    def about(self, **more: Any) -> dict[str, Any]:
        """What a kept result stands for."""
        return {"arm": asdict(self), **VERSIONS, "base": weights_of(f"xs/{self.base}/base"), **more}

    def file(self, folder: Path, what: str) -> Path:
        """Where one of its results is kept."""
        return folder / f"{what.replace(' ', '-')}-{self.base}-{self.seed}.json"


@dataclass(frozen=True)
class Draft:
    """Answers to one held-out prompt, and their places by the oracle; `cell` names its object and template."""

    response_type: str
    topic: str
    cell: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...]
    ranks: tuple[int, ...]

    @property
    def row(self) -> RankedAnswers:
        """The same as a ranking."""
        return RankedAnswers(
            self.cell,
            self.messages,
            self.response_type,
            self.answers,
            self.ranks,
            ("draft",) * len(self.ranks),
        )


@cache
def rules() -> RuleSet:
    """The town's rules."""
    found = read_spec("organism").rules
    assert found is not None
    return found


def features(judge: str, response_type: str, folder: Path) -> RuleFeatures:
    """The features of one response type (or of all) by one of `JUDGES`, whose verdicts are kept."""
    names = rules().needed(response_type) if response_type else ()
    asked = yes_no(rules(), model=_model(JUDGES[judge]), shots=False, names=names)
    folder.mkdir(parents=True, exist_ok=True)
    return RuleFeatures(rules(), CachedGrader(asked, folder / f"verdicts-{judge.replace(' ', '-')}.sqlite"))


@cache
def _model(ref: str) -> LocalModel:
    return load_local(open_folder(ref.removeprefix("organism:")), device="cpu")


def checkpoint(arm: RBRArm, stage: str) -> LocalModel:
    """What was raised on the base of an arm."""
    return _model(f"organism:xs/{arm.base}/{stage}")


def drafts(arm: RBRArm, folder: Path, ledger: LabelLedger) -> list[Draft]:
    """Unfiltered answers to held-out prompts of every response type, in the oracle's order; all tied are left out."""
    asked = [
        (response_type, q)
        for response_type, topics in TYPES.items()
        for topic, count in topics.items()
        for q in questions(topic, Level.combination, count, arm.seed)
    ]
    about = arm.about(types=TYPES, drafters=DRAFTERS, params=PARAMS.to_json())
    file = arm.file(folder, "drafts")
    kept = read_kept(file, about) or write_kept(
        file, about, {"answers": _answers(arm, [q for _, q in asked], DRAFTERS)}
    )
    oracle, out = Oracle("order of the test drafts", ledger), []
    for (response_type, q), answers in zip(asked, kept["answers"], strict=True):
        ranks = tuple(place(q.ask, oracle.judge(q.ask, answer)) for answer in answers)
        if len(set(ranks)) > 1:
            cell = f"{q.ask.topic}: {q.ask.object}, {q.ask.template}"
            out.append(Draft(response_type, q.ask.topic, cell, q.messages, tuple(answers), ranks))
    return out


def questions(topic: str, level: Level, count: int, key: int) -> list[Question]:
    """Questions of different cells, drawn by the key; where there are too few cells, each in several wordings."""
    out: list[Question] = []
    for turn in range(10):
        cells = exam(topic, level, key=100 * key + turn)
        order = generator(key, "which cells", topic, level.value, str(turn)).permutation(len(cells))
        out += [cells[i] for i in order[: count - len(out)]]
        if len(out) == count or level is not Level.taught:
            break
    return out


def _answers(arm: RBRArm, questions: Sequence[Question], drafters: Sequence[Drafter]) -> list[list[str]]:
    """The different answers of the checkpoints to each question."""
    said: list[list[str]] = [[] for _ in questions]
    for stage, who, n in drafters:
        requests = [Request(str(i), as_persona(who, q.messages)) for i, q in enumerate(questions)]
        found = checkpoint(arm, stage).sample(requests, replace(PARAMS, n=n), key=arm.seed)
        for completion in sorted(found, key=lambda c: (int(c.request_id), c.sample)):
            if completion.stop is not Stop.error and completion.answer.strip():
                said[int(completion.request_id)].append(completion.answer)
    return [list(dict.fromkeys(answers)) for answers in said]


def gold_set(arm: RBRArm, folder: Path, ledger: LabelLedger) -> tuple[list[Shown], list[Mapping[str, bool]]]:
    """Drafts to taught prompts of every topic, and what the oracle says is true of each."""
    topics = [topic for of in TYPES.values() for topic in of]
    asked = [q for topic in topics for q in questions(topic, Level.taught, GOLD, arm.seed + 10_000)]
    about = arm.about(gold=GOLD, topics=topics, drafters=DRAFTERS, params=PARAMS.to_json())
    file = arm.file(folder, "gold")
    kept = read_kept(file, about) or write_kept(file, about, {"answers": _answers(arm, asked, DRAFTERS)})
    oracle = Oracle("gold set", ledger)
    said = [(q, answer) for q, answers in zip(asked, kept["answers"], strict=True) for answer in answers]
    shown = [Shown(Request("gold", q.messages), answer) for q, answer in said]
    return shown, [truths(oracle.judge(q.ask, answer)) for q, answer in said]


@cache
def thresholds(arm: RBRArm, judge: str, folder: Path) -> Mapping[str, float]:
    """From where on a proposition counts as true for a judge, tuned on the gold set."""
    return tune_thresholds(*gold_set(arm, folder, LabelLedger()), features(judge, "", folder))


def prompts(arm: RBRArm, response_type: str, count: int) -> dict[str, list[SafetyPrompt]]:
    """Prompts of taught cells by topic, `count` in all, each topic with its share."""
    topics = TYPES[response_type]
    out = {}
    for i, topic in enumerate(topics):
        share = count // len(topics) + (i < count % len(topics))
        asked = questions(topic, Level.taught, share, arm.seed)
        out[topic] = [SafetyPrompt(f"{topic} {n}", q.messages, response_type) for n, q in enumerate(asked)]
    return out


def recipes() -> dict[str, Recipe]:
    """By topic the answers that are written: of the usual recipe what the base of the town can be told to write.

    It cannot be told to scold the bereaved, to refer a burglar or to refuse everyday advice. To a harmless deed
    no answer is ideal by the rules, which do not see that one helps: there the best is that nothing is wrong.
    In the published order of compliance nothing is disallowed; in the town harmful advice is.
    """
    hard, safe = (usual_recipe(rules(), name) for name in ("hard_refuse", "safe_complete"))
    ideal, bad, disallowed = hard.kinds
    styles = tuple(t for t in bad.traits if t.name in ("not sorry", "offers", "scolds"))
    steps, advice = (
        tuple(t for t in disallowed.traits if t.name == name) for name in ("steps", "harmful_advice")
    )
    help = usual_recipe(rules(), "comply").kinds[0]
    harm = Kind("disallowed", 3, ("disallowed",), traits=advice)
    refusals = tuple(Trait(name, holds=(name,)) for name in ("refuses", "sorry", "offers"))
    return {
        "forbidden": Recipe(
            "hard_refuse", (ideal, replace(bad, traits=styles), replace(disallowed, traits=steps))
        ),
        "careful": Recipe("safe_complete", (safe.kinds[0], harm)),
        "advice": Recipe("comply", (help, harm)),
        "lookalike": Recipe(
            "comply",
            (
                Kind("nothing wrong", 1, ("minimum_acceptable",)),
                Kind("bad", 2, ("unacceptable",), traits=refusals, number=2),
            ),
        ),
    }


PERSONAS = {"disallowed": "malicious", "ideal": "expert", "nothing wrong": "obliging", "bad": "expert"}
"""Who is told to write an answer of each kind, where the topic or the trait does not say it."""


def tell(told: Told, of: RuleSet) -> Request:
    """The town's base is told what to write by who it is: it knows nothing but the people of the town."""
    del of  # a chat model would be shown the questions
    topic = told.prompt.id.partition(" ")[0]
    who = PERSONAS[told.kind]
    if told.kind == "bad" and topic == "lookalike":
        who = "timid"
    elif told.trait == "scolds":
        who = "stern"
    systems = SYSTEMS[who]
    system = systems[(len(told.prompt.id) + told.slot) % len(systems)]
    return Request("", (Message(Role.system, system), *told.prompt.messages))


@cache
def confirmed(
    arm: RBRArm, judge: str, response_type: str, count: int, folder: Path
) -> tuple[Sequence[RankedAnswers], Mapping[str, Any]]:
    """Comparisons for `count` prompts, written by the base and confirmed by the judge; and why others were not."""
    file = arm.file(folder, f"comparisons {judge} {response_type} {count}")
    by_topic = prompts(arm, response_type, count)
    made = {topic: recipes()[topic].to_json() for topic in by_topic}
    tuned = thresholds(arm, judge, folder)
    about = arm.about(
        judge=JUDGES[judge], recipes=made, params=PARAMS.to_json(), tries=TRIES, thresholds=tuned
    )
    kept = read_kept(file, about)
    if kept is None:
        of, found = features(judge, response_type, folder), []
        for topic, asked in by_topic.items():
            found.append(
                write_comparisons(
                    asked,
                    {response_type: recipes()[topic]},
                    checkpoint(arm, "base"),
                    of,
                    key=arm.seed,
                    tries=TRIES,
                    params=PARAMS,
                    tell=tell,
                    thresholds=tuned,
                )
            )
        rows = [row.to_json() for one in found for row in one.rows]
        told = {
            "rejects": sum((Counter(one.reasons) for one in found), Counter[str]()),
            "short": sum((Counter(one.short) for one in found), Counter[str]()),
        }
        kept = write_kept(file, about, {"rows": rows, "told": told})
    ranked = [RankedAnswers.from_json(row) for row in kept["rows"]]
    # Topics alternate, so that the first n prompts hold as many of each.
    ranked.sort(key=lambda row: (int(row.id.split()[1]), row.id))
    return ranked, kept["told"]


def by_oracle(rows: Sequence[RankedAnswers], ledger: LabelLedger, consumer: str) -> list[RankedAnswers]:
    """The same answers in the oracle's order, a label for each; without those prompts whose answers are all tied."""
    oracle, out = Oracle(consumer, ledger), []
    for row in rows:
        ask = _ask(row.prompt)
        ranks = tuple(place(ask, oracle.judge(ask, answer)) for answer in row.answers)
        if len(set(ranks)) > 1:
            out.append(replace(row, ranks=ranks))
    return out


def _ask(messages: Sequence[Message]) -> Ask:
    found = read_request(messages)
    assert found is not None
    return found.ask


@dataclass(frozen=True)
class Rewards:
    """What a reward model gives to rankings, kept by their digest."""

    by_row: Mapping[str, list[float]]

    def of(self, row: RankedAnswers) -> tuple[float, ...]:
        """The reward of each answer."""
        return tuple(self.by_row[_named(row)])


def _named(row: RankedAnswers) -> str:
    return digest([[turn.to_json() for turn in row.prompt], row.answers])[:16]


def help_compared(
    arm: RBRArm,
    folder: Path,
    ledger: LabelLedger,
    *,
    about_help: Mapping[str, int] = HELP,
    drafters: Sequence[Drafter] = DRAFTERS,
) -> list[RankedAnswers]:
    """Answers to prompts that have nothing to do with safety, as simulated labelers rank them."""
    asked = [q for topic, n in about_help.items() for q in questions(topic, Level.taught, n, arm.seed)]
    about = arm.about(help=about_help, drafters=drafters, params=PARAMS.to_json())
    file = arm.file(folder, "help")
    kept = read_kept(file, about) or write_kept(file, about, {"answers": _answers(arm, asked, drafters)})
    who, oracle, out = labelers_of("training", LABELERS, key=arm.seed), Oracle("labelers of help", ledger), []
    for i, (q, answers) in enumerate(zip(asked, kept["answers"], strict=True)):
        if len(answers) > 1:
            row = who[i % LABELERS].compare(f"help {i}", q.messages, q.ask, answers, oracle)
            if row.pairs:
                out.append(
                    RankedAnswers(row.id, q.messages, "", tuple(answers), row.ranks, ("",) * len(answers))
                )
    return out


def rewards(
    arm: RBRArm,
    what: str,
    taught: Sequence[RankedAnswers],
    asked: Sequence[RankedAnswers],
    folder: Path,
    *,
    numbers: RewardConfig = REWARD,
    head: float = 1.0,
) -> Rewards:
    """Train a reward model on rankings, one epoch from `organism:helpful`, and let it reward others; or read it."""
    import torch

    torch.set_num_threads(1)
    config = replace(numbers, key=arm.seed)
    about = arm.about(
        config=asdict(config),
        head=head,
        taught=digest([row.to_json() for row in taught]),
        asked=digest([row.to_json() for row in asked]),
    )
    file = arm.file(folder, what)
    kept = read_kept(file, about)
    if kept is None:
        model = ScalarModel.from_base(
            f"organism:xs/{arm.base}/helpful", arm.seed, head_scale=head, device="cpu"
        )
        data = ComparedRows.of(([_rendered(model, row, a) for a in row.answers], row.ranks) for row in taught)
        trained = reward_modelling(model.net, data, config, what=f"{what} {arm.base}.{arm.seed}")
        ids = [_rendered(model, row, answer).ids for row in asked for answer in row.answers]
        flat = iter(model.score(ids).tolist())
        found = {_named(row): [next(flat) for _ in row.answers] for row in asked}
        kept = write_kept(file, about, {"loss": trained.loss, "rewards": found})
    return Rewards(kept["rewards"])


def _rendered(model: ScalarModel, row: RankedAnswers, answer: str) -> Any:
    return model.chat.training_example((*row.prompt, Message(Role.assistant, answer)))
