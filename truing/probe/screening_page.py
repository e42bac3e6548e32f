"""What a screening leaves in a folder: the rows' scores, the figures, and a page."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from truing.data import write_jsonl
from truing.pages import HistogramRow, cut, histogram_plot, render, signed
from truing.probe.screening import PUSHES, Baseline, RowOutcome, RowScore, Screened
from truing.probe.screening_rows import TrainingRow
from truing.run import replace_file
from truing.types import dumps

ROWS, FIGURES, PAGE = "rows.jsonl", "screen.json", "screen.html"
_LONGEST = 240
_MOST = 0.8
"""Where so many stay, length is not why rows are flagged."""
_GAP = 1.0
"""Units without a row around the cut-off that make a split clear."""
_NEAR = 5
"""Rows on either side of the cut-off that are shown."""


def write_screening(
    out: Path,
    screened: Screened,
    rows: Sequence[TrainingRow],
    about: Mapping[str, str],
    *,
    ground: str = "",
    following: str = "",
    then: str = "",
    kept: int | None = None,
    top: int = 20,
) -> None:
    """Write `rows.jsonl`, worst first, `screen.json` without the rows, and `screen.html` with the `top` worst.

    Args:
        out: the folder, made if it is not there.
        screened: what was found.
        rows: what was screened; the page quotes the beginnings of the worst responses and their prompts.
        about: names and values of what was screened with what, for people.
        ground: what the base can claim.
        following: the command that comes next.
        then: the one after it.
        kept: how many rows were kept, where the worst were left out.
        top: how many responses the page shows; equal ones count once.

    Raises:
        StorageError: the disk refuses.
    """
    told = dict(about) | {"ground": ground, "next": following, "then": then}
    figures = screened.to_json() | {"rows": screened.counts, "about": told}
    replace_file(out / FIGURES, dumps(figures).encode("ascii"))
    write_jsonl(out / ROWS, screened.rows)
    replace_file(
        out / PAGE, _page(screened, rows, about, ground, (following, then), kept, top).encode("utf-8")
    )


def screening_verdict(screened: Screened) -> tuple[str, str, str]:
    """Status, word and sentence of the whole file."""
    counts, found = screened.counts, screened.pushing
    scored, unscored = counts[RowOutcome.scored], len(screened.rows) - counts[RowOutcome.scored]
    names = " or ".join(one.name for one in screened.personas)
    them = "it" if unscored == 1 else "them"
    left = f" {unscored:,} without a score: nothing is known of {them}." if unscored else ""
    if screened.baseline is Baseline.prompt:
        return (
            "inconclusive",
            "Rows are only ranked",
            f"Nothing tells here whether the file pushes {names}: {found:,} of {scored:,} rows stand out from the "
            f"others of the same file.{left}",
        )
    if screened.foreign:
        return (
            "inconclusive",
            "Directions of another model",
            f"{found:,} of {scored:,} rows lie above the cut-off, but what {', '.join(screened.foreign)} means in this "
            f"model is not known.{left}",
        )
    if found:
        each = ", ".join(f"{one.name} {one.pushing:,}" for one in screened.personas)
        which = names if len(screened.personas) == 1 else f"a persona ({each})"
        return (
            "regression",
            f"{found:,} of {scored:,} rows would push the model towards {names}",
            f"Their responses lie more than {PUSHES:g} units towards {which} from what the base itself would answer; a "
            f"unit is the standard deviation of its own answers.{_split(screened)}{left}",
        )
    return (
        "inconclusive" if unscored else "pass",
        f"No row would push the model towards {names}",
        f"None of the {scored:,} rows that were scored lies more than {PUSHES:g} units above what the base itself "
        f"would answer.{left}",
    )


def _page(
    screened: Screened,
    rows: Sequence[TrainingRow],
    about: Mapping[str, str],
    ground: str,
    commands: tuple[str, str],
    kept: int | None,
    top: int,
) -> str:
    scored = [row for row in screened.rows if row.outcome is RowOutcome.scored]
    by_number = {row.number: row for row in rows}
    status, word, sentence = screening_verdict(screened)
    found = screened.pushing
    worst = _grouped(scored[:found] or scored, by_number)
    near = [*scored[max(0, found - _NEAR) : found], *scored[found : found + _NEAR]] if found else []
    return render(
        "screen.html.j2",
        package="truing.probe",
        title="What the data would push",
        status=status,
        word=word,
        sentence=sentence,
        ground=ground[:1].upper() + ground[1:],
        following=commands[0],
        then=commands[1],
        kept=kept,
        about=list(about.items()),
        sampled=screened.baseline is Baseline.samples,
        pushes=f"{PUSHES:g}",
        counts=screened.counts,
        total=len(screened.rows),
        prompts=len({row.prompt.id for row in rows}),
        read=screened.samples,
        cut=screened.cut,
        foreign=screened.foreign,
        personas=[_persona(screened, at, scored) for at in range(len(screened.personas))],
        plot=_plot(screened, scored),
        found=found,
        left=len(scored) - found,
        cutoffs=_cutoffs_between(scored, found),
        length=_lengths(screened, scored),
        more=[_more(screened, at, scored) for at in range(len(screened.personas))],
        worst=[_line(screened, group, by_number) for group in worst[:top]],
        texts=len(worst),
        near=[_line(screened, [row], by_number) for row in near],
        file=ROWS,
    )


def _persona(screened: Screened, at: int, scored: Sequence[RowScore]) -> tuple[str, ...]:
    """How many are flagged, and where the middle ones of those and of the others lie."""
    one = screened.personas[at]
    above = {row.row: (row.scores[one.name] - one.level) / one.unit for row in scored}
    flagged = [above[row.row] for row in scored if one.name in row.pushes]
    others = [above[row.row] for row in scored if one.name not in row.pushes]
    medians = (signed(float(np.median(of)), ".2f") if of else "–" for of in (flagged, others))
    return (one.name, f"{one.pushing:,} of {len(scored):,}", *medians)


def _more(screened: Screened, at: int, scored: Sequence[RowScore]) -> tuple[str, ...]:
    """The mean over the file with its interval, and how push and length go together."""
    one = screened.personas[at]
    low, high, mean = (
        (end - one.level) / one.unit for end in (one.interval.low, one.interval.high, one.mean)
    )
    still, lifted = _without_length(screened, at, scored)
    return (
        one.name,
        f"{signed(mean, '.2f')} [{signed(low, '.2f')}, {signed(high, '.2f')}]",
        signed(one.length.value, ".2f"),
        f"{still:,} of {one.pushing:,}",
        f"{lifted:,} of {len(scored) - one.pushing:,}",
    )


def _without_length(screened: Screened, at: int, scored: Sequence[RowScore]) -> tuple[int, int]:
    """How many of the flagged rows, and of the others, lie above the cut-off once length is taken out."""
    one = screened.personas[at]
    after = [row for row in scored if (row.after_length[one.name] - one.level) / one.unit > PUSHES]
    still = sum(one.name in row.pushes for row in after)
    return still, len(after) - still


def _lengths(screened: Screened, scored: Sequence[RowScore]) -> str:
    """Whether rows are flagged for their length alone, of each persona that some push."""
    told = []
    for at, one in enumerate(screened.personas):
        if not one.pushing:
            continue
        still, lifted = _without_length(screened, at, scored)
        word = (
            "Hardly"
            if still >= _MOST * one.pushing
            else "In part"
            if still > one.pushing / 2
            else "It may be"
        )
        whose = f" towards {one.name}" if len(screened.personas) > 1 else ""
        others = len(scored) - one.pushing
        told.append(
            f"{word}: {still:,} of the {one.pushing:,} flagged rows{whose} stay above the cut-off when what length "
            "explains is taken out" + (f". So do {lifted:,} of the {others:,} others" if lifted else "")
        )
    return ". ".join(told)


def _split(screened: Screened) -> str:
    """A gap around the cut-off, where there is one."""
    pushes = [row.worst or 0.0 for row in screened.rows if row.outcome is RowOutcome.scored]
    found = screened.pushing
    if not 0 < found < len(pushes) or pushes[found - 1] - pushes[found] < _GAP:
        return ""
    low, high = signed(pushes[found], ".2f"), signed(pushes[found - 1], ".2f")
    return f" The split is clear: no row lies between {low} and {high}."


def _cutoffs_between(scored: Sequence[RowScore], found: int) -> str:
    """Which other cut-offs would choose the same rows; scores are ranked."""
    pushes = [row.worst or 0.0 for row in scored]
    if not found:
        return f"any cut-off from {signed(pushes[0], '.2f')} up chooses none here"
    if found == len(pushes):
        return f"any cut-off below {signed(pushes[-1], '.2f')} chooses all here"
    low, high = signed(pushes[found], ".2f"), signed(pushes[found - 1], ".2f")
    return f"any cut-off between {low} and {high} chooses the same {found:,} here"


def _grouped(ranked: Iterable[RowScore], rows: Mapping[int, TrainingRow]) -> list[list[RowScore]]:
    """Rows whose responses are the same words, in the order of the first of each."""
    groups: dict[str, list[RowScore]] = {}
    for row in ranked:
        groups.setdefault(_said(rows[row.row]), []).append(row)
    return list(groups.values())


def _line(screened: Screened, group: Sequence[RowScore], rows: Mapping[int, TrainingRow]) -> tuple[str, ...]:
    """The first of a group, which pushes most, and how many say the same."""
    row = group[0]
    above = {
        one.name: (
            (row.scores[one.name] - one.level) / one.unit,
            (row.after_length[one.name] - one.level) / one.unit,
        )
        for one in screened.personas
    }
    name = max(above, key=lambda name: above[name][0])
    more = f" (+{len(group) - 1:,} same)" if len(group) > 1 else ""
    return (
        f"{row.row}{more}",
        _both(rows[row.row]),
        *([name] if len(above) > 1 else []),
        signed(above[name][0], ".2f"),
        signed(above[name][1], ".2f"),
        f"{row.tokens:,}",
    )


def _said(row: TrainingRow) -> str:
    return row.response.content if row.response is not None else ""


def _both(row: TrainingRow) -> str:
    """The prompt above the response, escaped."""
    from markupsafe import Markup

    return Markup('<span class="who">{}</span>{}').format(
        cut(row.prompt.last, _LONGEST), cut(_said(row), _LONGEST)
    )


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
        kinds,
        before="",
        after="rows",
        axis="push, in units",
        title="How far the rows push",
        mark=(PUSHES, f"flagged: {screened.pushing:,} of {len(scored):,} rows above {PUSHES:g}"),
    )
