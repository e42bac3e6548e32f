"""Make the weights of the refusal grader and its card again, from the folder of public data.

    python tools/train_refusal.py ../shared/data

The card is of answers each judged by weights fitted on other models' answers to other prompts, so that it
does not flatter; what it cannot undo is that the rules, whose verdict the weights read, were written by
people who had read answers of all three models.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from truing.grade import Instrument, Labels, Refusal, calibrate, read_labels, usual_reading, write_card
from truing.grade.refusal_model import FILE
from truing.grade.refusal_training import cross_judged, read_xstest, train_refusal
from truing.run import replace_file
from truing.types import Shown, Verdict, digest

CARD = FILE.with_name("cards") / "refusal.json"


class CrossFitted:
    """Says of each answer what was said of it by weights that had no part in it."""

    id = Refusal.id

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        self._verdicts = verdicts

    def grade(self, shown: Sequence[Shown]) -> list[Mapping[str, Verdict]]:
        """The verdicts as they are, on the answers they are of."""
        assert len(shown) == len(self._verdicts)
        return [{"refusal": verdict} for verdict in self._verdicts]


def main(data: str) -> None:
    """Write both files."""
    folder = Path(data) / "xstest" / "completions"
    answers = read_xstest(folder)
    weights = train_refusal(answers)
    replace_file(FILE, (json.dumps(weights.to_json(), indent=0) + "\n").encode("ascii"))
    reading = usual_reading("refusal")
    parts = [read_labels(file, reading) for file in sorted(folder.glob("*.csv"))]
    names = ", ".join(Path(part.source).stem for part in parts)
    labels = Labels(
        tuple(answer for part in parts for answer in part.answers),
        f"XSTest, completions of {names}, each judged by weights fitted on other models' answers to other prompts",
        digest([part.source_digest for part in parts]),
    )
    grader = CrossFitted(cross_judged(answers, threshold=weights.threshold))
    card = calibrate(Instrument("refusal", grader), labels, reading=reading)
    write_card(CARD, card)
    print(card)


if __name__ == "__main__":
    main(sys.argv[1])
