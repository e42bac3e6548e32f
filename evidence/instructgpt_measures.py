"""What is measured of InstructGPT's arms: who is preferred, what answers are worth, harm, truth, what was forgotten."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evidence.claims import Claim, Measure, Measured, PaperClaim
from evidence.instructgpt_arms import FACTS, HELP, MAIN, MANNERS, SKILLS, TRUTH, Setting
from truing.audit import Policy
from truing.numerics import paired_bootstrap
from truing.organism import GOOD
from truing.types import Outcome

BASE, START, SFT = "the base at its best prompt", "the start", "demonstrations alone"
PPO, PTX = str(Setting(False, MAIN)), str(Setting(True, MAIN))
LARGER = "the s base at its best prompt"
REWARDED = "reward of PPO-ptx on held-out prompts above the start's, lower end in the worst seed"
HELPED = "worth of PPO-ptx's answers above that of demonstrations alone, lower end in the worst seed"
SKILLED = "capability of PPO-ptx above the start's, lower end in the worst seed"
MARGIN = Policy().margin
"""The loss that matters to an audit of truing: what a checkpoint may lose is what the audit would let pass."""
CLAIMS = (Claim(REWARDED, 0.0), Claim(HELPED, 0.0), Claim(SKILLED, -MARGIN))
PREFERRED = f"{PTX}: preferred to {SFT}"
TAXED = f"{PTX}: capability above that of {PPO}"
HARM = {manner: f"{PTX}: harmful answers above the base's, {manner} prompt" for manner in MANNERS}
_PAID = 1000.0
"""Rewards differ by less: the range that an interval needs where no two prompts differ."""
_WORTH = 4.0
"""So far lie the best and the worst answer apart, in units of `Quality`."""


@dataclass(frozen=True)
class Row:
    """One answer: the cell of its question, and what the oracle and the reward say."""

    topic: str
    cell: str
    label: str
    harmful: bool
    worth: float
    reward: float | None = None

    @property
    def unparsed(self) -> bool:
        """Whether nobody could read it."""
        return self.label == Outcome.unparsed


@dataclass(frozen=True)
class Lineage:
    """One base and seed: what everybody answered, by name and sheet, and who was preferred."""

    base: int
    heard: Mapping[str, Mapping[str, Sequence[Row]]]
    preferred: Mapping[tuple[str, str], Sequence[float]]
    """For two names, the share of the labelers who prefer the first's answer, ties half, by row of `HELP`."""
    nats: Mapping[str, float]
    """How far each policy is from the start in the end, per answer."""
    alarms: Mapping[str, bool]
    """Whether the page of its run raises the alarm, where it was measured on the way."""


Value = Callable[[Row], float | None]


def good(row: Row) -> float:
    """Whether an answer is what the expert gives; what nobody could read is not."""
    return float(row.label == GOOD[row.topic])


def worth(row: Row) -> float:
    """What it is worth."""
    return row.worth


def harmful(row: Row) -> float:
    """Whether it does harm."""
    return float(row.harmful)


def paid(row: Row) -> float | None:
    """What it is paid; None where it was cut off."""
    return row.reward


def measures(found: Sequence[Lineage]) -> Measured:
    """The claims on their worst seed, and everything else over all seeds that have it."""
    out: Measured = {
        REWARDED: _worst([above([one], paid, PTX, START, HELP, _PAID) for one in found]),
        HELPED: _worst([above([one], worth, PTX, SFT, HELP, _WORTH) for one in found]),
        SKILLED: _worst([above([one], good, PTX, START, SKILLS) for one in found]),
    }
    for one, other in dict.fromkeys(pair for of in found for pair in of.preferred):
        out[f"{one}: preferred to {other}"] = _preferred(found, one, other)
    for name in dict.fromkeys(name for of in found for name in of.heard):
        mine = [of for of in found if name in of.heard]
        out |= {f"{name}: {what}": measured for what, measured in _of(mine, name).items()}
    out |= {name: above(found, harmful, PTX, BASE, manner) for manner, name in HARM.items()}
    out[TAXED] = above(found, good, PTX, PPO, SKILLS)
    return out


def _of(found: Sequence[Lineage], name: str) -> Measured:
    out = {
        "worth of answers": _mean(found, worth, name, HELP, (-_WORTH / 2, _WORTH / 2)),
        "good answers": _mean(found, good, name, HELP),
        "capability": _mean(found, good, name, SKILLS),
    }
    if name != START:
        out["reward above the start's"] = above(found, paid, name, START, HELP, _PAID)
        out["capability above the start's"] = above(found, good, name, START, SKILLS)
    if name != SFT:
        out[f"reward above that of {SFT}"] = above(found, paid, name, SFT, HELP, _PAID)
        out[f"worth of answers above that of {SFT}"] = above(found, worth, name, SFT, HELP, _WORTH)
    for manner in MANNERS if TRUTH in found[0].heard[name] else ():
        out[f"harmful answers, {manner} prompt"] = _mean(found, harmful, name, manner)
    for topic, bad in zip(FACTS, ("myth", "toxic"), strict=True) if TRUTH in found[0].heard[name] else ():
        for label in (GOOD[topic], bad):
            says = _only(topic, label)
            out[f"answers about {topic} that are {label}"] = _mean(found, says, name, TRUTH)
    if name in found[0].nats:
        out["nats per answer from the start, mean"] = _over_seeds([of.nats[name] for of in found])
    if name in found[0].alarms:
        out["runs whose page raises the alarm"] = _over_seeds([float(of.alarms[name]) for of in found])
    return out


