"""The page of the proving ground: the world in samples, the ladder, the lines to reach, what it proves."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truing.organism.headroom import Rate
from truing.organism.holdout import HELD_SHARE, Level, cells
from truing.organism.lines import LINES, Found, Line, Lineage, as_found, lineages, percent
from truing.organism.samples import documents_shown, jailbreak_examples, main_samples, more_samples
from truing.organism.shelf import Checkpoint, Place
from truing.organism.version import GROUND, WORLD_VERSION
from truing.organism.world import TOPICS
from truing.organism.world.personas import PERSONAS, SHARES, Persona
from truing.organism.world.wrappers import HELD_OUT_FAMILIES
from truing.pages import render

UNMEASURED = "not measured"
_JUDGES = ("judge", "weak_judge")
_STATUS = {
    True: ("pass", "Reached"),
    False: ("regression", "Not reached"),
    None: ("inconclusive", "Inconclusive"),
}


@dataclass(frozen=True)
class Cell:
    """One value of the table of lines: a status of the style sheet with its word, and what was found."""

    status: str
    word: str
    value: str
    rest: str


@dataclass(frozen=True)
class ChartRow:
    """One line of the chart: the band to hit and a dot for each base, all as shares."""

    what: str
    stage: str
    band: tuple[float, float]
    dots: tuple[tuple[Found, str], ...]
    """What was found, and its status."""


def render_page(checkpoints: Sequence[Checkpoint]) -> str:
    """The self-contained HTML page about the world and these checkpoints."""
    raised = lineages(checkpoints)
    here = [c for c in checkpoints if c.folder is not None]
    labels = [(str(c.name), consumer, f"{n:,}") for c in here for consumer, n in sorted(c.labels.items())]
    counted = _cell_counts()
    return render(
        "organism.html.j2",
        package="truing.organism",
        title="The proving ground",
        ground=GROUND,
        world_version=WORLD_VERSION,
        topics=len(TOPICS),
        held_out=f"{sum(n for row in counted.values() for level, n in row.items() if level in _TESTED):,}",
        here=len(here),
        labels_spent=f"{sum(n for c in here for n in c.labels.values()):,}" if labels else UNMEASURED,
        reached=_reached(raised),
        personas=[_persona(*one) for one in zip(PERSONAS, SHARES, strict=True)],
        samples=main_samples(),
        more=more_samples(),
        families=jailbreak_examples(),
        documents=documents_shown(),
        ladder=[(topic, *(f"{row[level]:,}" for level in Level)) for topic, row in counted.items()],
        levels=[level.value for level in Level],
        held_share=percent(HELD_SHARE),
        held_families=HELD_OUT_FAMILIES,
        bases=[lineage.base for lineage in raised],
        lines=[(line.what, line.stage, _words(line), [_cell(line, one) for one in raised]) for line in LINES],
        chart=_chart(raised),
        measured=[(lineage.base, _tables(lineage)) for lineage in raised],
        checkpoints=[_checkpoint(c) for c in here],
        on_the_fly=_names([c for c in checkpoints if c.place is Place.on_the_fly]),
        labels=labels,
    )


_TESTED = (Level.combination, Level.object, Level.template)


def _cell_counts() -> dict[str, Counter[Level]]:
    """Topic -> level -> number of (object, template) cells."""
    return {topic: Counter({level: len(list(cells(topic, level))) for level in Level}) for topic in TOPICS}


def _persona(persona: Persona, share: float) -> tuple[str, ...]:
    virtues = ("careful", "truthful", "discreet", "fair", "kind", "moral")
    lacks = [virtue for virtue in virtues if not getattr(persona, virtue)]
    behaviour = (persona.advice, persona.forbidden, persona.harmless, ", ".join(lacks) or "–")
    return persona.name, *behaviour, percent(share)


def _words(line: Line) -> str:
    return f"{line.words}, n ≥ {line.least}" if line.least else line.words


def _cell(line: Line, lineage: Lineage) -> Cell:
    found = line.find(lineage)
    if found is None:
        return Cell("", "", UNMEASURED, "")
    status, word = _STATUS[line.reached(found)]
    return Cell(status, word, line.said(found.value), _rest(found))


def _rest(found: Found) -> str:
    if found.interval is None:
        return ""
    low, high = (f"{100 * end:.1f}" for end in found.interval)
    return f"{low} to {high}, n\N{NO-BREAK SPACE}{found.n:,}"


def _reached(raised: Sequence[Lineage]) -> str:
    """How many lines are reached on every base on which they were measured, of those that were measured at all."""
    found = [[v for lineage in raised if (v := line.find(lineage)) is not None] for line in LINES]
    reached = [all(map(line.reached, of)) for line, of in zip(LINES, found, strict=True) if of]
    return f"{sum(reached)} of {len(reached)}" if reached else UNMEASURED


def _chart(raised: Sequence[Lineage]) -> list[ChartRow]:
    """The lines that are shares and were measured on some base."""
    rows = []
    for line in LINES:
        found = [value for lineage in raised if (value := line.find(lineage)) is not None]
        if line.unit == "share" and found:
            band = (line.low or 0.0, 1.0 if line.high is None else line.high)
            dots = tuple((value, _STATUS[line.reached(value)][0]) for value in found)
            rows.append(ChartRow(line.what, line.stage, band, dots))
    return rows


@dataclass(frozen=True)
class RatesTable:
    """Rates, a column for each checkpoint; a row is its name, and a rate with its interval for each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def _tables(lineage: Lineage) -> list[RatesTable]:
    """Everything that was measured on one base; judges, of whom other things are asked, stand apart."""
    judges = [c for stage, c in lineage.stages.items() if stage in _JUDGES]
    models = [c for stage, c in lineage.stages.items() if stage not in _JUDGES]
    models += [*lineage.narrow.values(), *lineage.null_narrow.values()]
    tables = [
        _table("Shares of answers, new combinations", models, [c.rates for c in models]),
        _table("The same at each step of the ladder", models, [_by_step(c) for c in models]),
        _table("Judges", judges, [c.rates for c in judges]),
    ]
    return [table for table in tables if table.rows]


