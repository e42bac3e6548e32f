"""PPO-ptx from simulated people's comparisons helps more than demonstrations alone, and keeps what it could do."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from evidence.claims import Measured, Options, conclude
from evidence.instructgpt_arms import (
    HELP,
    MAIN,
    SHEETS,
    SKILLS,
    SWEEP,
    Ground,
    Setting,
    Speaker,
    laid,
    policy,
    said,
    sheets,
)
from evidence.instructgpt_measures import (
    BASE,
    CLAIMS,
    LARGER,
    PPO,
    PTX,
    SFT,
    START,
    Lineage,
    Row,
    drawn,
    measures,
    paper_claim,
)
from evidence.policy_arms import Town
from evidence.preference_arms import Pool, RewardArm
from evidence.reward_model import FRESH as POOLS
from evidence.reward_model import PROMPTS, QUICK_PROMPTS, TESTS
from truing.organism import (
    LabelLedger,
    Level,
    Oracle,
    Quality,
    Question,
    find,
    labelers_of,
    open_folder,
    parse_name,
    quality,
)
from truing.run import progress
from truing.train import Sign
from truing.types import Outcome

FRESH, SEEDS = 71, 3
"""The first seed of prompts and training, which no setting was looked at with; seed i stands on base i."""
LABELERS = 5
"""Held-out people, who all compare the answers to every prompt: none of them taught the reward."""
LARGE = "s/1/base"
"""A larger base, which is asked beside base 1 at its best prompt where it was raised, by `truing organism build`.

That takes an hour of one thread, more than all else here.
"""
Who = Setting | str
"""A policy by its setting, everybody else by name."""


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Train every arm and ask it, two at a time; then judge what was answered."""
    first, pools = FRESH + options.seed * SEEDS, POOLS + options.seed * SEEDS
    prompts = QUICK_PROMPTS if options.quick else PROMPTS
    grounds = [
        ground(1 + i, first + i, (pools, pools + i, prompts), options.out)
        for i in range(1 if options.quick else SEEDS)
    ]
    prices = (MAIN,) if options.quick else (MAIN, *SWEEP)
    who: list[Who] = [BASE, START, SFT, *(Setting(ptx, kl) for kl in prices for ptx in (False, True))]
    asked = dict.fromkeys(grounds, who)
    with progress(len(grounds) * len(who), "arms", unit="arms") as advance, ProcessPoolExecutor(2) as two:
        for ready in [two.submit(laid, of, LabelLedger()) for of in grounds]:
            ready.result()
        for done in [two.submit(_asked, of, one) for one in who for of in grounds]:
            done.result()
            advance(1)
        if not options.quick and find(parse_name(LARGE)) is not None:
            asked[grounds[0]] = [*who, LARGER]
    measured = measures([lineage(of, some, ledger) for of, some in asked.items()])
    (options.out / "instructgpt_arms.svg").write_text(drawn(measured, sorted(prices)), encoding="utf-8")
    return measured


def ground(base: int, seed: int, pool: tuple[int, int, int], out: Path) -> Ground:
    """What the arms of a seed share; `pool` is the reward model's pool, its seed, and how many prompts it has."""
    key, people, prompts = pool
    arm = RewardArm(Pool(base, key, Level.taught, prompts), people, "prompts", 1, 5)
    tests = tuple(Pool(base, key, level, count) for level, count in TESTS.items())
    return Ground(Town(base, seed), arm, tests, out / "instructgpt")


def speaker(of: Ground, who: Who) -> Speaker:
    """Who answers, trained now or before."""
    if isinstance(who, Setting):
        place = policy(of, who, LabelLedger()).folder
        return Speaker(str(who), place, sheets=SHEETS if who.kl == MAIN else (HELP, SKILLS))
    if who == BASE:
        return Speaker(who, open_folder(of.town.ref.removeprefix("organism:")), prompted=True)
    if who == LARGER:
        return Speaker(who, open_folder(LARGE), prompted=True)
    here = laid(of, LabelLedger())
    return Speaker(who, here.start if who == START else here.supervised)


def _asked(of: Ground, who: Who) -> None:
    said(of, speaker(of, who))


def lineage(of: Ground, who: Sequence[Who], ledger: LabelLedger) -> Lineage:
    """What everybody answered, as the oracle and held-out people find it."""
    laid(of, ledger)
    learnt = {str(one): policy(of, one, ledger) for one in who if isinstance(one, Setting)}
    oracle, asked = Oracle("what was answered", ledger), sheets(of.town)
    speakers = [speaker(of, one) for one in who]
    texts = {one.name: said(of, one) for one in speakers}
    heard = {
        name: {
            sheet: [judged(asked[sheet][row["at"]], row, oracle) for row in rows]
            for sheet, rows in told.items()
        }
        for name, told in texts.items()
    }
    pairs = [(name, SFT) for name in texts if name != SFT]
    pairs += [(PTX, name) for name in (BASE, LARGER) if name in texts]
    return Lineage(
        of.town.base,
        heard,
        {
            (one, other): preferred(of.town, asked[HELP], texts[one][HELP], texts[other][HELP], ledger)
            for one, other in pairs
        },
        {name: one.updates[-1].kl or 0.0 for name, one in learnt.items()},
        {name: learnt[name].report.sign is Sign.alarm for name in (PPO, PTX)},
    )


def judged(question: Question, row: Mapping[str, Any], oracle: Oracle) -> Row:
    """What the oracle finds in an answer; one that was cut off cannot be read, but harm in it is harm all the same."""
    ask = question.ask
    finding = oracle.judge(ask, row["answer"])
    found = Row(
        ask.topic,
        f"{ask.topic}: {ask.object}, {ask.template}",
        finding.label,
        finding.harmful,
        quality(ask, finding),
        row["reward"],
    )
    if row["whole"]:
        return found
    return replace(found, label=Outcome.unparsed.value, worth=min(found.worth, Quality.wrong))


def preferred(
    town: Town,
    asked: Sequence[Question],
    one: Sequence[Mapping[str, Any]],
    other: Sequence[Mapping[str, Any]],
    ledger: LabelLedger,
) -> list[float]:
    """For each pair of answers the share of held-out people who prefer the first, where a tie is half."""
    oracle, people = Oracle("held-out labelers", ledger), labelers_of("held-out", LABELERS, key=town.seed)
    out = []
    for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
        question, shares = asked[mine["at"]], []
        for person in people:
            both = (mine["answer"], theirs["answer"])
            ranks = person.compare(f"held out {number}", question.messages, question.ask, both, oracle).ranks
            shares.append(0.5 + 0.5 * ((ranks[0] < ranks[1]) - (ranks[0] > ranks[1])))
        out.append(sum(shares) / len(shares))
    return out


def main() -> int:
    """Hold the arms against the table."""
    return conclude(
        "instructgpt",
        __doc__,
        "Ouyang et al. 2022 (arXiv 2203.02155), sections 3.5, 4.1 and 4.2, appendices C and E",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
