"""Signs beside the held-out metric: length, repetition, dominance, groups that teach nothing, endings, KL."""

from collections.abc import Sequence

from truing.numerics import Change, change, wilson, windows
from truing.pages import minus
from truing.train.hacking_records import ComponentShare, Finding, Sign, measured
from truing.train.policy_records import Sample, Update
from truing.train.reward_shares import late_samples, within_groups
from truing.types import Stop

LONGER = 0.2
"""A relative change of the mean length that is told, where its interval leaves out 0."""
EXPLAINS = 0.5
"""The least share of the reward's rise that length is said to explain most of it from."""
REPEATS, REPEATS_MORE = 0.1, 0.05
"""A share of repeated 4-grams at the end, and its rise, from which on the policy is said to repeat itself."""
DOMINATES = 0.8
"""The share of the variance within groups, or of the rise, at the low end, from which on one component counts alone."""
TEACH_NOTHING = 0.5
"""The share of groups without variance at the end, at the low end of its interval."""
CUT_OFF = 0.2
"""The share of completions that ran out of tokens at the end, at the low end of its interval."""
NARROW = 0.2
"""The entropy at the end, relative to the start."""
SELDOM = 0.1
"""The share of rows a component applies to at the end."""
_FEW = "there are too few updates to tell a change from noise"


def read_signs(
    updates: Sequence[Update], samples: Sequence[Sample], shares: Sequence[ComponentShare]
) -> tuple[Finding, ...]:
    """All of them, in the order in which they are told."""
    return (
        kl_spent(updates),
        length(updates, samples),
        dominance(shares),
        *alone(updates, shares),
        *traded(updates, shares),
        *seldom(updates),
        repetition(updates),
        groups(updates, samples),
        endings(updates),
        entropy(updates),
    )


def kl_spent(updates: Sequence[Update]) -> Finding:
    """How far the policy went from its reference; told, and not judged: what is much depends on the metric."""
    found = spent(updates)
    if found is None:
        return Finding(
            "KL spent", Sign.unknown, "Not measured", "There was no reference: the KL was not measured"
        )
    told = f"At the end the policy is {found[0]:.3g} nats per completion from the reference, {found[1]:.3g} per token"
    return Finding("KL spent", Sign.fine, "Measured", minus(told))


def spent(updates: Sequence[Update]) -> tuple[float, float] | None:
    """Nats per completion and per token from the reference, means of the last fifth; None where not measured."""
    known = [[nats for _, nats in measured(updates, name)] for name in ("kl", "kl_spent")]
    last = [nats[-windows(len(nats)) :] for nats in known]
    return (sum(last[0]) / len(last[0]), sum(last[1]) / len(last[1])) if all(last) else None


def length(updates: Sequence[Update], samples: Sequence[Sample]) -> Finding:
    """Whether completions became longer or shorter, and how much of the reward's rise goes with that."""
    found, reward = (
        change([u.length for u in updates]),
        change([v for _, v in measured(updates, "reward")]),
    )
    if found is None:
        return Finding("length", Sign.unknown, "Too short", f"Length: {_FEW}")
    went = f"from {found.before:.0f} to {found.after:.0f} tokens"
    relative = found.value / found.before if found.before else 0.0
    if abs(relative) < LONGER or found.low <= 0 <= found.high:
        return Finding(
            "length", Sign.fine, "Kept", f"Mean length went {went}: no change of {LONGER:.0%} or more"
        )
    word, verb = ("Longer", "grew") if relative > 0 else ("Shorter", "shrank")
    told = f"Length {verb} by {abs(relative):.0%}, {went}"
    slope, ends = within_groups(samples, lambda s: float(s.length), over_reward=False)
    if slope is None:
        return Finding("length", Sign.warning, word, f"{told}; the samples cannot tell what that paid")
    slopes = minus(f"{slope:+.2g} [{ends.low:+.2g}, {ends.high:+.2g}]")
    pays = f"among answers to one prompt a token more pays {slopes}"
    if reward is None or reward.low <= 0:
        return Finding("length", Sign.warning, word, f"{told}; {pays}, and the reward did not rise")
    least, usual = _explained(found, reward, slope, ends.low if relative > 0 else ends.high)
    if least >= EXPLAINS:
        why = f"{told}, and explains most of the reward's rise of {reward.value:.3g}: {pays}, which makes {usual:.0%}"
        return Finding("length", Sign.alarm, f"{word}, and paid", f"{why} of it, at least {least:.0%}")
    if ends.low <= 0 <= ends.high:
        return Finding(
            "length", Sign.warning, word, f"{told}; {pays}: length alone does not explain the rise"
        )
    some = f"{told}; {pays}, which makes {usual:.0%} of the reward's rise"
    return Finding("length", Sign.warning, word, some)


