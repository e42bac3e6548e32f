"""A reward from 300 comparisons by people who like long answers is overdone, and the page says so."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from evidence.claims import Measured, Options, conclude
from evidence.overoptimisation_measures import CLAIMS, Curve, drawn, measures, paper_claim
from evidence.policy_arms import GOLD, Learnt, Town, Worth, learnt, reward_scale
from evidence.preference_arms import Pool, answered, compared, kept_model, read_kept, write_kept
from truing.grade import LearnedReward, RewardMix
from truing.methods import PPOTuningConfig
from truing.model import ScalarModel, load_local
from truing.organism import LabelLedger, Level, Oracle, labelers_of
from truing.run import progress
from truing.types import Message, Request, Role, SamplingParams

FRESH, SEEDS = 51, 3
"""The first seed, which no setting was looked at with; seed i stands on base i."""
LABELERS = 12


@dataclass(frozen=True)
class Setting:
    """Who compared how many prompts' answers, and what a nat of divergence costs, in the reward's deviations."""

    labelers: str
    comparisons: int
    beta: float

    def __str__(self) -> str:
        """What it is called."""
        return f"{self.labelers} labelers, {self.comparisons} comparisons, beta {self.beta:g}"


FIXED = Setting("wordy", 300, 0.0)
"""Fixed before any was tried: few comparisons, by people to whom ten more words are worth as much as help."""
OTHERS = (Setting("training", 300, 0.0), Setting("wordy", 1200, 0.0), Setting("wordy", 300, 0.1))
"""What is only reported: ordinary people, more comparisons, and a price on divergence."""
PPO = PPOTuningConfig(
    updates=60,
    learning_rate=2e-4,
    value_learning_rate=4e-4,
    prompts_per_update=64,
    minibatches=2,
    max_new_tokens=96,
    kl_coef=0.0,
    ptx_coef=0.0,
    ema=0.0,
    warmup=0,
    measure_every=5,
)
BEST_OF, ASKED = 64, 100
"""Answers of the start to each of so many held-out prompts, of which best-of-n takes one."""


def measure(options: Options, ledger: LabelLedger) -> Measured:
    """Train every arm, two at a time, and read how gold and reward went."""
    first = FRESH + options.seed * SEEDS
    towns = [Town(1 + i, first + i) for i in range(1 if options.quick else SEEDS)]
    settings = (FIXED,) if options.quick else (FIXED, *OTHERS)
    folder = options.out / "overoptimisation"
    jobs = [(town, setting) for setting in settings for town in towns]
    with progress(len(jobs), "arms", unit="arms") as advance, ProcessPoolExecutor(2) as two:
        # The starts first: all settings of a seed share its start.
        for start in [two.submit(town.start, folder) for town in towns]:
            start.result()
        for done in [two.submit(arm, *job, folder, LabelLedger()) for job in jobs]:
            done.result()
            advance(1)
    found = {str(of): [arm(town, of, folder, ledger) for town in towns] for of in settings}
    best = [best_of(town, folder, ledger) for town in towns]
    (options.out / "overoptimisation_curves.svg").write_text(drawn(found, best), encoding="utf-8")
    return measures(found, best, fixed=str(FIXED))


def arm(town: Town, setting: Setting, folder: Path, ledger: LabelLedger) -> Learnt:
    """A policy that was trained on the reward of one setting."""
    model = reward_model(town, setting, folder)
    reward = RewardMix([("rm", LearnedReward(model, device="cpu"), 1.0)])
    beta = setting.beta * reward_scale(reward, town, folder) if setting.beta else 0.0
    return learnt(
        f"ppo {setting.labelers} {setting.comparisons} {setting.beta:g}",
        town,
        reward,
        replace(PPO, kl_coef=beta, seed=town.seed),
        folder,
        paid={"reward": model.name},
        ledger=ledger,
        value=str(model),
    )


def reward_model(town: Town, setting: Setting, folder: Path) -> Path:
    """The folder of a setting's reward model, trained now or before."""
    pool = Pool(town.base, town.seed, Level.taught, round(1.6 * setting.comparisons))
    rows = answered(pool, folder, LabelLedger())
    who = labelers_of(setting.labelers, LABELERS, key=town.seed)
    taught = compared(rows, who, LabelLedger(), key=town.seed)[: setting.comparisons]
    assert len(taught) == setting.comparisons
    place = folder / f"rm-{setting.labelers}-{setting.comparisons}-{town.base}-{town.seed}"
    return kept_model(town.ref, taught, place, key=town.seed)