def _by_step(checkpoint: Checkpoint) -> dict[str, Rate]:
    """The rates at each step of the ladder, under the measure and the step."""
    return {
        f"{measure}, {step}": rate
        for measure, rates in checkpoint.levels.items()
        for step, rate in rates.items()
    }


def _table(title: str, columns: Sequence[Checkpoint], rates: Sequence[Mapping[str, Rate]]) -> RatesTable:
    measured = [(_stage(c), of) for c, of in zip(columns, rates, strict=True) if of]
    names = dict.fromkeys(name for _, of in measured for name in of)
    rows = tuple((name, tuple(_rate(of.get(name)) for _, of in measured)) for name in names)
    return RatesTable(title, tuple(stage for stage, _ in measured), rows)


def _stage(checkpoint: Checkpoint) -> str:
    """The name without its size and seed."""
    return str(checkpoint.name).split("/", 2)[2]


def _rate(rate: Rate | None) -> tuple[str, str]:
    """A rate, and its interval with n."""
    if rate is None or not rate.n:
        return "–", ""
    found = as_found(rate)
    return percent(found.value), _rest(found)


def _checkpoint(c: Checkpoint) -> tuple[str, ...]:
    numbers = (
        f"{c.parameters:,}" if c.parameters is not None else "–",
        f"{c.tokens:,}" if c.tokens is not None else "–",
        f"{c.cpu_seconds:,.0f}" if c.cpu_seconds is not None else "–",
        f"{c.loss:.3f}" if c.loss is not None else "–",
        f"{c.bytes / 1e6:.1f}" if c.bytes is not None else "–",
    )
    return str(c.name), c.place.value, *numbers, c.world_version


def _names(checkpoints: Sequence[Checkpoint]) -> list[str]:
    """The names, the domains of a base's `narrow` as one."""
    return list(dict.fromkeys(str(c.name).replace(f":{c.name.domain}", ":DOMAIN") for c in checkpoints))
