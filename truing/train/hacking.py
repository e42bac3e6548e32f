"""Was the reward hacked? What the records of a policy run can say, as pure functions of them.

A reward that is learnt from is a target. Only a metric that it was not made of can tell a gain from a hack
(Gao et al. 2023, arXiv 2210.10760: the proxy rises with the square root of the KL while the gold reward turns
down). Where there is none, the verdict is "cannot tell", whatever else looks well.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from truing.numerics import Change, Fall, change, fall_since_best
from truing.pages import minus
from truing.train.hacking_records import Finding, HackingReport, HeldOut, Sign, measured
from truing.train.hacking_signs import read_signs, spent
from truing.train.policy_records import Sample, Update
from truing.train.reward_shares import component_shares
from truing.types import FrozenDict

FEWEST = 6
"""Measurements without intervals of their own that can tell a fall from noise."""
_NO_METRIC = "No held-out metric was given: nothing here can tell whether the reward was hacked"


def read_hacking(updates: Sequence[Update], samples: Sequence[Sample] = ()) -> HackingReport:
    """The verdict on a run from what it wrote down, in order of the updates.

    The thresholds: a change counts where its 95 % interval leaves out 0, and a fall since the best where its
    interval, which allows for the choice of the best, does. With several held-out metrics each interval is
    widened as Bonferroni asks. Those of the other signs stand in `hacking_signs`.

    Raises:
        ValueError: a held-out measurement is neither a number nor an object of value, low and high.
    """
    metrics = sorted({name for update in updates for name in update.held_out})
    level = 1 - 0.05 / max(1, len(metrics))
    reward = reward_change(updates)
    held_out = tuple(compare_with_held_out(updates, name, level=level) for name in metrics)
    shares = component_shares(updates, samples)
    findings = read_signs(updates, samples, shares)
    sign, word, sentence = _verdict(updates, reward, [one.finding for one in held_out])
    looked = [f.sentence for f in findings if f.sign is Sign.alarm]
    whole = ". ".join([sentence, *looked]) + "."
    kl, per_token = spent(updates) or (None, None)
    longer = change([u.length for u in updates])
    return HackingReport(
        sign, word, whole, len(updates), reward, kl, per_token, longer, held_out, shares, findings
    )


def reward_change(updates: Sequence[Update], first: int = 0, until: int = 0, late: int = 0) -> Change | None:
    """The reward's change from the first to the last fifth, or from updates first..until to late.. and later."""
    rows = measured(updates, "reward")
    rewards = [reward for _, reward in rows]
    if not until:
        return change(rewards)
    inside = [i for i, (at, _) in enumerate(rows) if first <= at <= until]
    after = [i for i, (at, _) in enumerate(rows) if at >= late]
    if not (inside and after):
        return None
    return change(rewards, before=slice(inside[0], inside[-1] + 1), after=slice(after[0], len(rows)))


def held_out_series(
    updates: Sequence[Update], metric: str
) -> tuple[list[int], list[float], list[float] | None]:
    """(updates, values, standard errors) of a metric; errors are None unless every value came with an interval.

    Raises:
        ValueError: a measurement is neither a number nor an object of value, low and high.
    """
    at, values, errors = [], [], []
    for update in updates:
        found = update.held_out.get(metric)
        if found is None or (isinstance(found, FrozenDict) and found.get("value", "") is None):
            continue  # it was asked for, and applied to nothing
        try:
            parts: Mapping[str, Any] = found if isinstance(found, FrozenDict) else {"value": found}
            value, low, high = float(parts["value"]), parts.get("low"), parts.get("high")
            error = None if low is None or high is None else (float(high) - float(low)) / (2 * 1.959964)
        except (KeyError, TypeError, ValueError):
            what = "a held-out measurement is a number or an object of value, low and high"
            raise ValueError(f"update {update.update}, {metric}: {what}") from None
        at.append(update.update)
        values.append(value)
        errors.append(error)
    told = [e for e in errors if e is not None]
    return at, values, told if told and len(told) == len(errors) else None


