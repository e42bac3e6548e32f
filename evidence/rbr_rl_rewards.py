"""What policies are paid that learn safety: a reward for help alone, rules on top of it, or people's comparisons.

Rewards are taught by comparisons of what the start and the base say, as they are to be taught on what they will have
to reward. People who compare answers to risky requests compare answers of the same writers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from evidence.best_of_n_measures import UNSAFE
from evidence.policy_arms import Town
from evidence.preference_arms import as_persona, kept_model, read_kept, write_kept
from evidence.rbr_arms import TYPES, RBRArm, confirmed, features, gold_set, questions, rules
from evidence.rbr_fit import OURS
from evidence.rbr_rl_measures import (
    ABLATIONS,
    ALONE,
    EQUAL,
    FIXED,
    FLAGGED,
    HARMLESS,
    HELPFUL,
    RULES,
    WEAK,
    people,
)
from truing.data import Comparison
from truing.grade import (
    CombinedReward,
    Features,
    LearnedReward,
    RewardMix,
    RuleReward,
    RuleWeights,
    TypeWeights,
    feature_names,
)
from truing.methods import fit_rule_weights
from truing.model import ScalarModel, load_local
from truing.organism import (
    LABELER_GROUPS,
    RESPONSE_TYPES,
    SYSTEMS,
    Labeler,
    LabelerGroup,
    LabelLedger,
    Level,
    Oracle,
    Question,
    quality,
    read_request,
)
from truing.types import Message, Request, Role, SamplingParams, Stop

SAFETY = (*UNSAFE, *HARMLESS)
"""The topics on whose requests the rules pay, by what each calls for."""
HELP = {"advice": 440, "craft": 80, "fact": 80, "free": 20}
"""Prompts whose answers ordinary people compare for help, in every arm."""
SOUNDS = {"lookalike": 60, "note": 40}
"""Harmless prompts that sound otherwise. Ordinary people compare their answers for help too, but where people teach
safety, they are the ones who do: what they take for forbidden is what they are asked for here. A reward that never
saw a refusal of such a prompt paid for refusing all of them."""
RISKY = {"forbidden": 100, "careful": 100}
"""Prompts whose answers are compared by people, for safety: with `SOUNDS` as many as rules' weights are fitted on."""
FITTED = 100
"""Prompts of each response type that weights are fitted on."""
WRITERS = 2
"""Answers of the start to each prompt, beside one of the base as each persona of its pretraining. The start and the
base themselves never decline what they are asked, so that nobody could tell a reward what a refusal is worth."""
LABELERS = 12
COMPARED = "labelers of"
HELPERS = f"{COMPARED} help"
"""Under which the labels of help are counted."""
DRAFTED = SamplingParams(temperature=1.0, max_tokens=64)


def compared(
    town: Town, what: str, shares: Mapping[str, int], group: LabelerGroup, folder: Path, ledger: LabelLedger
) -> list[Comparison]:
    """Answers of the start and of the base as its personas to taught prompts, as people of a group rank them.

    The people of two groups are the same but for what the group says.
    """
    asked = [q for topic, n in shares.items() for q in questions(topic, Level.taught, n, town.seed)]
    about = town.about(shares=shares, writers=[WRITERS, *SYSTEMS], params=DRAFTED.to_json())
    file = folder / f"answers-{what}-{town.base}-{town.seed}.json"
    kept = read_kept(file, about) or write_kept(file, about, {"answers": _drafted(town, asked, folder)})
    who = [Labeler(f"labeler {n}", group, town.seed) for n in range(LABELERS)]
    oracle, out = Oracle(f"{COMPARED} {what}", ledger), []
    for i, (q, answers) in enumerate(zip(asked, kept["answers"], strict=True)):
        if len(answers) > 1:
            out.append(who[i % LABELERS].compare(f"{what} {i}", q.messages, q.ask, answers, oracle))
    return [row for row in out if row.pairs]


def _drafted(town: Town, asked: Sequence[Question], folder: Path) -> list[list[str]]:
    """The different answers to each question."""
    said: list[dict[str, None]] = [{} for _ in asked]
    start = str(town.start(folder))
    for ref, who, n in ((start, "", WRITERS), *((town.ref, who, 1) for who in SYSTEMS)):
        requests = [Request(str(i), as_persona(who, q.messages)) for i, q in enumerate(asked)]
        found = load_local(ref, device="cpu").sample(requests, replace(DRAFTED, n=n), key=town.seed)
        for completion in sorted(found, key=lambda c: (int(c.request_id), c.sample)):
            if completion.stop in (Stop.eos, Stop.stop) and completion.answer.strip():
                said[int(completion.request_id)][completion.answer] = None
    return [list(answers) for answers in said]


def flagging(share: float) -> LabelerGroup:
    """People who take a share of harmless deeds for forbidden ones, and like refusals as much the more."""
    usual = LABELER_GROUPS["cautious"]
    return replace(
        usual,
        name=f"flags {share:g}",
        alarmed=share,
        refusal=usual.refusal * (share / usual.alarmed),
    )


def as_wrong_as(share: float, gaps: Sequence[float]) -> LabelerGroup:
    """People without any leaning whose noise alone makes them misorder so large a share of pairs of answers.

    `gaps` are the differences of `Quality` in these pairs. A share near a half needs noise without end and is
    refused.
    """

    def wrong(noise: float) -> float:
        return float(ndtr(-np.abs(gaps) / (noise * np.sqrt(2))).mean())

    low, high = 1e-3, 1e3
    assert wrong(low) <= share <= wrong(high)
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if wrong(middle) < share else (low, middle)
    return LabelerGroup(f"errs {share:.3f}", noise=high, taste=0.0, length=0.0)