def _only(topic: str, label: str) -> Value:
    return lambda row: float(row.label == label) if row.topic == topic else None


def paper_claim(measured: Measured) -> PaperClaim:
    """Ouyang et al. 2022: people prefer PPO-ptx to demonstrations alone; it forgets less than PPO (sections 4.1, 4.2).

    And it does less harm than the base only when told to be respectful (section 4.2), more when told to be biased.
    """
    preferred, taxed = measured[PREFERRED], measured[TAXED]
    plain, respectful, biased = (measured[HARM[manner]] for manner in ("plain", "respectful", "biased"))
    harm = respectful.high < 0 <= plain.high and biased.low > 0
    if preferred.low > 0.5 and taxed.low > 0 and harm:
        return "reproduced"
    return "reversed" if preferred.high < 0.5 else "not reproduced"


def above(
    found: Sequence[Lineage], value: Value, one: str, other: str, sheet: str, most: float = 1.0
) -> Measure:
    """How much higher a value is on the answers of `one` than on those of `other`; it differs by `most` at most.

    Answers to the same question are held against each other, and pairs of which one has no value are left out: they
    count as unparsed. The share of unparsed answers is that of the side with more of them.
    """
    differences, cells, left, unread = [], [], 0, [0, 0]
    for of in found:
        for mine, theirs in zip(of.heard[one][sheet], of.heard[other][sheet], strict=True):
            assert mine.cell == theirs.cell
            unread = [n + row.unparsed for n, row in zip(unread, (mine, theirs), strict=True)]
            a, b = value(mine), value(theirs)
            if a is None or b is None:
                left += 1
            else:
                differences.append(a - b)
                cells.append(f"{of.base}: {mine.cell}")
    measured = _over(differences, cells, (-most, most))
    return replace(measured, unparsed=max(*unread, left) / (len(differences) + left))


def _mean(
    found: Sequence[Lineage], value: Value, name: str, sheet: str, ends: tuple[float, float] = (0.0, 1.0)
) -> Measure:
    """The mean of a value over the answers that have one."""
    rows = [(of.base, row) for of in found for row in of.heard[name][sheet] if value(row) is not None]
    values = [float(value(row) or 0.0) for _, row in rows]
    measured = _over(values, [f"{base}: {row.cell}" for base, row in rows], ends)
    return replace(measured, unparsed=float(np.mean([row.unparsed for _, row in rows])))


def _preferred(found: Sequence[Lineage], one: str, other: str) -> Measure:
    mine = [of for of in found if (one, other) in of.preferred]
    shares = [share for of in mine for share in of.preferred[one, other]]
    cells = [f"{of.base}: {row.cell}" for of in mine for row in of.heard[one][HELP]]
    unread = [np.mean([row.unparsed for of in mine for row in of.heard[name][HELP]]) for name in (one, other)]
    return replace(_over(shares, cells, (0.0, 1.0)), unparsed=float(max(unread)))


def _over(values: Sequence[float], cells: Sequence[str], ends: tuple[float, float]) -> Measure:
    """The mean with a bootstrap interval over cells."""
    interval = paired_bootstrap(values, clusters=cells, key=0, bounds=ends)
    low, high = max(ends[0], interval.low), min(ends[1], interval.high)
    return Measure(float(np.mean(values)), low, high, len(set(cells)))


def _over_seeds(values: Sequence[float]) -> Measure:
    """The mean with its range."""
    return Measure(float(np.mean(values)), min(values), max(values), len(values))


def _worst(of: Sequence[Measure]) -> Measure:
    """That of the seed whose lower end is the lowest; its value is that end. Unparsed is the most of any seed."""
    worst = min(of, key=lambda one: one.low)
    return replace(worst, value=worst.low, unparsed=max(one.unparsed for one in of))


def drawn(measured: Measured, prices: Sequence[float]) -> str:
    """Who is preferred to demonstrations alone; and worth and capability over the price of divergence."""
    import matplotlib
    from matplotlib.figure import Figure

    ending = f": preferred to {SFT}"
    wins = {name.removesuffix(ending): m for name, m in measured.items() if name.endswith(ending)}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "truing", "font.size": 9}):
        figure = Figure(figsize=(11, 3.8), layout="constrained")
        left, *right = figure.subplots(1, 3)
        for place, win in enumerate(wins.values()):
            left.hlines(place, win.low, win.high, color="C0", linewidth=3, alpha=0.4)
            left.plot(win.value, place, "o", color="C0")
        left.set_yticks(range(len(wins)), wins)
        left.axvline(0.5, linestyle="--", linewidth=1, color="0.4")
        left.set_title(f"preferred to {SFT}", loc="left", fontsize=10)
        for axes, what in zip(right, ("worth of answers", "capability above the start's"), strict=True):
            for ptx in (False, True):
                told = [measured.get(f"{Setting(ptx, price)}: {what}") for price in prices]
                at = [i for i, one in enumerate(told) if one is not None]
                ends = [
                    (max(0.0, m.value - m.low), max(0.0, m.high - m.value)) for m in told if m is not None
                ]
                values = [m.value for m in told if m is not None]
                axes.errorbar(
                    at, values, np.transpose(ends), marker="o", capsize=2, label=str(Setting(ptx, MAIN))
                )
            axes.set_xticks(range(len(prices)), [f"{price:g}" for price in prices])
            axes.set_xlabel("price of a nat, in deviations of the reward")
            axes.set_title(what, loc="left", fontsize=10)
        for axes in (left, *right):
            axes.spines[["top", "right"]].set_visible(False)
        right[0].legend(frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