def _explained(longer: Change, reward: Change, slope: float, nearest: float) -> tuple[float, float]:
    """(at least, about) the share of the reward's rise that the slope on length makes of the change in length.

    At least: every one of the three at that end of its interval that makes the share smallest.
    """
    change_least = longer.low if longer.value > 0 else longer.high
    least = max(0.0, nearest * change_least) / reward.high
    if nearest * longer.value <= 0:
        least = 0.0
    return least, slope * longer.value / reward.value


def dominance(shares: Sequence[ComponentShare]) -> Finding:
    """Whether one component alone decides which answer of a group is the better one."""
    if len(shares) < 2:
        return Finding(
            "components", Sign.fine, "One reward", "There is one reward, and nothing for it to dominate"
        )
    first = shares[0]
    if first.share is None:
        return Finding(
            "components", Sign.unknown, "Not measured", "No group of samples tells the components apart"
        )
    share = f"{first.share:.0%} [{first.low:.0%}, {first.high:.0%}]"
    told = f"{first.name} makes {share} of what tells answers to one prompt apart"
    if first.low > DOMINATES:
        return Finding("components", Sign.warning, "Dominated", f"{told}: the others hardly count")
    return Finding("components", Sign.fine, "Mixed", told)


def alone(updates: Sequence[Update], shares: Sequence[ComponentShare]) -> tuple[Finding, ...]:
    """Where the reward's rise comes from one component of several."""
    reward = change([v for _, v in measured(updates, "reward")])
    if reward is None or reward.low <= 0 or len(shares) < 2:
        return ()
    return tuple(
        Finding(
            f"rise of {one.name}",
            Sign.warning,
            "Rose alone",
            f"{one.name} makes {one.rise.value / reward.value:.0%} of the reward's rise of {reward.value:.3g}: "
            "the other rewards hardly gained",
        )
        for one in shares
        if one.rise is not None and one.rise.low / reward.high > DOMINATES
    )


def traded(updates: Sequence[Update], shares: Sequence[ComponentShare]) -> tuple[Finding, ...]:
    """Components that fell while the reward rose."""
    reward = change([v for _, v in measured(updates, "reward")])
    if reward is None or reward.low <= 0:
        return ()
    return tuple(
        Finding(
            one.name,
            Sign.warning,
            "Traded away",
            f"{one.name} fell from {one.rise.before:.3g} to {one.rise.after:.3g} while the reward rose: "
            "one reward is bought with another",
        )
        for one in shares
        if one.rise is not None and one.rise.high < 0
    )


def seldom(updates: Sequence[Update]) -> tuple[Finding, ...]:
    """Components that hardly applied at the end: their means are of few rows."""
    last = updates[-windows(len(updates)) :]
    rows = sum(sum(u.stops.values()) for u in last)
    missing = {name: sum(int(u.missing.get(name, 0)) for u in last) for u in last for name in u.missing}
    return tuple(
        Finding(
            name,
            Sign.warning,
            "Seldom applies",
            f"{name} applied to {rows - n} of the last {rows} completions; of the others it says nothing",
        )
        for name, n in sorted(missing.items())
        if rows and (rows - n) / rows < SELDOM
    )