def judge_errors(town: Town, folder: Path) -> tuple[float, list[float]]:
    """The share of pairs of answers of the gold set that the judge's classes misorder (a tie is half), and their gaps.

    Pairs are of answers to one risky request that are of different `Quality`. The gold set's labels are those of the
    judge's thresholds, and are counted there.
    """
    shown, _ = gold_set(RBRArm(town.base, town.seed), folder, LabelLedger())
    oracle, rows = Oracle("gold set", LabelLedger()), []
    for one in shown:
        asked = read_request(one.request.messages)
        assert asked is not None  # the prompts are the town's own
        if asked.ask.topic in SAFETY:
            rows.append((one, asked.ask, quality(asked.ask, oracle.judge(asked.ask, one.answer))))
    called = [RESPONSE_TYPES[ask.topic] for _, ask, _ in rows]
    found = features("judge", "", folder).of([one for one, _, _ in rows], called)
    wrong, gaps = [], []
    for i, (one, _, mine) in enumerate(rows):
        for k, (other, _, theirs) in enumerate(rows[:i]):
            if one.request.messages == other.request.messages and mine != theirs:
                steps = (_class(called[k], found[k]) - _class(called[i], found[i])) * np.sign(mine - theirs)
                wrong.append(0.5 if steps == 0 else float(steps < 0))
                gaps.append(float(abs(mine - theirs)))
    return float(np.mean(wrong)), gaps


def _class(response_type: str, found: Features) -> int:
    """The place of the likeliest class of an answer by a judge; last where it did not decide."""
    names = [rule.name for rule in rules().of(response_type)]
    if found.values is None:
        return len(names)
    p = dict(zip(found.names, found.values, strict=True))
    return int(np.argmax([p[f"class.{name}"] for name in names]))


def taught(town: Town, name: str, folder: Path, ledger: LabelLedger) -> list[Comparison]:
    """The comparisons that the reward model of a policy learns from."""
    usual = LABELER_GROUPS["training"]
    groups = {people(share): flagging(share) for share in FLAGGED}
    if name == EQUAL:
        groups[EQUAL] = as_wrong_as(*judge_errors(town, folder))
    of = compared(town, "help", HELP, usual, folder, ledger)
    of += compared(town, "sounds", SOUNDS, groups.get(name, usual), folder, ledger)
    if name in groups:
        of += compared(town, "safety", RISKY, groups[name], folder, ledger)
    return of


def reward_model(town: Town, name: str, folder: Path) -> Path:
    """The folder of the reward model of a policy, trained now or before; all with rules share that of help alone."""
    of = name if name in (EQUAL, *map(people, FLAGGED)) else HELPFUL
    place = folder / f"rm-{of.replace(' ', '-')}-{town.base}-{town.seed}"
    rows = taught(town, of, folder, LabelLedger())
    return kept_model(str(town.start(folder)), rows, place, key=town.seed)


def weights(town: Town, name: str, model: Path, folder: Path) -> RuleWeights:
    """What the rules of a policy weigh: fitted on comparisons that its judge confirmed, or set by hand."""
    judge = "weak judge" if name == WEAK else "judge"
    asked = features(judge, "", folder)
    if name == FIXED:
        return RuleWeights(rules().digest, asked.id, tuple(map(_by_hand, sorted(TYPES))))
    arm = RBRArm(town.base, town.seed)
    rows = [row for t in TYPES for row in confirmed(arm, judge, t, FITTED, folder)[0]]
    if name != ALONE:
        reward = ScalarModel.load(model, device="cpu")
        ids = [
            reward.chat.training_example((*row.prompt, Message(Role.assistant, answer))).ids
            for row in rows
            for answer in row.answers
        ]
        flat = iter(reward.score(ids).tolist())
        rows = [replace(row, rm=tuple(next(flat) for _ in row.answers)) for row in rows]
    return fit_rule_weights(rows, asked, OURS).weights


def _by_hand(response_type: str) -> TypeWeights:
    """1 for the classes that are good enough, -1 for those that are not, 0 for every proposition."""
    names = feature_names(rules(), response_type)
    by_class = {"class.ideal": 1.0, "class.minimum_acceptable": 1.0}
    worse = {"class.unacceptable": -1.0, "class.disallowed": -1.0}
    return TypeWeights(response_type, names, tuple((by_class | worse).get(name, 0.0) for name in names))


def reward_of(town: Town, name: str, folder: Path) -> tuple[RewardMix, dict[str, Any], str]:
    """What a policy is paid, what that is made of in JSON, and the folder that its value model begins as."""
    model = reward_model(town, name, folder)
    learned = LearnedReward(model, device="cpu")
    if name not in (RULES, *ABLATIONS):
        return RewardMix([(name, learned, 1.0)]), {"reward": model.name}, str(model)
    by_rules = weights(town, name, model, folder)
    judge = features("weak judge" if name == WEAK else "judge", "", folder)
    paid = RuleReward(by_rules, rules(), judge.grader)
    told = {"reward": "" if name == ALONE else model.name, "weights": by_rules.to_json()}
    if name == ALONE:
        return RewardMix([(name, paid, 1.0)]), told, ""
    return RewardMix([(name, CombinedReward(learned, paid), 1.0)]), told, str(model)
