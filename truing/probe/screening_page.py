"""What a screening leaves in a folder: the rows' scores, the figures, and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from truing.data import write_jsonl
from truing.pages import HistogramRow, histogram_plot, render
from truing.probe.screening import PUSHES, Baseline, RowOutcome, RowScore, Screened
from truing.probe.screening_rows import TrainingRow
from truing.run import replace_file
from truing.types import dumps

ROWS, FIGURES, PAGE = "rows.jsonl", "screen.json", "screen.html"
_SHOWN = 240


def write_screening(
    out: Path, screened: Screened, rows: Sequence[TrainingRow], about: Mapping[str, str], *, top: int = 20
) -> None:
    """Write `rows.jsonl`, worst first, `screen.json` without the rows, and `screen.html` with the `top` worst.

    Args:
        out: the folder, made if it is not there.
        screened: what was found.
        rows: what was screened; the page quotes the beginnings of the worst responses.
        about: names and values of what was screened with what, for people.
        top: how many rows the page shows.

    Raises:
        StorageError: the disk refuses.
    """
    figures = screened.to_json() | {"rows": screened.counts, "about": dict(about)}
    replace_file(out / FIGURES, dumps(figures).encode("ascii"))
    write_jsonl(out / ROWS, screened.rows)
    replace_file(out / PAGE, _page(screened, rows, about, top).encode("utf-8"))


def _page(screened: Screened, rows: Sequence[TrainingRow], about: Mapping[str, str], top: int) -> str:
    scored = [row for row in screened.rows if row.outcome is RowOutcome.scored]
    said = {row.number: row.response.content for row in rows if row.response is not None}
    return render(
        "screen.html.j2",
        package="truing.probe",
        title="What the data would push",
        about=list(about.items()),
        sampled=screened.baseline is Baseline.samples,
        pushes=f"{PUSHES:g}",
        counts=screened.counts,
        read=screened.samples,
        cut=screened.cut,
        foreign=screened.foreign,
        personas=[_persona(screened, at, len(scored)) for at in range(len(screened.personas))],
        plot=_plot(screened, scored),
        worst=[_worst(screened, row, said[row.row]) for row in scored[:top]],
    )


def _persona(screened: Screened, at: int, scored: int) -> tuple[str, ...]:
    one = screened.personas[at]
    low, high, mean = (
        (end - one.level) / one.unit for end in (one.interval.low, one.interval.high, one.mean)
    )
    return (
        one.name,
        f"{mean:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        f"{one.pushing:,} of {scored:,}",
        f"{one.length.value:+.2f}",
    )


def _worst(screened: Screened, row: RowScore, said: str) -> tuple[str, ...]:
    above = {
        one.name: (
            (row.scores[one.name] - one.level) / one.unit,
            (row.after_length[one.name] - one.level) / one.unit,
        )
        for one in screened.personas
    }
    name = max(above, key=lambda name: above[name][0])
    shown = said if len(said) <= _SHOWN else said[:_SHOWN] + "…"
    return str(row.row), name, f"{above[name][0]:+.2f}", f"{above[name][1]:+.2f}", f"{row.tokens:,}", shown


def _plot(screened: Screened, scored: Sequence[RowScore]) -> object:
    kinds = [
        HistogramRow(
            one.name,
            (),
            tuple((row.scores[one.name] - one.level) / one.unit for row in scored),
        )
        for one in screened.personas
    ]
    return histogram_plot(
        kinds, before="", after="rows", axis="push, in units", title="How far the rows push"
    )
