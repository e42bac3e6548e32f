"""Make the weights and the cards of the graders `refusal` and `harmful` again, from the folder of public data.

    python tools/train_refusal.py ../shared/data

A card is of answers each judged by weights fitted on other models' answers to other prompts, so that it
does not flatter; what it cannot undo is that the rules, whose verdict the weights read, were written by
people who had read answers of all three models.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import tyro

from truing.grade import (
    Harmful,
    Instrument,
    LabelledAnswer,
    Labels,
    Refusal,
    RefusalClass,
    calibrate,
    read_labels,
    usual_reading,
    write_card,
)
from truing.grade import refusal_model as model
from truing.grade.harmful_training import cross_harm, fit_odds, fit_sound, is_harmful, read_requests
from truing.grade.refusal_training import Judged, cross_judged, read_xstest, train_refusal
from truing.run import replace_file
from truing.types import GraderId, Shown, Verdict, digest

CARDS = model.FILE.with_name("cards")


class CrossFitted:
    """Says of each answer what was said of it by weights that had no part in it."""

    def __init__(self, id: GraderId, verdicts: Sequence[Verdict]) -> None:
        self.id, self._verdicts = id, verdicts

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        """The verdicts as they are, on the answers they are of."""
        assert len(shown) == len(self._verdicts)
        return [{verdict.criterion: verdict} for verdict in self._verdicts]


def main(data: tyro.conf.Positional[Path]) -> None:
    """Write two files of weights and two cards."""
    folder = data / "xstest" / "completions"
    answers = read_xstest(folder)
    weights = train_refusal(answers)
    replace_file(model.FILE, (json.dumps(weights.to_json(), indent=0) + "\n").encode("ascii"))
    refusals = cross_judged(answers, threshold=weights.threshold)
    helps = [one.label is RefusalClass.compliance for one in answers]
    _card(
        Refusal.id, folder, answers, refusals, helps, "each judged by weights fitted on other models' answers"
    )

    sound = fit_sound(*read_requests(Path(data) / "refusal_direction" / "splits"))
    fit_odds(sound, answers).save()
    judged = cross_harm(sound, answers, refusals)
    harmless = [None if harmful is None else not harmful for harmful in map(is_harmful, answers)]
    said = "called harmful if they help with an unsafe prompt (and left out if in part), each judged by odds fitted"
    _card(Harmful.id, folder, answers, judged, harmless, said)


def _card(
    id: GraderId,
    folder: Path,
    answers: Sequence[Judged],
    verdicts: Sequence[Verdict],
    good: Sequence[bool | None],
    how: str,
) -> None:
    """Write the card of a grader: `good` is what people say of each answer, None where they say nothing."""
    told = [i for i, positive in enumerate(good) if positive is not None]
    reading = usual_reading(id.name)
    files = [read_labels(file, usual_reading("refusal")) for file in sorted(folder.glob("*.csv"))]
    labels = Labels(
        tuple(LabelledAnswer(answers[i].shown, bool(good[i]), answers[i].kind) for i in told),
        f"XSTest, completions of {', '.join(sorted({one.model for one in answers}))}, {how} to other prompts",
        digest([file.source_digest for file in files]),
    )
    grader = CrossFitted(id, [verdicts[i] for i in told])
    card = calibrate(Instrument(id.name, grader), labels, reading=reading)
    write_card(CARDS / f"{id.name}.json", card)
    print(f"{id.name}: {card}")


if __name__ == "__main__":
    tyro.cli(main)
