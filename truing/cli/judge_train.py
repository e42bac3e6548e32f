"""`truing judge train` and `truing judge select`: a moderation grader of your own labels, and which to add."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from truing.cli.app import Exit
from truing.types import InputError

if TYPE_CHECKING:
    from truing.grade import Disagreement, HeadFigures, ModerationRows

_SHOWN = 20
"""Disagreements that are printed."""


@dataclass
class Train:
    """Train a moderation grader on your labels, and measure each label by cross-validation."""

    labels: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="LABELS.jsonl")]
    """JSONL or CSV: text (or prompt, perhaps with answer); other fields are labels, 1 or 0, and missing is unknown."""
    out: Annotated[Path, tyro.conf.arg(metavar="MODEL.npz")]
    """Where the model is written, for the grader moderation:MODEL.npz; its cards go to the folder MODEL.cards."""
    folds: int = 5
    """Parts of the cross-validation."""
    seed: int = 0
    """Draws the folds."""
    show_mislabels: bool = False
    """List the labels that are most likely wrong, by two-fold cross-scoring."""
    json: bool = False
    """Print the figures as one JSON object on the last line."""

    def run(self) -> int:
        """Train, measure, write, print."""
        from truing.grade import find_mislabels, read_moderation_rows, train_moderation, write_card

        if self.folds < 2:
            raise InputError(f"cross-validation needs at least 2 folds, not {self.folds}")
        rows = read_moderation_rows(self.labels)
        trained = train_moderation(rows, folds=self.folds, key=self.seed)
        trained.model.save(self.out)
        cards = self.out.with_suffix(".cards")
        for card in trained.cards:
            write_card(cards / f"{card.criterion.replace('/', '-')}.json", card)
        print("\n".join(_figures(trained.figures)))
        if self.show_mislabels:
            print("\n".join(_mislabels(rows, find_mislabels(rows, key=self.seed))))
        print(f"\nmodel {self.out}, use it as moderation:{self.out}; its cards are in {cards}")
        if self.json:
            print(json.dumps({"model": str(self.out), "heads": [head.to_json() for head in trained.figures]}))
        return Exit.passed


@dataclass
class Select:
    """Pick the texts that people should label next: at random, above a threshold, and where the model is unsure."""

    texts: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TEXTS.jsonl")]
    """JSONL or CSV: text (or prompt, or prompt and answer), perhaps id, and group (where it is from)."""
    out: Annotated[Path, tyro.conf.arg(metavar="PICKED.jsonl")]
    """Where the picked texts are written, for labels to be added."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 100
    """How many."""
    model: Annotated[Path | None, tyro.conf.arg(metavar="MODEL.npz")] = None
    """A model that `truing judge train` made; else the shipped one."""
    seed: int = 0
    """Draws the texts."""

    def run(self) -> int:
        """Score, pick, write."""
        from truing.data import write_jsonl
        from truing.grade import Moderation, read_moderation_rows, select_for_labelling

        if self.n < 1:
            raise InputError(f"at least 1 text is picked, not {self.n}")
        rows = read_moderation_rows(self.texts).rows
        model = Moderation(None if self.model is None else str(self.model)).model
        picks = select_for_labelling(
            model.probabilities([row.text for row in rows]),
            self.n,
            key=self.seed,
            thresholds=model.threshold,
            groups=[row.group for row in rows],
        )
        why = [
            pick.pipeline + (f" {model.heads[pick.head]}" if pick.head is not None else "") for pick in picks
        ]
        write_jsonl(
            self.out,
            (
                {
                    "id": rows[pick.row].id,
                    "text": rows[pick.row].text,
                    "group": rows[pick.row].group,
                    "picked": reason,
                }
                for pick, reason in zip(picks, why, strict=True)
            ),
        )
        for reason, number in sorted(Counter(why).items()):
            print(f"{number:6}  {reason}")
        print(f"{len(picks)} of {len(rows)} texts are in {self.out}")
        return Exit.passed


def _figures(figures: "tuple[HeadFigures, ...]") -> list[str]:
    width = max(len(one.head) for one in figures)
    lines = [f"{'':<{width}}{'known':>8}{'positive':>10}{'prevalence':>12}   AUPRC by cross-validation"]
    for one in figures:
        area = one.average_precision
        said = (
            "not learned: too few texts of either kind"
            if area is None or area.value is None
            else f"{area.value:.3f} [{area.low:.3f}, {area.high:.3f}]"
        )
        lines.append(f"{one.head:<{width}}{one.known:>8}{one.positives:>10}{one.prevalence:>12.3f}   {said}")
    return lines


def _mislabels(rows: "ModerationRows", found: "list[Disagreement]") -> list[str]:
    """No text is shown: it may be what nobody wants to read."""
    lines = ["", f"{len(found)} labels disagree with a model of the other half; the strongest:"]
    for one in found[:_SHOWN]:
        label = f"{one.head} = {int(one.labelled)}"
        lines.append(f"  row {rows.rows[one.row].id}: {label}, {one.strength:.1f} standard deviations off")
    return [*lines, "If more than 30 % of a random part of them are wrong, label all of them anew."]
