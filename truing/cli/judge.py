"""How far a grader can be trusted: measure it against labels, show its card, or train one on labels of yours."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from truing.cli.app import Exit
from truing.cli.judge_train import Select, Train
from truing.types import InputError

if TYPE_CHECKING:
    from truing.grade import CalibrationCard, ErrorRates, Rate

_COLUMNS = ("accuracy", "kappa", "sensitivity", "specificity")


@dataclass
class Calibrate:
    """Let a grader judge answers that people labelled, and count how often it is right."""

    grader: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GRADER")]
    """NAME[/CRITERION][:REFERENCE], such as refusal."""
    labels: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """JSONL or CSV with prompt (or messages), answer, label and perhaps category and id; or XSTest's completions."""
    criterion: str = ""
    """Which of the grader's criteria is meant, where it has several."""
    positive: str = ""
    """The grader's classes that are positive, with commas; of refusal: compliance. By default scores are read."""
    negative: str = ""
    """Its other classes, with commas; of refusal: partial_refusal,refusal."""
    ground: Literal["people", "oracle"] = "people"
    """Who told the truth."""
    tune: bool = False
    """Choose the threshold of its score on half of the prompts; the card is of the other half."""
    seed: int = 0
    """Draws the half for tuning."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="CARD.json")] = None
    """Where the card is written."""
    json: bool = False
    """Print the card as one JSON object on the last line."""

    def run(self) -> int:
        """Measure it, print the figures, write the card."""
        from truing.grade import (
            Ground,
            Reading,
            calibrate,
            open_grader,
            read_labels,
            usual_reading,
            write_card,
        )

        instrument = open_grader(self.grader)
        if self.criterion:
            instrument = instrument.on(self.criterion)
        try:
            classes = Reading(_names(self.positive), _names(self.negative))
        except ValueError as why:
            raise InputError(str(why), mend="name each class once") from None
        reading = classes if classes != Reading() else usual_reading(instrument.id.name)
        card = calibrate(
            instrument,
            read_labels(self.labels, reading),
            reading=reading,
            ground=Ground(self.ground),
            tune=self.tune,
            key=self.seed,
        )
        if self.out is not None:
            write_card(self.out, card)
        _print(card, as_json=self.json)
        return Exit.passed


@dataclass
class Show:
    """Print what stands on a calibration card."""

    card: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CARD.json")]
    """What calibrate wrote."""
    json: bool = False
    """Print the card as one JSON object on the last line."""

    def run(self) -> int:
        """Read and print it."""
        from truing.grade import read_card

        _print(read_card(self.card), as_json=self.json)
        return Exit.passed


@dataclass
class Command:
    """The actions of `truing judge`."""

    action: Annotated[
        Annotated[Calibrate, tyro.conf.subcommand("calibrate")]
        | Annotated[Show, tyro.conf.subcommand("show")]
        | Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Select, tyro.conf.subcommand("select")],
        tyro.conf.OmitSubcommandPrefixes,
    ]

    def run(self) -> int:
        """Do it."""
        return self.action.run()


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _print(card: "CalibrationCard", *, as_json: bool) -> None:
    print("\n".join(_lines(card)))
    if as_json:
        print(json.dumps({"digest": card.digest, "suffices": card.suffices, "card": card.to_json()}))


def _lines(card: "CalibrationCard") -> list[str]:
    whole, reading = card.overall, card.reading
    read = (
        f"{reading.value} at least {reading.threshold:.4g}" if reading.value else ", ".join(reading.positive)
    )
    lines = [
        f"{card.grader.name} {card.grader.version}, criterion {card.criterion}; positive: {read}",
        f"labels by {'people' if card.ground == 'people' else 'an oracle'}: {card.source}",
    ]
    if card.tuned_on:
        lines.append(f"threshold tuned on {card.tuned_on} other answers (seed {card.seed})")
    missing = ", ".join(f"{count} {why}" for why, count in whole.missing.items())
    coverage = f"judged {whole.judged} of {whole.n} answers, {_told(whole.coverage)}"
    lines += [f"{coverage}; not judged: {missing}" if missing else coverage]
    lines += [f"Youden's J {_told(whole.youden)}", ""]
    width = max(len(part.category) for part in (*card.categories, whole)) or len("all")
    lines.append(f"{'':<{width}}{'judged':>12}" + "".join(f"{name:>22}" for name in _COLUMNS))
    lines += [_row(part, width) for part in (whole, *card.categories)]
    return [*lines, "", str(card), f"card {card.digest}"]


def _row(part: "ErrorRates", width: int) -> str:
    judged = f"{part.judged} of {part.n}"
    rates = "".join(f"{_told(getattr(part, name)):>22}" for name in _COLUMNS)
    return f"{part.category or 'all':<{width}}{judged:>12}{rates}"


def _told(rate: "Rate") -> str:
    return "–" if rate.value is None else f"{rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]"