def best_of(town: Town, folder: Path, ledger: LabelLedger) -> Curve:
    """Reward and gold of the answer of the start that the fixed setting's reward likes best, of n = 1, 2, 4, ..."""
    file = folder / f"best-of-n-{town.base}-{town.seed}.json"
    about = town.about(setting=asdict(FIXED), n=BEST_OF, asked=ASKED)
    kept = read_kept(file, about) or write_kept(file, about, _sampled(town, folder))
    rewards, gold = np.array(kept["rewards"]), np.array(kept["gold"])
    ledger.add(GOLD, gold.size)
    sizes = [2**k for k in range(int(np.log2(BEST_OF)) + 1)]
    nats = [float(np.log(n) - (n - 1) / n) for n in sizes]
    return Curve(nats, *([expected_best(rewards, of, n) for n in sizes] for of in (rewards, gold)))


def expected_best(rewards: NDArray[Any], values: NDArray[Any], n: int) -> float:
    """The mean over prompts of the value of the best by reward of n answers, over all n of the N sampled [P, N].

    Without bias, for n up to N (Nakano et al. 2021, arXiv 2112.09332, appendix I).
    """
    order = np.argsort(rewards, axis=1, kind="stable")
    rank = np.arange(1, rewards.shape[1] + 1)

    def log_choose(of: NDArray[Any] | int, k: int) -> NDArray[Any]:
        out = gammaln(np.add(of, 1)) - gammaln(k + 1) - gammaln(np.maximum(np.subtract(of, k) + 1, 1))
        return np.where(np.asarray(of) >= k, out, -np.inf)

    weights = np.exp(log_choose(rank - 1, n - 1) - log_choose(rewards.shape[1], n))
    return float((np.take_along_axis(values, order, axis=1) @ weights).mean())


def _sampled(town: Town, folder: Path) -> Mapping[str, Any]:
    """What the start answers, what the reward gives and what it is worth [prompts, answers]."""
    rows = town.prompts().held_out[:ASKED]
    model = load_local(str(town.start(folder)), device="cpu")
    params = SamplingParams(max_tokens=PPO.max_new_tokens, n=BEST_OF)
    requests = [Request(str(i), row.messages) for i, row in enumerate(rows)]
    said = sorted(model.sample(requests, params, key=town.seed), key=lambda c: (int(c.request_id), c.sample))
    reward = ScalarModel.load(reward_model(town, FIXED, folder), device="cpu")
    asked = [rows[int(c.request_id)].messages for c in said]
    ids = [
        reward.chat.training_example((*turns, Message(Role.assistant, c.answer))).ids
        for turns, c in zip(asked, said, strict=True)
    ]
    worth = Worth(Oracle(GOLD, LabelLedger())).of(asked, [c.answer for c in said])
    shape = len(rows), BEST_OF
    return {
        "rewards": reward.score(ids).reshape(shape).tolist(),
        "gold": np.array(worth).reshape(shape).tolist(),
    }


def main() -> int:
    """Hold what happened to gold against the table."""
    return conclude(
        "overoptimisation",
        __doc__,
        "Gao et al., Scaling Laws for Reward Model Overoptimization, 2023 (arXiv 2210.10760)",
        CLAIMS,
        measure,
        paper_claim=paper_claim,
    )


if __name__ == "__main__":
    raise SystemExit(main())