def compare_with_held_out(updates: Sequence[Update], metric: str, *, level: float = 0.95) -> HeldOut:
    """The reward against one held-out metric, of which more is better.

    Raises:
        ValueError: a measurement is neither a number nor an object of value, low and high.
    """
    at, values, errors = held_out_series(updates, metric)
    gain, fall = (
        change(values, errors=errors, level=level),
        fall_since_best(values, errors=errors, level=level),
    )
    if gain is None or fall is None:
        sentence = (
            f"The held-out {metric} was measured {_times(len(values))}: too few to tell a fall from noise "
            f"({FEWEST} are needed, or 2 with intervals)"
        )
        return HeldOut(metric, len(values), Finding(metric, Sign.unknown, "Too few", sentence))
    best_at = (at[fall.first], at[fall.stop - 1])
    since = reward_change(updates, *best_at, at[fall.end_first])
    finding = _held_out_finding(metric, gain, fall, reward_change(updates), since, best_at)
    return HeldOut(metric, len(values), finding, gain, fall, best_at, since)


def _held_out_finding(
    metric: str,
    gain: Change,
    fall: Fall,
    reward: Change | None,
    since: Change | None,
    best_at: tuple[int, int],
) -> Finding:
    moved = f"the held-out {metric} went from {gain.before:.3g} to {gain.after:.3g} ({_ends(gain)})"
    rose = reward is not None and reward.low > 0
    if fall.low > 0:
        fell = f"the held-out {metric} fell by {fall.value:.3g} [{fall.low:.3g}, {fall.high:.3g}]"
        where = f"since updates {best_at[0]} to {best_at[1]}, its best"
        if since is not None and since.low > 0:
            up = f"the reward rose by {_size(since)}: the reward is being hacked"
            return Finding(metric, Sign.alarm, "Hacked", _capital(f"{where}, {fell} while {up}"))
        if since is not None and since.high < 0:
            return Finding(
                metric,
                Sign.alarm,
                "Both fell",
                f"{_capital(fell)} {where}, and so did the reward: training broke",
            )
        held = "the reward kept what it had gained" if rose else "the reward had not risen"
        return Finding(metric, Sign.alarm, "Fell", f"{_capital(fell)} {where}; {held}")
    seeable = f"A fall of {fall.seeable:.2g} since its best would have been seen in four of five such runs"
    if gain.low > 0:
        return Finding(metric, Sign.fine, "Rose too", f"{_capital(moved)} and did not fall. {seeable}")
    if gain.high < 0:
        return Finding(metric, Sign.alarm, "Fell", f"{_capital(moved)}")
    unseen = "outside the reward nothing shows its gain" if rose else "it did not change beyond noise"
    return Finding(metric, Sign.warning, "No gain", f"{_capital(moved)}: {unseen}. {seeable}")


def _verdict(
    updates: Sequence[Update], reward: Change | None, held_out: Sequence[Finding]
) -> tuple[Sign, str, str]:
    """The worst of what held-out metrics say comes first, and without them nothing is said to be well."""
    if reward is None:
        few = f"{_times(len(updates), 'update')} with a reward: too few to tell a change from noise"
        alarms = [f.sentence for f in held_out if f.sign is Sign.alarm]
        return (
            (Sign.alarm, "Held-out metric fell", ". ".join(alarms))
            if alarms
            else (Sign.unknown, "Too short", few)
        )
    went = f"The reward went from {reward.before:.3g} to {reward.after:.3g} ({_ends(reward)})"
    if not held_out:
        return Sign.unknown, "Cannot tell", f"{_NO_METRIC}. {went}"
    said = ". ".join(f.sentence for f in sorted(held_out, key=lambda f: list(Sign).index(f.sign)))
    words = {f.word for f in held_out if f.sign is Sign.alarm}
    if "Hacked" in words:
        return Sign.alarm, "Hacked", f"{said}. {went}"
    if words:
        return Sign.alarm, "Held-out metric fell", f"{said}. {went}"
    if all(f.sign is Sign.unknown for f in held_out):
        return Sign.unknown, "Cannot tell", f"{said}. {went}"
    if reward.low <= 0:
        return Sign.warning, "No gain", f"{went}: it did not rise beyond noise. {said}"
    if any(f.sign is not Sign.fine for f in held_out):
        return Sign.warning, "Gain not confirmed", f"{went}. {said}"
    return Sign.fine, "No sign of hacking", f"{went}. {said}"


def _ends(one: Change) -> str:
    return minus(f"{one.value:+.3g} [{one.low:+.3g}, {one.high:+.3g}]")


def _size(one: Change) -> str:
    return minus(f"{one.value:.3g} [{one.low:.3g}, {one.high:.3g}]")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _times(n: int, what: str = "") -> str:
    if what:
        return f"{n} {what}" + ("s" if n != 1 else "")
    return "once" if n == 1 else f"{n} times"
