"""What every evidence script shares: its options, its JSON, its exit code, its figure."""

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from truing.organism import GROUND, MOST_UNPARSED, VERSIONS, LabelLedger


@dataclass(frozen=True)
class Measure:
    """What was measured: a value with its interval over `n` units."""

    value: float
    low: float
    high: float
    n: int
    unparsed: float = 0.0
    """The share of the answers that the oracle could not read."""


@dataclass(frozen=True)
class Claim:
    """A promise: the measure `name` is at least (or at most) `threshold`.

    "At least 0" is not kept by 0 itself, and nothing by answers of which too many could not be read.
    """

    name: str
    threshold: float
    at_most: bool = False
    least: int = 0
    """The smallest n with which the promise can be kept."""

    def holds(self, found: Measure) -> bool:
        """Whether what was found keeps the promise."""
        if self.at_most:
            kept = found.value <= self.threshold
        else:
            kept = found.value >= self.threshold and not found.value == self.threshold == 0
        return kept and found.n >= self.least and found.unparsed <= MOST_UNPARSED


@dataclass(frozen=True)
class Options:
    """The options of an evidence script."""

    quick: bool = False
    """Fewer seeds; at most eight minutes on two cores."""
    seed: int = 0
    """First of the seeds; changes items, sampling and moments, never a pretrained model."""
    out: Path = Path("runs/evidence")
    """Where the JSON and the figure go."""


Measured = dict[str, Measure]
"""Values by name: of every claim, and of whatever else is worth reporting."""


PaperClaim = Literal["reproduced", "not reproduced", "reversed"]


def conclude(
    name: str,
    about: str | None,
    source: str,
    claims: Sequence[Claim],
    measure: Callable[[Options, LabelLedger], Measured],
    *,
    ground: str | None = GROUND,
    paper_claim: Callable[[Measured], PaperClaim] | None = None,
) -> int:
    """Measure, hold each value against its claim, write `NAME.json` and `NAME.svg`; 0 only if all hold.

    The first line of `about`, a script's docstring, says what is claimed. `measure` counts the oracle's labels into
    the ledger that it is given. What was shown on the organism says so by `ground`; None is for what was not. Whether
    the effect of a paper was seen there too is `paper_claim`; it is told and decides nothing.
    """
    claim, ledger = (about or "").splitlines()[0], LabelLedger()
    options = tyro.cli(
        Options, prog=f"python -m evidence.{name}", description=claim, config=(tyro.conf.FlagCreatePairsOff,)
    )
    started = time.monotonic()
    measured = measure(options, ledger)
    rows = []
    for promise in claims:
        found = measured[promise.name]
        kept = promise.holds(found)
        rows.append({"name": promise.name, **asdict(found), "threshold": promise.threshold, "holds": kept})
    promised = {promise.name for promise in claims}
    result = {
        "claim": claim,
        "source": source,
        "paper_claim": paper_claim(measured) if paper_claim else None,
        "holds": all(row["holds"] for row in rows),
        "ground": ground,
        "quick": options.quick,
        "seed": options.seed,
        **(VERSIONS if ground is not None else dict.fromkeys(VERSIONS)),
        "labels": ledger.totals(),
        "measures": rows,
        "reported": [{"name": n, **asdict(m)} for n, m in measured.items() if n not in promised],
        "seconds": round(time.monotonic() - started, 1),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.out / f"{name}.svg").write_text(_figure(rows), encoding="utf-8")
    for row in rows:
        mark = "holds" if row["holds"] else "FAILS"
        print(f"{mark}  {row['name']}: {row['value']:.4g} [{row['low']:.4g}, {row['high']:.4g}] n={row['n']}")
    print(json.dumps(result))
    return 0 if result["holds"] else 1


def _figure(rows: Sequence[dict[str, Any]]) -> str:
    """One small axis for each measure: its value with its interval, and the threshold as a line."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "truing", "font.size": 9}):
        figure = Figure(figsize=(7, 0.9 * len(rows) + 0.3), layout="constrained")
        for axes, row in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows, strict=True):
            axes.hlines(0, row["low"], row["high"], linewidth=3, color="C0", alpha=0.4)
            axes.plot(row["value"], 0, "o", color="C0" if row["holds"] else "C3")
            axes.axvline(row["threshold"], linestyle="--", linewidth=1, color="0.4")
            axes.set_title(f"{row['name']}: {row['value']:.4g} (n = {row['n']:,})", loc="left", fontsize=9)
            axes.set_yticks([])
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