def repetition(updates: Sequence[Update]) -> Finding:
    """Whether completions repeat themselves more than at the start."""
    found = change([u.duplicate_ngrams for u in updates])
    if found is None:
        return Finding("repetition", Sign.unknown, "Too short", f"Repeated 4-grams: {_FEW}")
    went = f"The share of repeated 4-grams went from {found.before:.1%} to {found.after:.1%}"
    if found.after >= REPEATS and found.value >= REPEATS_MORE and found.low > 0:
        return Finding("repetition", Sign.alarm, "Repeats itself", f"{went}: the policy repeats itself")
    return Finding("repetition", Sign.fine, "Kept", went)


def groups(updates: Sequence[Update], samples: Sequence[Sample]) -> Finding:
    """Whether most groups at the end have no variance, and so teach nothing."""
    last = updates[-windows(len(updates)) :]
    dead, whole = sum(u.zero_variance_groups for u in last), sum(u.groups for u in last)
    if not whole:
        return Finding("groups", Sign.unknown, "Not measured", "No group was sampled")
    told = f"In {dead} of the last {whole} groups ({dead / whole:.0%}) all answers have one reward"
    if wilson(dead, whole).low <= TEACH_NOTHING:
        return Finding("groups", Sign.fine, "Most teach", told)
    return Finding(
        "groups", Sign.warning, "Teach nothing", f"{told}: they teach nothing{_why_alike(updates, samples)}"
    )


def _why_alike(updates: Sequence[Update], samples: Sequence[Sample]) -> str:
    """Whether groups that are alike have the best reward there is, or do not."""
    alike: dict[tuple[int, str], set[float]] = {}
    for one in late_samples(updates, samples):
        if one.reward is not None:
            alike.setdefault((one.update, one.prompt_id), set()).add(one.reward)
    rewards = [next(iter(found)) for found in alike.values() if len(found) == 1]
    best = max((s.reward for s in samples if s.reward is not None), default=0.0)
    if not rewards:
        return ""
    solved = sum(reward >= best for reward in rewards) / len(rewards)
    return f"; {solved:.0%} of these have the best reward there was, " + (
        "so the prompts became easy" if solved > 0.5 else "so the policy is stuck below it"
    )


def endings(updates: Sequence[Update]) -> Finding:
    """Whether completions at the end run out of tokens, or fail."""
    last = updates[-windows(len(updates)) :]
    counts = {stop: sum(int(u.stops.get(stop, 0)) for u in last) for u in last for stop in u.stops}
    rows = sum(counts.values())
    if not rows:
        return Finding("endings", Sign.unknown, "Not measured", "No completion was sampled")
    cut, failed = counts.get(Stop.length, 0), counts.get(Stop.error, 0)
    told = f"{cut / rows:.0%} of the last {rows} completions ran out of tokens"
    if failed:
        return Finding("endings", Sign.warning, "Errors", f"{told}, and {failed} ended in an error")
    if wilson(cut, rows).low > CUT_OFF:
        return Finding("endings", Sign.warning, "Cut off", f"{told}: the reward judges what was not finished")
    return Finding("endings", Sign.fine, "Finish", told)


def entropy(updates: Sequence[Update]) -> Finding:
    """Whether the policy stopped exploring."""
    found = change([v for _, v in measured(updates, "entropy")])
    if found is None:
        return Finding("entropy", Sign.unknown, "Too short", f"Entropy: {_FEW}")
    went = f"Entropy went from {found.before:.3g} to {found.after:.3g} nats per token"
    if found.high < 0 and found.after < NARROW * found.before:
        return Finding("entropy", Sign.warning, "Collapsed", f"{went}: the policy hardly explores")
    return Finding("entropy", Sign.fine, "Kept", went)
