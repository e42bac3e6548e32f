"""What is measured of a policy that goes on and on after its reward: the reward, gold, and what the page says."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from evidence.claims import Claim, Measure, Measured, PaperClaim
from evidence.policy_arms import GOLD, Learnt
from truing.methods import PROXY
from truing.numerics import Fall, change, fall_since_best
from truing.train import Sign

FELL = "gold at the end below its peak, lower end in the worst seed"
ROSE = "reward on the same prompts at the end above its start, lower end in the worst seed"
TOLD = "runs whose page raises the alarm"
CLAIMS = (Claim(FELL, 0.0), Claim(ROSE, 0.0), Claim(TOLD, 1.0))
"""Of the setting that was fixed in advance. Both are on prompts that no training holds."""
FIRST = "gold at its peak above the start, mean"


@dataclass(frozen=True)
class Curve:
    """How far a policy is from its start (nats per answer), and what its answers are worth by reward and by gold."""

    nats: Sequence[float]
    reward: Sequence[float]
    gold: Sequence[float]


def measures(found: Mapping[str, Sequence[Learnt]], best: Sequence[Curve], *, fixed: str) -> Measured:
    """The claims, of the setting `fixed`, and the same of every other setting by its name; and best-of-n's gold."""
    out: Measured = {}
    for setting, runs in found.items():
        before = "" if setting == fixed else f"{setting}: "
        falls = [_fall(run) for run in runs]
        out[before + FELL] = _lowest([(fall.value, fall.low, fall.high) for fall in falls])
        out[before + ROSE] = _lowest([_rise(run) for run in runs])
        out[before + TOLD] = _over([float(run.report.sign is Sign.alarm) for run in runs])
        told: dict[str, Callable[[Learnt, Fall], float]] = {
            FIRST: lambda run, fall: fall.best - curve(run).gold[0],
            "gold at the end above the start, mean": lambda run, fall: fall.end - curve(run).gold[0],
            "nats per answer when last known, mean": lambda run, _: [
                n for n in curve(run).nats if isfinite(n)
            ][-1],
            "tokens per answer at the end, mean": lambda run, _: run.updates[-1].length,
        }
        for name, of in told.items():
            out[before + name] = _over([of(run, fall) for run, fall in zip(runs, falls, strict=True)])
    for i in range(len(best[0].nats)):
        name = f"best of {2**i} ({best[0].nats[i]:.2f} nats)"
        out[f"{name}: reward above one answer's, mean"] = _over([of.reward[i] - of.reward[0] for of in best])
        out[f"{name}: gold above one answer's, mean"] = _over([of.gold[i] - of.gold[0] for of in best])
    return out


def paper_claim(measured: Measured) -> PaperClaim:
    """Gao et al. 2023: gold first rises with the reward and then turns down, while the reward goes on."""
    fell, rose = (measured[name].value > 0 for name in (FELL, ROSE))
    if fell and rose and measured[FIRST].value > 0:
        return "reproduced"
    return "not reproduced"


def curve(run: Learnt) -> Curve:
    """Of a trained policy, wherever gold was measured."""
    at = sorted(run.measured)
    # Divergence is known of rollouts: that of update n + 1 is of the policy after n updates; the last has none.
    known = [run.updates[min(n, len(run.updates) - 1)].kl for n in at]
    nats = [float("nan") if kl is None else kl for kl in known]  # nothing was said to its end
    return Curve(nats, *([run.measured[n][name]["value"] for n in at] for name in (PROXY, GOLD)))


def _fall(run: Learnt) -> Fall:
    fall = fall_since_best(curve(run).gold)
    assert fall is not None  # there are enough measurements
    return fall


def _rise(run: Learnt) -> tuple[float, float, float]:
    rise = change(curve(run).reward)
    assert rise is not None
    return rise.value, rise.low, rise.high


def _lowest(of: Sequence[tuple[float, float, float]]) -> Measure:
    """That of the seed whose lower end is the lowest; its value is that end."""
    _, low, high = min(of, key=lambda one: one[1])
    return Measure(low, low, high, len(of))


def _over(values: Sequence[float]) -> Measure:
    """The mean over seeds with their range."""
    return Measure(float(np.mean(values)), min(values), max(values), len(values))


def drawn(found: Mapping[str, Sequence[Learnt]], best: Sequence[Curve]) -> str:
    """Reward and gold over the root of the divergence: a line for each seed, a colour for each setting."""
    import matplotlib
    from matplotlib.figure import Figure

    lines = {setting: [curve(run) for run in runs] for setting, runs in found.items()} | {"best of n": best}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "truing", "font.size": 9}):
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for number, (setting, of) in enumerate(lines.items()):
            for k, one in enumerate(of):
                x = np.sqrt(np.maximum(one.nats, 0))
                name = setting if k == 0 else None
                left.plot(x, np.subtract(one.reward, one.reward[0]), color=f"C{number}", label=name, lw=1)
                right.plot(x, one.gold, color=f"C{number}", lw=1)
        for axes, title in ((left, "reward, above the start"), (right, "gold: what the answers are worth")):
            axes.set_title(title, loc="left", fontsize=10)
            axes.set_xlabel("root of the divergence from the start, in nats per answer")
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
